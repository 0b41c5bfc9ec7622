"""PASSporT: a number's signed statement about one call or message (RFC 8225, and `msg` of RFC 9475).

A token is a JWS in compact form, ES256, its JSON without white space and with sorted keys. The certificate travels in
the token (`x5c`), or is named by it (`x5u`), or both. Reading is strict about everything that two programs could read
differently: duplicate keys, base64url that is padded or not canonical, fractions, an unknown `ppt`, `crit`. It is
lenient only about the order and spacing of JSON members, which the signature covers as they stand.

`SignedPassport.parse` says that a token is well formed, `verify` that a key signed it. Whether to believe it is the
trust store's question. Two texts can carry the same valid statement (an ECDSA signature has a second form), so compare
`SignedPassport.passport`, never the tokens, to find a repetition.

The parser is our own, over `cryptography`: docs/decisions/0012-passports-are-parsed-here.md says why.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NoReturn, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate import LONGEST_CHAIN, WEB_URL, load_certificate
from stir.errors import PassportError, TelephoneNumberError
from stir.telephone_number import TelephoneNumber

ALGORITHM = "ES256"
"""The one `alg` of this profile (RFC 8225 §4.2)."""
MESSAGE = "msg"
"""The `ppt` of a message (RFC 9475 §3.1)."""
KNOWN_PPTS = frozenset({MESSAGE})
"""The extensions that are understood; a token with another is refused (RFC 8225 §8.1)."""
LARGEST_TOKEN = 16 * 1024
"""How many characters a token may have. With a chain of two certificates it has about 3000."""
REMEMBERED_CERTIFICATES = 256
"""How many entries of `x5c` are remembered as the certificates that they are: at most 4 MB."""

_LATEST_TIME = 2**53 - 1  # what every JSON reader holds exactly (RFC 8259 §6)
_COORDINATE_BYTES = 32  # r and s on P-256 (RFC 7518 §3.4)
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})", re.ASCII)
_CALLED_NUMBER = re.compile(r"[0-9#*]{1,32}", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\x21\x23-\x3b\x3d\x3f-\x7e]+", re.ASCII)  # without " < >
_MESSAGE_INTEGRITY = re.compile(
    r"(sha256)-([A-Za-z0-9+/]{43}=?)|(sha384)-([A-Za-z0-9+/]{64})|(sha512)-([A-Za-z0-9+/]{86}(?:==)?)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Passport:
    """What a PASSporT states: who calls whom, when, and about which message.

    `dest` holds the called numbers as they are dialled in canonical form, 1 to 32 of the characters 0-9 # * (RFC 8224
    §8.3); `dest_uris` the called URIs beside them. Both are kept sorted, each once. `issued_at` is in whole seconds
    since 1970, `message_integrity` the `msgi` that a `msg` PASSporT carries and no other does. Raises PassportError.
    """

    orig: TelephoneNumber
    dest: tuple[str, ...] = field(repr=False)  # full numbers stay out of logs
    issued_at: int
    ppt: str | None = None
    message_integrity: str | None = None
    dest_uris: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse what RFC 8225 §5 and RFC 9475 §3 do not allow; sort the destinations."""
        if not self.dest or not all(_CALLED_NUMBER.fullmatch(number) for number in self.dest):
            msg = "a PASSporT's dest has at least one number, of 1 to 32 of the characters 0-9 # *"
            raise PassportError(msg)
        if not all(_URI.fullmatch(uri) for uri in self.dest_uris):
            msg = "the URIs of a PASSporT's dest are absolute and in ASCII"
            raise PassportError(msg)
        if not 0 <= self.issued_at <= _LATEST_TIME:
            msg = "a PASSporT's iat is a time in seconds since 1970"
            raise PassportError(msg)
        if self.ppt is not None:
            _require_known_ppt(self.ppt)
        _require_message_integrity(self.ppt, self.message_integrity)
        object.__setattr__(self, "dest", tuple(sorted(set(self.dest))))
        object.__setattr__(self, "dest_uris", tuple(sorted(set(self.dest_uris))))

    def is_about(self, body: bytes) -> bool:
        """Tell whether a `msg` PASSporT is about the message `body`, by its `msgi` (RFC 9475 §3.2)."""
        if self.message_integrity is None:
            return False
        name, _, digest = self.message_integrity.partition("-")
        return base64.b64decode(digest + "=" * (-len(digest) % 4)) == hashlib.new(name, body).digest()


