"""What every certificate and request of this profile is held to: sizes, keys, serial numbers, URLs, and one error.

The profile is in docs/reference/certificate-profile.md: `certificate` reads it, `certificate_building` writes it,
`certificate_extensions` does both for each extension.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import SignatureAlgorithmOID

from stir.errors import CertificateProfileError, StirError
from stir.web_url import is_web_url

OID_ARC = "1.2.840.113556.1.8000.2554.5784.1937.2776.20099.43260.15060073.4042889"
"""The arc of this project's own object identifiers: a UUID in parts, which needs no registration.

Each part is below 2^28, as RFC 5280 Appendix B asks: see docs/decisions/0014-object-identifiers-fit-every-reader.md.
"""
LARGEST_CERTIFICATE = 16 * 1024
"""How many bytes of DER a certificate or request may have. A number's certificate has about 700."""
_LARGEST_SERIAL = 2**159 - 1  # 20 octets, the sign bit among them (RFC 5280 §4.1.2.2)
SIGNATURES = frozenset({SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384})
"""The algorithms that sign certificates."""
_CURVE_NAMES: dict[type[ec.EllipticCurve], str] = {ec.SECP256R1: "P-256", ec.SECP384R1: "P-384"}
_FOREIGN_ERRORS = (
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    Warning,  # a program that runs with -W error gets these where `cryptography` tolerates a fault
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@contextmanager
def profile_errors(what: str) -> Iterator[None]:
    """Turn the errors of `cryptography` and of this room's other formats into CertificateProfileError."""
    try:
        yield
    except CertificateProfileError:
        raise
    except StirError as error:
        msg = f"{what} is outside the profile: {error}"
        raise CertificateProfileError(msg) from error
    except _FOREIGN_ERRORS as error:
        msg = f"{what} is malformed"
        raise CertificateProfileError(msg) from error


def require_size(der: bytes) -> bytes:
    """Refuse a certificate or request that is larger than any in use."""
    if len(der) > LARGEST_CERTIFICATE:
        msg = f"certificates and requests have at most {LARGEST_CERTIFICATE} bytes"
        raise CertificateProfileError(msg)
    return der


def require_curve(key: object, *curves: type[ec.EllipticCurve]) -> ec.EllipticCurvePublicKey:
    """Refuse a public key on any other curve."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curves):
        names = " or ".join(_CURVE_NAMES[curve] for curve in curves)
        msg = f"the public key must be on the curve {names}"
        raise CertificateProfileError(msg)
    return key


def require_serial(serial: int) -> int:
    """Refuse a serial number that RFC 5280 §4.1.2.2 does not allow."""
    if not 0 < serial <= _LARGEST_SERIAL:
        msg = "a serial number is positive and has at most 20 octets (RFC 5280 §4.1.2.2)"
        raise CertificateProfileError(msg)
    return serial


def require_web_url(url: object) -> str:
    """Refuse what is no http or https URL."""
    if not is_web_url(url):
        msg = "certificates point to http or https URLs in ASCII"
        raise CertificateProfileError(msg)
    return url
