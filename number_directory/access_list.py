"""Who may see a number's records: nobody, unless its owner says so.

An owner grants by number, by prefix, by a bearer token that it hands out, or to anyone; for each app on its own, and
for all others by `default`. It may let a record be seen without its media.

Whoever asks holds a set of `Grant`s: those that would admit it. It sees an app if the app's list has one of them. So
the question costs the same whatever the answer is, and a database can ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import ClassVar, Final, Literal, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.errors import AccessListError
from number_directory.record import MOST_APPS, require_app
from number_directory.statement import (
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
from stir.errors import JwsError, TelephoneNumberError
from stir.jws import JwsKind, decode_base64url, encode_base64url
from stir.telephone_number import NumberPrefix, TelephoneNumber

TYPE: Final = "tn-acl+jwt"
"""The `typ` of an access list."""
LARGEST_ACCESS_LIST: Final = 64 * 1024
"""Characters that an access list may have."""
MOST_GRANTS: Final = 1500
"""How many grants an access list may have, for all apps together."""

_KIND = JwsKind("an access list", TYPE, LARGEST_ACCESS_LIST, AccessListError)
_HASH_SIZE = 32
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}", re.ASCII)
_REMEMBERED_CALLERS = 1024


class GrantKind(StrEnum):
    """By what a grant knows whoever asks. The value is the grant's name in JSON."""

    ANYONE = "anyone"
    PREFIX = "prefix"
    NUMBER = "tn"
    TOKEN = "token_sha256"  # noqa: S105  # the name of a kind


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """Lets somebody see a record. Raises AccessListError.

    `value` is a number or prefix such as `+1202`, the base64url of a bearer token's SHA-256, or empty for anyone.
    """

    kind: GrantKind
    value: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse a value that its kind does not have."""
        if not _is_value(self.kind, self.value):
            refuse(_KIND, "a grant is to a number, a prefix, the SHA-256 of a token in base64url, or anyone")

    @classmethod
    def to_number(cls, number: TelephoneNumber) -> Self:
        """Let this number see it."""
        return cls(GrantKind.NUMBER, number.e164)

    @classmethod
    def to_prefix(cls, prefix: NumberPrefix) -> Self:
        """Let all numbers that begin so see it."""
        return cls(GrantKind.PREFIX, prefix.e164)

    @classmethod
    def to_token(cls, token: str) -> Self:
        """Let whoever has this bearer token see it; the directory is told its hash only.

        Raises AccessListError for one that no lookup can show: it would be short enough to be guessed from its hash.
        """
        if not is_token(token):
            refuse(_KIND, "a token has 22 to 128 base64url characters: make one that nobody guesses")
        return cls(GrantKind.TOKEN, encode_base64url(sha256(token.encode("ascii")).digest()))


def is_token(text: str) -> bool:
    """Tell whether a text can be a bearer token: 22 to 128 base64url characters, at best 128 random bits and more."""
    return _TOKEN.fullmatch(text) is not None


def _is_value(kind: GrantKind, value: str) -> bool:
    try:
        match kind:
            case GrantKind.NUMBER:
                TelephoneNumber.parse(value)
            case GrantKind.PREFIX:
                NumberPrefix.parse(value)
            case GrantKind.TOKEN:
                return len(decode_base64url(value)) == _HASH_SIZE
            case _:
                return not value
    except (JwsError, TelephoneNumberError):
        return False
    return True


ANYONE: Final = Grant(GrantKind.ANYONE)
"""Lets everybody see it, who need not say who it is."""


def grants_of(number: TelephoneNumber | None, tokens: Iterable[str] = ()) -> frozenset[Grant]:
    """Return the grants that would admit whoever asks: as this number, None where unsigned, with these tokens."""
    return _grants_of_number(number).union(map(Grant.to_token, tokens))


@lru_cache(_REMEMBERED_CALLERS)
def _grants_of_number(number: TelephoneNumber | None) -> frozenset[Grant]:
    if number is None:
        return frozenset({ANYONE})
    starts = (number.digits[:length] for length in range(1, len(number.digits) + 1))
    return frozenset({ANYONE, Grant.to_number(number), *(Grant.to_prefix(NumberPrefix(start)) for start in starts)})


class Showing(StrEnum):
    """How much somebody may see of an app's record."""

    NOTHING = "nothing"
    RECORD = "record"
    """The record without its media."""
    WITH_MEDIA = "with-media"


@dataclass(frozen=True, slots=True)
class AppAccess:
    """Who may see the record of an app. `media` is who of them may see its media too: None means all of them."""

    allow: frozenset[Grant] = frozenset()
    media: frozenset[Grant] | None = None

    def __post_init__(self) -> None:
        """Refuse to show the media of a record that nobody sees."""
        if not self.allow and self.media is not None:
            refuse(_KIND, "media are shown to those who see the record, and nobody does")

    def shows(self, grants: frozenset[Grant]) -> Showing:
        """Tell how much whoever holds these grants may see; see `grants_of`."""
        if self.allow.isdisjoint(grants):
            return Showing.NOTHING
        if self.media is not None and self.media.isdisjoint(grants):
            return Showing.RECORD
        return Showing.WITH_MEDIA

    @property
    def size(self) -> int:
        """How many grants it has."""
        return len(self.allow) + len(self.media or ())


