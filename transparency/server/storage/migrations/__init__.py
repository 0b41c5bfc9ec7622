"""The steps that bring a database to this version's tables, in order; each runs once, and none is ever changed.

A step is written against frozen copies of the tables as it finds them, never against the code of today.
"""
