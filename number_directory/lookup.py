"""Looking numbers up: a caller's question, and the directory's answer.

A signed question is good at one directory (`aud`), for a minute, and once (`jti`). An unsigned one sees what is open to
anyone, or to a bearer token that it shows.

A number without records and one whose owner lets nobody see them have the same answer, byte for byte. The answer to any
question is one of a few sizes, so that whoever sees encrypted answers go by learns little: it is filled up with zeroes
inside the JSON to 8 KiB, or to the next double of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final, NoReturn, Self, TypeAlias

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.access_list import Grant, grants_of, is_token
from number_directory.errors import AnswerError, LookupRequestError
from number_directory.record import LARGEST_RECORD, MOST_APPS
from number_directory.statement import (
    LARGEST_STATEMENT,
    Claims,
    SignedStatement,
    decode_body,
    encode,
    read_claims,
    read_number,
    refuse,
    require_request_id,
    require_service_url,
    require_time,
    sign_statement,
)
from stir.errors import TelephoneNumberError
from stir.jws import JwsKind
from stir.telephone_number import TelephoneNumber

TYPE: Final = "tn-lookup+jwt"
"""The `typ` of a signed lookup."""
MOST_NUMBERS: Final = 100
"""How many numbers one lookup may ask for."""
MOST_TOKENS: Final = 16
"""How many bearer tokens one lookup may show."""
LARGEST_QUESTION: Final = LARGEST_STATEMENT + 64
"""Bytes that the body of a lookup may have, signed or not."""
SMALLEST_ANSWER: Final = 8 * 1024
"""Bytes of most answers; those that need more have twice as many, and so on."""
LARGEST_ANSWER: Final = SMALLEST_ANSWER << 8
"""Bytes of the largest answers: 2 MiB. All records of a single number fit."""

_KIND = JwsKind("a lookup", TYPE, LARGEST_STATEMENT, LookupRequestError)
_SIZES: Final = tuple(SMALLEST_ANSWER << doublings for doublings in range(9))
_ZERO = b"0"


def _require_question(numbers: Sequence[TelephoneNumber], tokens: Sequence[str]) -> None:
    if not 0 < len(numbers) <= MOST_NUMBERS or len(set(numbers)) < len(numbers):
        refuse(_KIND, f"numbers are 1 to {MOST_NUMBERS}, each once")
    if len(tokens) > MOST_TOKENS or not all(map(is_token, tokens)):
        refuse(_KIND, f"tokens are at most {MOST_TOKENS}, each of 22 to 128 base64url characters")


def _read_numbers(numbers: Iterable[str]) -> tuple[TelephoneNumber, ...]:
    return tuple(read_number(_KIND, "each of numbers", number) for number in numbers)


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """What a caller asks and signs: where, when, which request, about whom. Raises LookupRequestError.

    `audience` is the directory's URL, `issued_at` in seconds since 1970, `token_id` 16 to 64 base64url characters that
    never come again, `numbers` 1 to 100, `tokens` the bearer tokens that the caller was given by owners.
    """

    audience: str
    issued_at: int
    token_id: str
    numbers: tuple[TelephoneNumber, ...]
    tokens: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        require_service_url(_KIND, "aud", self.audience)
        require_time(_KIND, "iat", self.issued_at)
        require_request_id(_KIND, self.token_id)
        _require_question(self.numbers, self.tokens)

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        chain: Sequence[x509.Certificate],
        more_chains: Sequence[Sequence[x509.Certificate]] = (),
    ) -> str:
        """Return the signed lookup; `chain` and each of `more_chains` begin with a certificate of `key`."""
        claims = _Claims(
            aud=self.audience,
            iat=self.issued_at,
            jti=self.token_id,
            numbers=[number.e164 for number in self.numbers],
            tokens=list(self.tokens) or None,
        )
        return sign_statement(_KIND, claims, key, chain, more_chains)


class _Claims(Claims, frozen=True):
    """A lookup's claims (RFC 7519 §4.1)."""

    aud: str
    iat: int
    jti: str
    numbers: list[str]
    tokens: list[str] | None = None


@dataclass(frozen=True, slots=True)
class SignedLookup(SignedStatement):
    """A well-formed signed lookup. Raises LookupRequestError.

    Who asks is told by the certificate alone: the directory finds out whether it admits the chain.
    """

    KIND: ClassVar[JwsKind] = _KIND

    request: LookupRequest = field(init=False, compare=False)

    def _take(self, payload: bytes) -> None:
        claims = read_claims(_KIND, payload, _Claims)
        if claims.tokens == []:
            refuse(_KIND, "tokens are left out, rather than an empty list")
        numbers, tokens = _read_numbers(claims.numbers), tuple(claims.tokens or ())
        request = LookupRequest(claims.aud, claims.iat, claims.jti, numbers, tokens)
        object.__setattr__(self, "request", request)

    @property
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""
        return self.request.issued_at

    @property
    def numbers(self) -> tuple[TelephoneNumber, ...]:
        """The numbers that are asked for."""
        return self.request.numbers

    def grants(self, caller: TelephoneNumber) -> frozenset[Grant]:
        """Return the grants that admit the caller, whose certificate was judged."""
        return grants_of(caller, self.request.tokens)


