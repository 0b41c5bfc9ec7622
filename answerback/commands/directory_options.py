"""What the commands of owners and of callers share: where a number is looked for, and by which certificate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from answerback.directory_asking import Asked

_F = TypeVar("_F", bound=Callable[..., Any])

ca_option = click.option(
    "--ca", metavar="URL", help="Use the certificate from this authority.  [default: the one that lasts longest]"
)


def place_options(command: _F) -> _F:
    """Give a command the options that say how a directory is found and reached; see `asked_of`."""
    options = (
        click.option(
            "--map", "map_folder", type=click.Path(path_type=Path), help="The folder of the map.  [default: your own]"
        ),
        click.option("--map-server", metavar="URL", help="Ask this server of the map, in place of a map of your own."),
        click.option("--ca-bundle", type=click.Path(path_type=Path, exists=True), help="TLS roots to believe, in PEM."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def asked_of(url: str | None, place: Mapping[str, Any]) -> Asked:
    """Return how directories are found and reached: at `url`, or as the options of `place_options` say."""
    from answerback.directory_asking import Asked

    return Asked(() if url is None else (url,), place["map_folder"], place["map_server"], place["ca_bundle"])
