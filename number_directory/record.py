"""A number's record for one app: where the app is reached, and which media it takes.

A record travels as an SD-JWT (RFC 9901): a JWS, `~`, and perhaps one disclosure and another `~`. The JWS holds a digest
of the media under a salt, and the disclosure holds the media themselves. So whoever passes a record on can leave the
media out and can never change them: docs/decisions/0072-media-are-disclosed-beside-a-record.md says why. Every record
that is not withdrawn has the digest, so that a record without its media does not tell whether it names any.

A record without `uris` is withdrawn: it says that the number is not on the app any more.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import ClassVar, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.errors import RecordError
from number_directory.statement import (
    LARGEST_STATEMENT,
    Claims,
    SignedStatement,
    encode,
    read_claims,
    read_number,
    refuse,
    require_sequence,
    require_time,
    sign_statement,
)
from stir.errors import JwsError
from stir.jws import Chain, JwsKind, decode_base64url, encode_base64url
from stir.telephone_number import TelephoneNumber

TYPE: Final = "tn-record+jwt"
"""The `typ` of a record."""
LARGEST_RECORD: Final = LARGEST_STATEMENT
"""Characters that a record may have, its disclosure among them. With a chain of two certificates it has about 3400."""
MOST_APPS: Final = 32
"""How many apps a number may have records for."""
MOST_URIS: Final = 16
LONGEST_URI: Final = 512
LARGEST_SECTION: Final = 1024
"""Bytes that an app may add for its own use."""
SALT_SIZE: Final = 16

_KIND = JwsKind("a record", TYPE, LARGEST_RECORD, RecordError)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_APP = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})+", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+", re.ASCII)
_MEDIA_CLAIM = "media"
_BETWEEN = "~"
_DIGEST_LENGTH = 43


class Medium(StrEnum):
    """What an app's endpoint takes."""

    AUDIO = "audio"
    VIDEO = "video"
    TEXT = "text"
    """Text in real time, as in RFC 4103."""
    MESSAGE = "message"
    """Messages, one at a time."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a number's owner says of one app. Raises RecordError for what no record says.

    `app` is a domain name, forward or reversed, such as `chat.example`. `uris` are absolute, in order of preference;
    without any the record is withdrawn. `media` are the media that the endpoint takes, None where they are not shown,
    and in a withdrawn record. Times are in seconds since 1970. `section` is 1 to 1024 bytes for the app's own use, or
    None.
    """

    number: TelephoneNumber
    app: str
    uris: tuple[str, ...] = field(repr=False)
    media: frozenset[Medium] | None
    sequence: int
    issued_at: int
    expires_at: int
    section: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        require_app(_KIND, self.app)
        if len(self.uris) > MOST_URIS or len(set(self.uris)) < len(self.uris):
            refuse(_KIND, f"uris are at most {MOST_URIS}, each once")
        if not all(len(uri) <= LONGEST_URI and _URI.fullmatch(uri) for uri in self.uris):
            refuse(_KIND, f"uris are absolute, in ASCII (RFC 3986), and have at most {LONGEST_URI} characters")
        require_sequence(_KIND, self.sequence)
        require_time(_KIND, "iat", self.issued_at)
        require_time(_KIND, "exp", self.expires_at)
        if self.expires_at <= self.issued_at:
            refuse(_KIND, "exp comes after iat")
        if self.section is not None and not 0 < len(self.section) <= LARGEST_SECTION:
            refuse(_KIND, f"section has 1 to {LARGEST_SECTION} bytes")
        if self.is_withdrawn and (self.media is not None or self.section is not None):
            refuse(_KIND, "one without uris is withdrawn, and has neither media nor section")

    @property
    def is_withdrawn(self) -> bool:
        """Whether it says that the number is not on the app any more."""
        return not self.uris


class _Claims(Claims, frozen=True):
    """A record's claims (RFC 7519 §4.1, RFC 9901 §4.2.4.1)."""

    tn: str
    app: str
    seq: int
    iat: int
    exp: int
    uris: list[str] | None = None
    section: str | None = None
    digests: list[str] | None = msgspec.field(default=None, name="_sd")


