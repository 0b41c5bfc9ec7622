"""Which certificates exist for a number? This room is reserved: nothing is built here yet.

The log's entries, proofs and checkpoints, a monitor for a number's owner, and the log's server will stand here.
"""
