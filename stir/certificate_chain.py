"""A chain of certificates as PEM: the number's first, each followed by its issuer (RFC 8555 §9.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate_profile import LARGEST_CERTIFICATE, profile_errors
from stir.errors import CertificateProfileError

LONGEST_CHAIN = 10
"""How many certificates a chain may hold. Paths in use have two or three."""
_PEM_CHAIN = re.compile(
    rb"(?:-----BEGIN CERTIFICATE-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n)+-----END CERTIFICATE-----(?:(?:\r?\n)+|\Z))+"
)


def read_pem_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Read a chain of 1 to 10 certificates, leaf first, with no other text in it (RFC 8555 §9.1).

    Certificates are not held to the profile here. Raises CertificateProfileError.
    """
    if len(pem) > LONGEST_CHAIN * LARGEST_CERTIFICATE:
        msg = "the certificate chain is too large"
        raise CertificateProfileError(msg)
    if not _PEM_CHAIN.fullmatch(pem):
        msg = "a certificate chain is PEM certificates one after the other, with no other text (RFC 8555 §9.1)"
        raise CertificateProfileError(msg)
    with profile_errors("the certificate chain"):
        chain = tuple(x509.load_pem_x509_certificates(pem))
    if len(chain) > LONGEST_CHAIN:
        msg = f"a certificate chain has at most {LONGEST_CHAIN} certificates"
        raise CertificateProfileError(msg)
    return chain


def write_pem_chain(chain: Iterable[x509.Certificate]) -> bytes:
    """Return the certificates as PEM in the order given, which is leaf first (RFC 8555 §9.1)."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)
