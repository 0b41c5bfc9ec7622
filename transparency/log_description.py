"""What others are told about a log: who runs it, where it is, and the keys and dates of its shards.

A log's operator hands out one JSON file, `log.json`. Authorities, trust stores and monitors take everything they know
of the log from it, so it is believed only as far as the file itself is: pin it by its SHA-256, or get it from a list
that somebody signed.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Self

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from stir.telephone_number import TelephoneNumber
from stir.web_url import is_base_url
from transparency.entry import SealedEntry
from transparency.errors import LogDescriptionError, NoteError, SctError, VrfError
from transparency.sct import SignedCertificateTimestamp, log_id_of, sealed_entry
from transparency.signed_note import Ed25519Verifier
from transparency.vrf import VrfPublicKey

LARGEST_DESCRIPTION: Final = 256 * 1024
"""Bytes that a description may have."""
MOST_SHARDS: Final = 256

_VERSION = 1
_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_ORIGIN = re.compile(r"[A-Za-z0-9._~:/\[\]%-]{1,255}", re.ASCII)
_LONGEST_NAME = 100


class _Shard(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A shard as it stands in the file."""

    name: str
    origin: str
    not_after_start: str
    not_after_limit: str
    sct_key: str
    vrf_key: str
    checkpoint_key: str


