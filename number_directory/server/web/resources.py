"""Falcon's resources: each answers the operations of one path."""

from __future__ import annotations

from collections.abc import Callable

import falcon
import msgspec

from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.web.addresses import Payers
from number_directory.server.web.operations import Asked, Operation
from serving.web.bodies import read_body


class EveryRequest:
    """Falcon middleware: finds out who pays, which also refuses a peer that should have come through the proxy."""

    def __init__(self, payers: Payers) -> None:
        """Take what tells payers apart."""
        self._payers = payers

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Note the payer."""
        req.context.payer = self._payers.payer(req.remote_addr, req.get_header("X-Forwarded-For"))


class Resource:
    """A path with the operations on it; a GET answers HEAD too."""

    def __init__(self, offered: tuple[Operation, ...]) -> None:
        """Take the operations, one for each method."""
        for operation in offered:
            responder = _responder(operation)
            setattr(self, f"on_{operation.method.lower()}", responder)
            if operation.method == "GET":
                self.on_head = responder


class Document:
    """A document that never changes while the server runs."""

    def __init__(self, document: dict[str, object]) -> None:
        """Encode it once."""
        self._data = msgspec.json.encode(document)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Send it; any web page may read it."""
        resp.data = self._data
        resp.content_type = falcon.MEDIA_JSON
        resp.set_header("Access-Control-Allow-Origin", "*")

    on_head = on_get


def _responder(operation: Operation) -> Callable[..., None]:
    def respond(req: falcon.Request, resp: falcon.Response, **parts: str) -> None:
        asked = Asked(
            body=_read(req, operation.largest) if operation.takes is not None else b"",
            payer=req.context.payer,
            part=next(iter(parts.values()), ""),
            authorization=(req.get_header("Authorization") or "") if operation.needs_authorization else "",
        )
        answer = operation.answer(asked)
        resp.set_header("Cache-Control", answer.cache_control)
        if answer.etag is not None:
            resp.set_header("ETag", answer.etag)
            if _has(req, answer.etag):
                resp.status = falcon.HTTP_304
                return
        resp.data = answer.data
        resp.content_type = answer.content_type

    return respond


def _has(req: falcon.Request, etag: str) -> bool:
    """Tell whether whoever asks has the answer of this ETag already (RFC 9110 §13.1.2).

    The comparison is the weak one: a proxy that compresses what it keeps marks its ETag so.
    """
    tags = {tag.strip().removeprefix("W/") for tag in (req.get_header("If-None-Match") or "").split(",")}
    return not tags.isdisjoint({etag, "*"})


def _read(req: falcon.Request, largest: int) -> bytes:
    """Return the body of a POST; refuse one that is not announced as JSON, or has more than `largest` bytes."""
    if (req.content_type or "").partition(";")[0].strip().lower() != falcon.MEDIA_JSON:
        raise Refusal(RefusalKind.UNSUPPORTED_MEDIA_TYPE, f"send JSON, as Content-Type: {falcon.MEDIA_JSON}")
    return read_body(req, largest)
