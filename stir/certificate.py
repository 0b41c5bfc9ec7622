"""The certificate profile of a telephone number and of the authorities above it (RFC 5280, RFC 8226).

A number's certificate has an empty subject and two names that say the same: the URI `tel:+12025550123` and the number's
name in the ENUM tree. Its TNAuthList says it a third time, for STIR. The ENUM name is there so that every X.509 library
can hold a constrained authority to its numbers by nameConstraints. A table of all fields stands in
docs/reference/certificate-profile.md.

Builders return an unsigned builder, because the key may live in a token. Readers are strict: what they return obeys the
profile, and whatever is wrong, they raise CertificateProfileError. Reading does not verify a signature: that is path
building, in the trust store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Self, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    ExtensionOID,
    NameOID,
    SignatureAlgorithmOID,
)

from stir import tn_auth_list
from stir.errors import CertificateProfileError, StirError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList

OID_ARC = "1.2.840.113556.1.8000.2554.5784.1937.2776.20099.43260.15060073.4042889"
"""The arc of this project's own object identifiers: a UUID in parts, which needs no registration.

Each part is below 2^28, as RFC 5280 Appendix B asks: see docs/decisions/0014-object-identifiers-fit-every-reader.md.
"""

LONGEST_CHAIN = 10
"""How many certificates a chain may hold. Paths in use have two or three."""
WEB_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,2000}", re.ASCII)
"""The http and https URLs that certificates and tokens may point to: the characters of RFC 3986 only."""
LARGEST_CERTIFICATE = 16 * 1024
"""How many bytes of DER a certificate or request may have. A number's certificate has about 700."""

_TN_AUTH_LIST = x509.ObjectIdentifier(tn_auth_list.OID)
_EXTENSION_REQUEST = x509.ObjectIdentifier("1.2.840.113549.1.9.14")
_SCT_LIST = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
_ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")
_LONGEST_NAME = 64
_LARGEST_SERIAL = 2**159 - 1  # 20 octets, the sign bit among them (RFC 5280 §4.1.2.2)
_SIGNATURES = frozenset({SignatureAlgorithmOID.ECDSA_WITH_SHA256, SignatureAlgorithmOID.ECDSA_WITH_SHA384})
_REQUEST_SIGNATURES = _SIGNATURES | {SignatureAlgorithmOID.ECDSA_WITH_SHA512}
_CURVE_NAMES: dict[type[ec.EllipticCurve], str] = {ec.SECP256R1: "P-256", ec.SECP384R1: "P-384"}
_PEM_CHAIN = re.compile(
    rb"(?:-----BEGIN CERTIFICATE-----\r?\n(?:[A-Za-z0-9+/=]{1,76}\r?\n)+-----END CERTIFICATE-----(?:(?:\r?\n)+|\Z))+"
)
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
_FOREIGN_ERRORS = (
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    Warning,  # a program that runs with -W error gets these where `cryptography` tolerates a fault
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

_Extensions: TypeAlias = dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]]
_Value = TypeVar("_Value", bound=x509.ExtensionType)


class ValidationMethod(Enum):
    """How an authority made sure of a number, told by a certificate policy under our arc. The value is the label."""

    SMS_REPLY = "sms-reply"
    SMS_CODE = "sms-code"
    AUTHORITY_TOKEN = "authority-token"  # noqa: S105 - the name of a method
    SMS_ROUTES = "sms-routes"

    @property
    def label(self) -> str:
        """The method's name in policies and on screens, such as `sms-code`."""
        return self.value

    @property
    def oid(self) -> x509.ObjectIdentifier:
        """The certificate policy that stands for the method: A.1.1 to A.1.4."""
        return _POLICY_OF_METHOD[self]


