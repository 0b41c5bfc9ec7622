"""`answerback directory map`: which resolution service has a number, for those who ask, hold or publish the map.

Its commands stand in modules of their own, which are imported when asked for: see `DOORS`.
"""

from __future__ import annotations

import click

from answerback.doors import Door, DoorGroup

_USE = "answerback.commands.directory_map_use"
_PUBLISH = "answerback.commands.directory_map_publish"

DOORS = {
    "build": Door(_PUBLISH, "build", "Make a new version of the map in the publisher's FOLDER."),
    "init": Door(_PUBLISH, "init", "Make a publisher of a map in FOLDER."),
    "key": Door(_PUBLISH, "key", "Make a signer's key in FILE, such as alice.key."),
    "merge": Door(_PUBLISH, "merge", "Take over signatures that were made elsewhere."),
    "renew": Door(_PUBLISH, "renew", "Have what is published signed once more."),
    "resolve": Door(_USE, "resolve", "Show which resolution service has NUMBER, such as +12025550123."),
    "rotate": Door(_PUBLISH, "rotate", "Have other people sign from now on."),
    "serve": Door(_USE, "serve", "Answer over HTTP from the map in FOLDER, for those who hold none."),
    "sign": Door(_PUBLISH, "sign", "Sign what waits."),
    "status": Door(_USE, "status", "Show the version in FOLDER, and how old it is."),
    "timestamp": Door(_PUBLISH, "timestamp", "Say anew that what is published is the newest."),
    "update": Door(_USE, "update", "Bring a map up to date, and mend what is damaged."),
}


@click.group(name="map", cls=DoorGroup, doors=DOORS)
def map_() -> None:
    """Find out which resolution service has a number; hold a map of all of them, or publish one."""
