"""The witness over HTTP: two resources, and the one table of statuses (C2SP tlog-witness)."""

from __future__ import annotations

import logging
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import falcon

from transparency.add_checkpoint import SIZE_TYPE, encode_size
from transparency.signed_note import LARGEST_NOTE
from transparency.witness.cosigning import Witness
from transparency.witness.errors import Refusal, RefusalKind, StateError

_log = logging.getLogger(__name__)

LARGEST_REQUEST: Final = LARGEST_NOTE + 4096
"""Bytes: a note, and 63 hashes before it."""

_STATUS: Final = {
    RefusalKind.MALFORMED: HTTPStatus.BAD_REQUEST,
    RefusalKind.UNKNOWN_LOG: HTTPStatus.NOT_FOUND,
    RefusalKind.NOT_SIGNED: HTTPStatus.FORBIDDEN,
    RefusalKind.OTHER_SIZE: HTTPStatus.CONFLICT,
    RefusalKind.FORK: HTTPStatus.CONFLICT,
    RefusalKind.UNPROVEN: HTTPStatus.UNPROCESSABLE_ENTITY,
    RefusalKind.CLOCK: HTTPStatus.SERVICE_UNAVAILABLE,
}
_TEXT = "text/plain; charset=utf-8"


def create_app(witness: Witness) -> falcon.App[falcon.Request, falcon.Response]:
    """Return the WSGI application of a witness."""
    app = falcon.App(media_type=_TEXT)
    app.add_route("/add-checkpoint", _AddCheckpoint(witness))
    app.add_route("/{origin_hash}/checkpoint", _LatestCheckpoint(witness))
    app.add_error_handler(Refusal, _refuse)
    app.add_error_handler(StateError, _fail)
    return app


class _AddCheckpoint:
    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Cosign a checkpoint, or say why not."""
        if (request.content_length or 0) > LARGEST_REQUEST:
            raise falcon.HTTPContentTooLarge
        body = request.bounded_stream.read(LARGEST_REQUEST + 1)
        response.data = self._witness.add_checkpoint(body)


class _LatestCheckpoint:
    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    def on_get(self, _: falcon.Request, response: falcon.Response, origin_hash: str) -> None:
        """Show the checkpoint that was cosigned last, so that whoever watches a log can compare what it is shown."""
        for origin, cosigned in self._witness.latest().items():
            if sha256(origin.encode()).hexdigest() == origin_hash:
                response.data = cosigned.note.to_bytes()
                response.cache_control = ["no-cache"]
                return
        raise falcon.HTTPNotFound


def _refuse(_: falcon.Request, response: falcon.Response, refusal: Refusal, __: dict[str, object]) -> None:
    response.status = _STATUS[refusal.kind]
    if refusal.size is None:
        response.text = f"{refusal}\n"
    else:
        response.content_type = SIZE_TYPE
        response.data = encode_size(refusal.size)


def _fail(_: falcon.Request, response: falcon.Response, error: StateError, __: dict[str, object]) -> None:
    _log.error("nothing is cosigned: %s", error)
    response.status = HTTPStatus.SERVICE_UNAVAILABLE
    response.text = "this witness cannot use its memory now: try again later\n"
