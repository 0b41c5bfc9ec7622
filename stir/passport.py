"""PASSporT: a number's signed statement about one call or message (RFC 8225, and `msg` of RFC 9475).

A token is a JWS in compact form, ES256, its JSON without white space and with sorted keys. The certificate travels in
the token (`x5c`, and further chains for the same key in `x5cs`), or is named by it (`x5u`), or both. Reading is strict
about everything that two programs could read differently: what `stir.jws` refuses, fractions, an unknown `ppt`. It is
lenient only about the order and spacing of JSON members, which the signature covers as they stand.

`SignedPassport.parse` says that a token is well formed, `verify` that a key signed it. Whether to believe it is the
trust store's question. Two texts can carry the same valid statement (an ECDSA signature has a second form), so compare
`SignedPassport.passport`, never the tokens, to find a repetition.

The parser is our own, over `cryptography`: docs/decisions/0012-passports-are-parsed-here.md says why. A verifier that
does not know `x5cs` passes over it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from stir import jws
from stir.errors import PassportError, TelephoneNumberError
from stir.jws import ALGORITHM as ALGORITHM  # noqa: PLC0414  # the one `alg` of this profile, too (RFC 8225 §4.2)
from stir.jws import LATEST_TIME, Chain, CompactJws, JwsKind
from stir.telephone_number import TelephoneNumber
from stir.web_url import is_web_url

MESSAGE = "msg"
"""The `ppt` of a message (RFC 9475 §3.1)."""
KNOWN_PPTS = frozenset({MESSAGE})
"""The extensions that are understood; a token with another is refused (RFC 8225 §8.1)."""
LARGEST_TOKEN = 16 * 1024
"""How many characters a token may have. With a chain of two certificates it has about 3000."""

_KIND = JwsKind("a PASSporT", "passport", LARGEST_TOKEN, PassportError)
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
        if not 0 <= self.issued_at <= LATEST_TIME:
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

    `chains` are the `x5c` and the `x5cs`, each with a certificate of the signer's key first, not held to any profile
    yet; empty without any. `certificate_url` is the `x5u`, or None. At least one of the two is there. Raises
    PassportError.
    """

    token: str = field(repr=False)
    passport: Passport = field(init=False, compare=False)
    chains: tuple[Chain, ...] = field(init=False, compare=False)
    certificate_url: str | None = field(init=False, compare=False)
    _jws: CompactJws = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the token."""
        if self.token.startswith(".."):
            msg = "this PASSporT is in compact form: ask for the full form, with its header and claims (RFC 8225 §7)"
            raise PassportError(msg)
        read = CompactJws.parse(self.token, _KIND)
        set_ = object.__setattr__
        set_(self, "_jws", read)
        set_(self, "chains", read.chains)
        ppt = _require_known_ppt(read.header["ppt"]) if "ppt" in read.header else None
        set_(self, "certificate_url", _read_certificate_url(read.header["x5u"]) if "x5u" in read.header else None)
        if not self.chains and self.certificate_url is None:
            raise PassportError(_NO_CERTIFICATE)
        set_(self, "passport", _read_passport(read.claims(), ppt))

    @classmethod
    def parse(cls, token: str) -> Self:
        """Read a token in compact serialization; raise PassportError where it is not a PASSporT."""
        return cls(token)

    @property
    def chain(self) -> Chain:
        """The chain of `x5c`; empty without one."""
        return self.chains[0] if self.chains else ()

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check that the P-256 key signed the token; raise PassportError where it did not (RFC 7518 §3.4)."""
        self._jws.verify(public_key)


def sign(
    passport: Passport,
    key: ec.EllipticCurvePrivateKey,
    *,
    chain: Sequence[x509.Certificate] = (),
    more_chains: Sequence[Sequence[x509.Certificate]] = (),
    certificate_url: str | None = None,
) -> str:
    """Return the signed token: the same text for the same input, as ECDSA is deterministic here (RFC 6979).

    `key` is on P-256. `chain` begins with the certificate of `key` and goes into the token, as do `more_chains`, from
    other authorities for the same key; `certificate_url` is where it can be fetched. A chain or a URL is needed. Raises
    PassportError.
    """
    header: dict[str, object] = {}
    if passport.ppt is not None:
        header["ppt"] = passport.ppt
    if chain or more_chains:
        header |= jws.chain_members(_KIND, chain, more_chains)
        jws.require_key_of(chain, key, _KIND)
    if certificate_url is not None:
        header["x5u"] = _read_certificate_url(certificate_url)
    if not chain and certificate_url is None:
        raise PassportError(_NO_CERTIFICATE)
    return jws.sign(_KIND, header, jws.canonical_json(_claims(passport)), key)


def message_integrity(body: bytes) -> str:
    """Return the `msgi` of a message's MIME body: `sha256-` and the digest in base64 (RFC 9475 §3.2)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(body).digest()).decode("ascii")


_NO_CERTIFICATE = "a PASSporT brings its certificate chain (x5c) or says where it is (x5u)"


# Writing


def _claims(passport: Passport) -> dict[str, object]:
    dest = {"tn": passport.dest}
    if passport.dest_uris:
        dest["uri"] = passport.dest_uris
    claims: dict[str, object] = {"dest": dest, "iat": passport.issued_at, "orig": {"tn": passport.orig.digits}}
    if passport.message_integrity is not None:
        claims["msgi"] = passport.message_integrity
    return claims


# Reading


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


def _read_certificate_url(value: object) -> str:
    if not is_web_url(value):
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
