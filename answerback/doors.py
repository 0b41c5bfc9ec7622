"""Groups of commands that stand in modules of their own, which are imported when a command is called, not listed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True)
class Door:
    """Where a command stands, what it is for, and the extra without which it cannot be imported."""

    module: str
    attribute: str
    summary: str
    extra: str | None = None

    def open(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(importlib.import_module(self.module), self.attribute)
        return command


class DoorGroup(click.Group):
    """A group of what stands behind doors, in the order of their table."""

    def __init__(self, name: str | None = None, *, doors: Mapping[str, Door], **attributes: Any) -> None:  # noqa: ANN401  # click's own
        """Take the table of doors, by the names of their commands."""
        super().__init__(name, **attributes)
        self.doors = doors

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click passes it
        """Name the commands in the order of the table."""
        return list(self.doors)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        """Import one command; None where there is none of that name."""
        door = self.doors.get(cmd_name)
        return None if door is None else door.open()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as above
        """List the commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, door.summary) for name, door in self.doors.items()])
