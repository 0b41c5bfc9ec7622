"""What a command prints: words for people, or one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping

import click

from answerback.failure import AS_JSON

json_option = click.option("--json", AS_JSON, is_flag=True, help="Print one JSON document instead of words.")
"""The `--json` that every command has; its value arrives as the argument `as_json`."""


def emit(as_json: bool, data: Mapping[str, object], human: Callable[[], None]) -> None:
    """Print `data` as one JSON document, or let `human` say it in words."""
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False, indent=2))
    else:
        human()


@contextlib.contextmanager
def counting(what: str, as_json: bool) -> Iterator[Callable[[int, int | None], None]]:
    """Show on a terminal how far long work is."""
    shown = sys.stderr.isatty() and not as_json

    def count(done: int, of: int | None) -> None:
        if shown:
            click.echo(f"\r{done:,}{'' if of is None else f' of {of:,}'} {what}", nl=False, err=True)

    try:
        yield count
    finally:
        if shown:
            click.echo(err=True)