class _Disclosure(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The media of a record beside it: salt, claim name, value (RFC 9901 §4.2.1)."""

    salt: str
    name: str
    media: list[Medium]


@dataclass(frozen=True, slots=True)
class SignedRecord(SignedStatement):
    """A well-formed record, with or without the disclosure of its media. Raises RecordError.

    `record.media` is None where the disclosure is not there. A record does not outlive any certificate that it brings.
    """

    KIND: ClassVar[JwsKind] = _KIND

    record: Record = field(init=False, compare=False)

    def _take(self, payload: bytes) -> None:
        if len(self.token) > LARGEST_RECORD:
            refuse(_KIND, f"it has at most {LARGEST_RECORD} characters with its disclosure")
        claims = read_claims(_KIND, payload, _Claims)
        media = _disclosed(self.token, _digest_of(claims))
        record = Record(
            number=read_number(_KIND, "tn", claims.tn),
            app=claims.app,
            uris=_uris_of(claims),
            media=media,
            sequence=claims.seq,
            issued_at=claims.iat,
            expires_at=claims.exp,
            section=None if claims.section is None else _base64url("section", claims.section),
        )
        require_outlived(self.chains, record.expires_at)
        object.__setattr__(self, "record", record)

    @property
    def signed_text(self) -> str:
        """The JWS: what is logged, and what does not change whether the media are shown or not."""
        return self.token.partition(_BETWEEN)[0]

    @property
    def without_media(self) -> str:
        """The record's text for readers whom its owner does not let see the media."""
        return f"{self.signed_text}{_BETWEEN}"

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out: what an owner publishes."""
        return self.record.is_withdrawn or self.record.media is not None

    @property
    def number(self) -> TelephoneNumber:
        """The number that the record says it is of."""
        return self.record.number

    @property
    def app(self) -> str:
        """The app that it is about."""
        return self.record.app

    @property
    def sequence(self) -> int:
        """Its number among the records of this number and app."""
        return self.record.sequence

    @property
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""
        return self.record.issued_at


def sign_record(
    record: Record,
    key: ec.EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
    more_chains: Sequence[Sequence[x509.Certificate]] = (),
    *,
    salt: bytes | None = None,
) -> str:
    """Return the signed record with the disclosure of its media. Raises RecordError.

    `chain`, and each of `more_chains`, begins with a certificate of `key`; the record expires with the first of them,
    or before: see `latest_expiry`. `salt` is 16 bytes that nobody can guess, drawn where none are given.
    """
    if not record.is_withdrawn and record.media is None:
        refuse(_KIND, "one that is signed says which media its endpoint takes, or that it takes none")
    require_outlived([tuple(one) for one in (chain, *more_chains)], record.expires_at)
    drawn = secrets.token_bytes(SALT_SIZE) if salt is None else salt
    disclosure = "" if record.media is None else _disclosure(record.media, drawn)
    text = sign_statement(_KIND, _claims(record, disclosure), key, chain, more_chains)
    return SignedRecord.parse(f"{text}{_BETWEEN}{disclosure}{_BETWEEN if disclosure else ''}").token


def latest_expiry(chains: Sequence[Sequence[x509.Certificate]]) -> int:
    """Return when the first of the signer's certificates expires, in seconds since 1970."""
    return min(int(chain[0].not_valid_after_utc.timestamp()) for chain in chains)


def require_app(kind: JwsKind, app: str) -> None:
    """Refuse what is no app's name."""
    if not _APP.fullmatch(app):
        refuse(kind, "app is a domain name such as chat.example or com.example.chat, in lower case")


def require_outlived(chains: Sequence[Chain], expires_at: int) -> None:
    """Refuse a record that would outlive one of the certificates behind it."""
    if all(chains) and chains and expires_at > latest_expiry(chains):
        refuse(_KIND, "exp is not later than the end of the number's certificate, nor of any other that it brings")


def _claims(record: Record, disclosure: str) -> _Claims:
    return _Claims(
        tn=record.number.e164,
        app=record.app,
        seq=record.sequence,
        iat=record.issued_at,
        exp=record.expires_at,
        uris=list(record.uris) or None,
        section=None if record.section is None else encode_base64url(record.section),
        digests=[_digest(disclosure)] if disclosure else None,
    )


def _uris_of(claims: _Claims) -> tuple[str, ...]:
    if claims.uris is None:
        return ()
    if not claims.uris:
        refuse(_KIND, "a withdrawn one has no uris, rather than an empty list")
    return tuple(claims.uris)


def _digest_of(claims: _Claims) -> str | None:
    """Return the digest of the media's disclosure; a record has it if and only if it is not withdrawn."""
    digests = claims.digests
    if (digests is None) != (claims.uris is None) or (digests is not None and len(digests) != 1):
        refuse(_KIND, "_sd is the one digest of its media; a withdrawn one has none (RFC 9901 §4.2.4.1)")
    if digests is None:
        return None
    if len(digests[0]) != _DIGEST_LENGTH:
        refuse(_KIND, "a digest is the SHA-256 of a disclosure, in base64url (RFC 9901 §4.2.3)")
    _base64url("_sd", digests[0])
    return digests[0]


def _disclosed(token: str, digest: str | None) -> frozenset[Medium] | None:
    """Return the media that stand beside the JWS, held to its digest; None where they were left out."""
    match token.split(_BETWEEN)[1:]:
        case [""]:
            return None
        case [disclosure, ""] if disclosure:
            pass
        case _:
            refuse(_KIND, "it is a JWS and ~, or a JWS, ~, the disclosure of its media and ~ (RFC 9901 §4)")
    if digest is None or _digest(disclosure) != digest:
        refuse(_KIND, "the media beside it are not those that were signed")
    return _read_disclosure(disclosure)


def _read_disclosure(disclosure: str) -> frozenset[Medium]:
    """Read a disclosure that has the digest that was signed: its form is the owner's doing."""
    data = _base64url("a disclosure", disclosure)
    try:
        read = msgspec.json.decode(data, type=_Disclosure)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"{_KIND.this}: a disclosure is a salt, the name media, and a list of media (RFC 9901 §4.2.1)"
        raise RecordError(msg) from error
    media = frozenset(read.media)
    salt = _base64url("a salt", read.salt)
    if len(salt) != SALT_SIZE or _disclosure(media, salt) != disclosure:
        refuse(_KIND, "a disclosure is a salt of 16 bytes, the name media, and sorted media, without white space")
    return media


def _disclosure(media: frozenset[Medium], salt: bytes) -> str:
    return encode_base64url(encode([encode_base64url(salt), _MEDIA_CLAIM, sorted(media)]))


def _digest(disclosure: str) -> str:
    return encode_base64url(sha256(disclosure.encode("utf-8", "surrogatepass")).digest())


def _base64url(name: str, text: str) -> bytes:
    try:
        return decode_base64url(text)
    except JwsError as error:
        msg = f"{_KIND.this}: {name} is canonical base64url without padding"
        raise RecordError(msg) from error
