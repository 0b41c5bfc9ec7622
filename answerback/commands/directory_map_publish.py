"""`answerback directory map init | build | sign | timestamp | …`: for whoever publishes a map of all numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.output import counting, emit, json_option
from answerback.releasing import (
    Kind,
    described,
    first_threshold_option,
    folder_argument,
    show_refreshed,
    signers_option,
    signing_commands,
    signing_key_options,
    signing_passphrase,
    tell_expiries,
    tell_waiting,
)
from answerback.serving import failing

if TYPE_CHECKING:
    from number_directory.routing.publisher import Built, MapPublisher
    from transparency.releases.repository import Pending

_COMMAND = "answerback directory map"
_files = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="ENTRIES..."
)


@click.command()
@folder_argument
@click.option("--name", required=True, help="The map's name, for people to read.")
@signers_option
@first_threshold_option
@signing_key_options
@click.option(
    "--bind", metavar="ADDRESS:PORT", default="127.0.0.1:14300", show_default=True, help="Where its server listens."
)
@json_option
def init(
    folder: Path,
    name: str,
    signers: tuple[Path, ...],
    threshold: int,
    passphrase_file: Path | None,
    unencrypted_keys: bool,
    bind: str,
    as_json: bool,
) -> None:
    """Make a publisher of a map in FOLDER.

    It gets settings, keys, and the root that says who signs.
    """
    from number_directory.routing.publisher import MapPublisher, NewMap
    from serving.settings import Keys
    from transparency.releases.repository import read_public_key

    with _failing():
        passphrase = signing_passphrase(passphrase_file, unencrypted_keys, are_new=True)
        keys = Keys(passphrase_file=passphrase_file, unencrypted=unencrypted_keys)
        people = tuple(map(read_public_key, signers))
        publisher = MapPublisher.create(folder, NewMap(name, people, threshold, keys, passphrase, bind))
        waiting = publisher.pending()
    data = {"folder": str(folder), "waiting": [described(pending) for pending in waiting]}

    def tell() -> None:
        click.echo(f"{name} is made, in {folder}.")
        tell_waiting(waiting, folder, _COMMAND)
        click.echo(f"Next: name the resolution services in {folder / 'map.toml'}, then build the map.")

    emit(as_json, data, tell)


@click.command()
@folder_argument
@_files
@click.option("--changes", is_flag=True, help="The files say what changes; all else stays as it is published.")
@json_option
def build(folder: Path, files: tuple[Path, ...], changes: bool, as_json: bool) -> None:
    """Make a new version of the map in the publisher's FOLDER.

    ENTRIES are files that say which service has which number.
    """
    with _failing():
        publisher = _publisher(folder)
        with counting("lines", as_json) as count:
            make = publisher.change if changes else publisher.build
            built = make(files, lambda lines: count(lines, None))
        waiting = publisher.pending()
    emit(as_json, _built(built, waiting), lambda: _tell_built(built, waiting, folder))


@click.command()
@folder_argument
@json_option
def timestamp(folder: Path, as_json: bool) -> None:
    """Say anew that what is published is the newest.

    Run it every hour or so, or replicas will call the map stale.
    """
    with _failing():
        published = _publisher(folder).refresh()
    show_refreshed(published.version, published.expires, as_json)


def publisher_status(folder: Path, as_json: bool) -> None:
    """Show what is published of a map, until when it is good, and what waits."""
    publisher = _publisher(folder)
    published, waiting = publisher.published(), publisher.pending()
    data: dict[str, object] = {"published": None, "waiting": [described(pending) for pending in waiting]}
    if published is not None:
        data["published"] = {
            "version": published.version,
            "deltas": len(published.deltas),
            "timestamp_expires": published.expires,
            "map_expires": published.targets_expires,
            "root_expires": published.root_expires,
        }

    def tell() -> None:
        if published is None:
            click.echo("nothing is published yet")
        else:
            click.echo(f"version {published.version} is published, with deltas from {len(published.deltas)} versions")
            tell_expiries(published, _COMMAND)
        tell_waiting(waiting, folder, _COMMAND)

    emit(as_json, data, tell)


def _built(built: Built | None, waiting: Sequence[Pending]) -> dict[str, object]:
    data: dict[str, object] = {"version": None, "waiting": [described(pending) for pending in waiting]}
    if built is not None:
        data |= {"version": built.version, "chunks": built.chunks, "bytes": built.size, "delta_bytes": built.delta}
    return data


def _tell_built(built: Built | None, waiting: Sequence[Pending], folder: Path) -> None:
    if built is None:
        click.echo("nothing has changed: what is published stays")
        return
    delta = "no delta" if built.delta is None else f"a delta of {built.delta:,} bytes"
    done = "is built" if waiting else "is published"
    click.echo(f"version {built.version} {done}: {built.chunks} chunks, {built.size:,} bytes, {delta}")
    tell_waiting(waiting, folder, _COMMAND)


@contextlib.contextmanager
def _failing() -> Iterator[None]:
    """Tell the rooms' errors as the command's."""
    from number_directory.routing.errors import RoutingError
    from serving.errors import ServingError
    from stir.errors import StirError
    from transparency.releases.errors import ReleaseError

    with failing(ReleaseError, RoutingError, ServingError, StirError):
        yield


def _publisher(folder: Path) -> MapPublisher:
    from number_directory.routing.publisher import MapPublisher

    return MapPublisher(folder)


_MAPS = Kind(_COMMAND, _publisher, _failing)
key, sign, merge, rotate, renew = signing_commands(_MAPS)
