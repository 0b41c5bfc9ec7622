"""`answerback directory`: publish where a number is reached, look numbers up, or run what answers.

Its commands stand in modules of their own, which are imported when asked for: see `ELSEWHERE`.
"""

from __future__ import annotations

import importlib

import click

_USE = "answerback.commands.directory_use"
_SERVER = "answerback.commands.directory_server"

ELSEWHERE: dict[str, tuple[str, str, str]] = {
    "publish": (_USE, "publish", "Publish where your number is reached on an app."),
    "withdraw": (_USE, "withdraw", "Say that your number is not on an app any more."),
    "acl": (_USE, "acl", "Show or change who may see your records."),
    "records": (_USE, "records", "Show what a directory keeps of your number, and check it."),
    "move": (_USE, "move", "Move your number to another directory."),
    "lookup": (_USE, "lookup", "Look numbers up, and judge what is found by your trust store."),
    "map": ("answerback.commands.directory_map", "map_", "Find the directory of a number; hold or publish the map."),
    "init": (_SERVER, "init", "Make a new directory."),
    "serve": (_SERVER, "serve", "Serve a directory."),
    "worker": (_SERVER, "worker", "Run a directory's record log and upkeep."),
    "import": (_SERVER, "import_", "Take many records from a file into a directory."),
    "hidden-key": (_SERVER, "hidden_key", "Make a new key for hidden lookups."),
    "check": (_SERVER, "check", "Look whether everything that serving needs is there."),
}
"""Sub-commands by name: the module and the attribute that hold each, and its line in `--help`."""


class _DirectoryGroup(click.Group):
    """A group that imports its commands when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click passes it
        """Return all names, those of owners and callers first."""
        return list(ELSEWHERE)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        """Return a command, importing its module."""
        if cmd_name not in ELSEWHERE:
            return None
        module, attribute, _ = ELSEWHERE[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as above
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in ELSEWHERE.items()])


@click.group(cls=_DirectoryGroup)
def directory() -> None:
    """Be found on apps, look numbers up, or run a directory."""
