"""The smallest deployment: an authority, a directory and perhaps a log as one server, with one file of settings.

The three are the programs that they are elsewhere, and know nothing of one another. Here they are put side by side
behind one listening socket, over one database. It stands at the front door because no program may import another.
"""
