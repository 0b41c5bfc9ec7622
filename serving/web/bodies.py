"""Reading what a stranger sends, within bounds."""

from __future__ import annotations

import falcon

from serving.errors import CommonKind, Refusal


def read_body(req: falcon.Request, largest: int, *, chunked: bool = False) -> bytes:
    """Return the body, of which no more than `largest` bytes are read; refuse one that has more.

    With `chunked`, a body need not say its length before: where the server marks its end, it is read up to there.
    """
    length = req.content_length
    if length is None and not chunked:
        raise Refusal(CommonKind.MALFORMED, "the request has no Content-Length")
    if length is not None and length > largest:
        raise _too_large(largest)
    if length is None and req.env.get("wsgi.input_terminated"):
        body = bytes(req.stream.read(largest + 1))
    else:
        body = req.bounded_stream.read()
    if len(body) > largest:
        raise _too_large(largest)
    return body


def _too_large(largest: int) -> Refusal:
    return Refusal(CommonKind.REQUEST_TOO_LARGE, f"a request has at most {largest} bytes")
