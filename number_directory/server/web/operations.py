"""What the directory offers over HTTP: the one list that the routes and the OpenAPI document are made of."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import falcon

from number_directory.access_list import LARGEST_ACCESS_LIST
from number_directory.errors import StatementError
from number_directory.hidden_lookup import BUCKETS_PATH, EVALUATE_PATH
from number_directory.hidden_lookup import LARGEST_QUESTION as LARGEST_HIDDEN_QUESTION
from number_directory.lookup import LARGEST_QUESTION
from number_directory.receipt import Acceptance, PublishReceipt
from number_directory.server import hidden, listing, looking_up, moving, publishing, record_log
from number_directory.server.describing import describe
from number_directory.server.directory import Directory
from number_directory.server.errors import ConfigurationError, Refusal, RefusalKind
from number_directory.server.metrics import CONTENT_TYPE as METRICS_TYPE
from number_directory.server.publishing import Accepted
from number_directory.server.web import schemas
from number_directory.server.web.schemas import Schema
from number_directory.statement import LARGEST_STATEMENT, read_statement_body
from stir.errors import JwsError
from stir.jws import decode_base64url, encode_base64url

_ROOM_FOR_JSON: Final = 64
_HASH_SIZE: Final = 32
_TILE_TYPE = "application/octet-stream"
_TEXT_TYPE = "text/plain; charset=utf-8"
_FOR_GOOD = "public, max-age=31536000, immutable"
_FOR_A_MOMENT = "public, max-age=1"
_FOR_A_MINUTE = "public, max-age=60"
_PRIVATE = "no-store"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as an operation sees it. `payer` is the client's address; `part` what stands in the path."""

    body: bytes = field(repr=False)
    payer: str
    part: str
    authorization: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer, whose status is 200."""

    data: bytes = field(repr=False)
    content_type: str = falcon.MEDIA_JSON
    cache_control: str = _PRIVATE
    etag: str | None = None
    """Tells this answer from others of the same path, in quotes."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A method of a path: what it takes, what it answers, and with which problems it refuses."""

    method: str
    path: str
    summary: str
    answer: Callable[[Asked], Answer]
    answers: Schema | None = None
    content_type: str = falcon.MEDIA_JSON
    takes: Schema | None = None
    largest: int = 0
    part: Mapping[str, Any] | None = None
    refuses: tuple[RefusalKind, ...] = ()
    needs_authorization: bool = False
    revalidates: bool = False
    """Whether it has an ETag, and answers 304 to whoever has that already."""


_ANY_BODY = (RefusalKind.MALFORMED, RefusalKind.REQUEST_TOO_LARGE, RefusalKind.UNSUPPORTED_MEDIA_TYPE)
_SIGNER = (RefusalKind.CERTIFICATE_ENDED, RefusalKind.NOT_ADMITTED, RefusalKind.NOT_FRESH, RefusalKind.WRONG_SIGNATURE)
_SEQUENCED = (*_ANY_BODY, *_SIGNER, RefusalKind.CONFLICT, RefusalKind.OUTDATED, RefusalKind.QUOTA_EXCEEDED)
_ONCE = (RefusalKind.WRONG_AUDIENCE, RefusalKind.REPLAYED, RefusalKind.DIRECTORY_BUSY)


def operations(directory: Directory) -> tuple[Operation, ...]:
    """Return all operations of a directory but that of the OpenAPI document, which is about these."""
    return (
        *_of_owners(directory),
        *_of_callers(directory),
        *_of_hidden_callers(directory),
        *_of_the_record_log(directory),
        *_of_the_operator(directory),
    )


