"""Asking a log: submissions, files, and the owner's door (RFC 6962 §4, C2SP tlog-tiles, docs/reference/log-http.md).

What comes back is not believed here but for its form. `following` and `monitor` hold it to what the log signed.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from stir.certificate import load_certificate
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from transparency.add_checkpoint import SIZE_TYPE, Submission, decode_signatures, decode_size
from transparency.alarms import one_line
from transparency.auditor import confirmed_path
from transparency.cosignature import CosignatureVerifier
from transparency.errors import LogDescriptionError, NoteError, SctError, TileMissingError, TransparencyError
from transparency.following import Shard
from transparency.log_description import LARGEST_DESCRIPTION, LogDescription, ShardDescription
from transparency.owner import OwnLabel, ShownCertificate
from transparency.owner_request import MEDIA_TYPE, Action, OwnerRequest
from transparency.sct import SignedCertificateTimestamp
from transparency.signed_note import LARGEST_NOTE, Ed25519Verifier, Note, NoteSignature
from transparency.transport import PATIENCE, Answer, HttpTransport, Question, Transport, Unreachable

LARGEST_REFUSAL: Final = 1000
"""Characters of a log's own words that are repeated."""

_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_MISSING = frozenset(
    {
        HTTPStatus.NOT_FOUND,
        HTTPStatus.GONE,
        HTTPStatus.FORBIDDEN,  # S3's
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    }
)
_REQUEST_ID_BYTES = 16
_WITNESS_TRIES = 3


class LogRefused(Exception):
    """A log or witness said no. `status` is HTTP's, `is_busy` whether the same request may succeed later."""

    def __init__(self, who: str, status: int, said: str) -> None:
        """Remember what was said, as one line that a terminal shows and does not obey."""
        words = one_line(said)[:LARGEST_REFUSAL] or "it gave no reason"
        super().__init__(f"{who} refused (HTTP status {status}): {words}")
        self.status = status

    @property
    def is_busy(self) -> bool:
        """Whether the same request may succeed later."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def fetch_description(
    source: str, *, transport: Transport | None = None, sha256_hex: str | None = None
) -> tuple[LogDescription, bytes]:
    """Return the log of a `log.json` at a URL, with the file's bytes; raise LogDescriptionError or Unreachable.

    With `sha256_hex`, a file with another hash is refused.
    """
    answer = (transport or HttpTransport()).ask(Question(source, largest=LARGEST_DESCRIPTION))
    if not answer.is_ok:
        msg = f"there is no log's description at that URL (HTTP status {answer.status})"
        raise LogDescriptionError(msg)
    if sha256_hex is not None and sha256(answer.body).hexdigest() != sha256_hex:
        msg = "the log's description is not the one with that SHA-256"
        raise LogDescriptionError(msg)
    return LogDescription.from_json(answer.body), answer.body


@dataclass(frozen=True, slots=True)
class HttpShardFiles:
    """The files of one shard over HTTP, below `prefix`. A `ShardFiles`."""

    prefix: str
    transport: Transport
    patience: float = PATIENCE

    def fetch(self, path: str) -> bytes:
        """Return a file; raise TileMissingError where there is none, Unreachable where nobody answers."""
        return self._found(path, Question(f"{self.prefix}/{path}", patience=self.patience))

    def fetch_part(self, path: str, start: int, length: int) -> bytes:
        """Return a part of a file; raise as `fetch` does."""
        url, part = f"{self.prefix}/{path}", (start, length)
        return self._found(path, Question(url, largest=length, patience=self.patience, part=part))

    def _found(self, path: str, question: Question) -> bytes:
        answer = self.transport.ask(question)
        if answer.is_ok:
            return answer.body
        if answer.status in _MISSING:
            msg = f"the log has no {path}" if question.part is None else f"the log has no such part of {path}"
            raise TileMissingError(msg)
        msg = f"the log answered with HTTP status {answer.status}"
        raise Unreachable(msg)


class _OwnEntry(msgspec.Struct):
    """An entry as the owner's door shows it; members that are not known are passed over."""

    leaf_index: int
    opening: str
    certificate: str
    chain: list[str]