_POLICY_OF_METHOD = {
    method: x509.ObjectIdentifier(f"{OID_ARC}.1.{number}") for number, method in enumerate(ValidationMethod, start=1)
}
_METHOD_OF_POLICY = {oid: method for method, oid in _POLICY_OF_METHOD.items()}


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
        _require_curve(self.public_key, ec.SECP256R1)
        _require_serial(self.serial)
        _require_life(self.not_before, self.not_after)
        _require_web_url(self.ca_issuers_url)
        _require_web_url(self.crl_url)


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
        _require_curve(self.public_key, ec.SECP256R1, ec.SECP384R1)
        _require_serial(self.serial)
        _require_life(self.not_before, self.not_after)
        if self.path_length is not None and self.path_length < 0:
            msg = "an authority's path length is 0 or more"
            raise CertificateProfileError(msg)
        for url in (self.ca_issuers_url, self.crl_url):
            if url is not None:
                _require_web_url(url)
        _require_name(self.common_name)
        _require_name(self.organization)

    @property
    def numbers(self) -> TnAuthList | None:
        """The numbers that the authority may speak for; None means all."""
        return TnAuthList.for_prefixes(self.prefixes) if self.prefixes else None


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
        with _profile_errors("the certificate"):
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
                public_key=_require_curve(certificate.public_key(), ec.SECP256R1),
                serial=_require_serial(certificate.serial_number),
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                validation=_validation_methods(extensions),
                crl_urls=_crl_urls(_required(extensions, x509.CRLDistributionPoints)),
                ca_issuers_urls=_ca_issuers_urls(_required(extensions, x509.AuthorityInformationAccess)),
                issuer_key_identifier=_required(extensions, x509.AuthorityKeyIdentifier).key_identifier,
                sct_list=_sct_list(extensions),
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
        with _profile_errors("the authority's certificate"):
            extensions = _read_extensions(certificate, _AUTHORITY_UNDERSTOOD)
            path_length = _require_authority_form(certificate, extensions)
            crl = _optional(extensions, x509.CRLDistributionPoints)
            access = _optional(extensions, x509.AuthorityInformationAccess)
            _derive(
                self,
                common_name=_name_part(certificate.subject, NameOID.COMMON_NAME),
                organization=_name_part(certificate.subject, NameOID.ORGANIZATION_NAME),
                numbers=_numbers(extensions),
                path_length=path_length,
                public_key=_require_curve(certificate.public_key(), ec.SECP256R1, ec.SECP384R1),
                serial=_require_serial(certificate.serial_number),
                not_before=certificate.not_valid_before_utc,
                not_after=certificate.not_valid_after_utc,
                crl_urls=() if crl is None else _crl_urls(crl),
                ca_issuers_urls=() if access is None else _ca_issuers_urls(access),
            )

    @property
    def fingerprint(self) -> bytes:
        """The SHA-256 of the certificate's DER: 32 bytes."""
        return self.certificate.fingerprint(hashes.SHA256())

    @classmethod
    def read(cls, certificate: x509.Certificate) -> Self:
        """Read a certificate strictly; raise CertificateProfileError where it is outside the profile."""
        return cls(certificate)


@dataclass(frozen=True, slots=True)
class NumberRequest:
    """A certificate signing request for one number, whose signature is right (RFC 2986, RFC 8555 §7.4)."""

    number: TelephoneNumber
    public_key: ec.EllipticCurvePublicKey

    @classmethod
    def read(cls, der: bytes) -> Self:
        """Read a request; raise CertificateProfileError unless it asks for one number and for nothing else.

        It holds a TNAuthList of the number and may hold a subjectAltName with the number's tel URI and ENUM name. Every
        other name, extension or attribute is refused, so that none is silently dropped.
        """
        with _profile_errors("the certificate signing request"):
            request = x509.load_der_x509_csr(_require_size(der))
            public_key = _require_curve(request.public_key(), ec.SECP256R1)
            if request.signature_algorithm_oid not in _REQUEST_SIGNATURES or not request.is_signature_valid:
                msg = "the certificate signing request must be signed by its own key, with ECDSA and SHA-256 or longer"
                raise CertificateProfileError(msg)
            return cls(_requested_number(request), public_key)


def number_certificate(
    fields: NumberCertificateFields, issuer: x509.Certificate, sct_list: bytes | None = None
) -> x509.CertificateBuilder:
    """Return the unsigned certificate of a number, issued by the authority `issuer`.

    `sct_list` is the TLS-encoded SignedCertificateTimestampList that logs gave for the precertificate of the same
    fields (RFC 6962 §3.3). Sign with `builder.sign(key, signature_hash(key), ecdsa_deterministic=True)`. Raises
    CertificateProfileError where the issuer is no authority or not one for this number.
    """
    builder = _unlogged_certificate(fields, issuer)
    return builder if sct_list is None else builder.add_extension(_sct_list_extension(sct_list), critical=False)


