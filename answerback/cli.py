"""The table of commands. Showing it imports none of them, so that `answerback --help` answers at once."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import click

from answerback.doors import Door, DoorGroup
from answerback.failure import Failure, Misuse

DEBUG_VARIABLE = "ANSWERBACK_DEBUG"


DOORS: Mapping[str, Door] = {
    "ca": Door("answerback.commands.ca", "ca", "Run an authority: keys, ACME server, SMS, revocation.", extra="ca"),
    "enrol": Door("answerback.commands.enrol", "enrol", "Get certificates for a number, by SMS."),
    "certificates": Door("answerback.commands.certificates", "certificates", "Show the certificates held here."),
    "renew": Door("answerback.commands.certificates", "renew", "Renew the certificates that are due."),
    "revoke": Door(
        "answerback.commands.certificates", "revoke", "Revoke a certificate held here, or another for your number."
    ),
    "account": Door("answerback.commands.account", "account", "Show, change or close the account at an authority."),
    "trust": Door("answerback.commands.trust", "trust", "Choose which authorities to believe, for which numbers."),
    "call": Door("answerback.commands.call", "call", "Sign a call or a message, or judge one that came in."),
    "log": Door(
        "answerback.commands.log",
        "log",
        "Run a log of certificates; watch, audit or witness one.",
        extra="log",
    ),
    "directory": Door(
        "answerback.commands.directory",
        "directory",
        "Be found on apps, look numbers up, or run a directory.",
        extra="directory",
    ),
    "rs": Door("answerback.commands.rs", "rs", "Run an authority and a directory as one small server.", extra="rs"),
    "demo": Door("answerback.commands.demo", "demo", "Play the whole story on this machine.", extra="demo"),
}
ALIASES: Mapping[str, str] = {"enroll": "enrol"}
_JSON = "--json"
_PACKAGES = frozenset(
    {
        "acme_client",
        "answerback",
        "ca_server",
        "number_directory",
        "policies",
        "serving",
        "stir",
        "transparency",
        "trust_store",
    }
)


class FrontDoor(DoorGroup):
    """The group of all commands, which says what to install where one lacks an extra."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command, by any of its spellings; None where there is none of that name."""
        name = ALIASES.get(cmd_name, cmd_name)
        try:
            return super().get_command(ctx, name)
        except ModuleNotFoundError as missing:
            if ctx.resilient_parsing:  # shell completion offers what can be run
                return None
            raise self._explained(missing, name) from missing

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command, and remember whether JSON is asked for anywhere behind them."""
        ctx.meta[_JSON] = _JSON in args
        with _misuse_in_json(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's own signature
        """Run the command, and say which extra it lacks where it imports a part that is not installed."""
        try:
            with _misuse_in_json(ctx):
                return super().invoke(ctx)
        except ModuleNotFoundError as missing:
            raise self._explained(missing, ctx.invoked_subcommand or "") from missing

    def _explained(self, missing: ModuleNotFoundError, command: str) -> Exception:
        name = ALIASES.get(command, command)
        module = (missing.name or "").partition(".")[0]
        if module in _PACKAGES or name not in self.doors:
            return missing
        extra = "postgresql" if module == "psycopg" else self.doors[name].extra
        wanted = f"answerback[{extra}]" if extra else "answerback"
        return Failure(f"answerback {name} needs {module}, which is not installed: pip install '{wanted}'")


@contextlib.contextmanager
def _misuse_in_json(ctx: click.Context) -> Iterator[None]:
    """Say in JSON, to a program that asked for it, that its command line cannot be understood."""
    try:
        yield
    except click.UsageError as wrong:
        if not ctx.meta[_JSON]:
            raise
        raise Misuse(wrong.format_message()) from wrong


@click.group("answerback", cls=FrontDoor, doors=DOORS)
@click.version_option(package_name="answerback")
def front_door() -> None:
    """Certificates for telephone numbers, from the authorities that you choose to believe."""


def main() -> NoReturn:
    """Run the command line. An error that nobody foresaw is one line and exit code 1.

    Its message is not shown, for it may quote a secret: `ANSWERBACK_DEBUG=1` shows the whole traceback.
    """
    try:
        front_door(prog_name="answerback")
    except Exception as unexpected:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        click.echo(f"Error: {_one_line(unexpected)}", err=True)
    sys.exit(1)


def _one_line(unexpected: Exception) -> str:
    if isinstance(unexpected, OSError) and unexpected.strerror:
        subject = f": {unexpected.filename}" if unexpected.filename else ""
        return f"{unexpected.strerror}{subject} (set {DEBUG_VARIABLE}=1 to see where)"
    kind = type(unexpected).__name__
    return f"this is a bug: unexpected {kind}; run it again with {DEBUG_VARIABLE}=1 and report the traceback"