@dataclass(frozen=True, slots=True)
class OpenLookup:
    """An unsigned lookup: nobody says who asks. Raises LookupRequestError."""

    numbers: tuple[TelephoneNumber, ...]
    tokens: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        _require_question(self.numbers, self.tokens)

    def to_json(self) -> bytes:
        """Return the body of the POST that asks."""
        return encode(_Question(numbers=[number.e164 for number in self.numbers], tokens=list(self.tokens)))

    def grants(self) -> frozenset[Grant]:
        """Return the grants that admit whoever asks."""
        return grants_of(None, self.tokens)


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a POST that asks: signed, or not."""

    statement: str | None = None
    numbers: list[str] | None = None
    tokens: list[str] = []


Lookup: TypeAlias = SignedLookup | OpenLookup


def read_lookup(body: bytes) -> Lookup:
    """Read the body of a POST that asks; raise LookupRequestError where it is no lookup."""
    if len(body) > LARGEST_QUESTION:
        refuse(_KIND, f"its body has at most {LARGEST_QUESTION} bytes")
    asked = decode_body(
        _KIND, body, _Question, 'its body is {"statement": "…"} or {"numbers": ["+…"], "tokens": ["…"]}'
    )
    if asked.statement is not None and asked.numbers is None and not asked.tokens:
        return SignedLookup.parse(asked.statement)
    if asked.statement is not None or asked.numbers is None:
        refuse(_KIND, "its body has a statement, or numbers and perhaps tokens, and not both")
    return OpenLookup(_read_numbers(asked.numbers), tuple(asked.tokens))


@dataclass(frozen=True, slots=True)
class LookupAnswer:
    """What a directory answers: for each number that was asked for, the records that the caller may see.

    `records` holds their texts in the order of their apps, empty where there are none or none to be seen. `moves` holds
    the move of a number that has gone to another directory, for those who may see its records. `omitted` are numbers
    whose records did not fit: ask for them again. Nobody has checked any of it. Raises AnswerError.
    """

    records: Mapping[TelephoneNumber, tuple[str, ...]]
    moves: Mapping[TelephoneNumber, str] = field(default_factory=dict)
    omitted: tuple[TelephoneNumber, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no question is answered by; keep the parts from changing."""
        if len(self.records) + len(self.omitted) > MOST_NUMBERS or not self.moves.keys() <= self.records.keys():
            _misread(f"it is about at most {MOST_NUMBERS} numbers, those that moved among them")
        if any(number in self.records for number in self.omitted) or len(set(self.omitted)) < len(self.omitted):
            _misread("a number whose records did not fit is omitted, and once")
        for texts in self.records.values():
            if len(texts) > MOST_APPS or any(len(text) > LARGEST_RECORD for text in texts):
                _misread(f"a number has at most {MOST_APPS} records, of at most {LARGEST_RECORD} characters")
        object.__setattr__(self, "records", MappingProxyType(dict(self.records)))
        object.__setattr__(self, "moves", MappingProxyType(dict(self.moves)))

    @classmethod
    def fitting(
        cls,
        records: Mapping[TelephoneNumber, Sequence[str]],
        moves: Mapping[TelephoneNumber, str] = MappingProxyType({}),
    ) -> Self:
        """Return the answer with as many of the numbers, in this order, as its largest size has room for."""
        shown: dict[TelephoneNumber, tuple[str, ...]] = {}
        room = LARGEST_ANSWER - _ROOM_FOR_NAMES
        for number, texts in records.items():
            room -= sum(len(text) + _ROOM_FOR_QUOTES for text in (*texts, moves.get(number, "")))
            if room < 0:
                break
            shown[number] = tuple(texts)
        left_out = tuple(number for number in records if number not in shown)
        return cls(shown, {number: text for number, text in moves.items() if number in shown}, left_out)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read an answer; raise AnswerError where it is none, or has none of the sizes that answers have."""
        if len(data) not in _SIZES:
            _misread("it has not one of the sizes to which answers are filled up")
        try:
            read = msgspec.json.decode(data, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            msg = f"{_ANSWER} its JSON has answers, moved, omitted and padding"
            raise AnswerError(msg) from error
        answer = cls(
            {_answered(number): tuple(texts) for number, texts in read.answers.items()},
            {_answered(number): text for number, text in read.moved.items()},
            tuple(map(_answered, read.omitted)),
        )
        if answer.to_json() != data:
            _misread("it is not in the one form that it has, or filled up with something else than zeroes")
        return answer

    def to_json(self) -> bytes:
        """Return the answer as it is sent: filled up to one of a few sizes. Raises AnswerError where none is enough."""
        answer = _Answer(
            answers={number.e164: list(texts) for number, texts in self.records.items()},
            moved={number.e164: text for number, text in self.moves.items()},
            omitted=[number.e164 for number in self.omitted],
            padding="",
        )
        data = msgspec.json.encode(answer)
        size = next((size for size in _SIZES if len(data) <= size), None)
        if size is None:
            _misread(f"it has at most {LARGEST_ANSWER} bytes")
        return data[:-2] + _ZERO * (size - len(data)) + data[-2:]


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer as it stands in JSON; the padding comes last."""

    answers: dict[str, list[str]]
    moved: dict[str, str]
    omitted: list[str]
    padding: str


_ANSWER = "the directory's answer to a lookup cannot be read:"
_ROOM_FOR_QUOTES = 3
_ROOM_FOR_NAMES = 1024 + MOST_NUMBERS * 64


def _answered(text: str) -> TelephoneNumber:
    try:
        return TelephoneNumber.parse(text)
    except TelephoneNumberError as error:
        msg = f"{_ANSWER} it is about something that is no telephone number"
        raise AnswerError(msg) from error


def _misread(why: str) -> NoReturn:
    msg = f"{_ANSWER} {why}"
    raise AnswerError(msg)
