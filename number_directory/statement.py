"""What owners and callers sign: compact JWS, ES256, with the chain of the number's certificate (RFC 7515).

A statement has one encoding: its header has `alg`, `typ`, `x5c` and perhaps `x5cs`, and nothing else; its claims are
written without white space, sorted, without escapes, and none is there that its kind does not know. So two statements
say the same if and only if their `content` is the same bytes.

A statement that was read is well formed, and its chains begin with one key; `verify` tells that a key signed it.
Whether a chain is worth anything, and is of the number that the statement is about, is for whoever believes it to find
out.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar, Final, NoReturn, Protocol, Self, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.errors import AnswerError, StatementError
from stir import jws
from stir.errors import TelephoneNumberError
from stir.jws import LATEST_TIME, Chain, CompactJws, JwsKind
from stir.telephone_number import TelephoneNumber
from stir.web_url import is_base_url

FRESH_SECONDS: Final = 60
"""How far the `iat` of a lookup or of an owner's question may be from the directory's clock, before or behind."""
LARGEST_STATEMENT: Final = 16 * 1024
"""Characters that a statement may have; an access list may have more."""
MEDIA_TYPE: Final = "application/json"
"""How everything travels in a POST."""

_MEMBERS = frozenset({"alg", "typ", "x5c", "x5cs"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_MANY_DIGITS = re.compile(r"[0-9]{5}")
_LONGEST_DETAIL = 120
_ROOM_FOR_JSON = 64

_Claims = TypeVar("_Claims", bound=msgspec.Struct)


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The claims of a kind of statement, as they stand in its JSON; a claim that has a default may be missing."""