NOBODY: Final = AppAccess()
"""Lets nobody see it."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """What a number's owner grants: for each of `apps` on its own, for all others by `default`.

    `issued_at` is in seconds since 1970. Raises AccessListError for what no access list says.
    """

    number: TelephoneNumber
    sequence: int
    issued_at: int
    default: AppAccess = NOBODY
    apps: Mapping[str, AppAccess] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse what the format does not allow; keep the apps from changing."""
        require_sequence(_KIND, self.sequence)
        require_time(_KIND, "iat", self.issued_at)
        for app in self.apps:
            require_app(_KIND, app)
        if len(self.apps) > MOST_APPS:
            refuse(_KIND, f"it is about at most {MOST_APPS} apps")
        if sum(access.size for access in (self.default, *self.apps.values())) > MOST_GRANTS:
            refuse(_KIND, f"it has at most {MOST_GRANTS} grants")
        object.__setattr__(self, "apps", MappingProxyType(dict(self.apps)))

    def shows(self, app: str, grants: frozenset[Grant]) -> Showing:
        """Tell how much of an app's record whoever holds these grants may see; see `grants_of`."""
        return self.of_app(app).shows(grants)

    def of_app(self, app: str) -> AppAccess:
        """Return what counts for an app."""
        return self.apps.get(app, self.default)


class _Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A grant as it stands in JSON, where it is not the word `anyone`: exactly one of these."""

    tn: str | None = None
    prefix: str | None = None
    token_sha256: str | None = None


class _Access(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may see an app, as it stands in JSON, where it is not the word `nobody`."""

    allow: list[_Grant | Literal["anyone"]]
    media: list[_Grant | Literal["anyone"]] | None = None


class _Claims(Claims, frozen=True):
    """An access list's claims."""

    tn: str
    seq: int
    iat: int
    default: _Access | Literal["nobody"]
    apps: dict[str, _Access | Literal["nobody"]]


@dataclass(frozen=True, slots=True)
class SignedAccessList(SignedStatement):
    """A well-formed access list. Raises AccessListError."""

    KIND: ClassVar[JwsKind] = _KIND

    access_list: AccessList = field(init=False, compare=False)

    def _take(self, payload: bytes) -> None:
        claims = read_claims(_KIND, payload, _Claims)
        read = AccessList(
            number=read_number(_KIND, "tn", claims.tn),
            sequence=claims.seq,
            issued_at=claims.iat,
            default=_read_access(claims.default),
            apps={app: _read_access(access) for app, access in claims.apps.items()},
        )
        if encode(_claims(read)) != payload:
            refuse(_KIND, "its grants are sorted, each once, and an empty list is the word nobody")
        object.__setattr__(self, "access_list", read)

    @property
    def number(self) -> TelephoneNumber:
        """The number whose records it is about."""
        return self.access_list.number

    @property
    def sequence(self) -> int:
        """Its number among the access lists of this number."""
        return self.access_list.sequence

    @property
    def issued_at(self) -> int:
        """When it was signed, by its own word, in seconds since 1970."""
        return self.access_list.issued_at


def sign_access_list(
    access_list: AccessList,
    key: ec.EllipticCurvePrivateKey,
    chain: Sequence[x509.Certificate],
    more_chains: Sequence[Sequence[x509.Certificate]] = (),
) -> str:
    """Return the signed access list, the same for the same input. Raises AccessListError."""
    return sign_statement(_KIND, _claims(access_list), key, chain, more_chains)


def _claims(access_list: AccessList) -> _Claims:
    return _Claims(
        tn=access_list.number.e164,
        seq=access_list.sequence,
        iat=access_list.issued_at,
        default=_written_access(access_list.default),
        apps={app: _written_access(access) for app, access in access_list.apps.items()},
    )


def _written_access(access: AppAccess) -> _Access | Literal["nobody"]:
    if not access.allow:
        return "nobody"
    return _Access(_written_grants(access.allow), None if access.media is None else _written_grants(access.media))


def _written_grants(grants: frozenset[Grant]) -> list[_Grant | Literal["anyone"]]:
    return [
        "anyone" if grant.kind is GrantKind.ANYONE else _Grant(**{grant.kind.value: grant.value})
        for grant in sorted(grants)
    ]


def _read_access(access: _Access | Literal["nobody"]) -> AppAccess:
    if isinstance(access, str):
        return NOBODY
    media = None if access.media is None else frozenset(map(_read_grant, access.media))
    return AppAccess(frozenset(map(_read_grant, access.allow)), media)


def _read_grant(grant: _Grant | Literal["anyone"]) -> Grant:
    if isinstance(grant, str):
        return ANYONE
    given = msgspec.structs.asdict(grant)
    found = [Grant(GrantKind(kind), value) for kind, value in given.items() if value is not None]
    if len(found) != 1:
        refuse(_KIND, "a grant has one of tn, prefix and token_sha256, or is the word anyone")
    return found[0]
