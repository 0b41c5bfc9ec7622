"""Signed JSON in one line: the compact serialization of a JWS, ES256 alone (RFC 7515, RFC 7518 §3.4).

Each use has a `JwsKind`: its `typ`, its size, and the error that its readers raise. Reading is strict about everything
that two programs could read differently: duplicate keys, base64url that is padded or not canonical, constants that JSON
does not know, `crit`, nesting without end. It is lenient only about the order and spacing of JSON members, which the
signature covers as they stand.

A chain travels in `x5c`, the signer's certificate first. Further chains for the same key, from other authorities,
travel in `x5cs`, a list of such lists, so that a reader finds one that it believes. No standard has `x5cs`: a reader
that does not know it passes over it, as RFC 7515 §4 asks.

`CompactJws.parse` says that a text is well formed, `verify` that a key signed it. Two texts can carry the same valid
statement, for an ECDSA signature has a second form: compare what is stated, never the texts.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, NoReturn, Self, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate import load_certificate
from stir.certificate_chain import LONGEST_CHAIN
from stir.errors import JwsError

ALGORITHM = "ES256"
"""The one `alg` that is read and written."""
LATEST_TIME = 2**53 - 1
"""The latest time, and the largest number, in a statement: what every JSON reader holds exactly (RFC 8259 §6)."""
LARGEST_HEADER = 16 * 1024
"""How many characters a header may have in base64url. With a chain of two certificates it has about 2700."""
MOST_CHAINS = 8
"""How many chains may stand in `x5c` and `x5cs` together."""
DEEPEST = 8
"""How deep JSON may be nested."""
REMEMBERED_HEADERS = 256
"""How many headers are remembered as what they say: at most 8 MB."""
REMEMBERED_CERTIFICATES = 256
"""How many entries of `x5c` are remembered as the certificates that they are: at most 4 MB."""

Chain: TypeAlias = tuple[x509.Certificate, ...]
"""A signer's certificate, then those of the authorities above it."""

_COORDINATE_BYTES = 32  # r and s on P-256 (RFC 7518 §3.4)
_ES256 = ec.ECDSA(Prehashed(hashes.SHA256()))  # `hashlib` hashes the same in half the time
_SIGNATURE_CHARACTERS = 86  # 64 bytes in base64url
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/\0\0\0")
"""From the alphabet of base64url to that of base64; what is only in the latter is in neither then (RFC 4648 §5)."""
_JSON_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = frozenset(b"[{")


@dataclass(frozen=True, slots=True, eq=False)
class JwsKind:
    """One use of a JWS: how messages call it, such as `a PASSporT`, its `typ`, its most characters, and its error."""

    name: str
    typ: str
    longest: int
    error: type[ValueError]

    @property
    def this(self) -> str:
        """How messages call the one that is at hand, such as `the PASSporT`."""
        return f"the {self.name.partition(' ')[2]}"


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A well-formed JWS of a kind, with the chains that it brings, held to no profile yet.

    `header` has passed for `alg`, `typ` and `crit`. `chains` is that of `x5c`, then those of `x5cs`, all for one key;
    empty without `x5c`. Raises the kind's error.
    """

    text: str = field(repr=False)
    kind: JwsKind
    header: Mapping[str, object] = field(init=False, compare=False, repr=False)
    payload: bytes = field(init=False, compare=False, repr=False)
    chains: tuple[Chain, ...] = field(init=False, compare=False, repr=False)
    _signature: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the text."""
        header, payload, signature = _parts(self.text, self.kind)
        set_ = object.__setattr__
        set_(self, "_signature", _decoded(signature, self.kind))
        read = _read_header(header, self.kind)
        set_(self, "header", read.members)
        set_(self, "chains", read.chains)
        set_(self, "payload", _decoded(payload, self.kind))

    @classmethod
    def parse(cls, text: str, kind: JwsKind) -> Self:
        """Read a text in compact serialization; raise the kind's error where it is none."""
        return cls(text, kind)

    def claims(self) -> dict[str, object]:
        """Return the payload as the JSON object that it is; raise the kind's error where it is none."""
        return _json_object(self.payload, "payload", self.kind)

    def verify(self, public_key: ec.EllipticCurvePublicKey) -> None:
        """Check that the P-256 key signed the text; raise the kind's error where it did not (RFC 7518 §3.4)."""
        _require_p256(public_key, self.kind)
        raw = self._signature
        r, s = int.from_bytes(raw[:_COORDINATE_BYTES], "big"), int.from_bytes(raw[_COORDINATE_BYTES:], "big")
        digest = hashlib.sha256(self.text[: -_SIGNATURE_CHARACTERS - 1].encode("ascii")).digest()
        try:
            public_key.verify(encode_dss_signature(r, s), digest, _ES256)
        except InvalidSignature as error:
            msg = f"{self.kind.this} was not signed by the key of its certificate, or was changed since"
            raise self.kind.error(msg) from error