@dataclass(frozen=True, slots=True)
class SignedStatement(ABC):
    """A well-formed statement with the chains that it brings, each beginning with a certificate of one key.

    `token` is its text. Neither signature nor chains are checked by reading it.
    """

    KIND: ClassVar[JwsKind]

    token: str = field(repr=False)
    chains: tuple[Chain, ...] = field(init=False, compare=False, repr=False)
    _jws: CompactJws = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the text."""
        read = CompactJws.parse(self.signed_text, self.KIND)
        if not read.chains or not read.header.keys() <= _MEMBERS:
            refuse(self.KIND, "its header has alg, typ and x5c, perhaps x5cs, and nothing else")
        object.__setattr__(self, "_jws", read)
        object.__setattr__(self, "chains", read.chains)
        self._take(read.payload)

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a statement; raise the error of its kind where it is none."""
        return cls(token)

    @abstractmethod
    def _take(self, payload: bytes) -> None:
        """Read the claims and set what follows from them."""

    @property
    @abstractmethod
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""

    @property
    def signed_text(self) -> str:
        """The JWS of the statement, without what may stand beside it."""
        return self.token

    @property
    def chain(self) -> Chain:
        """The chain of `x5c`, the number's certificate first."""
        return self.chains[0]

    @property
    def content(self) -> bytes:
        """What is stated, in its one encoding."""
        return self._jws.payload

    @property
    def hash(self) -> bytes:
        """The SHA-256 of the JWS: 32 bytes. Nobody can guess it who has not seen the signature."""
        return sha256(self.signed_text.encode("ascii")).digest()

    def shares_key_with(self, other: SignedStatement) -> bool:
        """Tell whether another statement brings certificates of the same key."""
        return self.chain[0].public_key() == other.chain[0].public_key()

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check that the P-256 key signed the statement; raise the error of its kind where it did not."""
        self._jws.verify(public_key)


def read_claims(kind: JwsKind, payload: bytes, type_: type[_Claims]) -> _Claims:
    """Return the claims of a payload; raise the kind's error where they are others or in another encoding."""
    try:
        claims = msgspec.json.decode(payload, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{kind.this}'s claims are not those of {kind.name}{_detail(error)}"
        raise kind.error(msg) from error
    if encode(claims) != payload:
        refuse(kind, "its JSON has sorted keys, no white space, no escapes and no member twice")
    return claims


def sign_statement(
    kind: JwsKind,
    claims: msgspec.Struct,
    key: ec.EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
    more_chains: Sequence[Sequence[x509.Certificate]] = (),
) -> str:
    """Return the signed text of claims, the same for the same input. Raises the kind's error.

    `chain` and each of `more_chains` begin with a certificate of `key`.
    """
    members = jws.chain_members(kind, chain, more_chains)
    jws.require_key_of(chain, key, kind)
    return jws.sign(kind, members, encode(claims), key)


def encode(value: object) -> bytes:
    """Return the one JSON encoding of claims: sorted, without white space."""
    return msgspec.json.encode(value, order="sorted")


def refuse(kind: JwsKind, why: str) -> NoReturn:
    """Raise the error of a kind of statement."""
    msg = f"{kind.this}: {why}"
    raise kind.error(msg)


# Which of two statements about the same thing counts


class Succession(StrEnum):
    """How a statement relates to the one that counts so far."""

    NEWER = "newer"
    """It takes the place of the other."""
    SAME = "same"
    """It states the same: nothing changes, and whoever repeats it is told that all is well."""
    CONFLICT = "conflict"
    """It has the same sequence number and states something else: the owner signed twice, or somebody else did."""
    OLDER = "older"
    """It was replaced before."""


class Sequenced(Protocol):
    """A statement that takes the place of an earlier one about the same thing."""

    @property
    def sequence(self) -> int:
        """Its number: higher is newer."""
        ...

    @property
    def content(self) -> bytes:
        """What it states, in its one encoding."""
        ...


def supersedes(old: Sequenced | None, new: Sequenced) -> Succession:
    """Tell how `new` relates to `old`, which counts so far and is about the same thing; None where nothing does."""
    if old is None or new.sequence > old.sequence:
        return Succession.NEWER
    if new.sequence < old.sequence:
        return Succession.OLDER
    return Succession.SAME if new.content == old.content else Succession.CONFLICT


# What several kinds have in common


def require_time(kind: JwsKind, name: str, seconds: int) -> None:
    """Refuse what is no time in seconds since 1970."""
    if not 0 <= seconds <= LATEST_TIME:
        refuse(kind, f"{name} is a time in seconds since 1970")


def require_sequence(kind: JwsKind, sequence: int) -> None:
    """Refuse a sequence number that not every JSON reader holds exactly."""
    if not 1 <= sequence <= LATEST_TIME:
        refuse(kind, "seq is a whole number from 1 to 2**53 - 1")


def require_request_id(kind: JwsKind, request_id: str) -> None:
    """Refuse what is not 16 to 64 base64url characters."""
    if not _REQUEST_ID.fullmatch(request_id):
        refuse(kind, "jti has 16 to 64 base64url characters")


def require_service_url(kind: JwsKind, name: str, url: str) -> None:
    """Refuse what is not the URL of a resolution service."""
    if not is_base_url(url):
        refuse(kind, f"{name} is the URL of a directory: http or https, no query, no fragment, no slash at the end")


def read_number(kind: JwsKind, name: str, text: str) -> TelephoneNumber:
    """Read `+12025550123`; raise the kind's error."""
    try:
        return TelephoneNumber.parse(text)
    except TelephoneNumberError as error:
        msg = f"{kind.this}: {name} is a telephone number such as +12025550123"
        raise kind.error(msg) from error


# How a statement travels


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a POST."""

    statement: str


_BODY = JwsKind("a request", "", 0, StatementError)


def statement_body(token: str) -> bytes:
    """Return the body of a POST that carries a statement: `{"statement": "<text>"}`."""
    return msgspec.json.encode(_Body(token))


def read_statement_body(body: bytes, longest: int = LARGEST_STATEMENT) -> str:
    """Return the text that a body carries, which may be no statement.

    Raises StatementError where it carries none, or more than `longest` characters.
    """
    if len(body) > longest + _ROOM_FOR_JSON:
        refuse(_BODY, f"it has at most {longest} characters")
    return decode_body(_BODY, body, _Body, 'it is {"statement": "…"}').statement


def decode_body(kind: JwsKind, body: bytes, type_: type[_Claims], form: str) -> _Claims:
    """Return a JSON body as what it should be; raise the kind's error, which tells the right form."""
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{kind.this}: {form}{_detail(error)}"
        raise kind.error(msg) from error


def decode_answer(data: bytes, type_: type[_Claims], largest: int, to_what: str) -> _Claims:
    """Return a directory's answer as what it should be; raise AnswerError."""
    if len(data) > largest:
        msg = f"a directory's answer {to_what} has at most {largest} bytes"
        raise AnswerError(msg)
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"the directory's answer {to_what} cannot be read{_detail(error)}"
        raise AnswerError(msg) from error


def _detail(error: Exception) -> str:
    """Return what the decoder says, where it is fit for a line of text and quotes no telephone number."""
    said = str(error)
    is_fit = said.isprintable() and len(said) <= _LONGEST_DETAIL and not _MANY_DIGITS.search(said)
    return f" ({said})" if is_fit else ""
