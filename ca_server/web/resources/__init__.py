"""The resources of RFC 8555 and a few plain ones. Each parses, calls one step of `issuing`, and answers."""
