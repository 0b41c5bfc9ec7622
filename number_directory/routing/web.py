"""The map over HTTP: answers for those who replicate nothing, and the files of a publisher for those who do."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Final

import falcon
import msgspec

from number_directory.routing.answers import MOST_NUMBERS, NumberAnswer, PrefixAnswer
from number_directory.routing.chunk import Routes
from number_directory.routing.errors import DamagedMapError, MapFormatError
from number_directory.routing.leading_digits import LeadingDigits
from number_directory.routing.manifest import ServiceEntry
from number_directory.routing.routing_map import LiveMap, RoutingMap
from serving.errors import CommonKind, Refusal
from serving.web.problems import Problems, ProblemType, own_type
from stir.errors import TelephoneNumberError
from stir.telephone_number import NumberPrefix, TelephoneNumber

_FILE = re.compile(
    r"metadata/(timestamp|[1-9][0-9]{0,8}\.(root|targets|snapshot))\.json"
    r"|targets/(deltas/)?[0-9a-f]{64}\.[a-z0-9]{1,20}"
    r"|chunks/[0-9a-f]{2}/[0-9a-f]{62}",
    re.ASCII,
)
_FOR_GOOD = "public, max-age=31536000, immutable"
_FOR_A_MOMENT = "public, max-age=60"
_UNPACKED_CHUNKS = 8


class _Kind(StrEnum):
    """Why a map server refuses a request."""

    MALFORMED = CommonKind.MALFORMED.value
    METHOD_NOT_ALLOWED = CommonKind.METHOD_NOT_ALLOWED.value
    NOT_FOUND = CommonKind.NOT_FOUND.value
    REQUEST_TOO_LARGE = CommonKind.REQUEST_TOO_LARGE.value
    SERVER_INTERNAL = CommonKind.SERVER_INTERNAL.value
    UNAUTHORIZED = CommonKind.UNAUTHORIZED.value
    TOO_MANY_NUMBERS = "tooManyNumbers"
    MAP_DAMAGED = "mapDamaged"


PROBLEM_TYPES: Final[Mapping[str, ProblemType]] = {
    kind: own_type(kind.value, status)
    for kind, status in (
        (_Kind.MALFORMED, HTTPStatus.BAD_REQUEST),
        (_Kind.METHOD_NOT_ALLOWED, HTTPStatus.METHOD_NOT_ALLOWED),
        (_Kind.NOT_FOUND, HTTPStatus.NOT_FOUND),
        (_Kind.REQUEST_TOO_LARGE, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (_Kind.SERVER_INTERNAL, HTTPStatus.INTERNAL_SERVER_ERROR),
        (_Kind.UNAUTHORIZED, HTTPStatus.FORBIDDEN),
        (_Kind.TOO_MANY_NUMBERS, HTTPStatus.BAD_REQUEST),
        (_Kind.MAP_DAMAGED, HTTPStatus.SERVICE_UNAVAILABLE),
    )
}


def create_app(live: LiveMap, public: Path | None = None) -> falcon.App[falcon.Request, falcon.Response]:
    """Return the WSGI application that answers from a map, and hands out the files of a publisher below `public`."""
    app = falcon.App()
    Problems(PROBLEM_TYPES, os.urandom, begin_at="ask for /resolve/ and a number, such as +12025550123").install(app)
    app.add_route("/resolve/{number}", _Resolve(live))
    app.add_route("/prefixes/{prefix}", _Prefixes(live))
    app.add_route("/health", _Health(live))
    if public is not None:
        for folder in ("metadata", "targets", "chunks"):
            app.add_sink(_Files(public), f"/{folder}/")
    return app


class _Resolve:
    def __init__(self, live: LiveMap) -> None:
        self._live = live

    def on_get(self, _: falcon.Request, resp: falcon.Response, number: str) -> None:
        """Say which service has a number: the same, in form and work, for one that nobody has."""
        try:
            resolution = self._live.newest().resolve(TelephoneNumber.parse(number))
        except TelephoneNumberError as error:
            raise Refusal(_Kind.MALFORMED, str(error)) from error
        except DamagedMapError as error:
            raise Refusal(_Kind.MAP_DAMAGED, str(error)) from error
        _send(resp, NumberAnswer.of(resolution))


class _Prefixes:
    def __init__(self, live: LiveMap) -> None:
        self._live = live

    def on_get(self, _: falcon.Request, resp: falcon.Response, prefix: str) -> None:
        """Say all that the map says of the numbers with a prefix."""
        current = self._live.newest()
        try:
            routes = _routes_of(current, LeadingDigits(NumberPrefix.parse(prefix).digits))
        except TelephoneNumberError as error:
            raise Refusal(_Kind.MALFORMED, str(error)) from error
        except (DamagedMapError, MapFormatError) as error:
            raise Refusal(_Kind.MAP_DAMAGED, str(error)) from error
        if routes is None or len(routes) > MOST_NUMBERS:
            msg = f"more than {MOST_NUMBERS} numbers with this prefix stand in the map: ask for a longer one"
            raise Refusal(_Kind.TOO_MANY_NUMBERS, msg)
        named = set(routes.segments.services).union(*(part.services for part in routes.numbers.values()))
        services = tuple(ServiceEntry.of(number, current.manifest.services[number]) for number in sorted(named))
        fresh = current.freshness
        _send(resp, PrefixAnswer(services, routes.encode(), fresh.version, fresh.as_of, fresh.expires, fresh.is_stale))


@lru_cache(maxsize=_UNPACKED_CHUNKS)
def _unpacked(data: bytes) -> Routes:
    """Unpack a chunk, which takes longer than to answer from it."""
    return Routes.decode(data)


def _routes_of(current: RoutingMap, lead: LeadingDigits) -> Routes | None:
    data = current.chunk_of(lead)
    return None if data is None else _unpacked(data).cut(lead)


class _Health:
    def __init__(self, live: LiveMap) -> None:
        self._live = live

    def on_get(self, _: falcon.Request, resp: falcon.Response) -> None:
        """Say which version answers, and how old it is."""
        fresh = self._live.newest().freshness
        age = int(fresh.age.total_seconds())
        _send(resp, {"version": fresh.version, "age": age, "stale": fresh.is_stale})


class _Files:
    """The files of a publisher: those that are named after their hash or version for good, others for a moment."""

    def __init__(self, public: Path) -> None:
        self._public = public

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """Send a file."""
        path = req.path.removeprefix("/")
        if req.method not in {"GET", "HEAD"}:
            raise falcon.HTTPMethodNotAllowed(["GET", "HEAD"])
        try:
            resp.data = (self._public / path).read_bytes() if _FILE.fullmatch(path) else None
        except OSError as error:
            raise falcon.HTTPNotFound from error
        if resp.data is None:
            raise falcon.HTTPNotFound
        resp.content_type = falcon.MEDIA_JSON if path.endswith(".json") else "application/octet-stream"
        resp.set_header("Cache-Control", _FOR_A_MOMENT if path == "metadata/timestamp.json" else _FOR_GOOD)


def _send(resp: falcon.Response, answer: object) -> None:
    resp.data = msgspec.json.encode(answer)
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("Cache-Control", "no-store")  # a number's answer is its asker's
