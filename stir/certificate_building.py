"""The certificates and precertificates of a telephone number and of the authorities above it, as builders.

Builders are unsigned, because the key may live in a token.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stir.certificate import AuthorityCertificate
from stir.certificate_extensions import (
    AUTHORITY_KEY_USAGE,
    LEAF_EXTENDED_KEY_USAGE,
    LEAF_KEY_USAGE,
    NO_AUTHORITY,
    write_ca_issuers_url,
    write_crl_url,
    write_issuer_key_identifier,
    write_name_constraints,
    write_names,
    write_sct_list,
    write_tn_auth_list,
    write_validation_method,
)
from stir.certificate_profile import require_curve, require_serial, require_web_url
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod

_ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")
_EMPTY_NAME = x509.Name([])
_LONGEST_NAME = 64


@dataclass(frozen=True, slots=True)
class NumberCertificateFields:
    """What differs from one number's certificate to the next.

    `public_key` is on P-256, `serial` positive and of at most 20 octets. The times are aware; parts of a second are
    dropped, as X.509 has none. Raises CertificateProfileError.
    """

    number: TelephoneNumber
    public_key: ec.EllipticCurvePublicKey
    serial: int
    not_before: datetime
    not_after: datetime
    validation: ValidationMethod
    ca_issuers_url: str
    crl_url: str

    def __post_init__(self) -> None:
        """Refuse what the profile has no place for."""
        require_curve(self.public_key, ec.SECP256R1)
        require_serial(self.serial)
        _require_life(self.not_before, self.not_after)
        require_web_url(self.ca_issuers_url)
        require_web_url(self.crl_url)


@dataclass(frozen=True, slots=True)
class AuthorityFields:
    """What differs from one authority's certificate to the next.

    With `prefixes` the authority may speak only for numbers that begin with one of them. `path_length` is the number
    of authorities that may follow below it, None without a limit. The key is on P-256 or P-384. Raises
    CertificateProfileError.
    """

    common_name: str
    organization: str
    public_key: ec.EllipticCurvePublicKey
    serial: int
    not_before: datetime
    not_after: datetime
    prefixes: tuple[NumberPrefix, ...] = ()
    path_length: int | None = None
    ca_issuers_url: str | None = None
    crl_url: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the profile has no place for."""
        require_curve(self.public_key, ec.SECP256R1, ec.SECP384R1)
        require_serial(self.serial)
        _require_life(self.not_before, self.not_after)
        if self.path_length is not None and self.path_length < 0:
            msg = "an authority's path length is 0 or more"
            raise CertificateProfileError(msg)
        for url in (self.ca_issuers_url, self.crl_url):
            if url is not None:
                require_web_url(url)
        _require_name(self.common_name)
        _require_name(self.organization)

    @property
    def numbers(self) -> TnAuthList | None:
        """The numbers that the authority may speak for; None means all."""
        return TnAuthList.for_prefixes(self.prefixes) if self.prefixes else None


def number_certificate(
    fields: NumberCertificateFields, issuer: x509.Certificate, sct_list: bytes | None = None
) -> x509.CertificateBuilder:
    """Return the unsigned certificate of a number, issued by the authority `issuer`.

    `sct_list` is the TLS-encoded SignedCertificateTimestampList that logs gave for the precertificate of the same
    fields (RFC 6962 §3.3). Sign with `builder.sign(key, signature_hash(key), ecdsa_deterministic=True)`. Raises
    CertificateProfileError where the issuer is no authority or not one for this number.
    """
    builder = _unlogged_certificate(fields, issuer)
    return builder if sct_list is None else builder.add_extension(write_sct_list(sct_list), critical=False)


def precertificate(fields: NumberCertificateFields, issuer: x509.Certificate) -> x509.CertificateBuilder:
    """Return the unsigned precertificate of a number, to be shown to logs; it is no certificate (RFC 6962 §3.1).

    But for its critical poison and the SCT list, its TBS is that of the certificate of the same fields. Sign it as
    `number_certificate` says, which also tells the errors.
    """
    return _unlogged_certificate(fields, issuer).add_extension(x509.PrecertPoison(), critical=True)


def authority_certificate(fields: AuthorityFields, issuer: x509.Certificate | None) -> x509.CertificateBuilder:
    """Return the unsigned certificate of an authority, issued by another or, with None, by itself as a root.

    Sign it with `builder.sign(key, signature_hash(key), ecdsa_deterministic=True)`. Raises CertificateProfileError
    where the issuer may not issue it: an authority's numbers are among its issuer's (RFC 9060 §4.1).
    """
    name = _authority_name(fields)
    if issuer is not None:
        _require_may_delegate(AuthorityCertificate.read(issuer), fields)
    return _builder(fields, name, name if issuer is None else issuer.subject, _authority_extensions(fields, issuer))


