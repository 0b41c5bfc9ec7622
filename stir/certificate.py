"""The certificates of a telephone number and of the authorities above it, as they are read (RFC 5280, RFC 8226).

A number's certificate has an empty subject and two names that say the same: the URI `tel:+12025550123` and the number's
name in the ENUM tree. Its TNAuthList says it a third time, for STIR. The ENUM name is there so that every X.509 library
can hold a constrained authority to its numbers by nameConstraints. A table of all fields stands in
docs/reference/certificate-profile.md.

Readers are strict: what they return obeys the profile, and whatever is wrong, they raise CertificateProfileError.
Reading does not verify a signature: that is path building, in the trust store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, NameOID

from stir.certificate_extensions import (
    AUTHORITY_KEY_USAGE,
    LEAF_EXTENDED_KEY_USAGE,
    LEAF_KEY_USAGE,
    SCT_LIST,
    TN_AUTH_LIST,
    Extensions,
    optional,
    read_ca_issuers_urls,
    read_crl_urls,
    read_names,
    read_sct_list,
    read_tn_auth_list,
    read_validation_methods,
    required,
)
from stir.certificate_profile import SIGNATURES, profile_errors, require_curve, require_serial, require_size
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod

_LEAF_UNDERSTOOD = frozenset(
    {
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)
_PRECERTIFICATE_UNDERSTOOD = _LEAF_UNDERSTOOD | {ExtensionOID.PRECERT_POISON}
_AUTHORITY_UNDERSTOOD = _LEAF_UNDERSTOOD | {ExtensionOID.NAME_CONSTRAINTS}


def _derive(value: NumberCertificate | AuthorityCertificate, **fields: object) -> None:
    """Set the fields that follow from the certificate: they are no arguments, so that the two cannot differ."""
    for name, content in fields.items():
        object.__setattr__(value, name, content)


@dataclass(frozen=True, slots=True)
class NumberCertificate:
    """A number's certificate that was read and obeys the profile. Its signature has not been verified by that.

    `validation` holds the methods of this project that the certificate's policies name, and is empty where the
    authority used one that we do not know. `issuer_key_identifier` says which of its issuer's keys signed it (RFC 5280
    §4.2.1.1). `sct_list` is the SignedCertificateTimestampList as it was embedded, None without one: nobody has read or
    checked its timestamps. `is_precertificate` tells what was asked for: a precertificate is never read as a
    certificate, or the reverse.
    """

    certificate: x509.Certificate
    is_precertificate: bool = False
    number: TelephoneNumber = field(init=False, compare=False)
    numbers: TnAuthList = field(init=False, compare=False)
    public_key: ec.EllipticCurvePublicKey = field(init=False, compare=False)
    serial: int = field(init=False, compare=False)
    not_before: datetime = field(init=False, compare=False)
    not_after: datetime = field(init=False, compare=False)
    validation: tuple[ValidationMethod, ...] = field(init=False, compare=False)
    crl_urls: tuple[str, ...] = field(init=False, compare=False)
    ca_issuers_urls: tuple[str, ...] = field(init=False, compare=False)
    issuer_key_identifier: bytes | None = field(init=False, compare=False)
    sct_list: bytes | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Read the certificate."""
        certificate = self.certificate
        with profile_errors("the certificate"):
            understood = _PRECERTIFICATE_UNDERSTOOD if self.is_precertificate else _LEAF_UNDERSTOOD
            extensions = _read_extensions(certificate, understood)
            if self.is_precertificate:
                _require_poison(extensions)
            _require_leaf_form(certificate, extensions)
            number = _named_number(extensions)
            _derive(
                self,
                number=number,
                numbers=_numbers_of_just(number, extensions),
                public_key=require_curve(certificate.public_key(), ec.SECP256R1),
                serial=require_serial(certificate.serial_number),
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                validation=read_validation_methods(extensions),
                crl_urls=read_crl_urls(required(extensions, x509.CRLDistributionPoints)),
                ca_issuers_urls=read_ca_issuers_urls(required(extensions, x509.AuthorityInformationAccess)),
                issuer_key_identifier=required(extensions, x509.AuthorityKeyIdentifier).key_identifier,
                sct_list=read_sct_list(extensions),
            )

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the certificate's DER: 32 bytes."""
        return self.certificate.fingerprint(hashes.SHA256())

    @classmethod
    def read(cls, certificate: x509.Certificate) -> Self:
        """Read a certificate strictly; raise CertificateProfileError where it is outside the profile."""
        return cls(certificate)

    @classmethod
    def read_precertificate(cls, certificate: x509.Certificate) -> Self:
        """Read what a precertificate announces, as strictly; raise CertificateProfileError for a certificate.

        For logs: nobody else may take a precertificate for anything (RFC 6962 §3.1).
        """
        return cls(certificate, is_precertificate=True)


