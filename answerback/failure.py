"""The one way in which a command fails: a line that says what is wrong and what to do."""

from __future__ import annotations

import json
from typing import IO, Any

import click

AS_JSON = "as_json"
"""The name of the parameter behind every command's `--json`."""


class Failure(click.ClickException):
    """A command could not do its work: one line for people, `{"error": …}` on standard output under `--json`.

    The message says what is wrong and what to do about it. It never carries a code, a token, a key or a passphrase.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        """Take the message as one line, and note whether the command was asked for JSON."""
        super().__init__(" ".join(message.split()))
        self.as_json = _asked_for_json(click.get_current_context(silent=True))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line to standard error, or the JSON object to standard output."""
        if self.as_json:
            click.echo(json.dumps({"error": self.message}, ensure_ascii=False), file=file)
        else:
            super().show(file)


class Misuse(Failure):
    """A command line that cannot be understood, told to a program that asked for JSON. People are shown the usage."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        """Take the message; no command was reached that could say what was asked for."""
        super().__init__(message)
        self.as_json = True


def _asked_for_json(context: click.Context | None) -> bool:
    # The context is read when the failure is raised: click has left it by the time the failure is shown.
    while context is not None:
        if context.params.get(AS_JSON):
            return True
        context = context.parent
    return False
