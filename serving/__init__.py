"""What every program of ours that serves needs, and none of the field's knowledge.

It knows databases, web servers, key files and settings; it has never heard of numbers, certificates or logs of them.
"""