def precertificate(fields: NumberCertificateFields, issuer: x509.Certificate) -> x509.CertificateBuilder:
    """Return the unsigned precertificate of a number, to be shown to logs; it is no certificate (RFC 6962 §3.1).

    But for its critical poison and the SCT list, its TBS is that of the certificate of the same fields. Sign it as
    `number_certificate` says, which also tells the errors.
    """
    return _unlogged_certificate(fields, issuer).add_extension(x509.PrecertPoison(), critical=True)


def _unlogged_certificate(fields: NumberCertificateFields, issuer: x509.Certificate) -> x509.CertificateBuilder:
    authority, key_identifier = _read_issuer(issuer)
    if authority.numbers is not None and not authority.numbers.covers_number(fields.number):
        msg = f"the issuing authority is not one for {fields.number.masked}"
        raise CertificateProfileError(msg)
    return _builder(fields, _EMPTY_NAME, issuer.subject, _number_extensions(fields, key_identifier))


@lru_cache(maxsize=16)
def _read_issuer(issuer: x509.Certificate) -> tuple[AuthorityCertificate, x509.AuthorityKeyIdentifier]:
    """Read an issuer's certificate, the same one for thousands of numbers."""
    return AuthorityCertificate.read(issuer), _issuer_key_identifier(issuer)


def authority_certificate(fields: AuthorityFields, issuer: x509.Certificate | None) -> x509.CertificateBuilder:
    """Return the unsigned certificate of an authority, issued by another or, with None, by itself as a root.

    Sign it with `builder.sign(key, signature_hash(key), ecdsa_deterministic=True)`. Raises CertificateProfileError
    where the issuer may not issue it: an authority's numbers are among its issuer's (RFC 9060 §4.1).
    """
    name = _authority_name(fields)
    if issuer is not None:
        _require_may_delegate(AuthorityCertificate.read(issuer), fields)
    return _builder(fields, name, name if issuer is None else issuer.subject, _authority_extensions(fields, issuer))


def number_request(number: TelephoneNumber, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """Return the signed request for a number's certificate; the same bytes for the same number and key (RFC 6979)."""
    _require_curve(key.public_key(), ec.SECP256R1)
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    builder = builder.add_extension(_names(number), critical=True)
    builder = builder.add_extension(_tn_auth_list_extension(TnAuthList.for_number(number)), critical=False)
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def signature_hash(
    key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey,
) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash that an authority's key signs with: SHA-256 on P-256, SHA-384 on P-384 (RFC 5480 §4)."""
    return hashes.SHA384() if isinstance(key.curve, ec.SECP384R1) else hashes.SHA256()


def tn_auth_list_of(certificate: x509.Certificate) -> TnAuthList | None:
    """Return the numbers that any certificate speaks for, None where it has no TNAuthList."""
    with _profile_errors("the certificate"):
        try:
            extension = certificate.extensions.get_extension_for_oid(_TN_AUTH_LIST)
        except x509.ExtensionNotFound:
            return None
        return TnAuthList.from_der(extension.value.public_bytes())


def load_certificate(der: bytes) -> x509.Certificate:
    """Load a certificate's DER, without holding it to the profile; raise CertificateProfileError where it is none."""
    with _profile_errors("the certificate"):
        return x509.load_der_x509_certificate(_require_size(der))


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
    with _profile_errors("the certificate chain"):
        chain = tuple(x509.load_pem_x509_certificates(pem))
    if len(chain) > LONGEST_CHAIN:
        msg = f"a certificate chain has at most {LONGEST_CHAIN} certificates"
        raise CertificateProfileError(msg)
    return chain


def write_pem_chain(chain: Iterable[x509.Certificate]) -> bytes:
    """Return the certificates as PEM in the order given, which is leaf first (RFC 8555 §9.1)."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain)


# Building


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
    yield _NO_AUTHORITY, True
    yield _LEAF_KEY_USAGE, True
    yield _LEAF_EXTENDED_KEY_USAGE, False
    yield _names(fields.number), True  # the subject is empty (RFC 5280 §4.2.1.6)
    yield _tn_auth_list_extension(TnAuthList.for_number(fields.number)), False
    yield x509.SubjectKeyIdentifier.from_public_key(fields.public_key), False
    yield issuer, False
    yield _POLICIES[fields.validation], False
    yield _crl_distribution_points(fields.crl_url), False
    yield _authority_information_access(fields.ca_issuers_url), False


def _authority_extensions(
    fields: AuthorityFields, issuer: x509.Certificate | None
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Yield the extensions of an authority's certificate, each with whether it is critical."""
    own_identifier = x509.SubjectKeyIdentifier.from_public_key(fields.public_key)
    yield x509.BasicConstraints(ca=True, path_length=fields.path_length), True
    yield _key_usage(key_cert_sign=True, crl_sign=True), True
    yield own_identifier, False
    if issuer is None:
        yield x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own_identifier), False
    else:
        yield _issuer_key_identifier(issuer), False
        # Without it no policy of the leaf survives path validation (RFC 5280 §6.1.3); a root is not part of the path.
        yield x509.CertificatePolicies([x509.PolicyInformation(_ANY_POLICY, None)]), False
    if fields.numbers is not None:
        yield _tn_auth_list_extension(fields.numbers), False
        yield _name_constraints(fields.prefixes), True  # critical (RFC 5280 §4.2.1.10)
    if fields.crl_url is not None:
        yield _crl_distribution_points(fields.crl_url), False
    if fields.ca_issuers_url is not None:
        yield _authority_information_access(fields.ca_issuers_url), False


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


