"""The log's resources: submissions (RFC 6962 §4.2), the owner's door, and the files that everybody may read."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

import falcon
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from serving.web.bodies import read_body
from stir.certificate_chain import LONGEST_CHAIN
from stir.certificate_profile import LARGEST_CERTIFICATE
from transparency.owner_request import LARGEST_REQUEST
from transparency.server.errors import Refusal, RefusalKind
from transparency.server.log import Log
from transparency.server.owner import OwnEntry, answer_owner
from transparency.server.publishing import delivery_of, is_segment
from transparency.server.releases import Releases
from transparency.server.submitting import add_pre_chain
from transparency.server.web.responses import send_json

_LARGEST_CHAIN = LONGEST_CHAIN * LARGEST_CERTIFICATE * 2
_PATH = re.compile(r"(?:[a-z0-9.]+/)*[a-z0-9]+", re.ASCII)
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)


class _Chain(msgspec.Struct):
    """What is submitted; members that are not known are passed over (RFC 6962 §4)."""

    chain: list[str]


@dataclass(frozen=True, slots=True)
class AddPreChain:
    """Takes a precertificate chain and answers with an SCT (RFC 6962 §4.2)."""

    log: Log
    releases: Releases

    def on_post(self, req: falcon.Request, resp: falcon.Response, shard: str) -> None:
        """Answer once the entry is sequenced."""
        chain = _read_chain(read_body(req, _LARGEST_CHAIN))
        sct = add_pre_chain(self.log, self.releases, self.log.shard(shard), chain)
        send_json(resp, sct.to_response())


@dataclass(frozen=True, slots=True)
class GetRoots:
    """Tells which authorities are admitted (RFC 6962 §4.7)."""

    log: Log

    def on_get(self, _req: falcon.Request, resp: falcon.Response, shard: str) -> None:
        """List their certificates."""
        self.log.shard(shard)
        roots = [_base64(root.public_bytes(Encoding.DER)) for root in self.log.admission.roots]
        send_json(resp, {"certificates": roots})

    on_head = on_get


@dataclass(frozen=True, slots=True)
class OwnersDoor:
    """Tells a number's owner what stands under the number's label."""

    log: Log
    releases: Releases

    def on_post(self, req: falcon.Request, resp: falcon.Response, shard: str) -> None:
        """Answer a request that the number's certificate signed."""
        token = _text(read_body(req, LARGEST_REQUEST))
        answer = answer_owner(self.log, self.releases, self.log.shard(shard), token)
        send_json(
            resp,
            {
                "label": _base64(answer.label),
                "vrf_proof": _base64(answer.vrf_proof),
                "entries": [_own_entry(one) for one in answer.entries],
                "complete": answer.is_complete,
                "erased": answer.erased,
            },
        )


@dataclass(frozen=True, slots=True)
class Description:
    """Hands out log.json."""

    log: Log

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Describe the log; whoever believes it pins its SHA-256."""
        resp.data = self.log.describe().to_json()
        resp.content_type = falcon.MEDIA_JSON

    on_head = on_get


@dataclass(frozen=True, slots=True)
class Health:
    """Answers 200 while the database answers; a database that does not makes it 500."""

    log: Log

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the database for a sign of life."""
        self.log.storage.ping()
        send_json(resp, {"status": "ok"})

    on_head = on_get


@dataclass(frozen=True, slots=True)
class Files:
    """Serves checkpoints, tiles and the label index, for the operator who has no web server in front."""

    log: Log

    def on_get(self, req: falcon.Request, resp: falcon.Response, shard: str, path: str) -> None:
        """Send a file, or the part of a segment that is asked for, with the headers that caches need."""
        full = f"{self.log.shard(shard).name}/{path}"
        if not _PATH.fullmatch(path) or not (self._send_part(req, resp, full) or self._send(resp, full)):
            raise Refusal(RefusalKind.NOT_FOUND, "the log has no such file")
        delivery = delivery_of(full)
        resp.content_type = delivery.content_type
        resp.set_header("Cache-Control", delivery.cache_control)

    on_head = on_get

    def _send(self, resp: falcon.Response, full: str) -> bool:
        resp.data = self.log.publisher.read(full)
        return resp.data is not None

    def _send_part(self, req: falcon.Request, resp: falcon.Response, full: str) -> bool:
        """Send a part of a segment, where one is asked for (RFC 9110 §14); other files are small, and may change."""
        if not is_segment(full):
            return False
        resp.set_header("Accept-Ranges", "bytes")
        size = self.log.publisher.size(full)
        wanted = req.get_header("Range") if req.method == "GET" and req.get_header("If-Range") is None else None
        part = None if size is None or wanted is None else _part(wanted, size)
        if part is None:
            return False
        start, length = part
        data = self.log.publisher.read_parts(full, [part])
        if data is None:
            return False
        resp.data = data[0]
        resp.status = falcon.HTTP_206
        resp.set_header("Content-Range", f"bytes {start}-{start + length - 1}/{size}")
        return True


def _part(wanted: str, size: int) -> tuple[int, int] | None:
    """Return from which byte on, and how many, a Range field asks for, None where it is passed over (RFC 9110 §14).

    Several ranges are passed over, as a server may do. Raises 416 where the file has nothing of what is asked for.
    """
    match = _RANGE.fullmatch(wanted)
    first, last = match.groups() if match else ("", "")
    if not first + last or (first and last and int(first) > int(last)):
        return None
    start, end = (int(first), int(last or size)) if first else (size - min(int(last), size), size)
    if start >= size:
        raise falcon.HTTPRangeNotSatisfiable(size)
    return start, min(end, size - 1) - start + 1


def _read_chain(body: bytes) -> list[bytes]:
    try:
        chain = msgspec.json.decode(body, type=_Chain).chain
        return [base64.b64decode(one, validate=True) for one in chain]
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        detail = 'the body is JSON of the form {"chain": ["base64 of DER", …]} (RFC 6962 §4.2)'
        raise Refusal(RefusalKind.MALFORMED, detail) from error


def _text(body: bytes) -> str:
    try:
        return body.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise Refusal(RefusalKind.MALFORMED, "the body is a JWS in compact form") from error


def _own_entry(one: OwnEntry) -> dict[str, object]:
    return {
        "leaf_index": one.entry.leaf_index,
        "timestamp": one.entry.timestamp_ms,
        "issuer_key_hash": _base64(one.entry.issuer_key_hash),
        "opening": _base64(one.entry.opening),
        "certificate": _base64(one.entry.certificate),
        "chain": [_base64(issuer) for issuer in one.chain],
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
