"""What programs say over HTTP in one way: problem documents, bodies within bounds, who is asking. Falcon lives here."""