class _Log(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A log as it stands in the file."""

    version: int
    name: str
    operator: str
    submission_url: str
    monitoring_url: str
    shards: list[_Shard]


@dataclass(frozen=True, slots=True)
class ShardDescription:
    """One tree of a log: for the certificates that expire from `not_after_start` until before `not_after_limit`.

    `name` is the shard's part of a URL, such as `2026h2`, and `origin` its name everywhere, such as
    `log.example/2026h2`: in checkpoints, as the name of its checkpoint key, and in VRF inputs. `sct_key` is on P-256.
    The dates are aware and whole seconds. Raises LogDescriptionError.
    """

    name: str
    origin: str
    not_after_start: datetime
    not_after_limit: datetime
    sct_key: ec.EllipticCurvePublicKey
    vrf_key: VrfPublicKey
    checkpoint_key: Ed25519Verifier
    log_id: bytes = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a shard that contradicts itself."""
        if not _SHARD_NAME.fullmatch(self.name) or not _ORIGIN.fullmatch(self.origin):
            msg = "a shard has a name such as 2026h2 and an origin such as log.example/2026h2"
            raise LogDescriptionError(msg)
        if self.checkpoint_key.name != self.origin:
            msg = f"the checkpoint key of shard {self.name} is named after another origin"
            raise LogDescriptionError(msg)
        if not isinstance(self.sct_key.curve, ec.SECP256R1):
            msg = f"the SCT key of shard {self.name} is not on P-256"
            raise LogDescriptionError(msg)
        for date in (self.not_after_start, self.not_after_limit):
            if date.tzinfo is None or date.microsecond:
                msg = f"the dates of shard {self.name} are whole seconds, and aware of their time zone"
                raise LogDescriptionError(msg)
        if self.not_after_start >= self.not_after_limit:
            msg = f"the dates of shard {self.name} leave no time between them"
            raise LogDescriptionError(msg)
        object.__setattr__(self, "log_id", log_id_of(self.sct_key))

    def takes(self, not_after: datetime) -> bool:
        """Tell whether a certificate that expires then belongs into this shard."""
        return self.not_after_start <= not_after < self.not_after_limit

    def check_sct(
        self, sct: SignedCertificateTimestamp, number: TelephoneNumber, issuer_key_hash: bytes, tbs: bytes
    ) -> tuple[int, SealedEntry]:
        """Return the index and the entry that an SCT of this shard promises; raise TransparencyError if it is false.

        The signature, the proof that the entry stands under the number's label, and the commitment to the certificate
        are all checked. That the tree holds the entry is not: that takes an inclusion proof.
        """
        sct.verify(self.sct_key, issuer_key_hash, tbs)
        return sealed_entry(sct, self.vrf_key, self.origin, number, issuer_key_hash, tbs)


@dataclass(frozen=True, slots=True)
class LogDescription:
    """A log: its name, who operates it, where to submit and where to read, and its shards, by their dates.

    Certificates are submitted to `submission_url`, everything else is read below `monitoring_url`; neither ends in a
    slash. Shards do not overlap. Raises LogDescriptionError.
    """

    name: str
    operator: str
    submission_url: str
    monitoring_url: str
    shards: tuple[ShardDescription, ...]

    def __post_init__(self) -> None:
        """Refuse a log that contradicts itself."""
        for text in (self.name, self.operator):
            if not text.isprintable() or text != text.strip() or not 0 < len(text) <= _LONGEST_NAME:
                msg = f"a log's name and its operator's have 1 to {_LONGEST_NAME} printable characters"
                raise LogDescriptionError(msg)
        for url in (self.submission_url, self.monitoring_url):
            if not is_base_url(url):
                msg = "a log's URLs are http or https, without a query, a fragment or a slash at the end"
                raise LogDescriptionError(msg)
        self._require_distinct_shards()

    def _require_distinct_shards(self) -> None:
        if not 0 < len(self.shards) <= MOST_SHARDS:
            msg = f"a log has 1 to {MOST_SHARDS} shards"
            raise LogDescriptionError(msg)
        for what in ("name", "origin", "log_id", "vrf_key"):
            if len({getattr(shard, what) for shard in self.shards}) < len(self.shards):
                msg = f"two shards of the log have the same {what}"
                raise LogDescriptionError(msg)
        for earlier, later in pairwise(self.shards):
            if earlier.not_after_limit > later.not_after_start:
                msg = "the shards of a log stand in the order of their dates, and do not overlap"
                raise LogDescriptionError(msg)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a `log.json`; unknown fields are refused."""
        if len(data) > LARGEST_DESCRIPTION:
            msg = f"a log's description has at most {LARGEST_DESCRIPTION} bytes"
            raise LogDescriptionError(msg)
        try:
            log = msgspec.json.decode(data, type=_Log)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"the log's description cannot be read: {error}"
            raise LogDescriptionError(msg) from error
        if log.version != _VERSION:
            msg = f"the log's description is of version {log.version}, which is not known here"
            raise LogDescriptionError(msg)
        shards = tuple(_read_shard(shard) for shard in log.shards)
        return cls(log.name, log.operator, log.submission_url, log.monitoring_url, shards)

    def to_json(self) -> bytes:
        """Return the description as the file that is handed out; the same bytes each time."""
        shards = [_write_shard(shard) for shard in self.shards]
        log = _Log(_VERSION, self.name, self.operator, self.submission_url, self.monitoring_url, shards)
        return msgspec.json.format(msgspec.json.encode(log), indent=2) + b"\n"

    def shard_for(self, not_after: datetime) -> ShardDescription | None:
        """Return the shard for certificates that expire then, None where the log has none."""
        return next((shard for shard in self.shards if shard.takes(not_after)), None)

    def shard_of(self, log_id: bytes) -> ShardDescription | None:
        """Return the shard whose SCTs carry this identifier, None where it is another log's."""
        return next((shard for shard in self.shards if shard.log_id == log_id), None)

    def submission_prefix(self, shard: ShardDescription) -> str:
        """Return the URL below which a shard takes certificates, at `/ct/v1/add-pre-chain`."""
        return f"{self.submission_url}/{shard.name}"

    def monitoring_prefix(self, shard: ShardDescription) -> str:
        """Return the URL below which a shard's checkpoint, tiles and index are read."""
        return f"{self.monitoring_url}/{shard.name}"


def _read_shard(shard: _Shard) -> ShardDescription:
    try:
        return ShardDescription(
            shard.name,
            shard.origin,
            _read_date(shard.not_after_start),
            _read_date(shard.not_after_limit),
            _read_sct_key(_read_base64(shard.sct_key)),
            VrfPublicKey(_read_base64(shard.vrf_key)),
            Ed25519Verifier.parse(shard.checkpoint_key),
        )
    except (NoteError, SctError, VrfError) as error:
        msg = f"shard {shard.name} of the log's description: {error}"
        raise LogDescriptionError(msg) from error


def _write_shard(shard: ShardDescription) -> _Shard:
    return _Shard(
        shard.name,
        shard.origin,
        _write_date(shard.not_after_start),
        _write_date(shard.not_after_limit),
        base64.b64encode(_encode_sct_key(shard.sct_key)).decode("ascii"),
        base64.b64encode(shard.vrf_key.data).decode("ascii"),
        shard.checkpoint_key.format(),
    )


def _read_sct_key(der: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = "a shard's SCT key is a SubjectPublicKeyInfo in DER and base64"
        raise LogDescriptionError(msg) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or _encode_sct_key(key) != der:
        msg = "a shard's SCT key is a SubjectPublicKeyInfo of P-256, in its one encoding"
        raise LogDescriptionError(msg)
    return key


def _encode_sct_key(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


_DATE = "%Y-%m-%dT%H:%M:%SZ"


def _read_date(text: str) -> datetime:
    try:
        date = datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError as error:
        msg = "a shard's dates have the form 2026-07-01T00:00:00Z"
        raise LogDescriptionError(msg) from error
    if _write_date(date) != text:
        msg = "a shard's dates have the form 2026-07-01T00:00:00Z"
        raise LogDescriptionError(msg)
    return date


def _write_date(date: datetime) -> str:
    return date.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        msg = "a shard's keys are standard base64"
        raise LogDescriptionError(msg) from error
    if base64.b64encode(data).decode("ascii") != text:
        msg = "the base64 of a shard's key has bits that stand for nothing (RFC 4648 §3.5)"
        raise LogDescriptionError(msg)
    return data