def _names(number: TelephoneNumber) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(number.tel_uri), x509.DNSName(number.enum_domain)]
    )


def _tn_auth_list_extension(numbers: TnAuthList) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(_TN_AUTH_LIST, numbers.to_der())


def _sct_list_extension(sct_list: bytes) -> x509.UnrecognizedExtension:
    if not 0 < len(sct_list) <= LARGEST_CERTIFICATE:
        msg = "an SCT list is neither empty nor larger than a certificate"
        raise CertificateProfileError(msg)
    return x509.UnrecognizedExtension(_SCT_LIST, asn1.encode_der(sct_list))


def _name_constraints(prefixes: Iterable[NumberPrefix]) -> x509.NameConstraints:
    domains = sorted({prefix.enum_domain for prefix in prefixes})
    return x509.NameConstraints([x509.DNSName(domain) for domain in domains], None)


def _issuer_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _crl_distribution_points(url: str) -> x509.CRLDistributionPoints:
    names = [x509.UniformResourceIdentifier(url)]
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=names, relative_name=None, reasons=None, crl_issuer=None)]
    )


def _authority_information_access(url: str) -> x509.AuthorityInformationAccess:
    location = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)])


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


_EMPTY_NAME = x509.Name([])
_NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
_POLICIES = {
    method: x509.CertificatePolicies([x509.PolicyInformation(method.oid, None)]) for method in ValidationMethod
}
_LEAF_KEY_USAGE = _key_usage(digital_signature=True)
_AUTHORITY_KEY_USAGE = _key_usage(key_cert_sign=True, crl_sign=True)
_LEAF_EXTENDED_KEY_USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


# Reading


@contextmanager
def _profile_errors(what: str) -> Iterator[None]:
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


def _read_extensions(certificate: x509.Certificate, understood: frozenset[x509.ObjectIdentifier]) -> _Extensions:
    """Return the extensions by identifier; refuse a critical one that is not understood (RFC 5280 §4.2)."""
    if certificate.version is not x509.Version.v3:
        msg = "a certificate of this profile is of X.509 version 3"
        raise CertificateProfileError(msg)
    if certificate.signature_algorithm_oid not in _SIGNATURES:
        msg = "a certificate of this profile is signed with ECDSA and SHA-256, or SHA-384 by a key on P-384"
        raise CertificateProfileError(msg)
    extensions: _Extensions = {}
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in understood:
            msg = f"the certificate has a critical extension {extension.oid.dotted_string} that this profile lacks"
            raise CertificateProfileError(msg)
        extensions[extension.oid] = extension
    return extensions


