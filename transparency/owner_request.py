"""What a number's owner asks a log: a JWS that the number's certificate signs (RFC 7515, RFC 7518 §3.4).

The log answers with what stands under the owner's own label, and with nothing else. A request is good at one log shard
(`aud`, its submission URL), for a minute, and once (`jti`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NoReturn, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate_chain import LONGEST_CHAIN
from transparency.errors import TransparencyError

TYPE: Final = "tn-log+jwt"
"""The `typ` of such a request."""
MEDIA_TYPE: Final = "application/jose"
"""How it travels in a POST."""
FRESH_SECONDS: Final = 60
"""How far a request's `iat` may be from the log's clock, before or behind."""
LARGEST_REQUEST: Final = 32 * 1024
"""Characters that a request may have. With a chain of two certificates it has about 3000."""

_ALGORITHM = "ES256"
_COORDINATE_SIZE = 32
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)
_LATEST_TIME = 2**53 - 1
_DEEPEST = 8


class OwnerRequestError(TransparencyError):
    """An owner's request that is malformed, or that its certificate's key did not sign."""


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
        if not 0 <= self.issued_at <= _LATEST_TIME:
            _refuse("iat is a time in seconds since 1970")
        if not _REQUEST_ID.fullmatch(self.request_id):
            _refuse("jti has 16 to 64 base64url characters")

    def sign(self, key: ec.EllipticCurvePrivateKey, chain: Sequence[x509.Certificate]) -> str:
        """Return the request in compact form, signed by the key of the chain's first certificate."""
        x5c = [base64.b64encode(one.public_bytes(Encoding.DER)).decode("ascii") for one in chain]
        header = {"alg": _ALGORITHM, "typ": TYPE, "x5c": x5c}
        claims = {"act": self.action.value, "aud": self.audience, "iat": self.issued_at, "jti": self.request_id}
        signed = f"{_encode_json(header)}.{_encode_json(claims)}"
        r, s = decode_dss_signature(
            key.sign(signed.encode("ascii"), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        )
        signature = r.to_bytes(_COORDINATE_SIZE, "big") + s.to_bytes(_COORDINATE_SIZE, "big")
        return f"{signed}.{_encode(signature)}"


@dataclass(frozen=True, slots=True)
class SignedOwnerRequest:
    """A well-formed request, with the chain in DER that it brings, the number's certificate first.

    Neither signature nor chain is checked by reading it. Raises OwnerRequestError.
    """

    token: str = field(repr=False)
    request: OwnerRequest = field(init=False)
    chain: tuple[bytes, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the token."""
        match = _COMPACT.fullmatch(self.token) if len(self.token) <= LARGEST_REQUEST else None
        if match is None:
            _refuse("it is three base64url parts with dots between them (RFC 7515 §7.1)")
        header, claims = _decode_json(match[1], "header"), _decode_json(match[2], "claims")
        object.__setattr__(self, "chain", _read_header(header))
        object.__setattr__(self, "request", _read_claims(claims))

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a request in compact form."""
        return cls(token)

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check that the P-256 key signed the request; raise OwnerRequestError if not."""
        signed, _, signature = self.token.rpartition(".")
        raw = _decode(signature)
        r, s = (int.from_bytes(raw[at : at + _COORDINATE_SIZE], "big") for at in (0, _COORDINATE_SIZE))
        try:
            public_key.verify(encode_dss_signature(r, s), signed.encode("ascii"), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            msg = "the owner's request was not signed by the key of its certificate, or was changed since"
            raise OwnerRequestError(msg) from error


def _read_header(header: dict[str, Any]) -> tuple[bytes, ...]:
    match header:
        case {"alg": "ES256", "typ": "tn-log+jwt", "x5c": [*chain]} if header.keys() == {"alg", "typ", "x5c"}:
            pass
        case _:
            _refuse(f"its header has alg {_ALGORITHM}, typ {TYPE} and x5c, and nothing else")
    if not 0 < len(chain) <= LONGEST_CHAIN or not all(isinstance(one, str) for one in chain):
        _refuse(f"x5c has 1 to {LONGEST_CHAIN} certificates")
    try:
        return tuple(base64.b64decode(one, validate=True) for one in chain)
    except ValueError as error:
        msg = "the owner's request: x5c holds certificates in base64 (RFC 7515 §4.1.6)"
        raise OwnerRequestError(msg) from error


def _read_claims(claims: dict[str, Any]) -> OwnerRequest:
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


def _encode_json(value: dict[str, Any]) -> str:
    return _encode(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        msg = "the owner's request is not in base64url"
        raise OwnerRequestError(msg) from error
    if _encode(data) != text:
        _refuse("its base64url has bits that stand for nothing (RFC 4648 §3.5)")
    return data


def _decode_json(text: str, what: str) -> dict[str, Any]:
    data = _decode(text)
    if data.count(b"[") + data.count(b"{") > _DEEPEST:
        _refuse(f"its {what} is nested")
    try:
        value = json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_refuse)
    except ValueError as error:
        msg = f"the owner's request: its {what} is no JSON object in UTF-8, or names a member twice"
        raise OwnerRequestError(msg) from error
    if not isinstance(value, dict):
        _refuse(f"its {what} is no JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        msg = "a member is named twice"
        raise ValueError(msg)
    return members


def _refuse(what: str) -> NoReturn:
    msg = f"the owner's request: {what}"
    raise OwnerRequestError(msg)