@dataclass(frozen=True, slots=True)
class AuthorityCertificate:
    """An authority's certificate that was read and obeys the profile. Its signature has not been verified by that.

    `numbers` is None where the authority may speak for all numbers, `path_length` None where it sets no limit.
    """

    certificate: x509.Certificate
    common_name: str = field(init=False, compare=False)
    organization: str = field(init=False, compare=False)
    numbers: TnAuthList | None = field(init=False, compare=False)
    path_length: int | None = field(init=False, compare=False)
    public_key: ec.EllipticCurvePublicKey = field(init=False, compare=False)
    serial: int = field(init=False, compare=False)
    not_before: datetime = field(init=False, compare=False)
    not_after: datetime = field(init=False, compare=False)
    crl_urls: tuple[str, ...] = field(init=False, compare=False)
    ca_issuers_urls: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Read the certificate."""
        certificate = self.certificate
        with profile_errors("the authority's certificate"):
            extensions = _read_extensions(certificate, _AUTHORITY_UNDERSTOOD)
            path_length = _require_authority_form(certificate, extensions)
            crl = optional(extensions, x509.CRLDistributionPoints)
            access = optional(extensions, x509.AuthorityInformationAccess)
            _derive(
                self,
                common_name=_name_part(certificate.subject, NameOID.COMMON_NAME),
                organization=_name_part(certificate.subject, NameOID.ORGANIZATION_NAME),
                numbers=read_tn_auth_list(extensions),
                path_length=path_length,
                public_key=require_curve(certificate.public_key(), ec.SECP256R1, ec.SECP384R1),
                serial=require_serial(certificate.serial_number),
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                crl_urls=() if crl is None else read_crl_urls(crl),
                ca_issuers_urls=() if access is None else read_ca_issuers_urls(access),
            )

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the certificate's DER: 32 bytes."""
        return self.certificate.fingerprint(hashes.SHA256())

    @classmethod
    def read(cls, certificate: x509.Certificate) -> Self:
        """Read a certificate strictly; raise CertificateProfileError where it is outside the profile."""
        return cls(certificate)


def load_certificate(der: bytes) -> x509.Certificate:
    """Load a certificate's DER, without holding it to the profile; raise CertificateProfileError where it is none."""
    with profile_errors("the certificate"):
        return x509.load_der_x509_certificate(require_size(der))


def tn_auth_list_of(certificate: x509.Certificate) -> TnAuthList | None:
    """Return the numbers that any certificate speaks for, None where it has no TNAuthList."""
    with profile_errors("the certificate"):
        try:
            extension = certificate.extensions.get_extension_for_oid(TN_AUTH_LIST)
        except x509.ExtensionNotFound:
            return None
        return TnAuthList.from_der(extension.value.public_bytes())


def _read_extensions(certificate: x509.Certificate, understood: frozenset[x509.ObjectIdentifier]) -> Extensions:
    """Return the extensions by identifier; refuse a critical one that is not understood (RFC 5280 §4.2)."""
    if certificate.version is not x509.Version.v3:
        msg = "a certificate of this profile is of X.509 version 3"
        raise CertificateProfileError(msg)
    if certificate.signature_algorithm_oid not in SIGNATURES:
        msg = "a certificate of this profile is signed with ECDSA and SHA-256, or SHA-384 by a key on P-384"
        raise CertificateProfileError(msg)
    extensions: Extensions = {}
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in understood:
            msg = f"the certificate has a critical extension {extension.oid.dotted_string} that this profile lacks"
            raise CertificateProfileError(msg)
        extensions[extension.oid] = extension
    return extensions


def _require_leaf_form(certificate: x509.Certificate, extensions: Extensions) -> None:
    """Hold a number's certificate to everything but its number and its URLs."""
    if certificate.subject.rdns:
        msg = "the subject of a number's certificate is empty"
        raise CertificateProfileError(msg)
    if required(extensions, x509.BasicConstraints).ca:
        msg = "a number's certificate is not an authority's"
        raise CertificateProfileError(msg)
    if required(extensions, x509.KeyUsage, critical=True) != LEAF_KEY_USAGE:
        msg = "the keyUsage of a number's certificate is digitalSignature alone"
        raise CertificateProfileError(msg)
    if required(extensions, x509.ExtendedKeyUsage) != LEAF_EXTENDED_KEY_USAGE:
        msg = "the extKeyUsage of a number's certificate is clientAuth alone"
        raise CertificateProfileError(msg)
    required(extensions, x509.SubjectKeyIdentifier)


def _require_authority_form(certificate: x509.Certificate, extensions: Extensions) -> int | None:
    """Hold an authority's certificate to everything but its names, numbers and URLs; return its path length."""
    constraints = required(extensions, x509.BasicConstraints, critical=True)
    if not constraints.ca:
        msg = "the certificate is not an authority's: its basicConstraints say so"
        raise CertificateProfileError(msg)
    if required(extensions, x509.KeyUsage, critical=True) != AUTHORITY_KEY_USAGE:
        msg = "the keyUsage of an authority is keyCertSign and cRLSign alone"
        raise CertificateProfileError(msg)
    required(extensions, x509.SubjectKeyIdentifier)
    if certificate.subject != certificate.issuer:
        required(extensions, x509.AuthorityKeyIdentifier)
    if ExtensionOID.NAME_CONSTRAINTS in extensions:
        required(extensions, x509.NameConstraints, critical=True)
    return constraints.path_length


def _named_number(extensions: Extensions) -> TelephoneNumber:
    """Return the number of the subjectAltName, which is critical as the subject is empty (RFC 5280 §4.2.1.6)."""
    return read_names(required(extensions, x509.SubjectAlternativeName, critical=True))


def _numbers_of_just(number: TelephoneNumber, extensions: Extensions) -> TnAuthList:
    """Return the TNAuthList; refuse where it is missing or lists anything but this number."""
    numbers = read_tn_auth_list(extensions)
    if numbers is None or numbers != TnAuthList.for_number(number):
        msg = "the TNAuthList is not of just the number that the subjectAltName names"
        raise CertificateProfileError(msg)
    return numbers


def _require_poison(extensions: Extensions) -> None:
    """Refuse what is no precertificate, and one that has timestamps already (RFC 6962 §3.1)."""
    required(extensions, x509.PrecertPoison, critical=True)
    if SCT_LIST in extensions:
        msg = "a precertificate has no SCT list"
        raise CertificateProfileError(msg)


def _name_part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """Return the one value that a name has for an attribute."""
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    match values:
        case [str(value)] if value:
            return value
        case _:
            msg = "an authority's subject has one commonName and one organizationName"
            raise CertificateProfileError(msg)
