"""The public keys that sign ACME requests, as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2).

josepy reads RSA and EC keys, lets a private key pass for a public one, and knows no Ed25519: what may enter is decided
here, before it sees a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from josepy.jwk import JWK, JWKEC, JWKRSA

from ca_server.errors import Refusal, RefusalKind
from serving.strict_json import JsonObject, read_base64url, read_object, write_base64url

ALGORITHMS = ("ES256", "ES384", "EdDSA", "RS256")
"""What a request may be signed with (RFC 8555 §6.2 asks for ES256 at least)."""

SMALLEST_RSA_BITS = 2048
LARGEST_RSA_BITS = 4096

_SMALLEST_RSA_EXPONENT = 65537
_LARGEST_RSA_EXPONENT = 2**32
_ED25519_BYTES = 32
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_CURVES: Mapping[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}
_SHA256 = hashes.SHA256()
_ECDSA: Mapping[str, ec.ECDSA] = {"ES256": ec.ECDSA(_SHA256), "ES384": ec.ECDSA(hashes.SHA384())}


class JWKOKP(JWK):
    """An Ed25519 public key as a JWK (RFC 8037 §2)."""

    typ = "OKP"
    __slots__ = ("key",)
    cryptography_key_types = (Ed25519PublicKey,)
    required = ("crv", JWK.type_field_name, "x")
    key: Ed25519PublicKey

    def public_key(self) -> JWKOKP:
        """Return the key itself, which is public."""
        return self

    def fields_to_partial_json(self) -> dict[str, Any]:
        """Return the members that make up the key."""
        return {"crv": "Ed25519", "x": write_base64url(self.key.public_bytes_raw())}

    @classmethod
    def fields_from_json(cls, jobj: Mapping[str, Any]) -> JWKOKP:
        """Read the members that make up the key."""
        return cls(key=_ed25519_key(dict(jobj)))


def read_jwk(jwk: JsonObject) -> JWK:
    """Return the public key that a `jwk` header member spells out; refuse others as badPublicKey (RFC 8555 §6.2).

    Taken are RSA keys of 2048 to 4096 bits, EC keys on P-256 and P-384, and Ed25519 keys. Members that say nothing of
    the key's value are ignored (RFC 7517 §4); private members are refused, because a key that travels is no secret.
    """
    if private := _PRIVATE_MEMBERS & jwk.keys():
        _refuse(f"the JWK holds private members ({', '.join(sorted(private))}); use another key and keep it private")
    try:
        return _read_by_type(jwk)
    except ValueError as error:
        raise Refusal(RefusalKind.BAD_PUBLIC_KEY, "the JWK's numbers form no key of its type") from error


def read_jwk_text(text: str) -> JWK:
    """Return the public key of a JWK in JSON."""
    return read_jwk(read_object(text.encode("utf-8"), "the JWK"))


def algorithm_of(jwk: JWK) -> str:
    """Return the one algorithm that the key signs with."""
    if jwk.typ != JWKEC.typ:
        return "RS256" if jwk.typ == JWKRSA.typ else "EdDSA"
    return "ES256" if jwk.key.curve.key_size == _CURVES["P-256"].key_size else "ES384"


def verifies(jwk: JWK, signed: bytes, signature: bytes) -> bool:
    """Tell whether the key made the signature (RFC 7518 §3, RFC 8037 §3.1)."""
    try:
        match algorithm_of(jwk):
            case "EdDSA":
                jwk.key.verify(signature, signed)
            case "RS256":
                jwk.key.verify(signature, signed, padding.PKCS1v15(), _SHA256)
            case algorithm:
                jwk.key.verify(_in_der(signature, jwk.key.curve.key_size), signed, _ECDSA[algorithm])
    except InvalidSignature:
        return False
    return True


def _in_der(signature: bytes, bits: int) -> bytes:
    """Return an ECDSA signature as ASN.1 has it, from the two numbers side by side that a JWS has (RFC 7518 §3.4)."""
    size = (bits + 7) // 8
    if len(signature) != 2 * size:
        raise InvalidSignature
    return encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))


def _read_by_type(jwk: JsonObject) -> JWK:
    match jwk.get("kty"):
        case "EC":
            return JWKEC(key=_ec_key(jwk))
        case "RSA":
            return JWKRSA(key=_rsa_key(jwk))
        case "OKP":
            return JWKOKP(key=_ed25519_key(jwk))
        case _:
            raise Refusal(RefusalKind.BAD_PUBLIC_KEY, "the JWK's kty is not one of EC, RSA, OKP")


def _ec_key(jwk: JsonObject) -> ec.EllipticCurvePublicKey:
    curve = _CURVES.get(_text(jwk, "crv"))
    if curve is None:
        _refuse("the JWK's curve is neither P-256 nor P-384")
    size = (curve.key_size + 7) // 8
    x, y = (_integer(jwk, name, size) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, curve).public_key()


def _rsa_key(jwk: JsonObject) -> rsa.RSAPublicKey:
    modulus, exponent = _integer(jwk, "n"), _integer(jwk, "e")
    if not SMALLEST_RSA_BITS <= modulus.bit_length() <= LARGEST_RSA_BITS:
        _refuse(f"an RSA key has {SMALLEST_RSA_BITS} to {LARGEST_RSA_BITS} bits")
    if not (_SMALLEST_RSA_EXPONENT <= exponent < _LARGEST_RSA_EXPONENT and exponent % 2 and modulus % 2):
        _refuse("an RSA key has an odd modulus and an odd exponent from 65537 to 4294967295")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _ed25519_key(jwk: JsonObject) -> Ed25519PublicKey:
    if _text(jwk, "crv") != "Ed25519":
        _refuse("the JWK's curve is not Ed25519")
    return Ed25519PublicKey.from_public_bytes(_bytes(jwk, "x", _ED25519_BYTES))


def _integer(jwk: JsonObject, name: str, size: int | None = None) -> int:
    """Read a Base64urlUInt, or a coordinate of `size` bytes (RFC 7518 §2, §6.2.1.2)."""
    data = _bytes(jwk, name, size)
    if size is None and data.startswith(b"\0"):
        _refuse(f"the JWK's {name} has leading zero bytes (RFC 7518 §2)")
    return int.from_bytes(data, "big")


def _bytes(jwk: JsonObject, name: str, size: int | None) -> bytes:
    try:
        data = read_base64url(_text(jwk, name), f"the JWK's {name}")
    except Refusal as refusal:
        raise Refusal(RefusalKind.BAD_PUBLIC_KEY, refusal.detail) from refusal
    if size is not None and len(data) != size:
        _refuse(f"the JWK's {name} is {len(data)} bytes long, not {size}")
    return data


def _text(jwk: JsonObject, name: str) -> str:
    value = jwk.get(name)
    if not isinstance(value, str):
        _refuse(f"the JWK has no {name}, or it is not a string")
    return value


def _refuse(detail: str) -> NoReturn:
    raise Refusal(RefusalKind.BAD_PUBLIC_KEY, detail)
