"""What the commands that serve have in common: how they say that they began, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import click

from answerback.failure import Failure


def announce(as_json: bool, data: Mapping[str, object], words: str) -> None:
    """Print one line at once, for a person or a program that waits for it."""
    click.echo(json.dumps(data) if as_json else words)


def listening(as_json: bool) -> Callable[[str], None]:
    """Return what is told the URL at which a server listens, once it does."""
    return lambda url: announce(as_json, {"listening": url}, f"listening on {url}")


def require_clean_end(code: int) -> None:
    """Fail where a server ended with an exit code that tells of an error."""
    if code:
        msg = "the server ended with an error; its log says which"
        raise Failure(msg)