def _require_leaf_form(certificate: x509.Certificate, extensions: _Extensions) -> None:
    """Hold a number's certificate to everything but its number and its URLs."""
    if certificate.subject.rdns:
        msg = "the subject of a number's certificate is empty"
        raise CertificateProfileError(msg)
    if _required(extensions, x509.BasicConstraints).ca:
        msg = "a number's certificate is not an authority's"
        raise CertificateProfileError(msg)
    if _required(extensions, x509.KeyUsage, critical=True) != _LEAF_KEY_USAGE:
        msg = "the keyUsage of a number's certificate is digitalSignature alone"
        raise CertificateProfileError(msg)
    if _required(extensions, x509.ExtendedKeyUsage) != _LEAF_EXTENDED_KEY_USAGE:
        msg = "the extKeyUsage of a number's certificate is clientAuth alone"
        raise CertificateProfileError(msg)
    _required(extensions, x509.SubjectKeyIdentifier)


def _require_authority_form(certificate: x509.Certificate, extensions: _Extensions) -> int | None:
    """Hold an authority's certificate to everything but its names, numbers and URLs; return its path length."""
    constraints = _required(extensions, x509.BasicConstraints, critical=True)
    if not constraints.ca:
        msg = "the certificate is not an authority's: its basicConstraints say so"
        raise CertificateProfileError(msg)
    if _required(extensions, x509.KeyUsage, critical=True) != _AUTHORITY_KEY_USAGE:
        msg = "the keyUsage of an authority is keyCertSign and cRLSign alone"
        raise CertificateProfileError(msg)
    _required(extensions, x509.SubjectKeyIdentifier)
    if certificate.subject != certificate.issuer:
        _required(extensions, x509.AuthorityKeyIdentifier)
    if ExtensionOID.NAME_CONSTRAINTS in extensions:
        _required(extensions, x509.NameConstraints, critical=True)
    return constraints.path_length


def _optional(extensions: _Extensions, type_: type[_Value]) -> _Value | None:
    extension = extensions.get(type_.oid)
    return extension.value if extension is not None and isinstance(extension.value, type_) else None


def _required(extensions: _Extensions, type_: type[_Value], *, critical: bool = False) -> _Value:
    """Return an extension's value; refuse where it is missing or, with `critical`, not marked critical."""
    value = _optional(extensions, type_)
    if value is None or (critical and not extensions[type_.oid].critical):
        msg = f"the certificate has no {'critical ' if critical else ''}{type_.__name__} extension"
        raise CertificateProfileError(msg)
    return value


def _named_number(extensions: _Extensions) -> TelephoneNumber:
    """Return the number of the subjectAltName, which is critical as the subject is empty (RFC 5280 §4.2.1.6)."""
    return _number_of_names(_required(extensions, x509.SubjectAlternativeName, critical=True))


def _number_of_names(names: x509.SubjectAlternativeName) -> TelephoneNumber:
    """Return the number that a tel URI and an ENUM name stand for; refuse any other names, or names of two numbers."""
    match list(names):
        case [x509.UniformResourceIdentifier(value=uri), x509.DNSName(value=domain)]:
            pass
        case [x509.DNSName(value=domain), x509.UniformResourceIdentifier(value=uri)]:
            pass
        case _:
            msg = "the subjectAltName holds a number's tel URI and its ENUM name, and nothing else"
            raise CertificateProfileError(msg)
    number = TelephoneNumber.from_tel_uri(uri)
    if (number.tel_uri, number.enum_domain) != (uri, domain):
        msg = "the subjectAltName's tel URI and ENUM name are not those of one number"
        raise CertificateProfileError(msg)
    return number


def _numbers(extensions: _Extensions) -> TnAuthList | None:
    extension = extensions.get(_TN_AUTH_LIST)
    return None if extension is None else TnAuthList.from_der(extension.value.public_bytes())


def _numbers_of_just(number: TelephoneNumber, extensions: _Extensions) -> TnAuthList:
    """Return the TNAuthList; refuse where it is missing or lists anything but this number."""
    numbers = _numbers(extensions)
    if numbers is None or numbers != TnAuthList.for_number(number):
        msg = "the TNAuthList is not of just the number that the subjectAltName names"
        raise CertificateProfileError(msg)
    return numbers


def _validation_methods(extensions: _Extensions) -> tuple[ValidationMethod, ...]:
    policies = (policy.policy_identifier for policy in _required(extensions, x509.CertificatePolicies))
    return tuple(_METHOD_OF_POLICY[oid] for oid in policies if oid in _METHOD_OF_POLICY)


def _sct_list(extensions: _Extensions) -> bytes | None:
    """Return the list inside the extension's OCTET STRING (RFC 6962 §3.3)."""
    extension = extensions.get(_SCT_LIST)
    return None if extension is None else asn1.decode_der(bytes, extension.value.public_bytes())


