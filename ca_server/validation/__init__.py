"""The ways to prove a number: one file for each challenge type, and the text of the SMS that carries its code."""
