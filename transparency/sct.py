"""Signed certificate timestamps: a log's promise, which a certificate carries (RFC 6962 §3, C2SP static-ct-api).

The signature is plain Certificate Transparency, and any of its verifiers can check it. What is ours are two SCT
extensions beside the leaf index: the VRF proof, by which a number is held to its label, and the opening of the leaf's
commitment. From them a verifier makes the sealed entry that the log must show at that index.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID

from stir.telephone_number import TelephoneNumber
from transparency import entry
from transparency.entry import OPENING_SIZE, SealedEntry
from transparency.errors import SctError
from transparency.vrf import PROOF_SIZE, VrfPublicKey

LEAF_INDEX: Final = 0
"""The SCT extension with the entry's place in the log (C2SP static-ct-api)."""
VRF_PROOF: Final = 0xE0
"""The SCT extension with the proof that the entry's label is the number's: ours."""
OPENING: Final = 0xE1
"""The SCT extension with the bytes that open the entry's commitment: ours."""
MOST_SCTS: Final = 16
"""SCTs that a certificate may carry."""

_VERSION = 0
_CERTIFICATE_TIMESTAMP = 0
_PRECERT_ENTRY = 1
_SHA256_WITH_ECDSA = bytes([4, 3])
_HASH_SIZE = 32
_INDEX_SIZE = 5
_LARGEST_INDEX = 2**40 - 1
_LARGEST_TIMESTAMP = 2**63 - 1
_LARGEST_OPAQUE = 2**16 - 1
_LARGEST_TBS = 2**24 - 1
_EXTENSION_SIZES = {LEAF_INDEX: _INDEX_SIZE, VRF_PROOF: PROOF_SIZE, OPENING: OPENING_SIZE}
_FORMAT = frozenset({"sct_version", "id", "timestamp", "extensions", "signature"})