@dataclass(frozen=True, slots=True)
class SignedPassport:
    """A well-formed token, with what it states and the certificates that it brings or names.

    `chain` is the `x5c`, the signer's certificate first, not held to any profile yet; empty without one.
    `certificate_url` is the `x5u`, or None. At least one of the two is there. Raises PassportError.
    """

    token: str = field(repr=False)
    passport: Passport = field(init=False, compare=False)
    chain: tuple[x509.Certificate, ...] = field(init=False, compare=False)
    certificate_url: str | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Read the token."""
        header, payload = _segments(self.token)
        set_ = object.__setattr__
        ppt = _read_header_type(header)
        set_(self, "chain", _read_chain(header["x5c"]) if "x5c" in header else ())
        set_(self, "certificate_url", _read_certificate_url(header["x5u"]) if "x5u" in header else None)
        if not self.chain and self.certificate_url is None:
            raise PassportError(_NO_CERTIFICATE)
        set_(self, "passport", _read_passport(payload, ppt))

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a token in compact serialization; raise PassportError where it is not a PASSporT."""
        return cls(token)

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check that the P-256 key signed the token; raise PassportError where it did not (RFC 7518 §3.4)."""
        _require_p256(public_key)
        signing_input, _, signature = self.token.rpartition(".")
        raw = _decoded(signature)
        r, s = (int.from_bytes(raw[at : at + _COORDINATE_BYTES], "big") for at in (0, _COORDINATE_BYTES))
        try:
            public_key.verify(encode_dss_signature(r, s), signing_input.encode("ascii"), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            msg = "the PASSporT was not signed by the key of its certificate, or was changed since"
            raise PassportError(msg) from error


def sign(
    passport: Passport,
    key: ec.EllipticCurvePrivateKey,
    *,
    chain: Sequence[x509.Certificate] = (),
    certificate_url: str | None = None,
) -> str:
    """Return the signed token: the same text for the same input, as ECDSA is deterministic here (RFC 6979).

    `key` is on P-256. `chain` begins with the certificate of `key` and goes into the token, `certificate_url` is where
    it can be fetched; at least one is needed. Raises PassportError.
    """
    _require_p256(key)
    header: dict[str, object] = {"alg": ALGORITHM, "typ": "passport"}
    if passport.ppt is not None:
        header["ppt"] = passport.ppt
    if chain:
        header["x5c"] = _written_chain(chain, key)
    if certificate_url is not None:
        header["x5u"] = _read_certificate_url(certificate_url)
    if not chain and certificate_url is None:
        raise PassportError(_NO_CERTIFICATE)
    signing_input = f"{_encoded(_json(header))}.{_encoded(_json(_claims(passport)))}"
    token = f"{signing_input}.{_encoded(_raw_signature(key, signing_input))}"
    if len(token) > LARGEST_TOKEN:
        raise PassportError(_TOO_LARGE)
    return token


def message_integrity(body: bytes) -> str:
    """Return the `msgi` of a message's MIME body: `sha256-` and the digest in base64 (RFC 9475 §3.2)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")


_NO_CERTIFICATE = "a PASSporT brings its certificate chain (x5c) or says where it is (x5u)"
_TOO_LARGE = f"a PASSporT has at most {LARGEST_TOKEN} characters"


# Writing


def _claims(passport: Passport) -> dict[str, object]:
    dest = {"tn": passport.dest}
    if passport.dest_uris:
        dest["uri"] = passport.dest_uris
    claims: dict[str, object] = {"dest": dest, "iat": passport.issued_at, "orig": {"tn": passport.orig.digits}}
    if passport.message_integrity is not None:
        claims["msgi"] = passport.message_integrity
    return claims