class _OwnerAnswer(msgspec.Struct):
    """What the owner's door answers."""

    label: str
    vrf_proof: str
    entries: list[_OwnEntry]
    complete: bool = True
    erased: int = 0


@dataclass(frozen=True, slots=True)
class OwnerAnswer:
    """What a log tells a number's owner: the label, whose proof was checked, and what is kept under it.

    `erased` is how many certificates and openings the request has erased.
    """

    label: OwnLabel
    entries: tuple[ShownCertificate, ...]
    is_complete: bool
    erased: int


def _seconds() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class LogClient:
    """One log, asked over HTTP. Threads may share it."""

    description: LogDescription
    transport: Transport
    clock: Callable[[], int] = _seconds

    @classmethod
    def of(cls, description: LogDescription, transport: Transport | None = None) -> LogClient:
        """Return the client of a log, over sockets unless a transport is given."""
        return cls(description, transport or HttpTransport())

    def add_pre_chain(self, chain_der: Sequence[bytes], timeout: float = PATIENCE) -> SignedCertificateTimestamp:
        """Submit a precertificate with its issuers, in DER, to the shard of its expiry, and return the SCT.

        `timeout` is in seconds. The SCT is read, and nothing in it is checked, not even which log it names: see
        `ShardDescription.check_sct`. A false one is evidence, and is the caller's to keep. Raises Unreachable,
        LogRefused, or SctError for an answer that is no SCT.
        """
        shard = self._shard_for(chain_der)
        body = json.dumps({"chain": [base64.b64encode(der).decode("ascii") for der in chain_der]}).encode("ascii")
        url = f"{self.description.submission_prefix(shard)}/ct/v1/add-pre-chain"
        answer = self._post(Question(url, body, _JSON, patience=timeout))
        return SignedCertificateTimestamp.from_response(_json_object(answer))

    def shard(self, shard: ShardDescription) -> Shard:
        """Return a shard to be followed."""
        files = HttpShardFiles(self.description.monitoring_prefix(shard), self.transport)
        return Shard(self.description, shard, files)

    def ask_owner(
        self,
        shard: ShardDescription,
        number: TelephoneNumber,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        action: Action = Action.LIST,
    ) -> OwnerAnswer:
        """Ask the owner's door of a shard, with a certificate of the number that need not be of this shard.

        Raises Unreachable, LogRefused, or TransparencyError for an answer that is none.
        """
        prefix = self.description.submission_prefix(shard)
        request = OwnerRequest(prefix, self.clock(), secrets.token_urlsafe(_REQUEST_ID_BYTES), action)
        answer = self._post(Question(f"{prefix}/owner", request.sign(key, chain).encode("ascii"), MEDIA_TYPE))
        try:
            read = msgspec.json.decode(answer.body, type=_OwnerAnswer)
            label = OwnLabel(shard, number, base64.b64decode(read.vrf_proof, validate=True))
            entries = tuple(_shown(one) for one in read.entries)
        except (msgspec.DecodeError, ValueError) as error:
            if isinstance(error, TransparencyError):
                raise
            msg = f"{self.description.name} answered its number's owner with something that cannot be read"
            raise TransparencyError(msg) from error
        return OwnerAnswer(label, entries, read.complete, read.erased)

    def _shard_for(self, chain_der: Sequence[bytes]) -> ShardDescription:
        try:
            not_after = load_certificate(chain_der[0]).not_valid_after_utc
        except (CertificateProfileError, IndexError) as error:
            msg = "what is submitted is no precertificate"
            raise SctError(msg) from error
        shard = self.description.shard_for(not_after)
        if shard is None:
            msg = f"{self.description.name} has no shard for certificates that expire on {not_after:%Y-%m-%d}"
            raise SctError(msg)
        return shard

    def _post(self, question: Question) -> Answer:
        return _accepted(self.description.name, self.transport.ask(question))


