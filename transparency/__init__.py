"""Which certificates exist for a number? Logs that tell the number's owner, and nobody else.

Most modules here are pure: formats, hashes, signatures and proofs, with no I/O. docs/reference/log-formats.md has every
byte of them. Not pure are `client`, which asks a log, `monitor`, which watches one for a number's owner, `auditor` and
`witness`, which do so for everybody, and `server`, which runs one. `releases` signs and fetches maps and lists in the
same spirit: by keys that readers know, from mirrors that nobody needs to trust.
"""
