"""The steps that bring a directory's database to this version; each module is one, in the order of their names.

A step has run somewhere once it is released: it is never changed, only followed by another.
"""
