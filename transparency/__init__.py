"""Which certificates exist for a number? Logs that tell the number's owner, and nobody else.

The modules here are pure: formats, hashes, signatures and proofs, with no I/O. docs/reference/log-formats.md has every
byte of them. What asks a log over the network, watches it or runs one stands in `client`, `monitor` and `server`.
"""
