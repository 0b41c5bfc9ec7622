"""A log that the authority was told of, and what passes between the two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from stir.telephone_number import TelephoneNumber
from transparency.log_description import LogDescription
from transparency.sct import SignedCertificateTimestamp


class SubmissionError(Exception):
    """A log gave no timestamp: it could not be reached, took too long, or said no. The text says which."""


class PrecertificateLog(Protocol):
    """Whoever carries precertificates to one log."""

    def add_pre_chain(self, chain: Sequence[bytes], timeout: float) -> SignedCertificateTimestamp:
        """Return the log's timestamp of a precertificate, unchecked, within `timeout` seconds.

        `chain` holds DER: the precertificate and its issuers, up to the anchor (RFC 6962 §4.2). The same precertificate
        may come again, and gets the timestamp that it got before. Raises SubmissionError where there is none, and
        SctError for an answer that is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class KnownLog:
    """A log, its operator in the words of this authority, and the way to it."""

    description: LogDescription
    operator: str
    client: PrecertificateLog = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """The log's own name."""
        return self.description.name

    @property
    def operator_key(self) -> str:
        """The operator, in a form that two spellings of one name share."""
        return operator_key(self.operator)


@dataclass(frozen=True, slots=True)
class Precertified:
    """What logs are asked to give a timestamp for.

    `chain` is as `PrecertificateLog` takes it, `tbs` without the poison. `digest` is the SHA-256 of issuer key hash and
    TBS, and `fixed_at` when the authority decided to issue: no timestamp can be older.
    """

    chain: tuple[bytes, ...] = field(repr=False)
    number: TelephoneNumber
    issuer_key_hash: bytes
    tbs: bytes = field(repr=False)
    digest: bytes
    not_after: datetime
    fixed_at: datetime


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A log's timestamp of one precertificate, which was checked. `sct` is its encoding (RFC 6962 §3.2)."""

    log: str
    log_id: bytes
    leaf_index: int
    sct: bytes = field(repr=False)


class LieKind(StrEnum):
    """In what a log's answer was false."""

    MALFORMED = "malformed"
    LOG_ID = "logId"
    SIGNATURE = "signature"
    TIME = "time"
    LABEL = "label"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class Lie:
    """A false answer of a log, to be kept as evidence: `sct` as it came, empty where it was none.

    `other` is the timestamp that contradicts it, where one does.
    """

    log: str
    operator: str
    kind: LieKind
    detail: str
    sct: bytes = field(default=b"", repr=False)
    other: bytes = field(default=b"", repr=False)


def operator_key(name: str) -> str:
    """Return an operator's name such that two spellings of one name are not taken for two operators."""
    return " ".join(name.split()).casefold()
