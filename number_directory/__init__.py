"""Where is a number to be found, and on which apps? Asked of directories, which nobody needs to believe.

An owner signs a record for each app, and an access list; a caller looks numbers up, and judges each record by its own
trust store. `statement`, `record`, `access_list`, `lookup`, `move`, `own_listing`, `receipt` and `description` are the
formats; `client` asks one directory, `resolver` finds the one that has a number. `routing` is the map of directories,
`hidden` asks without showing the number, and `server` is a directory.
"""
