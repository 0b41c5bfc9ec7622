"""A witness: it cosigns what a log shows, and never two histories of one log (C2SP tlog-witness).

A program beside the log server. `initialise` makes one, `serve` runs it, `cosigning` is what it does, `deciding` why.
"""
