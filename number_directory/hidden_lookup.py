"""Looking numbers up without showing them: what is asked and answered around `hidden`.

A caller has its blinded numbers evaluated, signed or not, and pays for each as for a new number. Then it fetches the
buckets of what came out, as anybody may, and opens there what is its own. A signed question is good at one directory
(`aud`), for a minute, and once (`jti`), and says nothing of the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import ClassVar, Final, Self, TypeAlias

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.errors import AnswerError, HiddenQuestionError
from number_directory.hidden import DEEPEST, ELEMENT_BYTES, EVALUATED_BYTES, LARGEST_PLAIN, MOST_NUMBERS, Bucket
from number_directory.record import LARGEST_RECORD, MOST_APPS
from number_directory.statement import (
    LARGEST_STATEMENT,
    Claims,
    SignedStatement,
    decode_answer,
    decode_body,
    encode,
    read_claims,
    refuse,
    require_request_id,
    require_service_url,
    require_time,
    sign_statement,
)
from stir.errors import JwsError
from stir.jws import JwsKind, decode_base64url, encode_base64url

TYPE: Final = "tn-hidden+jwt"
"""The `typ` of a signed question for hidden numbers."""
LARGEST_QUESTION: Final = LARGEST_STATEMENT + 64
"""Bytes that the body of a question may have, signed or not."""
LARGEST_ANSWER: Final = 32 * 1024
LARGEST_LAYOUT: Final = 1024
EVALUATE_PATH: Final = "hidden/evaluate"
"""Where numbers are evaluated, below a directory's URL."""
BUCKETS_PATH: Final = "hidden/buckets"
"""Where the layout of the buckets stands, and below it each by its name."""

_KIND = JwsKind("a question for hidden numbers", TYPE, LARGEST_STATEMENT, HiddenQuestionError)
_FORM = 'its body is {"statement": "…"} or {"blinded": ["…"]}'


def _require_blinded(blinded: Sequence[bytes]) -> None:
    if not 1 <= len(blinded) <= MOST_NUMBERS or len(set(blinded)) < len(blinded):
        refuse(_KIND, f"blinded are 1 to {MOST_NUMBERS}, each once")
    if any(len(element) != ELEMENT_BYTES for element in blinded):
        refuse(_KIND, f"a blinded number has {ELEMENT_BYTES} bytes")


def _read_blinded(texts: Iterable[str]) -> tuple[bytes, ...]:
    try:
        return tuple(map(decode_base64url, texts))
    except JwsError as error:
        msg = f"{_KIND.this}: each of blinded is canonical base64url without padding"
        raise HiddenQuestionError(msg) from error


@dataclass(frozen=True, slots=True)
class HiddenRequest:
    """What a caller asks and signs: where, when, which request, and blinded numbers. Raises HiddenQuestionError.

    `audience` is the directory's URL, `issued_at` in seconds since 1970, `token_id` 16 to 64 base64url characters that
    never come again, `blinded` 1 to 100 elements of 32 bytes.
    """

    audience: str
    issued_at: int
    token_id: str
    blinded: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        require_service_url(_KIND, "aud", self.audience)
        require_time(_KIND, "iat", self.issued_at)
        require_request_id(_KIND, self.token_id)
        _require_blinded(self.blinded)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        more_chains: Sequence[Sequence[x509.Certificate]] = (),
    ) -> str:
        """Return the signed question; `chain` and each of `more_chains` begin with a certificate of `key`."""
        claims = _Claims(self.audience, self.issued_at, self.token_id, list(map(encode_base64url, self.blinded)))
        return sign_statement(_KIND, claims, key, chain, more_chains)


class _Claims(Claims, frozen=True):
    """The claims of a question (RFC 7519 §4.1)."""

    aud: str
    iat: int
    jti: str
    blinded: list[str]


@dataclass(frozen=True, slots=True)
class SignedHiddenRequest(SignedStatement):
    """A well-formed signed question. Raises HiddenQuestionError.

    Who asks is told by the certificate alone: the directory finds out whether it admits the chain.
    """

    KIND: ClassVar[JwsKind] = _KIND

    request: HiddenRequest = field(init=False, compare=False)

    def _take(self, payload: bytes) -> None:
        claims = read_claims(_KIND, payload, _Claims)
        request = HiddenRequest(claims.aud, claims.iat, claims.jti, _read_blinded(claims.blinded))
        object.__setattr__(self, "request", request)

    @property
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""
        return self.request.issued_at

    @property
    def blinded(self) -> tuple[bytes, ...]:
        """The numbers that are asked for, as nobody can read them."""
        return self.request.blinded