def _require_poison(extensions: _Extensions) -> None:
    """Refuse what is no precertificate, and one that has timestamps already (RFC 6962 §3.1)."""
    _required(extensions, x509.PrecertPoison, critical=True)
    if _SCT_LIST in extensions:
        msg = "a precertificate has no SCT list"
        raise CertificateProfileError(msg)


def _crl_urls(points: x509.CRLDistributionPoints) -> tuple[str, ...]:
    """Return the URLs of complete CRLs by the certificate's own issuer; refuse any other kind (RFC 5280 §4.2.1.13)."""
    urls: list[str] = []
    for point in points:
        if point.reasons is not None or point.crl_issuer is not None or point.full_name is None:
            msg = "a CRL distribution point names the URL of its issuer's complete CRL"
            raise CertificateProfileError(msg)
        urls.extend(_require_web_url(name.value) for name in point.full_name)
    return tuple(urls)


def _ca_issuers_urls(access: x509.AuthorityInformationAccess) -> tuple[str, ...]:
    """Return the URLs of the issuer's certificate (RFC 5280 §4.2.2.1); refuse where there is none."""
    urls = tuple(
        _require_web_url(entry.access_location.value)
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    )
    if not urls:
        msg = "the authorityInformationAccess does not say where the issuer's certificate is"
        raise CertificateProfileError(msg)
    return urls


def _name_part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """Return the one value that a name has for an attribute."""
    values = [attribute.value for attribute in name.get_attributes_for_oid(oid)]
    match values:
        case [str(value)] if value:
            return value
        case _:
            msg = "an authority's subject has one commonName and one organizationName"
            raise CertificateProfileError(msg)


def _requested_number(request: x509.CertificateSigningRequest) -> TelephoneNumber:
    """Return the number that a request asks for; refuse everything else that it asks for."""
    if request.subject.rdns:
        msg = "the subject of the certificate signing request must be empty"
        raise CertificateProfileError(msg)
    if [attribute.oid for attribute in request.attributes] != [_EXTENSION_REQUEST]:
        msg = "the certificate signing request must hold one attribute, the extensionRequest"
        raise CertificateProfileError(msg)
    extensions: _Extensions = {extension.oid: extension for extension in request.extensions}
    unexpected = extensions.keys() - {_TN_AUTH_LIST, ExtensionOID.SUBJECT_ALTERNATIVE_NAME}
    if unexpected:
        names = ", ".join(sorted(oid.dotted_string for oid in unexpected))
        msg = f"the certificate signing request asks for extensions that are not issued: {names}"
        raise CertificateProfileError(msg)
    return _number_asked_for(extensions)


def _number_asked_for(extensions: _Extensions) -> TelephoneNumber:
    numbers = _numbers(extensions)
    number = None if numbers is None else numbers.single_number
    if number is None:
        msg = "the certificate signing request must hold a TNAuthList of exactly one telephone number"
        raise CertificateProfileError(msg)
    names = _optional(extensions, x509.SubjectAlternativeName)
    if names is not None and _number_of_names(names) != number:
        msg = "the certificate signing request's TNAuthList and subjectAltName differ"
        raise CertificateProfileError(msg)
    return number


# What both sides require


def _require_size(der: bytes) -> bytes:
    if len(der) > LARGEST_CERTIFICATE:
        msg = f"certificates and requests have at most {LARGEST_CERTIFICATE} bytes"
        raise CertificateProfileError(msg)
    return der


def _require_curve(key: object, *curves: type[ec.EllipticCurve]) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curves):
        names = " or ".join(_CURVE_NAMES[curve] for curve in curves)
        msg = f"the public key must be on the curve {names}"
        raise CertificateProfileError(msg)
    return key


def _require_serial(serial: int) -> int:
    if not 0 < serial <= _LARGEST_SERIAL:
        msg = "a serial number is positive and has at most 20 octets (RFC 5280 §4.1.2.2)"
        raise CertificateProfileError(msg)
    return serial


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


def _require_web_url(url: object) -> str:
    if not isinstance(url, str) or not WEB_URL.fullmatch(url):
        msg = "certificates point to http or https URLs in ASCII"
        raise CertificateProfileError(msg)
    return url
