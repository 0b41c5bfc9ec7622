"""`answerback directory map resolve | update | serve | status`: for whoever asks for a number, or holds a map."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from answerback.failure import Failure
from answerback.output import counting, emit, json_option
from answerback.releasing import (
    content,
)
from answerback.serving import listening, require_clean_end

if TYPE_CHECKING:
    from number_directory.routing.routing_map import Freshness, Resolution


@click.command()
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


@click.command()
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
        with counting("chunks", as_json) as count:
            done = replica.update(count)
    data = {"version": done.version, "before": done.before, "way": done.way.value, "bytes_moved": done.moved}
    words = {"unchanged": "is the newest already", "deltas": "came by deltas", "chunks": "came in chunks"}
    emit(
        as_json,
        data,
        lambda: click.echo(f"version {done.version} {words[done.way.value]}; {done.moved:,} bytes were moved"),
    )


@click.command()
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), required=False)
@json_option
def status(folder: Path | None, as_json: bool) -> None:
    """Show the version in FOLDER, and how old it is.

    Of a publisher's, it also shows what is published and what waits.
    """
    from answerback.commands.directory_map_publish import publisher_status
    from number_directory.routing.publisher_config import CONFIG_NAME
    from number_directory.routing.replica import default_folder
    from number_directory.routing.routing_map import RoutingMap

    place = folder or default_folder()
    with _failing():
        if (place / CONFIG_NAME).exists():
            publisher_status(place, as_json)
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


def _old(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"


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