@dataclass(frozen=True, slots=True)
class OpenHiddenRequest:
    """An unsigned question: nobody says who asks. Raises HiddenQuestionError."""

    blinded: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        _require_blinded(self.blinded)

    def to_json(self) -> bytes:
        """Return the body of the POST that asks."""
        return encode(_Question(blinded=list(map(encode_base64url, self.blinded))))


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a POST that asks: signed, or not."""

    statement: str | None = None
    blinded: list[str] | None = None


HiddenLookup: TypeAlias = SignedHiddenRequest | OpenHiddenRequest


def read_hidden_request(body: bytes) -> HiddenLookup:
    """Read the body of a POST that asks; raise HiddenQuestionError where it is no question."""
    if len(body) > LARGEST_QUESTION:
        refuse(_KIND, f"its body has at most {LARGEST_QUESTION} bytes")
    asked = decode_body(_KIND, body, _Question, _FORM)
    if asked.statement is not None and asked.blinded is None:
        return SignedHiddenRequest.parse(asked.statement)
    if asked.statement is not None or asked.blinded is None:
        refuse(_KIND, _FORM)
    return OpenHiddenRequest(_read_blinded(asked.blinded))


@dataclass(frozen=True, slots=True)
class HiddenAnswer:
    """What a directory made of blinded numbers, each with a proof of its own, in their order. Raises AnswerError.

    Nobody has checked the proofs: see `hidden.HiddenQuestion.finish`.
    """

    evaluated: tuple[bytes, ...]

    def __post_init__(self) -> None:
        """Refuse what no question is answered by."""
        if not 1 <= len(self.evaluated) <= MOST_NUMBERS or any(len(one) != EVALUATED_BYTES for one in self.evaluated):
            msg = f"a directory answers with 1 to {MOST_NUMBERS} elements and their proofs, of {EVALUATED_BYTES} bytes"
            raise AnswerError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an answer; raise AnswerError."""
        read = decode_answer(data, _Answer, LARGEST_ANSWER, "for hidden numbers")
        try:
            return cls(tuple(map(decode_base64url, read.evaluated)))
        except JwsError as error:
            msg = "the directory's answer for hidden numbers is not in base64url"
            raise AnswerError(msg) from error

    def to_json(self) -> bytes:
        """Return the body of the answer."""
        return encode(_Answer(list(map(encode_base64url, self.evaluated))))


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer as it stands in JSON."""

    evaluated: list[str]


@dataclass(frozen=True, slots=True)
class HiddenLayout:
    """How a directory lays out its buckets: how many leading bits of a label name one. Raises AnswerError."""

    depth: int

    def __post_init__(self) -> None:
        """Refuse to tell more of a label than anybody should."""
        if not 0 <= self.depth <= DEEPEST:
            msg = f"the directory would have more than {DEEPEST} bits of a number's label told, which tell too much"
            raise AnswerError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a layout; raise AnswerError."""
        return cls(decode_answer(data, _Layout, LARGEST_LAYOUT, "about its buckets").depth)

    def to_json(self) -> bytes:
        """Return the layout as it is sent."""
        return encode(_Layout(self.depth))

    def bucket(self, label: bytes) -> Bucket:
        """Return the bucket of a label."""
        return Bucket.of(label, self.depth)


class _Layout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A layout as it stands in JSON."""

    depth: int


@dataclass(frozen=True, slots=True)
class HiddenRecords:
    """What is sealed under a number: what anyone may see of it, as an unsigned lookup shows it. Raises AnswerError.

    `records` are in the order of their apps. `move` is there where the number has gone to another directory.
    `omitted` tells how many records found no room; an open lookup shows them. Nobody has checked any of it.
    """

    records: tuple[str, ...]
    move: str | None = None
    omitted: int = 0

    def __post_init__(self) -> None:
        """Refuse what is shown of no number."""
        if len(self.records) + self.omitted > MOST_APPS or any(len(text) > LARGEST_RECORD for text in self.records):
            msg = f"a number has at most {MOST_APPS} records, of at most {LARGEST_RECORD} characters"
            raise AnswerError(msg)

    @classmethod
    def fitting(cls, records: Sequence[str], move: str | None = None) -> Self:
        """Return what is shown of a number, without the last records where they do not fit."""
        whole = cls(tuple(records), move)
        if len(whole.to_json()) <= LARGEST_PLAIN:
            return whole
        # Each is encoded once: whoever fills a number with the largest records must not make its bucket dear.
        room = LARGEST_PLAIN - len(cls((), move, len(records)).to_json())
        count = sum(size <= room for size in accumulate(len(encode(text)) + 1 for text in records))
        return cls(tuple(records[:count]), move, len(records) - count) if room >= 0 else cls((), None, len(records))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what was sealed; raise AnswerError."""
        read = decode_answer(data, _Records, LARGEST_PLAIN, "about a hidden number")
        if read.omitted < 0:
            msg = "the directory's answer about a hidden number omits fewer than no records"
            raise AnswerError(msg)
        return cls(tuple(read.records), read.moved, read.omitted)

    def to_json(self) -> bytes:
        """Return what is to be sealed."""
        return encode(_Records(list(self.records), self.move, self.omitted))


class _Records(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is sealed, as it stands in JSON."""

    records: list[str]
    moved: str | None = None
    omitted: int = 0
