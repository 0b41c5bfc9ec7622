"""Where is a number to be found, and on which applications? This room is reserved: nothing is built here yet.

Signed records and access lists, the map of resolution services, their client and their server will stand here.
"""
