"""A directory at work: it keeps what owners signed, and shows each caller what the owner lets that caller see.

It vouches for nothing: readers get the owner's own bytes and judge them. `app` wires it, `serve` runs it.
"""
