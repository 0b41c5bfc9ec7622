"""What a command prints: words for people, or one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

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
