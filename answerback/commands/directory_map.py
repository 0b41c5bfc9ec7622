"""`answerback directory map`: which resolution service has a number, for those who ask, hold or publish the map."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.output import emit, json_option
from answerback.releasing import (
    content,
    described,
    key_option,
    new_online_key_option,
    passphrase_for,
    passphrase_option,
    show_signed,
    show_waiting,
    sign_with,
    signers_option,
    tell_waiting,
    threshold_option,
    unencrypted_option,
    when,
)
from answerback.serving import listening, require_clean_end

if TYPE_CHECKING:
    from number_directory.routing.publisher import Built
    from number_directory.routing.routing_map import Freshness, Resolution
    from transparency.releases.repository import Pending

_COMMAND = "answerback directory map"

_publisher = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
_files = click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="ENTRIES..."
)


@click.group(name="map")
def map_() -> None:
    """Find out which resolution service has a number; hold a map of all of them, or publish one."""


# Whoever asks


@map_.command()
@click.argument("number")
@click.option("--map", "folder", type=click.Path(path_type=Path), help="The folder of the map.  [default: your own]")
@click.option("--server", metavar="URL", help="Ask this map server, in place of a map of your own.")
@click.option(
    "--hide",
    metavar="DIGITS",
    type=click.IntRange(0, 14),
    default=4,
    show_default=True,
    help="How many last digits it does not see.",
)
@json_option
def resolve(number: str, folder: Path | None, server: str | None, hide: int, as_json: bool) -> None:
    """Show which resolution service has NUMBER, such as +12025550123."""
    from number_directory.routing.asking import MapServer
    from number_directory.routing.replica import default_folder
    from number_directory.routing.routing_map import RoutingMap
    from stir.telephone_number import TelephoneNumber

    with _failing():
        wanted = TelephoneNumber.parse(number)
        if server is None:
            resolution = RoutingMap.open(folder or default_folder()).resolve(wanted)
        elif hide:
            resolution = MapServer(server).resolve_hidden(wanted, hide)
        else:
            resolution = MapServer(server).resolve(wanted)
    _show(resolution, as_json)


# Whoever holds a map


@map_.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--mirror", metavar="URL", help="Where the map comes from, the first time.")
@click.option(
    "--root", type=click.Path(path_type=Path, dir_okay=False), help="Whom to believe about it: its root.json."
)
@json_option
def update(folder: Path | None, mirror: str | None, root: Path | None, as_json: bool) -> None:
    """Bring a map up to date, and mend what is damaged.

    It is the one in FOLDER, or your own.
    """
    from number_directory.routing.replica import MapReplica, default_folder

    place = folder or default_folder()
    if (mirror is None) != (root is None):
        msg = "give --mirror and --root together, the first time: where the map comes from, and whom to believe"
        raise Failure(msg)
    with _failing(place):
        if mirror is not None and root is not None:
            replica = MapReplica.create(place, mirror, content(root))
        else:
            replica = MapReplica.open(place)
        with _counting("chunks", as_json) as count:
            done = replica.update(count)
    data = {"version": done.version, "before": done.before, "way": done.way.value, "bytes_moved": done.moved}
    words = {"unchanged": "is the newest already", "deltas": "came by deltas", "chunks": "came in chunks"}
    emit(
        as_json,
        data,
        lambda: click.echo(f"version {done.version} {words[done.way.value]}; {done.moved:,} bytes were moved"),
    )


@map_.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option("--bind", metavar="ADDRESS:PORT", help="Where to listen, such as 127.0.0.1:14300.")
@click.option("--tls-certificate", type=click.Path(path_type=Path), help="The certificate chain to serve with.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key.")
@json_option
def serve(
    folder: Path | None, bind: str | None, tls_certificate: Path | None, tls_key: Path | None, as_json: bool
) -> None:
    """Answer over HTTP from the map in FOLDER, for those who hold none. A publisher's also hands out its files."""
    from number_directory.routing.replica import default_folder
    from number_directory.routing.serve import serve_map
    from serving.settings import Tls

    if (tls_certificate is None) != (tls_key is None):
        msg = "give --tls-certificate and --tls-key together"
        raise Failure(msg)
    tls = None if tls_certificate is None or tls_key is None else Tls(tls_certificate.absolute(), tls_key.absolute())
    with _failing():
        code = serve_map(folder or default_folder(), listening(as_json), bind, tls)
    require_clean_end(code)


