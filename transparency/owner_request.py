"""What a number's owner asks a log: a JWS that the number's certificate signs (RFC 7515, RFC 7518 §3.4).

The log answers with what stands under the owner's own label, and with nothing else. A request is good at one log shard
(`aud`, its submission URL), for a minute, and once (`jti`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from stir import jws
from stir.jws import LATEST_TIME, CompactJws, JwsKind
from transparency.errors import TransparencyError

TYPE: Final = "tn-log+jwt"
"""The `typ` of such a request."""
MEDIA_TYPE: Final = "application/jose"
"""How it travels in a POST."""
FRESH_SECONDS: Final = 60
"""How far a request's `iat` may be from the log's clock, before or behind."""
LARGEST_REQUEST: Final = 32 * 1024
"""Characters that a request may have. With a chain of two certificates it has about 3000."""

_MEMBERS = frozenset({"alg", "typ", "x5c"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


class OwnerRequestError(TransparencyError):
    """An owner's request that is malformed, or that its certificate's key did not sign."""


_KIND: Final = JwsKind("an owner's request", TYPE, LARGEST_REQUEST, OwnerRequestError)


class Action(StrEnum):
    """What the owner asks for."""

    LIST = "list"
    """The certificates and openings under the number's label."""
    ERASE = "erase"
    """That those of expired certificates be erased."""


@dataclass(frozen=True, slots=True)
class OwnerRequest:
    """What is signed: which log shard, when, which request, and for what. Raises OwnerRequestError.

    `audience` is the shard's submission URL, such as `https://log.example/2027h1`; `issued_at` in seconds since 1970;
    `request_id` 16 to 64 base64url characters that never come again.
    """

    audience: str
    issued_at: int
    request_id: str
    action: Action = Action.LIST

    def __post_init__(self) -> None:
        """Refuse what the format does not allow."""
        if not 0 <= self.issued_at <= LATEST_TIME:
            _refuse("iat is a time in seconds since 1970")
        if not _REQUEST_ID.fullmatch(self.request_id):
            _refuse("jti has 16 to 64 base64url characters")

    def sign(self, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]) -> str:
        """Return the request in compact form, signed by the key of the chain's first certificate."""
        claims = {"act": self.action.value, "aud": self.audience, "iat": self.issued_at, "jti": self.request_id}
        return jws.sign(_KIND, jws.chain_members(_KIND, chain), jws.canonical_json(claims), key)


@dataclass(frozen=True, slots=True)
class SignedOwnerRequest:
    """A well-formed request, with the chain in DER that it brings, the number's certificate first.

    Neither signature nor chain is checked by reading it. Raises OwnerRequestError.
    """

    token: str = field(repr=False)
    request: OwnerRequest = field(init=False)
    chain: tuple[bytes, ...] = field(init=False, repr=False)
    _jws: CompactJws = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the token."""
        read = CompactJws.parse(self.token, _KIND)
        if read.header.keys() != _MEMBERS:
            _refuse("its header has alg, typ and x5c, and nothing else")
        object.__setattr__(self, "_jws", read)
        object.__setattr__(self, "chain", tuple(one.public_bytes(Encoding.DER) for one in read.chains[0]))
        object.__setattr__(self, "request", _read_claims(read.claims()))

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a request in compact form."""
        return cls(token)

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check that the P-256 key signed the request; raise OwnerRequestError if not."""
        self._jws.verify(public_key)


def _read_claims(claims: dict[str, object]) -> OwnerRequest:
    match claims:
        case {"act": str(action), "aud": str(audience), "iat": int(issued_at), "jti": str(request_id)} if (
            claims.keys() == {"act", "aud", "iat", "jti"} and not isinstance(issued_at, bool)
        ):
            pass
        case _:
            _refuse("its claims are act, aud, iat and jti")
    if action not in {*Action}:
        _refuse(f"act is one of {', '.join(Action)}")
    return OwnerRequest(audience, issued_at, request_id, Action(action))


def _refuse(what: str) -> NoReturn:
    msg = f"{_KIND.this}: {what}"
    raise OwnerRequestError(msg)
