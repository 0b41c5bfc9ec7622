"""Sending text messages: one file per gateway, the worker that empties the queue, and the receipts that come back."""