def _json(members: dict[str, object]) -> bytes:
    """Serialize as RFC 8225 §9 says: sorted keys, no white space."""
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")


def _written_chain(chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey) -> list[str]:
    if len(chain) > LONGEST_CHAIN:
        msg = f"a PASSporT brings at most {LONGEST_CHAIN} certificates"
        raise PassportError(msg)
    if chain[0].public_key() != key.public_key():
        msg = "the first certificate of the chain is not one of the signing key"
        raise PassportError(msg)
    return [_certificate_text(certificate) for certificate in chain]


def _certificate_text(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


def _raw_signature(key: ec.EllipticCurvePrivateKey, signing_input: str) -> bytes:
    """Return r and s, 32 bytes each (RFC 7518 §3.4)."""
    der = key.sign(signing_input.encode("ascii"), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(_COORDINATE_BYTES, "big") for number in decode_dss_signature(der))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


# Reading


def _segments(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Return the header and the claims; refuse whatever is not exactly one compact serialization."""
    if len(token) > LARGEST_TOKEN:
        raise PassportError(_TOO_LARGE)
    if token.startswith(".."):
        msg = "this PASSporT is in compact form: ask for the full form, with its header and claims (RFC 8225 §7)"
        raise PassportError(msg)
    match = _COMPACT.fullmatch(token)
    if match is None:
        msg = "a PASSporT is three base64url parts with dots between, the last of 64 bytes (RFC 7515 §7.1)"
        raise PassportError(msg)
    header, payload, signature = match.groups()
    _decoded(signature)
    return _json_object(header, "header"), _json_object(payload, "payload")


def _decoded(text: str) -> bytes:
    """Decode base64url; refuse unused bits that are not 0, which would give one token several texts (RFC 4648 §3.5)."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise PassportError(_NOT_BASE64URL) from error
    tail = len(data) % 3  # only the last group, where it is not full, can be written in several ways
    if tail and _encoded(data[-tail:]) != text[-tail - 1 :]:
        raise PassportError(_NOT_BASE64URL)
    return data


_NOT_BASE64URL = "the parts of a PASSporT are canonical base64url without padding"


def _json_object(segment: str, what: str) -> dict[str, object]:
    data = _decoded(segment)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except PassportError:
        raise
    except (ValueError, RecursionError) as error:
        msg = f"the PASSporT's {what} is not JSON"
        raise PassportError(msg) from error
    return _object(value, what)


def _members_once(members: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object with two members of one name: readers differ in which they take (RFC 7515 §4)."""
    found = dict(members)
    if len(found) != len(members):
        msg = "the PASSporT's JSON has a member name twice in one object"
        raise PassportError(msg)
    return found


def _no_constant(_name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are no JSON."""
    msg = "the PASSporT's JSON has a number that JSON does not know"
    raise PassportError(msg)


_DECODER = json.JSONDecoder(object_pairs_hook=_members_once, parse_constant=_no_constant)


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        msg = f"the PASSporT's {what} is a JSON object"
        raise PassportError(msg)
    return value


def _texts(value: object, what: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        msg = f"the PASSporT's {what} is a list of one or more strings"
        raise PassportError(msg)
    return value


def _read_header_type(header: dict[str, object]) -> str | None:
    """Hold the header to its type and algorithm; return its `ppt`."""
    if header.get("alg") != ALGORITHM:
        msg = f"a PASSporT is signed with {ALGORITHM} (RFC 8225 §4.2)"
        raise PassportError(msg)
    if header.get("typ") != "passport":
        msg = 'the typ of a PASSporT is "passport" (RFC 8225 §4.1)'
        raise PassportError(msg)
    if "crit" in header:
        msg = "the PASSporT asks for a header extension (crit), and none is understood (RFC 7515 §4.1.11)"
        raise PassportError(msg)
    return _require_known_ppt(header["ppt"]) if "ppt" in header else None


def _require_known_ppt(ppt: object) -> str:
    """Refuse an extension that is not understood: verification must fail on it (RFC 8225 §8.1)."""
    if not isinstance(ppt, str) or ppt not in KNOWN_PPTS:
        msg = f"the PASSporT's ppt is not understood here; known are: {', '.join(sorted(KNOWN_PPTS))}"
        raise PassportError(msg)
    return ppt


def _require_message_integrity(ppt: str | None, value: str | None) -> None:
    if (ppt == MESSAGE) != (value is not None):
        msg = "a PASSporT has a msgi claim if, and only if, its ppt is msg (RFC 9475 §3.2)"
        raise PassportError(msg)
    if value is not None and not _MESSAGE_INTEGRITY.fullmatch(value):
        msg = "the PASSporT's msgi is sha256-, sha384- or sha512- and a digest in base64 (RFC 9475 §3.2)"
        raise PassportError(msg)


def _read_chain(value: object) -> tuple[x509.Certificate, ...]:
    """Read an `x5c`: DER in base64, which is not base64url here (RFC 7515 §4.1.6)."""
    texts = _texts(value, "x5c")
    if len(texts) > LONGEST_CHAIN:
        msg = f"a PASSporT brings at most {LONGEST_CHAIN} certificates"
        raise PassportError(msg)
    return tuple(_read_certificate(text) for text in texts)


@lru_cache(REMEMBERED_CERTIFICATES)
def _read_certificate(text: str) -> x509.Certificate:
    """Read an entry; the authorities' certificates come with every call, and are parsed once."""
    try:
        der = base64.b64decode(text, validate=True)
        certificate = load_certificate(der)
    except ValueError as error:
        raise PassportError(_NOT_A_CERTIFICATE) from error
    if base64.b64encode(der).decode("ascii") != text:
        raise PassportError(_NOT_A_CERTIFICATE)
    return certificate


_NOT_A_CERTIFICATE = "an entry of the PASSporT's x5c is not the base64 of a certificate's DER"


def _read_certificate_url(value: object) -> str:
    if not isinstance(value, str) or not WEB_URL.fullmatch(value):
        msg = "the PASSporT's x5u is an http or https URL in ASCII"
        raise PassportError(msg)
    return value


def _read_passport(claims: dict[str, object], ppt: str | None) -> Passport:
    dest = _object(claims.get("dest"), "dest")
    return Passport(
        orig=_read_orig(_object(claims.get("orig"), "orig")),
        dest=tuple(_texts(dest.get("tn"), "dest.tn")),
        issued_at=_read_time(claims.get("iat")),
        ppt=ppt,
        message_integrity=_read_message_integrity(claims["msgi"]) if "msgi" in claims else None,
        dest_uris=tuple(_texts(dest["uri"], "dest.uri")) if "uri" in dest else (),
    )


def _read_orig(orig: dict[str, object]) -> TelephoneNumber:
    """Read the one identity of the caller (RFC 8225 §5.2.1), which is a number here."""
    if "uri" in orig:
        msg = "the PASSporT's orig is a URI; only telephone numbers are certified here"
        raise PassportError(msg)
    digits = orig.get("tn")
    if len(orig) != 1 or not isinstance(digits, str):
        msg = "the PASSporT's orig is exactly one telephone number, the string tn"
        raise PassportError(msg)
    try:
        return TelephoneNumber(digits)
    except TelephoneNumberError as error:
        msg = "the PASSporT's orig.tn is the 7 to 15 digits of an E.164 number, without +"
        raise PassportError(msg) from error


def _read_message_integrity(value: object) -> str:
    if not isinstance(value, str):
        msg = "the PASSporT's msgi is a string"
        raise PassportError(msg)
    return value


def _read_time(value: object) -> int:
    """Read the `iat`, an integer: RFC 8225 §9 leaves no fractions, though RFC 7519 §2 does. True is none."""
    if type(value) is not int:
        msg = "the PASSporT's iat is a whole number of seconds since 1970 (RFC 8225 §9)"
        raise PassportError(msg)
    return value


def _require_p256(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey) -> None:
    if not isinstance(key.curve, ec.SECP256R1):
        msg = "PASSporTs are signed by keys on P-256 (RFC 7518 §3.4)"
        raise PassportError(msg)