def signature_hash(
    key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey,
) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash that an authority's key signs with: SHA-256 on P-256, SHA-384 on P-384 (RFC 5480 §4)."""
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()


def _unlogged_certificate(fields: NumberCertificateFields, issuer: x509.Certificate) -> x509.CertificateBuilder:
    authority, key_identifier = _read_issuer(issuer)
    if authority.numbers is not None and not authority.numbers.covers_number(fields.number):
        msg = f"the issuing authority is not one for {fields.number.masked}"
        raise CertificateProfileError(msg)
    return _builder(fields, _EMPTY_NAME, issuer.subject, _number_extensions(fields, key_identifier))


@lru_cache(maxsize=16)
def _read_issuer(issuer: x509.Certificate) -> tuple[AuthorityCertificate, x509.AuthorityKeyIdentifier]:
    """Read an issuer's certificate, the same one for thousands of numbers."""
    return AuthorityCertificate.read(issuer), write_issuer_key_identifier(issuer)


def _builder(
    fields: NumberCertificateFields | AuthorityFields,
    subject: x509.Name,
    issuer: x509.Name,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(
            extensions=[x509.Extension(value.oid, critical, value) for value, critical in extensions]
        )
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(fields.public_key)
        .serial_number(fields.serial)
        .not_valid_before(fields.not_before.replace(microsecond=0))
        .not_valid_after(fields.not_after.replace(microsecond=0))
    )


def _number_extensions(
    fields: NumberCertificateFields, issuer: x509.AuthorityKeyIdentifier
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield the extensions of a number's certificate, each with whether it is critical."""
    yield NO_AUTHORITY, True
    yield LEAF_KEY_USAGE, True
    yield LEAF_EXTENDED_KEY_USAGE, False
    yield write_names(fields.number), True  # the subject is empty (RFC 5280 §4.2.1.6)
    yield write_tn_auth_list(TnAuthList.for_number(fields.number)), False
    yield x509.SubjectKeyIdentifier.from_public_key(fields.public_key), False
    yield issuer, False
    yield write_validation_method(fields.validation), False
    yield write_crl_url(fields.crl_url), False
    yield write_ca_issuers_url(fields.ca_issuers_url), False


def _authority_extensions(
    fields: AuthorityFields, issuer: x509.Certificate | None
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield the extensions of an authority's certificate, each with whether it is critical."""
    own_identifier = x509.SubjectKeyIdentifier.from_public_key(fields.public_key)
    yield x509.BasicConstraints(ca=True, path_length=fields.path_length), True
    yield AUTHORITY_KEY_USAGE, True
    yield own_identifier, False
    if issuer is None:
        yield x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_identifier), False
    else:
        yield write_issuer_key_identifier(issuer), False
        # Without it no policy of the leaf survives path validation (RFC 5280 §6.1.3); a root is not part of the path.
        yield x509.CertificatePolicies([x509.PolicyInformation(_ANY_POLICY, None)]), False
    if fields.numbers is not None:
        yield write_tn_auth_list(fields.numbers), False
        yield write_name_constraints(fields.prefixes), True  # critical (RFC 5280 §4.2.1.10)
    if fields.crl_url is not None:
        yield write_crl_url(fields.crl_url), False
    if fields.ca_issuers_url is not None:
        yield write_ca_issuers_url(fields.ca_issuers_url), False


def _authority_name(fields: AuthorityFields) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, fields.organization),
            x509.NameAttribute(NameOID.COMMON_NAME, fields.common_name),
        ]
    )


def _require_may_delegate(issuer: AuthorityCertificate, fields: AuthorityFields) -> None:
    if issuer.path_length == 0:
        msg = "the issuing authority's path length is 0: it issues certificates of numbers only"
        raise CertificateProfileError(msg)
    if issuer.numbers is None:
        return
    if fields.numbers is None or not issuer.numbers.covers(fields.numbers):
        msg = "an authority's number prefixes are among those of the authority that issues it"
        raise CertificateProfileError(msg)


def _require_life(not_before: datetime, not_after: datetime) -> None:
    if not_before.tzinfo is None or not_after.tzinfo is None:
        msg = "a certificate's times are aware of their time zone"
        raise CertificateProfileError(msg)
    if not_before >= not_after:
        msg = "a certificate's life ends after it begins"
        raise CertificateProfileError(msg)


def _require_name(text: str) -> None:
    # RFC 5280 Appendix A.1, ub-common-name; not printable are control characters and halves of surrogate pairs.
    if not text.isprintable() or text != text.strip() or not 0 < len(text.encode("utf-8")) <= _LONGEST_NAME:
        msg = f"an authority's common name and organization have 1 to {_LONGEST_NAME} bytes of printable text"
        raise CertificateProfileError(msg)
