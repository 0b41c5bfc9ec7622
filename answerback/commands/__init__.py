"""One module for each command: it parses its arguments, calls a room, and prints what came of it."""