# Whoever publishes one


@map_.command()
@_publisher
@click.option("--name", required=True, help="The map's name, for people to read.")
@signers_option
@click.option(
    "--threshold",
    metavar="COUNT",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of them must sign.",
)
@passphrase_option
@unencrypted_option
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
        passphrase = passphrase_for(passphrase_file, unencrypted_keys, confirm=True)
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


@map_.command()
@_publisher
@_files
@click.option("--changes", is_flag=True, help="The files say what changes; all else stays as it is published.")
@json_option
def build(folder: Path, files: tuple[Path, ...], changes: bool, as_json: bool) -> None:
    """Make a new version of the map in the publisher's FOLDER.

    ENTRIES are files that say which service has which number.
    """
    from number_directory.routing.publisher import MapPublisher

    with _failing():
        publisher = MapPublisher(folder)
        with _counting("lines", as_json) as count:
            make = publisher.change if changes else publisher.build
            built = make(files, lambda lines: count(lines, None))
        waiting = publisher.pending()
    emit(as_json, _built(built, waiting), lambda: _tell_built(built, waiting, folder))


@map_.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@key_option
@passphrase_option
@unencrypted_option
@json_option
def sign(path: Path, key: Path, passphrase_file: Path | None, unencrypted_keys: bool, as_json: bool) -> None:
    """Sign what waits.

    PATH is a publisher's folder, or a copy of one of the files in its folder `pending`.
    """
    from number_directory.routing.publisher import MapPublisher

    with _failing():
        passphrase = passphrase_for(passphrase_file, unencrypted_keys, confirm=False)
        waiting = sign_with(path, key, passphrase, lambda folder, opened: MapPublisher(folder).sign(opened))
    show_signed(path, waiting, _COMMAND, as_json)