def _of_owners(directory: Directory) -> tuple[Operation, ...]:
    longest_list = LARGEST_ACCESS_LIST
    return (
        Operation(
            "POST",
            "/records",
            "Publish, replace or withdraw a record.",
            _taking(directory, publishing.publish, LARGEST_STATEMENT),
            schemas.ACCEPTANCE,
            takes=schemas.STATEMENT,
            largest=LARGEST_STATEMENT + _ROOM_FOR_JSON,
            refuses=(*_SEQUENCED, RefusalKind.MOVED, RefusalKind.TOO_MANY_APPS, RefusalKind.TOO_MANY_GRANTS),
        ),
        Operation(
            "POST",
            "/access-lists",
            "Say who may see a number's records.",
            _taking(directory, publishing.set_access_list, longest_list),
            schemas.ACCEPTANCE,
            takes=schemas.ACCESS_LIST,
            largest=longest_list + _ROOM_FOR_JSON,
            refuses=(*_SEQUENCED, RefusalKind.MOVED, RefusalKind.TOO_MANY_GRANTS),
        ),
        Operation(
            "POST",
            "/moves",
            "Move a number to another directory, or back.",
            _taking(directory, moving.move, LARGEST_STATEMENT),
            schemas.ACCEPTANCE,
            takes=schemas.STATEMENT,
            largest=LARGEST_STATEMENT + _ROOM_FOR_JSON,
            refuses=(*_SEQUENCED, RefusalKind.WRONG_AUDIENCE),
        ),
        Operation(
            "POST",
            "/own",
            "Show an owner what the directory has of its number.",
            lambda asked: Answer(listing.list_own(directory, _statement(asked, LARGEST_STATEMENT)).to_json()),
            schemas.OWN,
            takes=schemas.STATEMENT,
            largest=LARGEST_STATEMENT + _ROOM_FOR_JSON,
            refuses=(*_ANY_BODY, *_SIGNER, *_ONCE),
        ),
    )


def _of_callers(directory: Directory) -> tuple[Operation, ...]:
    return (
        Operation(
            "POST",
            "/lookup",
            "Look up to 100 numbers up, signed or not. What is absent and what is denied look alike.",
            lambda asked: Answer(looking_up.look_up(directory, asked.body, asked.payer)),
            schemas.ANSWER,
            takes=schemas.QUESTION,
            largest=LARGEST_QUESTION,
            refuses=(*_ANY_BODY, *_SIGNER, *_ONCE, RefusalKind.QUOTA_EXCEEDED),
        ),
    )


def _of_hidden_callers(directory: Directory) -> tuple[Operation, ...]:
    key = directory.hidden
    if key is None:
        return ()
    return (
        Operation(
            "POST",
            f"/{EVALUATE_PATH}",
            "Evaluate up to 100 blinded numbers (RFC 9497, ristretto255-SHA512), signed or not.",
            lambda asked: Answer(hidden.evaluate(directory, key, asked.body, asked.payer)),
            schemas.EVALUATED,
            takes=schemas.BLINDED,
            largest=LARGEST_HIDDEN_QUESTION,
            refuses=(*_ANY_BODY, *_SIGNER, *_ONCE, RefusalKind.QUOTA_EXCEEDED, RefusalKind.UNAUTHORIZED),
        ),
        Operation(
            "GET",
            f"/{BUCKETS_PATH}",
            "How many leading bits of a number's label name its bucket.",
            lambda _: Answer(hidden.layout(directory, key), cache_control=_FOR_A_MOMENT),
            schemas.LAYOUT,
            refuses=(RefusalKind.DIRECTORY_BUSY,),
        ),
        Operation(
            "GET",
            f"/{BUCKETS_PATH}/{{bucket}}",
            "A bucket of what anyone may see, sealed under the numbers that it is of.",
            lambda asked: _bucket(hidden.bucket(directory, key, asked.part, asked.payer)),
            content_type=_TILE_TYPE,
            part=schemas.BUCKET,
            refuses=(RefusalKind.NOT_FOUND, RefusalKind.DIRECTORY_BUSY, RefusalKind.QUOTA_EXCEEDED),
            revalidates=True,
        ),
    )


def _bucket(data: bytes) -> Answer:
    return Answer(data, _TILE_TYPE, _FOR_A_MINUTE, f'"{encode_base64url(sha256(data).digest()[:16])}"')


def _of_the_record_log(directory: Directory) -> tuple[Operation, ...]:
    return (
        Operation(
            "GET",
            "/receipts/{hash}",
            "The proof that the record log has a statement, by the statement's hash (C2SP tlog-proof).",
            lambda asked: _receipt(directory, asked.part),
            content_type=_TEXT_TYPE,
            part=schemas.HASH,
            refuses=(RefusalKind.NOT_FOUND,),
        ),
        Operation(
            "GET",
            "/checkpoint",
            "The record log's newest checkpoint (C2SP tlog-checkpoint).",
            lambda _: Answer(record_log.checkpoint(directory), _TEXT_TYPE, _FOR_A_MOMENT),
            content_type=_TEXT_TYPE,
            refuses=(RefusalKind.NOT_FOUND,),
        ),
        Operation(
            "GET",
            "/tile/{path}",
            "A tile or an entry bundle of the record log (C2SP tlog-tiles).",
            lambda asked: Answer(record_log.file(directory, f"tile/{asked.part}"), _TILE_TYPE, _FOR_GOOD),
            content_type=_TILE_TYPE,
            part=schemas.TILE,
            refuses=(RefusalKind.NOT_FOUND,),
        ),
    )


