"""`answerback directory`: publish where a number is reached, look numbers up, or run what answers.

Its commands stand in modules of their own, which are imported when asked for: see `DOORS`.
"""

from __future__ import annotations

import click

from answerback.doors import Door, DoorGroup

_LOOKUP = "answerback.commands.directory_lookup"
_OWNER = "answerback.commands.directory_owner"
_SERVER = "answerback.commands.directory_server"

DOORS = {
    "publish": Door(_OWNER, "publish", "Publish where your number is reached on an app."),
    "withdraw": Door(_OWNER, "withdraw", "Say that your number is not on an app any more."),
    "acl": Door(_OWNER, "acl", "Show or change who may see your records."),
    "records": Door(_OWNER, "records", "Show what a directory keeps of your number, and check it."),
    "move": Door(_OWNER, "move", "Move your number to another directory."),
    "lookup": Door(_LOOKUP, "lookup", "Look numbers up, and judge what is found by your trust store."),
    "map": Door(
        "answerback.commands.directory_map", "map_", "Find the directory of a number; hold or publish the map."
    ),
    "init": Door(_SERVER, "init", "Make a new directory."),
    "serve": Door(_SERVER, "serve", "Serve a directory."),
    "worker": Door(_SERVER, "worker", "Run a directory's record log and upkeep."),
    "import": Door(_SERVER, "import_", "Take many records from a file into a directory."),
    "hidden-key": Door(_SERVER, "hidden_key", "Make a new key for hidden lookups."),
    "check": Door(_SERVER, "check", "Look whether everything that serving needs is there."),
}


@click.group(cls=DoorGroup, doors=DOORS)
def directory() -> None:
    """Be found on apps, look numbers up, or run a directory."""
