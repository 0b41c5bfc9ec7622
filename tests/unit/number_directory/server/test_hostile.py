"""Requests that were broken on purpose: whatever comes, a directory answers with a refusal and not with a failure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from number_directory.access_list import ANYONE
from number_directory.server.config import Quota, Quotas
from number_directory.statement import statement_body
from tests.fakes.directory_statements import dumps, forged
from tests.fakes.directory_world import CALLER, EVERYBODY, OWNER, DirectoryWorld

_ROUNDS = 150
_PLANTED = (b'"', b"{", b"[", b"null", b"1e999", b"\\ud800", b"-0", b"\x00", b"9" * 20, b"\xff\xfe")
_VALUES: tuple[object, ...] = (
    None,
    -1,
    0,
    2**53,
    2**64,
    1.5,
    "",
    [],
    {},
    True,
    "+1",
    "+" + "9" * 16,
    [OWNER.e164] * 3,
    [[]],
    {"a": {}},
)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_broken_is_refused(tmp_path: Path, seed: int) -> None:
    """Bodies, headers, certificates and claims with something else in them never make the server fail."""
    lifted = Quota(10**7, 10**9)
    world = DirectoryWorld.make(tmp_path, quotas=Quotas(lifted, lifted, lifted))
    random_ = Random(seed)  # noqa: S311 - the same each time
    try:
        world.publish()
        world.allow(ANYONE)
        for _ in range(_ROUNDS):
            path, body = _broken(world, random_)
            result = world.send(path, body)
            assert result.status_code in {200, 400, 403, 409, 413}, (path, body, result.text)
    finally:
        world.close()


def _broken(world: DirectoryWorld, random_: Random) -> tuple[str, bytes]:
    makers: dict[str, Callable[[], str]] = {
        "/records": lambda: world.record_token(seq=random_.randrange(1, 9)),
        "/access-lists": lambda: world.access_list_token(seq=random_.randrange(1, 9), default=EVERYBODY),
        "/moves": lambda: world.move_token("https://other.example", seq=random_.randrange(1, 5)),
        "/own": world.own_token,
        "/lookup": lambda: world.lookup_token([OWNER]),
    }
    path = random_.choice(list(makers))
    token = makers[path]()
    jws, between, beside = token.partition("~")
    header, payload, signature = jws.split(".")
    held = world.held(CALLER if path == "/lookup" else OWNER)
    typ = json.loads(_decoded(header))["typ"]
    match random_.randrange(5):
        case 0:
            return path, _mutated(random_, statement_body(token))
        case 1:
            jws = ".".join((_encoded(_mutated(random_, _decoded(header))), payload, signature))
        case 2:
            members = json.loads(_decoded(header))
            place = random_.randrange(len(members["x5c"]))
            der = _mutated(random_, base64.b64decode(members["x5c"][place]))
            members["x5c"][place] = base64.b64encode(der).decode("ascii")
            jws = ".".join((_encoded(dumps(members)), payload, signature))
        case 3:
            jws = forged(typ, _mutated(random_, _decoded(payload)), by=held)
        case _:
            claims = json.loads(_decoded(payload))
            claims[random_.choice(list(claims))] = random_.choice(_VALUES)
            jws = forged(typ, claims, by=held)
    return random_.choice((path, path, path, *makers)), statement_body(jws + between + beside)


def _mutated(random_: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.randrange(1, 4)):
        place = random_.randrange(len(changed) + 1)
        match random_.randrange(4):
            case 0:
                changed[place : place + 1] = random_.randbytes(1)
            case 1:
                changed[place:place] = random_.randbytes(random_.randrange(1, 5))
            case 2:
                del changed[place : place + random_.randrange(1, 9)]
            case _:
                changed[place:place] = random_.choice(_PLANTED)
    return bytes(changed)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