def sign(kind: JwsKind, header: Mapping[str, object], payload: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    """Return the signed text: the same for the same input, as ECDSA is deterministic here (RFC 6979).

    `header` is what it has beside `alg` and `typ`; `key` is on P-256. Raises the kind's error.
    """
    _require_p256(key, kind)
    whole = {"alg": ALGORITHM, "typ": kind.typ, **header}
    signing_input = f"{encode_base64url(canonical_json(whole))}.{encode_base64url(payload)}"
    text = f"{signing_input}.{encode_base64url(_raw_signature(key, signing_input))}"
    _require_size(text, kind)
    return text


def chain_members(
    kind: JwsKind, chain: Sequence[x509.Certificate], more_chains: Sequence[Sequence[x509.Certificate]] = ()
) -> dict[str, object]:
    """Return the header members `x5c` and, where there are more chains, `x5cs`. Raises the kind's error.

    Each chain begins with a certificate of one and the same key.
    """
    chains = [tuple(one) for one in (chain, *more_chains)]
    _require_chains(chains, kind)
    first, *others = ([_certificate_text(certificate) for certificate in one] for one in chains)
    return {"x5c": first, "x5cs": others} if others else {"x5c": first}


def require_key_of(chain: Sequence[x509.Certificate], key: ec.EllipticCurvePrivateKey, kind: JwsKind) -> None:
    """Refuse a chain whose first certificate is another key's (RFC 7515 §4.1.6)."""
    if not chain or chain[0].public_key() != key.public_key():
        msg = "the first certificate of the chain is not one of the signing key"
        raise kind.error(msg)


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys, without white space, in ASCII (RFC 8225 §9)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def encode_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """Read base64url without padding; raise JwsError where it is not the one text of its bytes (RFC 4648 §3.5)."""
    try:
        padded = text.encode("ascii").translate(_TO_BASE64) + _PADDING[len(text) % 4]
        data = binascii.a2b_base64(padded, strict_mode=True)
    except ValueError as error:
        raise JwsError(_NOT_BASE64URL) from error
    tail = len(data) % 3  # only the last group, where it is not full, can be written in several ways
    if tail and encode_base64url(data[-tail:]) != text[-tail - 1 :]:
        raise JwsError(_NOT_BASE64URL)
    return data


_PADDING = (b"", b"===", b"==", b"=")
_NOT_BASE64URL = "this is not canonical base64url without padding (RFC 4648 §3.5)"


# The three parts


def _parts(text: str, kind: JwsKind) -> tuple[str, str, str]:
    _require_size(text, kind)
    match text.split("."):
        case [header, payload, signature] if header and payload and len(signature) == _SIGNATURE_CHARACTERS:
            return header, payload, signature
        case _:
            msg = f"{kind.name} is three base64url parts with dots between, the last of 64 bytes (RFC 7515 §7.1)"
            raise kind.error(msg)


def _require_size(text: str, kind: JwsKind) -> None:
    if len(text) > kind.longest:
        msg = f"{kind.name} has at most {kind.longest} characters"
        raise kind.error(msg)


def _decoded(text: str, kind: JwsKind) -> bytes:
    try:
        return decode_base64url(text)
    except JwsError as error:
        msg = f"the parts of {kind.name} are canonical base64url without padding"
        raise kind.error(msg) from error


def _raw_signature(key: ec.EllipticCurvePrivateKey, signing_input: str) -> bytes:
    """Return r and s, 32 bytes each (RFC 7518 §3.4)."""
    der = key.sign(signing_input.encode("ascii"), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return b"".join(number.to_bytes(_COORDINATE_BYTES, "big") for number in decode_dss_signature(der))


def _require_p256(key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey, kind: JwsKind) -> None:
    if not isinstance(key.curve, ec.SECP256R1):
        msg = f"{kind.name} is signed by a key on P-256 (RFC 7518 §3.4)"
        raise kind.error(msg)


# JSON


class _JsonRefused(Exception):
    """The JSON at hand is refused, and why."""


def _json_object(data: bytes, what: str, kind: JwsKind) -> dict[str, object]:
    if not _is_shallow(data):
        msg = f"{kind.this}'s {what} is nested more than {DEEPEST} deep"
        raise kind.error(msg)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except ValueError as error:
        msg = f"{kind.this}'s {what} is not JSON"
        raise kind.error(msg) from error
    except _JsonRefused as error:
        msg = f"{kind.this}'s JSON has {error}"
        raise kind.error(msg) from error
    if not isinstance(value, dict):
        msg = f"{kind.this}'s {what} is a JSON object"
        raise kind.error(msg)
    return value


def _is_shallow(data: bytes) -> bool:
    """Tell whether brackets are nested at most `DEEPEST` deep; those in strings do not count."""
    if data.count(b"[") + data.count(b"{") <= DEEPEST:
        return True
    depth = 0
    for bracket in _JSON_STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in _OPENING else -1
        if depth > DEEPEST:
            return False
    return True


def _members_once(members: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object with two members of one name: readers differ in which they take (RFC 7515 §4)."""
    found = dict(members)
    if len(found) != len(members):
        msg = "a member name twice in one object"
        raise _JsonRefused(msg)
    return found


def _no_constant(_name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are no JSON."""
    msg = "a number that JSON does not know"
    raise _JsonRefused(msg)


_DECODER = json.JSONDecoder(object_pairs_hook=_members_once, parse_constant=_no_constant)


# The header and its chains


class _Header(NamedTuple):
    members: Mapping[str, object]
    chains: tuple[Chain, ...]


@lru_cache(REMEMBERED_HEADERS)
def _read_header(segment: str, kind: JwsKind) -> _Header:
    """Read a header; whoever signs again sends the same one, and it is read once."""
    if len(segment) > LARGEST_HEADER:
        msg = f"the header of {kind.name} has at most {LARGEST_HEADER} characters"
        raise kind.error(msg)
    members = _json_object(_decoded(segment, kind), "header", kind)
    if members.get("alg") != ALGORITHM:
        msg = f"{kind.name} is signed with {ALGORITHM} (RFC 7518 §3.4)"
        raise kind.error(msg)
    if members.get("typ") != kind.typ:
        msg = f'the typ of {kind.name} is "{kind.typ}" (RFC 7515 §4.1.9)'
        raise kind.error(msg)
    if "crit" in members:
        msg = f"{kind.this} asks for a header extension (crit), and none is understood (RFC 7515 §4.1.11)"
        raise kind.error(msg)
    return _Header(MappingProxyType(members), _read_chains(members, kind))


def _read_chains(members: Mapping[str, object], kind: JwsKind) -> tuple[Chain, ...]:
    """Read the chain of `x5c`, and those of `x5cs` (RFC 7515 §4.1.6)."""
    if "x5c" not in members:
        if "x5cs" in members:
            msg = f"{kind.this} has further chains (x5cs) beside no first one (x5c)"
            raise kind.error(msg)
        return ()
    first = _read_chain(members["x5c"], "x5c", kind)
    if "x5cs" not in members:
        return (first,)
    further = members["x5cs"]
    if not isinstance(further, list) or not 0 < len(further) < MOST_CHAINS:
        msg = f"{kind.this}'s x5cs is a list of 1 to {MOST_CHAINS - 1} chains"
        raise kind.error(msg)
    chains = (first, *(_read_chain(one, "x5cs", kind) for one in further))
    _require_chains(chains, kind)
    return chains


def _read_chain(value: object, what: str, kind: JwsKind) -> Chain:
    """Read one chain: DER in base64, which is not base64url here (RFC 7515 §4.1.6)."""
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        msg = f"{kind.this}'s {what} is a list of one or more strings"
        raise kind.error(msg)
    _require_chain_length(value, kind)
    try:
        return tuple(_read_certificate(text) for text in value)
    except JwsError as error:
        msg = f"an entry of {kind.this}'s {what} is not the base64 of a certificate's DER"
        raise kind.error(msg) from error


@lru_cache(REMEMBERED_CERTIFICATES)
def _read_certificate(text: str) -> x509.Certificate:
    """Read an entry; the authorities' certificates come with every statement, and are parsed once."""
    try:
        der = base64.b64decode(text, validate=True)
        certificate = load_certificate(der)
    except ValueError as error:
        raise JwsError(_NOT_A_CERTIFICATE) from error
    if base64.b64encode(der).decode("ascii") != text:
        raise JwsError(_NOT_A_CERTIFICATE)
    return certificate


_NOT_A_CERTIFICATE = "this is not the base64 of a certificate's DER"


def _certificate_text(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")


def _require_chain_length(chain: Sequence[object], kind: JwsKind) -> None:
    if len(chain) > LONGEST_CHAIN:
        msg = f"{kind.name} brings at most {LONGEST_CHAIN} certificates"
        raise kind.error(msg)


def _require_chains(chains: Sequence[Chain], kind: JwsKind) -> None:
    """Refuse too many chains, and chains of several keys: one signature is one key's."""
    if not all(chains) or len(chains) > MOST_CHAINS:
        msg = f"{kind.name} brings 1 to {MOST_CHAINS} chains, none of them empty"
        raise kind.error(msg)
    for chain in chains:
        _require_chain_length(chain, kind)
    if len(chains) > 1 and not _are_of_one_key(chains):
        msg = f"the chains of {kind.name} are all for one key, the one that signs"
        raise kind.error(msg)


def _are_of_one_key(chains: Sequence[Chain]) -> bool:
    try:
        keys = [chain[0].public_key() for chain in chains]
    except (ValueError, UnsupportedAlgorithm):  # no signature on P-256 is of such a key
        return False
    return all(key == keys[0] for key in keys)
