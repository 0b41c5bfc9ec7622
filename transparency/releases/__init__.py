"""Signed releases: files that many fetch from mirrors that nobody needs to trust, by The Update Framework.

The routing map and curated trust lists are handed out like this. `mirror` is the half of whoever fetches, `repository`
and `publishing` are that of whoever releases; the two halves do not import one another.
"""