def _of_the_operator(directory: Directory) -> tuple[Operation, ...]:
    description = describe(directory.config, directory.signer, directory.hidden).to_json()
    may_read = metrics_door(directory.config.metrics.access, directory.config.metrics.token_file)
    return (
        Operation(
            "GET",
            "/directory.json",
            "Who runs the directory, its keys and its limits.",
            lambda _: Answer(description, cache_control=_FOR_A_MOMENT),
            schemas.DESCRIPTION,
        ),
        Operation(
            "GET",
            "/health",
            "A sign of life, of the database too.",
            lambda _: _healthy(directory),
            schemas.HEALTH,
        ),
        Operation(
            "GET",
            "/metrics",
            "What the operator measures.",
            lambda asked: _metrics(directory, may_read, asked.authorization),
            content_type=METRICS_TYPE,
            refuses=(RefusalKind.UNAUTHORIZED,),
            needs_authorization=True,
        ),
    )


def _statement(asked: Asked, longest: int) -> str:
    try:
        return read_statement_body(asked.body, longest)
    except StatementError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error


def _taking(
    directory: Directory, take: Callable[[Directory, str], Accepted], longest: int
) -> Callable[[Asked], Answer]:
    """Return what takes a statement, and waits for its receipt once it is durable."""

    def answer(asked: Asked) -> Answer:
        accepted = take(directory, _statement(asked, longest))
        proof = record_log.receipt(directory, accepted.leaf, wait=True)
        receipt = None if proof is None else PublishReceipt.parse(proof)
        return Answer(Acceptance(accepted.succession, receipt).to_json())

    return answer


def _receipt(directory: Directory, text: str) -> Answer:
    try:
        leaf = decode_base64url(text)
    except JwsError:
        leaf = b""
    proof = record_log.receipt(directory, leaf, wait=False) if len(leaf) == _HASH_SIZE else None
    if proof is None:
        detail = "the record log has no statement of this hash, or has not come so far: ask again in a second"
        raise Refusal(RefusalKind.NOT_FOUND, detail)
    return Answer(proof, _TEXT_TYPE)


def _healthy(directory: Directory) -> Answer:
    directory.storage.ping()
    return Answer(b'{"status":"ok"}')


def metrics_door(access: str, token_file: Path | None) -> Callable[[str], bool]:
    """Return what tells whether an Authorization header opens the metrics; raise ConfigurationError."""
    if access != "token" or token_file is None:
        return lambda _: access == "open"
    try:
        lines = token_file.read_text("ascii").splitlines()
    except (OSError, ValueError) as error:
        msg = f"metrics.token_file: {token_file} cannot be read"
        raise ConfigurationError(msg) from error
    if not lines or not lines[0].strip():
        msg = f"metrics.token_file: {token_file} is empty; write a long random word on its first line"
        raise ConfigurationError(msg)
    expected = f"Bearer {lines[0].strip()}".encode()
    return lambda header: hmac.compare_digest(header.encode("utf-8", "surrogateescape"), expected)


def _metrics(directory: Directory, may_read: Callable[[str], bool], authorization: str) -> Answer:
    if not may_read(authorization):
        detail = "the operator's settings say who may read this: see metrics.access"
        raise Refusal(RefusalKind.UNAUTHORIZED, detail)
    return Answer(directory.metrics.expose(lambda: _gauges(directory)), METRICS_TYPE)


def _gauges(directory: Directory) -> dict[str, tuple[str, float]]:
    tree = directory.storage.tree
    return {
        "record_log_size": ("Entries of the record log", tree.tree(directory.signer.name).size),
        "record_log_queue": ("Statements that wait for their place in the record log", tree.queue_length()),
    }