@dataclass(frozen=True, slots=True)
class WitnessClient:
    """A witness, asked over HTTP to cosign (C2SP tlog-witness). `url` is its submission prefix.

    `other_keys` are those that it cosigns with beside `key`, such as one of ML-DSA-44. `patience` is in seconds, for
    each question.
    """

    url: str
    key: CosignatureVerifier
    transport: Transport
    other_keys: tuple[CosignatureVerifier, ...] = ()
    patience: float = PATIENCE

    @property
    def keys(self) -> tuple[CosignatureVerifier, ...]:
        """All keys that it cosigns with."""
        return (self.key, *self.other_keys)

    def cosign(self, note: Note, size: int, prove: Callable[[int], Sequence[bytes]]) -> tuple[NoteSignature, ...]:
        """Return the witness's cosignatures of a log's checkpoint of `size` leaves, checked.

        `prove` returns the consistency proof from an older size, which the witness tells. Raises Unreachable,
        LogRefused, or NoteError where the answer has no right cosignature by one of `keys`.
        """
        old_size = 0
        for _ in range(_WITNESS_TRIES):
            proof = tuple(prove(old_size)) if old_size else ()
            answer = self._ask(Submission(old_size, proof, note))
            if answer.status != HTTPStatus.CONFLICT or answer.media_type != SIZE_TYPE:
                return self._cosignatures(note, _accepted(self.key.name, answer))
            told = decode_size(answer.body)
            if told > size or told == old_size:
                break
            old_size = told
        raise LogRefused(self.key.name, answer.status, "it has cosigned another tree")

    def latest(self, origin: str) -> Note | None:
        """Return the checkpoint that the witness cosigned last for a log; None where it cosigned none.

        Raises Unreachable, or NoteError where the note is not cosigned by one of `keys`.
        """
        url = f"{self.url}/{sha256(origin.encode()).hexdigest()}/checkpoint"
        answer = self.transport.ask(Question(url, patience=self.patience))
        if answer.status in _MISSING:
            return None
        note = Note.parse(_accepted(self.key.name, answer).body)
        note.verified_by(self.keys)
        return note

    def _ask(self, submission: Submission) -> Answer:
        url = f"{self.url}/add-checkpoint"
        return self.transport.ask(Question(url, submission.to_bytes(), _TEXT, patience=self.patience))

    def _cosignatures(self, note: Note, answer: Answer) -> tuple[NoteSignature, ...]:
        """Return those lines that are this witness's; unknown keys' are passed over, as the format asks."""
        signed = decode_signatures(answer.body)
        lines = tuple(line for line in signed if any(line.is_by(key) for key in self.keys))
        if not lines:
            msg = f"{self.key.name} answered without a cosignature of its own"
            raise NoteError(msg)
        return Note(note.text, lines).verified_by(self.keys)


@dataclass(frozen=True, slots=True)
class AuditorClient:
    """An auditor, who publishes the map checkpoints that it has confirmed as files below `url`.

    It is expected to audit `logs`, or all logs where that is None.
    """

    url: str
    key: Ed25519Verifier
    transport: Transport
    logs: tuple[LogDescription, ...] | None = None

    def confirmed(self, origin: str) -> Note | None:
        """Return the last map checkpoint that the auditor has confirmed for a shard; None where there is none.

        Raises Unreachable, LogRefused, or NoteError where the note is not signed by `key`.
        """
        answer = self.transport.ask(Question(f"{self.url}/{confirmed_path(origin)}", largest=LARGEST_NOTE))
        if answer.status in _MISSING:
            return None
        note = Note.parse(_accepted(self.key.name, answer).body)
        note.verified_by([self.key])
        return note


def _accepted(who: str, answer: Answer) -> Answer:
    if not answer.is_ok:
        raise LogRefused(who, answer.status, _said(answer))
    return answer


def _said(answer: Answer) -> str:
    """Return a refusal's reason: a problem document's detail, or its text (RFC 9457)."""
    text = answer.body[: 4 * LARGEST_REFUSAL].decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except ValueError:
        return text
    detail = document.get("detail") if isinstance(document, dict) else None
    return detail if isinstance(detail, str) else text


def _json_object(answer: Answer) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = "the log answered with something that is not JSON"
        raise SctError(msg) from error
    if not isinstance(value, dict):
        msg = "the log answered with JSON that is no object"
        raise SctError(msg)
    return value


def _shown(one: _OwnEntry) -> ShownCertificate:
    chain = tuple(base64.b64decode(der, validate=True) for der in (one.certificate, *one.chain))
    return ShownCertificate(one.leaf_index, base64.b64decode(one.opening, validate=True), chain)
