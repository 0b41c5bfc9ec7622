"""Which resolution service has a number? A map that every app vendor can hold, and updates that move only what changed.

`routing_map` answers from files, `replica` keeps them up to date, `publisher` makes and signs them, `web` answers for
those who replicate nothing. The formats (`chunk`, `delta`, `manifest`, `segments`) do no I/O.
"""
