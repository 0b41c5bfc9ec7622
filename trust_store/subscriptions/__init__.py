"""Curated lists: authorities that somebody else chose, to whom the user subscribed.

`list_file` is the format, `consent` decides what of a newer version counts before the user has agreed to it, `state`
keeps both on the disk, `updating` fetches, and `layer` is a list's word as the trust store takes it.
"""