@dataclass(frozen=True, slots=True)
class SctExtensions:
    """What a sealed log's SCT says beyond its time: the leaf's index, the VRF proof and the opening."""

    leaf_index: int
    vrf_proof: bytes
    opening: bytes

    def __post_init__(self) -> None:
        """Refuse what has no encoding."""
        if not 0 <= self.leaf_index <= _LARGEST_INDEX:
            msg = "a leaf's index has 40 bits (C2SP static-ct-api)"
            raise SctError(msg)
        if len(self.vrf_proof) != PROOF_SIZE or len(self.opening) != OPENING_SIZE:
            msg = f"an SCT's VRF proof has {PROOF_SIZE} bytes and its opening {OPENING_SIZE}"
            raise SctError(msg)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an SCT's extensions, in any order; each at most once, and all three of ours (C2SP static-ct-api).

        Extensions of other types are passed over: the log's signature covers them, and they may mean something one day.
        """
        found: dict[int, bytes] = {}
        reader = _Reader(data)
        while reader.rest:
            type_ = reader.number(1)
            value = reader.opaque(2)
            if type_ in found:
                msg = "an SCT has each extension once"
                raise SctError(msg)
            if len(value) != _EXTENSION_SIZES.get(type_, len(value)):
                msg = f"the SCT's extension of type {type_} has the wrong length"
                raise SctError(msg)
            found[type_] = value
        if not found.keys() >= _EXTENSION_SIZES.keys():
            msg = "the SCT lacks a leaf index, a VRF proof or an opening: it is not of a log with sealed entries"
            raise SctError(msg)
        return cls(int.from_bytes(found[LEAF_INDEX], "big"), found[VRF_PROOF], found[OPENING])

    def encode(self) -> bytes:
        """Return the extensions in the order of their types."""
        values = {
            LEAF_INDEX: self.leaf_index.to_bytes(_INDEX_SIZE, "big"),
            VRF_PROOF: self.vrf_proof,
            OPENING: self.opening,
        }
        return b"".join(bytes([type_]) + _opaque(value, 2) for type_, value in values.items())


@dataclass(frozen=True, slots=True)
class SignedCertificateTimestamp:
    """An SCT of version 1 (RFC 6962 §3.2): which log, when, its extensions, and an ECDSA signature with SHA-256.

    `log_id` has 32 bytes, `timestamp_ms` is in milliseconds since 1970, `signature` is a DER ECDSA signature that
    nobody has checked yet. Raises SctError for what has no encoding.
    """

    log_id: bytes
    timestamp_ms: int
    extensions: bytes
    signature: bytes

    def __post_init__(self) -> None:
        """Refuse what has no encoding."""
        if len(self.log_id) != _HASH_SIZE:
            msg = f"a log's identifier has {_HASH_SIZE} bytes"
            raise SctError(msg)
        if not 0 <= self.timestamp_ms <= _LARGEST_TIMESTAMP:
            msg = "an SCT's timestamp is in milliseconds since 1970"
            raise SctError(msg)
        if len(self.extensions) > _LARGEST_OPAQUE or not 0 < len(self.signature) <= _LARGEST_OPAQUE:
            msg = f"an SCT's signature has 1 to {_LARGEST_OPAQUE} bytes, and its extensions have no more"
            raise SctError(msg)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read one SCT as it stands in a list, without checking its signature; an SCT has one encoding."""
        reader = _Reader(data)
        if reader.number(1) != _VERSION:
            msg = "the SCT is not of version 1 (RFC 6962 §3.2)"
            raise SctError(msg)
        log_id, timestamp_ms, extensions = reader.take(_HASH_SIZE), reader.number(8), reader.opaque(2)
        if reader.take(2) != _SHA256_WITH_ECDSA:
            msg = "an SCT of a log with sealed entries is signed with ECDSA and SHA-256"
            raise SctError(msg)
        sct = cls(log_id, timestamp_ms, extensions, reader.opaque(2))
        reader.end()
        return sct

    @classmethod
    def from_response(cls, response: Mapping[str, object]) -> Self:
        """Read a log's answer to add-pre-chain, decoded from JSON (RFC 6962 §4.1)."""
        match response:
            case {
                "sct_version": int(version),
                "id": str(log_id),
                "timestamp": int(timestamp_ms),
                "extensions": str(extensions),
                "signature": str(signature),
            } if response.keys() == _FORMAT and version == _VERSION and bool not in {type(version), type(timestamp_ms)}:
                pass
            case _:
                msg = "a log's answer has sct_version 0, id, timestamp, extensions and signature (RFC 6962 §4.1)"
                raise SctError(msg)
        reader = _Reader(_read_base64(signature))
        if reader.take(2) != _SHA256_WITH_ECDSA:
            msg = "an SCT of a log with sealed entries is signed with ECDSA and SHA-256"
            raise SctError(msg)
        sct = cls(_read_base64(log_id), timestamp_ms, _read_base64(extensions), reader.opaque(2))
        reader.end()
        return sct

    def encode(self) -> bytes:
        """Return the SCT as it stands in a list (RFC 6962 §3.2)."""
        return (
            bytes([_VERSION])
            + self.log_id
            + self.timestamp_ms.to_bytes(8, "big")
            + _opaque(self.extensions, 2)
            + self._signature_struct
        )

    def to_response(self) -> dict[str, str | int]:
        """Return the answer to add-pre-chain, to be encoded as JSON (RFC 6962 §4.1)."""
        return {
            "sct_version": _VERSION,
            "id": base64.b64encode(self.log_id).decode("ascii"),
            "timestamp": self.timestamp_ms,
            "extensions": base64.b64encode(self.extensions).decode("ascii"),
            "signature": base64.b64encode(self._signature_struct).decode("ascii"),
        }

    def verify(self, public_key: ec.EllipticCurvePublicKey, issuer_key_hash: bytes, tbs: bytes) -> None:
        """Check that the log's key signed this SCT for the certificate; raise SctError if not.

        `tbs` is what `tbs_of` returns for the certificate, `issuer_key_hash` what the function of that name returns
        for its issuer.
        """
        if log_id_of(public_key) != self.log_id:
            msg = "the SCT is of another log than this key's"
            raise SctError(msg)
        data = signed_data(issuer_key_hash, tbs, self.timestamp_ms, self.extensions)
        try:
            public_key.verify(self.signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            msg = "the SCT's signature is wrong: the log did not sign it for this certificate"
            raise SctError(msg) from error

    @property
    def _signature_struct(self) -> bytes:
        return _SHA256_WITH_ECDSA + _opaque(self.signature, 2)


def sign_sct(
    key: ec.EllipticCurvePrivateKey, issuer_key_hash: bytes, tbs: bytes, timestamp_ms: int, extensions: SctExtensions
) -> SignedCertificateTimestamp:
    """Return the SCT of a log's P-256 key for a precertificate; the same bytes each time (RFC 6979)."""
    encoded = extensions.encode()
    data = signed_data(issuer_key_hash, tbs, timestamp_ms, encoded)
    signature = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return SignedCertificateTimestamp(log_id_of(key.public_key()), timestamp_ms, encoded, signature)


def signed_data(issuer_key_hash: bytes, tbs: bytes, timestamp_ms: int, extensions: bytes) -> bytes:
    """Return what a log signs for a precertificate: the digitally-signed struct of RFC 6962 §3.2."""
    if len(issuer_key_hash) != _HASH_SIZE or not 0 < len(tbs) <= _LARGEST_TBS:
        msg = f"an SCT is for an issuer's key hash of {_HASH_SIZE} bytes and a certificate of less than 16 MB"
        raise SctError(msg)
    return (
        bytes([_VERSION, _CERTIFICATE_TIMESTAMP])
        + timestamp_ms.to_bytes(8, "big")
        + _PRECERT_ENTRY.to_bytes(2, "big")
        + issuer_key_hash
        + _opaque(tbs, 3)
        + _opaque(extensions, 2)
    )


def sealed_entry(
    sct: SignedCertificateTimestamp,
    vrf_key: VrfPublicKey,
    origin: str,
    number: TelephoneNumber,
    issuer_key_hash: bytes,
    tbs: bytes,
) -> tuple[int, SealedEntry]:
    """Return the index at which the log must show the certificate that an SCT was given for, and the entry there.

    `origin` is the log shard's and `number` the certificate's; `issuer_key_hash` and `tbs` are as for `verify`, which
    checks the SCT's signature. The VRF proof is checked here, for without that a log could file the certificate where
    its number's owner never looks. Raises VrfError where the proof is false, and SctError or EntryError for an SCT that
    no log with sealed entries gives.
    """
    extensions = SctExtensions.decode(sct.extensions)
    label = entry.label(vrf_key.verify(entry.vrf_input(origin, number), extensions.vrf_proof))
    commitment = entry.commitment(extensions.opening, label, tbs)
    return extensions.leaf_index, SealedEntry(sct.timestamp_ms, label, issuer_key_hash, commitment)


def encode_sct_list(scts: Iterable[SignedCertificateTimestamp]) -> bytes:
    """Return the SignedCertificateTimestampList that a certificate's extension holds (RFC 6962 §3.3)."""
    encoded = [_opaque(sct.encode(), 2) for sct in scts]
    if not 0 < len(encoded) <= MOST_SCTS:
        msg = f"a certificate carries 1 to {MOST_SCTS} SCTs"
        raise SctError(msg)
    return _opaque(b"".join(encoded), 2)


def decode_sct_list(data: bytes) -> tuple[SignedCertificateTimestamp, ...]:
    """Read a SignedCertificateTimestampList (RFC 6962 §3.3)."""
    return tuple(SignedCertificateTimestamp.decode(sct) for sct in split_sct_list(data))


def split_sct_list(data: bytes) -> tuple[bytes, ...]:
    """Return the SCTs of a list as they stand there, unread: some may be of logs or versions that nobody here knows."""
    reader = _Reader(data)
    items = _Reader(reader.opaque(2))
    reader.end()
    scts: list[bytes] = []
    while items.rest and len(scts) <= MOST_SCTS:
        scts.append(items.opaque(2))
    if not 0 < len(scts) <= MOST_SCTS:
        msg = f"a certificate carries 1 to {MOST_SCTS} SCTs"
        raise SctError(msg)
    return tuple(scts)


def log_id_of(public_key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a log's identifier: the SHA-256 of its key's SubjectPublicKeyInfo (RFC 6962 §3.2)."""
    return sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def issuer_key_hash(issuer: x509.Certificate) -> bytes:
    """Return the SHA-256 of an issuer's SubjectPublicKeyInfo (RFC 6962 §3.2)."""
    return sha256(issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def tbs_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's or precertificate's TBS without the poison and the SCT list (RFC 6962 §3.2).

    It is the same for the two, and so what a log's SCT and commitment are of. Raises SctError where both are there.
    """
    fields = _content(certificate.tbs_certificate_bytes)
    tagged = list(_elements(fields))[-1]
    if tagged[0] != _EXTENSIONS:  # a certificate of version 1 or 2 has none
        return certificate.tbs_certificate_bytes
    extensions = list(_elements(_content(_content(tagged))))
    kept = [extension for extension in extensions if not _content(extension).startswith(_LOGGING)]
    if len(kept) < len(extensions) - 1:
        msg = "a certificate has a poison or an SCT list, not both (RFC 6962 §3.2)"
        raise SctError(msg)
    before = fields[: len(fields) - len(tagged)]
    return _element(_SEQUENCE, before + _element(_EXTENSIONS, _element(_SEQUENCE, b"".join(kept))))


# Distinguished Encoding Rules, as far as taking an extension out of a certificate needs them (X.690 §8.1, §10.1). The
# certificate was parsed by `cryptography` before: every length is right, and in its one form.

_SEQUENCE = 0x30
_EXTENSIONS = 0xA3  # [3] of TBSCertificate (RFC 5280 §4.1)
_LONG_FORM = 0x80


def _elements(data: bytes) -> Iterator[bytes]:
    """Yield the whole encoding of each element."""
    start = 0
    while start < len(data):
        _, end = _bounds(data, start)
        yield data[start:end]
        start = end


def _content(element: bytes) -> bytes:
    begin, end = _bounds(element, 0)
    return element[begin:end]


def _bounds(data: bytes, start: int) -> tuple[int, int]:
    """Return where the content of the element at `start` begins and ends."""
    begin = start + 2
    length = data[start + 1]
    if length >= _LONG_FORM:
        size = length - _LONG_FORM
        begin, length = begin + size, int.from_bytes(data[begin : begin + size], "big")
    return begin, begin + length


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < _LONG_FORM:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, _LONG_FORM + len(octets)]) + octets + content


# What logging leaves in a certificate: the poison and the SCT list (RFC 6962 §3.1, §3.3).
_LOGGING = tuple(
    asn1.encode_der(oid) for oid in (ExtensionOID.PRECERT_POISON, ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS)
)


# The presentation language of TLS (RFC 5246 §4), as SCTs use it


class _Reader:
    """Takes values from the front of a byte string."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start = 0

    @property
    def rest(self) -> int:
        """How many bytes were not taken yet."""
        return len(self._data) - self._start

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        if size > self.rest:
            msg = "the SCT ends too early"
            raise SctError(msg)
        start, self._start = self._start, self._start + size
        return self._data[start : self._start]

    def number(self, size: int) -> int:
        """Return a big-endian number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def opaque(self, size: int) -> bytes:
        """Return the bytes after a length of `size` bytes."""
        return self.take(self.number(size))

    def end(self) -> None:
        """Refuse bytes that were not taken."""
        if self.rest:
            msg = "something follows the SCT"
            raise SctError(msg)


def _opaque(data: bytes, size: int) -> bytes:
    try:
        return len(data).to_bytes(size, "big") + data
    except OverflowError as error:
        msg = "the SCTs are too large"
        raise SctError(msg) from error


def _read_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "a log's answer holds standard base64 (RFC 6962 §4.1)"
        raise SctError(msg) from error
    if base64.b64encode(data).decode("ascii") != text:
        msg = "the base64 of a log's answer has bits that stand for nothing (RFC 4648 §3.5)"
        raise SctError(msg)
    return data
