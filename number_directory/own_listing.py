"""What a directory keeps of a number, shown to the number's owner: everything, with receipts and notices.

The question is good at one directory (`aud`), for a minute, and once (`jti`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.access_list import SignedAccessList
from number_directory.errors import AnswerError, OwnListingError, ReceiptError, StatementError
from number_directory.move import SignedMove
from number_directory.receipt import PublishReceipt, read_receipt, written_receipt
from number_directory.record import SignedRecord
from number_directory.statement import (
    LARGEST_STATEMENT,
    Claims,
    SignedStatement,
    decode_answer,
    read_claims,
    read_number,
    require_request_id,
    require_service_url,
    require_time,
    sign_statement,
)
from stir.jws import LATEST_TIME, JwsKind
from stir.telephone_number import TelephoneNumber

TYPE: Final = "tn-own+jwt"
"""The `typ` of an owner's question."""
LARGEST_LISTING: Final = 4 * 1024 * 1024
"""Bytes of an answer."""
MOST_NOTICES: Final = 100
LONGEST_NOTICE: Final = 500

_KIND = JwsKind("an owner's question", TYPE, LARGEST_STATEMENT, OwnListingError)


@dataclass(frozen=True, slots=True)
class OwnListing:
    """What a number's owner asks and signs: where, when, which question, about which number. Raises OwnListingError.

    `audience` is the directory's URL, `issued_at` in seconds since 1970, `token_id` 16 to 64 base64url characters that
    never come again.
    """

    audience: str
    issued_at: int
    token_id: str
    number: TelephoneNumber

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        require_service_url(_KIND, "aud", self.audience)
        require_time(_KIND, "iat", self.issued_at)
        require_request_id(_KIND, self.token_id)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        more_chains: Sequence[Sequence[x509.Certificate]] = (),
    ) -> str:
        """Return the signed question; `chain` and each of `more_chains` begin with a certificate of `key`."""
        claims = _Claims(self.audience, self.issued_at, self.token_id, self.number.e164)
        return sign_statement(_KIND, claims, key, chain, more_chains)


class _Claims(Claims, frozen=True):
    """The claims of an owner's question (RFC 7519 §4.1)."""

    aud: str
    iat: int
    jti: str
    tn: str


@dataclass(frozen=True, slots=True)
class SignedOwnListing(SignedStatement):
    """A well-formed question. Raises OwnListingError."""

    KIND: ClassVar[JwsKind] = _KIND

    question: OwnListing = field(init=False, compare=False)

    def _take(self, payload: bytes) -> None:
        claims = read_claims(_KIND, payload, _Claims)
        number = read_number(_KIND, "tn", claims.tn)
        object.__setattr__(self, "question", OwnListing(claims.aud, claims.iat, claims.jti, number))

    @property
    def number(self) -> TelephoneNumber:
        """The number whose owner asks."""
        return self.question.number

    @property
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""
        return self.question.issued_at


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A record that the directory keeps, whole, and its receipt; None while the record log has not come so far."""

    record: SignedRecord
    receipt: PublishReceipt | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an owner should know: `at` in seconds since 1970, what happened, and about which app, if one.

    Raises AnswerError for a text that a terminal would obey.
    """

    at: int
    text: str
    app: str | None = None

    def __post_init__(self) -> None:
        """Refuse what is no line of text."""
        if not 0 <= self.at <= LATEST_TIME or not all(map(_is_line, (self.text, self.app or "-"))):
            msg = f"a notice has a time, and a line of at most {LONGEST_NOTICE} printable characters"
            raise AnswerError(msg)


def _is_line(text: str) -> bool:
    return text.isprintable() and 0 < len(text) <= LONGEST_NOTICE


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """What the owner is shown: its records, withdrawn ones among them, its access list, its move, and notices.

    Nobody has checked any of it: see `PublishReceipt.verify`. Raises AnswerError.
    """

    records: tuple[OwnRecord, ...] = ()
    access_list: SignedAccessList | None = None
    move: SignedMove | None = None
    notices: tuple[Notice, ...] = ()

    def __post_init__(self) -> None:
        """Refuse two records for one app, and more notices than anybody reads."""
        if len({own.record.app for own in self.records}) < len(self.records):
            msg = "a number has one record for each app"
            raise AnswerError(msg)
        if len(self.notices) > MOST_NOTICES:
            msg = f"an owner is shown at most {MOST_NOTICES} notices"
            raise AnswerError(msg)

    def record(self, app: str) -> SignedRecord | None:
        """Return the record for an app, withdrawn or not."""
        return next((own.record for own in self.records if own.record.app == app), None)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an answer; raise AnswerError where it, or a statement or receipt in it, cannot be read."""
        read = decode_answer(data, _Listing, LARGEST_LISTING, "to an owner's question")
        try:
            return cls(
                tuple(OwnRecord(SignedRecord.parse(own.record), read_receipt(own.receipt)) for own in read.records),
                None if read.access_list is None else SignedAccessList.parse(read.access_list),
                None if read.moved is None else SignedMove.parse(read.moved),
                tuple(Notice(notice.at, notice.text, notice.app) for notice in read.notices),
            )
        except (StatementError, ReceiptError) as error:
            msg = f"the directory's answer to an owner's question cannot be read: {error}"
            raise AnswerError(msg) from error

    def to_json(self) -> bytes:
        """Return the answer as it is sent."""
        listing = _Listing(
            records=[_Own(own.record.token, written_receipt(own.receipt)) for own in self.records],
            access_list=None if self.access_list is None else self.access_list.token,
            moved=None if self.move is None else self.move.token,
            notices=[_Notice(notice.at, notice.text, notice.app) for notice in self.notices],
        )
        return msgspec.json.encode(listing)


class _Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record as it stands in the answer."""

    record: str
    receipt: str | None = None


class _Notice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A notice as it stands in the answer."""

    at: int
    text: str
    app: str | None = None


class _Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The answer as it stands in JSON."""

    records: list[_Own]
    access_list: str | None = None
    moved: str | None = None
    notices: list[_Notice] = []
