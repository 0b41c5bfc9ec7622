"""The one form of JWS that ACME uses: flattened JSON, one signature, a protected header only (RFC 8555 §6.2).

josepy's own JWS reader answers True for no signatures and believes an embedded key and an unprotected `alg`. So the
envelope is opened here, and josepy reads keys only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from josepy.jwk import JWK

from ca_server.errors import Refusal, RefusalKind
from ca_server.web import jwk as jwks
from serving.strict_json import JsonObject, read_base64url, read_object

_MEMBERS = frozenset({"protected", "payload", "signature"})

KeyMember = Literal["jwk", "kid"]


@dataclass(frozen=True, slots=True, repr=False)
class FlattenedJws:
    """A JWS whose form is right; nobody has checked its signature yet.

    `signed` is the JWS signing input: the texts as they came, so that no second encoding can stand for them.
    """

    header: JsonObject
    signed: bytes
    payload: bytes
    signature: bytes

    @classmethod
    def parse(cls, envelope: JsonObject) -> FlattenedJws:
        """Open a flattened JWS; refuse any other form as malformed, and other algorithms as badSignatureAlgorithm."""
        _check_members(envelope)
        protected, payload = envelope["protected"], envelope["payload"]
        header = read_object(read_base64url(protected, "protected"), "the protected header")
        _check_header(header)
        return cls(
            header=header,
            signed=f"{protected}.{payload}".encode("ascii"),
            payload=read_base64url(payload, "payload"),
            signature=read_base64url(envelope["signature"], "signature"),
        )

    @property
    def key_member(self) -> KeyMember:
        """Which of `jwk` and `kid` names the key; exactly one does."""
        return "kid" if "kid" in self.header else "jwk"

    @property
    def kid(self) -> str:
        """The account URL of a request that `kid` identifies."""
        return _text(self.header, "kid")

    @property
    def jwk(self) -> JWK:
        """The public key of a request that `jwk` identifies; refuses bad ones as badPublicKey."""
        value = self.header["jwk"]
        if not isinstance(value, dict):
            _refuse("the protected header's jwk is not a JSON object")
        return jwks.read_jwk(value)

    @property
    def url(self) -> str:
        """The URL that the client meant (RFC 8555 §6.4)."""
        return _text(self.header, "url")

    def verify(self, key: JWK) -> None:
        """Check that `key` made the signature, by the key's one algorithm."""
        expected = jwks.algorithm_of(key)
        if self.header["alg"] != expected:
            detail = f"this key signs with {expected}, and the request says {self.header['alg']}"
            raise Refusal(RefusalKind.BAD_SIGNATURE_ALGORITHM, detail)
        if not jwks.verifies(key, self.signed, self.signature):
            _refuse("the signature does not verify with the key that the request names")


def _check_members(envelope: JsonObject) -> None:
    """Refuse unprotected headers, several signatures, and whatever else is not a flattened JWS (RFC 8555 §6.2)."""
    if extra := envelope.keys() - _MEMBERS:
        names = ", ".join(sorted(repr(name[:40]) for name in extra))
        _refuse(f"a request is a flattened JWS of protected, payload and signature only; it also has {names}")
    for name in sorted(_MEMBERS):
        _text(envelope, name)


def _check_header(header: JsonObject) -> None:
    algorithm: Any = header.get("alg")
    if algorithm not in jwks.ALGORITHMS:
        detail = f"the protected header's alg is not one of {', '.join(jwks.ALGORITHMS)}"
        raise Refusal(RefusalKind.BAD_SIGNATURE_ALGORITHM, detail)
    for name in ("crit", "b64"):
        if name in header:
            _refuse(f"the protected header's {name} is not understood here")
    if ("jwk" in header) == ("kid" in header):
        _refuse("the protected header has exactly one of jwk and kid (RFC 8555 §6.2)")


def _text(members: JsonObject, name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        _refuse(f"{name} is missing or not a string")
    return value


def _refuse(detail: str) -> NoReturn:
    raise Refusal(RefusalKind.MALFORMED, detail)