@map_.command()
@_publisher
@click.argument("copies", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@json_option
def merge(folder: Path, copies: tuple[Path, ...], as_json: bool) -> None:
    """Take over signatures that were made elsewhere.

    COPIES are the signed files. What is then complete is published.
    """
    from number_directory.routing.publisher import MapPublisher

    with _failing():
        waiting = MapPublisher(folder).merge([content(copy) for copy in copies])
    show_waiting(waiting, folder, _COMMAND, as_json)


@map_.command()
@_publisher
@signers_option
@threshold_option
@new_online_key_option
@json_option
def rotate(folder: Path, signers: tuple[Path, ...], threshold: int | None, new_online_key: bool, as_json: bool) -> None:
    """Have other people sign from now on. Old and new signers sign that; what is not given stays as it is."""
    from number_directory.routing.publisher import MapPublisher
    from transparency.releases.repository import read_public_key

    with _failing():
        people = [read_public_key(signer) for signer in signers]
        waiting = MapPublisher(folder).rotate(people, threshold, new_online_key=new_online_key)
    show_waiting(waiting, folder, _COMMAND, as_json)


@map_.command()
@_publisher
@json_option
def renew(folder: Path, as_json: bool) -> None:
    """Have what is published signed once more.

    Do so before the people's signatures expire.
    """
    from number_directory.routing.publisher import MapPublisher

    with _failing():
        waiting = MapPublisher(folder).renew()
    show_waiting(waiting, folder, _COMMAND, as_json)


@map_.command()
@_publisher
@json_option
def timestamp(folder: Path, as_json: bool) -> None:
    """Say anew that what is published is the newest.

    Run it every hour or so, or replicas will call the map stale.
    """
    from number_directory.routing.publisher import MapPublisher

    with _failing():
        published = MapPublisher(folder).refresh()
    data = {"version": published.version, "expires": published.expires}
    emit(
        as_json,
        data,
        lambda: click.echo(f"version {published.version} is the newest, good until {when(published.expires)}"),
    )


@map_.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@passphrase_option
@unencrypted_option
@json_option
def key(file: Path, passphrase_file: Path | None, unencrypted_keys: bool, as_json: bool) -> None:
    """Make a signer's key in FILE, such as alice.key.

    The public key, to hand to the publisher, is put beside it.
    """
    from transparency.releases.publishing import key_pair

    with _failing():
        public = key_pair(file, passphrase_for(passphrase_file, unencrypted_keys, confirm=True))
    emit(as_json, {"key": str(file), "public_key": str(public)}, lambda: click.echo(f"hand {public} to the publisher"))


@map_.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@json_option
def status(folder: Path | None, as_json: bool) -> None:
    """Show the version in FOLDER, and how old it is.

    Of a publisher's, it also shows what is published and what waits.
    """
    from number_directory.routing.publisher_config import CONFIG_NAME
    from number_directory.routing.replica import default_folder
    from number_directory.routing.routing_map import RoutingMap

    place = folder or default_folder()
    with _failing():
        if (place / CONFIG_NAME).exists():
            _publisher_status(place, as_json)
            return
        opened = RoutingMap.open(place)
        damaged = [entry.lead.digits for entry in opened.damaged()]
    fresh, manifest = opened.freshness, opened.manifest
    data = _freshness(fresh) | {
        "services": len(manifest.services),
        "chunks": len(manifest.chunks),
        "bytes": manifest.size,
        "damaged": damaged,
    }

    def tell() -> None:
        click.echo(
            f"version {fresh.version}, {_old(fresh.age)} old: {len(manifest.services)} services, {manifest.size:,} B"
        )
        if damaged:
            click.echo(f"damaged: the chunks of +{', +'.join(damaged)}; run `answerback directory map update`")
        _warn_if_stale(fresh)

    emit(as_json, data, tell)


def _publisher_status(folder: Path, as_json: bool) -> None:
    from number_directory.routing.publisher import MapPublisher

    publisher = MapPublisher(folder)
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
            click.echo(f"  timestamp good until {when(published.expires)}: answerback directory map timestamp")
            click.echo(f"  signatures good until {when(published.targets_expires)}: answerback directory map renew")
            click.echo(f"  root good until {when(published.root_expires)}: answerback directory map rotate")
        tell_waiting(waiting, folder, _COMMAND)

    emit(as_json, data, tell)


# What is printed


def _show(resolution: Resolution, as_json: bool) -> None:
    service, fresh = resolution.service, resolution.freshness
    data = {
        "service": service.name,
        "operator": service.operator,
        "url": service.url,
        "description_sha256": service.description,
    } | _freshness(fresh)

    def tell() -> None:
        click.echo(f"{service.name}  {service.url}  ({service.operator})")
        click.echo(f"by version {fresh.version} of the map, {_old(fresh.age)} old")
        _warn_if_stale(fresh)

    emit(as_json, data, tell)


def _freshness(fresh: Freshness) -> dict[str, object]:
    return {
        "version": fresh.version,
        "age_seconds": int(fresh.age.total_seconds()),
        "expires": fresh.expires,
        "stale": fresh.is_stale,
    }


def _warn_if_stale(fresh: Freshness) -> None:
    if fresh.is_stale:
        click.echo(
            "Warning: the map is stale. Its publisher, or the mirror, has shown nothing newer for too long; numbers "
            "may have moved since. Run `answerback directory map update`, or try another mirror.",
            err=True,
        )


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


def _old(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


@contextlib.contextmanager
def _counting(what: str, as_json: bool) -> Iterator[Callable[[int, int | None], None]]:
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


@contextlib.contextmanager
def _failing(replica: Path | None = None) -> Iterator[None]:
    """Tell the room's errors as the command's; where an update failed, say what stays in use."""
    from number_directory.routing.errors import RoutingError
    from serving.errors import ServingError
    from stir.errors import StirError
    from transparency.releases.errors import MirrorError, ReleaseError, UpdateRefused

    try:
        yield
    except (ReleaseError, RoutingError, ServingError, StirError) as error:
        kept = _kept(replica) if replica is not None and isinstance(error, (MirrorError, UpdateRefused)) else ""
        msg = f"{error}{kept}"
        raise Failure(msg) from error


def _kept(replica: Path) -> str:
    from number_directory.routing.errors import RoutingError
    from number_directory.routing.routing_map import RoutingMap

    try:
        fresh = RoutingMap.open(replica).freshness
    except RoutingError:
        return "; there is no earlier version here"
    return (
        f"; here that is version {fresh.version}, {_old(fresh.age)} old{', which is stale' if fresh.is_stale else ''}"
    )
