"""Each extension of the profile, written and read (RFC 5280 §4.2, RFC 6962 §3.3, RFC 8226 §9).

What `write_` puts into a certificate, the `read_` of the same name takes out, strictly. Readers raise
CertificateProfileError, or the error of a format inside, which `profile_errors` turns into it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from stir import tn_auth_list
from stir.certificate_profile import LARGEST_CERTIFICATE, require_web_url
from stir.errors import CertificateProfileError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import METHOD_OF_POLICY, ValidationMethod

TN_AUTH_LIST = x509.ObjectIdentifier(tn_auth_list.OID)
SCT_LIST = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
Extensions: TypeAlias = dict[x509.ObjectIdentifier, x509.Extension[x509.ExtensionType]]
_Value = TypeVar("_Value", bound=x509.ExtensionType)


def optional(extensions: Extensions, type_: type[_Value]) -> _Value | None:
    """Return an extension's value, None where the extension is missing."""
    extension = extensions.get(type_.oid)
    return extension.value if extension is not None and isinstance(extension.value, type_) else None


def required(extensions: Extensions, type_: type[_Value], *, critical: bool = False) -> _Value:
    """Return an extension's value; refuse where it is missing or, with `critical`, not marked critical."""
    value = optional(extensions, type_)
    if value is None or (critical and not extensions[type_.oid].critical):
        msg = f"the certificate has no {'critical ' if critical else ''}{type_.__name__} extension"
        raise CertificateProfileError(msg)
    return value


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


NO_AUTHORITY = x509.BasicConstraints(ca=False, path_length=None)
LEAF_KEY_USAGE = _key_usage(digital_signature=True)
AUTHORITY_KEY_USAGE = _key_usage(key_cert_sign=True, crl_sign=True)
LEAF_EXTENDED_KEY_USAGE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
_POLICIES = {
    method: x509.CertificatePolicies([x509.PolicyInformation(method.oid, None)]) for method in ValidationMethod
}


def write_validation_method(method: ValidationMethod) -> x509.CertificatePolicies:
    """Return the policy that stands for a method."""
    return _POLICIES[method]


def read_validation_methods(extensions: Extensions) -> tuple[ValidationMethod, ...]:
    """Return the methods of this project that the policies name."""
    policies = (policy.policy_identifier for policy in required(extensions, x509.CertificatePolicies))
    return tuple(METHOD_OF_POLICY[oid] for oid in policies if oid in METHOD_OF_POLICY)


def write_names(number: TelephoneNumber) -> x509.SubjectAlternativeName:
    """Return a number's tel URI and its ENUM name."""
    return x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier(number.tel_uri), x509.DNSName(number.enum_domain)]
    )


def read_names(names: x509.SubjectAlternativeName) -> TelephoneNumber:
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


def write_tn_auth_list(numbers: TnAuthList) -> x509.UnrecognizedExtension:
    """Return the numbers that a certificate speaks for (RFC 8226 §9)."""
    return x509.UnrecognizedExtension(TN_AUTH_LIST, numbers.to_der())


def read_tn_auth_list(extensions: Extensions) -> TnAuthList | None:
    """Return the numbers that a certificate speaks for, None where it does not say."""
    extension = extensions.get(TN_AUTH_LIST)
    return None if extension is None else TnAuthList.from_der(extension.value.public_bytes())


def write_name_constraints(prefixes: Iterable[NumberPrefix]) -> x509.NameConstraints:
    """Return the ENUM domains of the numbers that begin so, the only names permitted (RFC 5280 §4.2.1.10)."""
    domains = sorted({prefix.enum_domain for prefix in prefixes})
    return x509.NameConstraints([x509.DNSName(domain) for domain in domains], None)


def write_issuer_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return which of its keys the issuer signs with (RFC 5280 §4.2.1.1)."""
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def write_sct_list(sct_list: bytes) -> x509.UnrecognizedExtension:
    """Return the TLS-encoded list in an OCTET STRING (RFC 6962 §3.3); refuse one that is empty or huge."""
    if not 0 < len(sct_list) <= LARGEST_CERTIFICATE:
        msg = "an SCT list is neither empty nor larger than a certificate"
        raise CertificateProfileError(msg)
    return x509.UnrecognizedExtension(SCT_LIST, asn1.encode_der(sct_list))


def read_sct_list(extensions: Extensions) -> bytes | None:
    """Return the list inside the extension's OCTET STRING (RFC 6962 §3.3)."""
    extension = extensions.get(SCT_LIST)
    return None if extension is None else asn1.decode_der(bytes, extension.value.public_bytes())


def write_crl_url(url: str) -> x509.CRLDistributionPoints:
    """Return where the issuer's complete CRL is."""
    names = [x509.UniformResourceIdentifier(url)]
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=names, relative_name=None, reasons=None, crl_issuer=None)]
    )


def read_crl_urls(points: x509.CRLDistributionPoints) -> tuple[str, ...]:
    """Return the URLs of complete CRLs by the certificate's own issuer; refuse any other kind (RFC 5280 §4.2.1.13)."""
    urls: list[str] = []
    for point in points:
        if point.reasons is not None or point.crl_issuer is not None or point.full_name is None:
            msg = "a CRL distribution point names the URL of its issuer's complete CRL"
            raise CertificateProfileError(msg)
        urls.extend(require_web_url(name.value) for name in point.full_name)
    return tuple(urls)


def write_ca_issuers_url(url: str) -> x509.AuthorityInformationAccess:
    """Return where the issuer's certificate is."""
    location = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, location)])


def read_ca_issuers_urls(access: x509.AuthorityInformationAccess) -> tuple[str, ...]:
    """Return the URLs of the issuer's certificate (RFC 5280 §4.2.2.1); refuse where there is none."""
    urls = tuple(
        require_web_url(entry.access_location.value)
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.CA_ISSUERS
    )
    if not urls:
        msg = "the authorityInformationAccess does not say where the issuer's certificate is"
        raise CertificateProfileError(msg)
    return urls
