"""The names by which the user may deny a certificate: SHA-256 over it, and over its public key.

An ECDSA signature (r, s) has a second form, (r, n - s), that anybody can compute and that verifies as well. The bit
string around it can claim that its last bits are unused where they are 0 (X.690 §8.6.2). Each gives the certificate
another SHA-256, so that a deny of the one that was seen would be no deny. A certificate therefore answers to the
fingerprints of both forms, written as DER writes a string of whole octets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_GROUP_ORDERS = (
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,  # P-256
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,  # P-384
)
"""NIST SP 800-186 §3.2.1: the curves that sign certificates here. A certificate alone does not tell its signer's."""

_LONG_FORM = 0x80


def sha256_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's DER, in hexadecimal: what people compare."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def key_sha256_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate's public key (SubjectPublicKeyInfo), in hexadecimal."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).hexdigest()


def all_fingerprints(certificate: x509.Certificate) -> frozenset[str]:
    """Return everything that a deny may call a certificate."""
    return frozenset((sha256_of(certificate), key_sha256_of(certificate), *_of_other_forms(certificate)))


def _of_other_forms(certificate: x509.Certificate) -> Iterator[str]:
    try:
        r, s = decode_dss_signature(certificate.signature)
    except ValueError:  # no ECDSA signature: it verifies in no form
        return
    for form in (s, *(order - s for order in _GROUP_ORDERS if s < order)):
        der = _with_signature(certificate, encode_dss_signature(r, form))
        yield hashlib.sha256(der).hexdigest()


def _with_signature(certificate: x509.Certificate, signature: bytes) -> bytes:
    """Return a certificate's DER with another signature in it (RFC 5280 §4.1)."""
    der, signed = certificate.public_bytes(Encoding.DER), certificate.tbs_certificate_bytes
    algorithm_at = der.index(signed) + len(signed)
    algorithm = der[algorithm_at : len(der) - len(_bit_string(certificate.signature))]
    return _tagged(0x30, signed + algorithm + _bit_string(signature))


def _bit_string(data: bytes) -> bytes:
    return _tagged(0x03, b"\0" + data)


def _tagged(tag: int, content: bytes) -> bytes:
    """Return the DER of a value: tag, length, content (X.690 §8.1)."""
    size = len(content)
    if size < _LONG_FORM:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG_FORM | len(octets))) + octets + content
