"""Make the test vectors of `stir`, the same bytes every time: run it by `make vectors`.

Every case has its expectation beside its input: `expect` with what is read, or `error` with its class and its words.
The keys are derived from their names and the signatures are deterministic (RFC 6979): nothing here is secret, and
nothing changes unless the code or this script does. All numbers are from ranges set aside for fiction.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID as AccessMethod
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from stir import key_authorization, passport
from stir.certificate import AuthorityCertificate, NumberCertificate, load_certificate
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    precertificate,
    signature_hash,
)
from stir.certificate_request import NumberRequest, number_request
from stir.errors import StirError
from stir.identity_header import IdentityHeader
from stir.passport import Passport, SignedPassport
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import OID as TN_AUTH_LIST
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod

FOLDER = Path(__file__).parent / "stir"
Json = dict[str, Any]
Extensions = dict[str, tuple[x509.ExtensionType, bool]]

START = datetime(2026, 1, 1, tzinfo=UTC)
ISSUED_AT = int(datetime(2026, 1, 2, tzinfo=UTC).timestamp())
NUMBER = TelephoneNumber.parse("+12025550123")
OTHER_NUMBER = TelephoneNumber.parse("+13035550123")
CALLED = "12025550199"
CHAIN_URL = "https://ca.example/chain.pem"


def key(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Return the test key of this name: its secret is the SHA-256 of a sentence."""
    secret = hashlib.sha256(f"answerback test key: {name}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(secret, "big"), curve or ec.SECP256R1())


ROOT_KEY = key("root", ec.SECP384R1())
ISSUING_KEY = key("issuing")
NUMBER_KEY = key("number")


def signed(builder: x509.CertificateBuilder, signing_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Sign as an authority does."""
    return builder.sign(signing_key, signature_hash(signing_key), ecdsa_deterministic=True)


ROOT_FIELDS = AuthorityFields(
    common_name="Example Root",
    organization="Example Ltd",
    public_key=ROOT_KEY.public_key(),
    serial=0x1001,
    not_before=START,
    not_after=START + timedelta(days=7300),
)
ISSUING_FIELDS = AuthorityFields(
    common_name="Example Issuing",
    organization="Example Ltd",
    public_key=ISSUING_KEY.public_key(),
    serial=0x2001,
    not_before=START,
    not_after=START + timedelta(days=1825),
    prefixes=(NumberPrefix.parse("+1202"),),
    path_length=0,
    ca_issuers_url="http://ca.example/root.der",
    crl_url="http://ca.example/root.crl",
)
NUMBER_FIELDS = NumberCertificateFields(
    number=NUMBER,
    public_key=NUMBER_KEY.public_key(),
    serial=0x3001,
    not_before=START,
    not_after=START + timedelta(days=7),
    validation=ValidationMethod.SMS_CODE,
    ca_issuers_url="http://ca.example/issuing.der",
    crl_url="http://ca.example/0.crl",
)
SCT = b"\x00" + bytes(range(32)) + ISSUED_AT.to_bytes(8, "big") + b"\x00\x00" + b"\x04\x03" + b"\x00\x03sig"
"""A signed certificate timestamp of no log (RFC 6962 §3.2): nobody checks it here."""
SCT_LIST = (len(SCT) + 2).to_bytes(2, "big") + len(SCT).to_bytes(2, "big") + SCT
ROOT = signed(authority_certificate(ROOT_FIELDS, None), ROOT_KEY)
ISSUING = signed(authority_certificate(ISSUING_FIELDS, ROOT), ROOT_KEY)
LEAF = signed(number_certificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY)


# Certificates


def altered(
    certificate: x509.Certificate,
    signing_key: ec.EllipticCurvePrivateKey,
    change: Callable[[Extensions], None] = lambda _: None,
    *,
    subject: x509.Name | None = None,
    public_key: ec.EllipticCurvePublicKey | None = None,
    algorithm: hashes.HashAlgorithm | None = None,
) -> x509.Certificate:
    """Return a copy with other extensions or fields, signed anew, without asking whether the profile allows it."""
    extensions: Extensions = {each.oid.dotted_string: (each.value, each.critical) for each in certificate.extensions}
    change(extensions)
    builder = (
        x509.CertificateBuilder()
        .issuer_name(certificate.issuer)
        .subject_name(certificate.subject if subject is None else subject)
        .public_key(certificate.public_key() if public_key is None else public_key)
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
    )
    for value, critical in extensions.values():
        builder = builder.add_extension(value, critical)
    return builder.sign(signing_key, algorithm or signature_hash(signing_key), ecdsa_deterministic=True)


leaf_with = partial(altered, LEAF, ISSUING_KEY)
authority_with = partial(altered, ISSUING, ROOT_KEY)


def without(oid: str) -> Callable[[Extensions], None]:
    """Take an extension out."""

    def change(extensions: Extensions) -> None:
        del extensions[oid]

    return change


def having(value: x509.ExtensionType, *, critical: bool = False) -> Callable[[Extensions], None]:
    """Put an extension in, in the place of one of its kind."""

    def change(extensions: Extensions) -> None:
        extensions[value.oid.dotted_string] = (value, critical)

    return change


def names(*general_names: x509.GeneralName, critical: bool = True) -> Callable[[Extensions], None]:
    """Put a subjectAltName in."""
    return having(x509.SubjectAlternativeName(general_names), critical=critical)


def numbers(der: bytes, *, critical: bool = False) -> Callable[[Extensions], None]:
    """Put a TNAuthList in, of any bytes."""
    return having(x509.UnrecognizedExtension(x509.ObjectIdentifier(TN_AUTH_LIST), der), critical=critical)


def key_usage(*bits: str, critical: bool = True) -> Callable[[Extensions], None]:
    """Put a keyUsage with these bits in."""
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
        " encipher_only decipher_only"
    )
    return having(x509.KeyUsage(**{bit: bit in bits for bit in every.split()}), critical=critical)


def revocation_point(**fields: object) -> Callable[[Extensions], None]:
    """Put one CRL distribution point in."""
    given = {"full_name": None, "relative_name": None, "reasons": None, "crl_issuer": None} | fields
    return having(x509.CRLDistributionPoints([x509.DistributionPoint(**given)]))


def sct_list(der: bytes, *, critical: bool = False) -> Callable[[Extensions], None]:
    """Put an SCT list in, of any bytes."""
    oid = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
    return having(x509.UnrecognizedExtension(oid, der), critical=critical)


def subject(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """Return a distinguished name."""
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])


def patched(certificate: x509.Certificate, old: str, new: str) -> bytes:
    """Return the DER with one run of bytes replaced by another of the same length: no builder writes it."""
    der, (before, after) = certificate.public_bytes(Encoding.DER), map(bytes.fromhex, (old, new))
    if der.count(before) != 1 or len(before) != len(after):
        msg = f"{old} is not in the certificate exactly once"
        raise ValueError(msg)
    return der.replace(before, after)


def version_1() -> bytes:
    """Return a number's certificate as it would have been in 1988: no version, no extensions."""
    tbs = LEAF.tbs_certificate_bytes[4:]
    body = tbs[len(bytes.fromhex("a003020102")) : tbs.index(bytes.fromhex("a382"))]
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    signature = ISSUING_KEY.sign(body, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return wrapped(0x30, wrapped(0x30, body) + algorithm + wrapped(0x03, b"\x00" + signature))


def wrapped(tag: int, content: bytes) -> bytes:
    """Return the DER of a value of up to 65535 bytes."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes(2, "big").lstrip(b"\x00")
    return bytes((tag, 0x80 | len(length))) + length + content


URL = x509.UniformResourceIdentifier
TEL = URL(NUMBER.tel_uri)
ENUM = x509.DNSName(NUMBER.enum_domain)
SAN, KEY_USAGE, BASIC = "2.5.29.17", "2.5.29.15", "2.5.29.19"
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), b"\x05\x00")
NO_NUMBER = URL("tel:911")
SAME_NAME_AUTHORITY = subject((NameOID.ORGANIZATION_NAME, "Example Ltd"), (NameOID.COMMON_NAME, "Example Root"))


def der_of(certificate: x509.Certificate) -> bytes:
    """Return the DER."""
    return certificate.public_bytes(Encoding.DER)


def numbers_of_the_profile() -> Iterator[tuple[str, str, bytes]]:
    """Yield certificates that are read: the name of the case, its RFC section and the DER."""
    yield "a number's certificate", "RFC 8226 §9", der_of(LEAF)
    for method in ValidationMethod:
        fields = replace(NUMBER_FIELDS, validation=method)
        yield (
            f"validated by {method.label}",
            "RFC 5280 §4.2.1.4",
            der_of(signed(number_certificate(fields, ISSUING), ISSUING_KEY)),
        )
    larger = replace(ISSUING_FIELDS, public_key=ROOT_KEY.public_key())
    larger_issuer = signed(authority_certificate(larger, ROOT), ROOT_KEY)
    yield (
        "signed by a key on P-384",
        "RFC 5480 §4",
        der_of(signed(number_certificate(NUMBER_FIELDS, larger_issuer), ROOT_KEY)),
    )
    yield (
        "with an SCT list",
        "RFC 6962 §3.3",
        der_of(signed(number_certificate(NUMBER_FIELDS, ISSUING, SCT_LIST), ISSUING_KEY)),
    )
    yield "the names in the other order", "RFC 5280 §4.2.1.6", der_of(leaf_with(names(ENUM, TEL)))
    yield "policies of another arc", "RFC 5280 §4.2.1.4", der_of(leaf_with(policies("1.3.6.1.4.1.32473.2")))
    yield "an unknown extension that is not critical", "RFC 5280 §4.2", der_of(leaf_with(having(UNKNOWN)))


def numbers_of_another_form() -> Iterator[tuple[str, str, bytes]]:
    """Yield certificates whose frame is not the profile's."""
    yield "version 1", "RFC 5280 §4.1.2.1", version_1()
    yield "an unknown version", "RFC 5280 §4.1.2.1", patched(LEAF, "a003020102", "a003020107")
    yield "signed with SHA-512", "RFC 8226 §4", der_of(leaf_with(algorithm=hashes.SHA512()))
    yield "a key on P-384", "RFC 8226 §4", der_of(leaf_with(public_key=ROOT_KEY.public_key()))
    yield "a point that is not on the curve", "RFC 5480 §2.2", broken_point()
    yield "a subject", "RFC 5280 §4.1.2.6", der_of(leaf_with(subject=SAME_NAME_AUTHORITY))
    yield "an unknown critical extension", "RFC 5280 §4.2", der_of(leaf_with(having(UNKNOWN, critical=True)))
    yield "a precertificate", "RFC 6962 §3.1", der_of(signed(precertificate(NUMBER_FIELDS, ISSUING), ISSUING_KEY))
    yield "a critical SCT list", "RFC 5280 §4.2", der_of(leaf_with(sct_list(wrapped(0x04, SCT_LIST), critical=True)))
    yield "an SCT list without its OCTET STRING", "RFC 6962 §3.3", der_of(leaf_with(sct_list(SCT_LIST)))
    yield "an SCT list that ends too early", "RFC 6962 §3.3", der_of(leaf_with(sct_list(wrapped(0x04, SCT_LIST[:-1]))))
    yield "an extension twice", "RFC 5280 §4.2", patched(LEAF, "0603551d0e", "0603551d0f")
    yield "a malformed extension", "RFC 5280 §4.2", patched(LEAF, "0603551d1f", "0603551d13")


def numbers_of_other_names() -> Iterator[tuple[str, str, bytes]]:
    """Yield certificates whose names are not those of one number."""
    yield "no subjectAltName", "RFC 5280 §4.2.1.6", der_of(leaf_with(without(SAN)))
    yield (
        "a subjectAltName that is not critical",
        "RFC 5280 §4.2.1.6",
        der_of(leaf_with(names(TEL, ENUM, critical=False))),
    )
    yield "no ENUM name", "RFC 5280 §4.2.1.10", der_of(leaf_with(names(TEL)))
    yield "no tel URI", "RFC 3966 §3", der_of(leaf_with(names(ENUM)))
    yield "two ENUM names", "RFC 6116 §3.2", der_of(leaf_with(names(ENUM, x509.DNSName(OTHER_NUMBER.enum_domain))))
    yield "a third name", "RFC 5280 §4.2.1.6", der_of(leaf_with(names(TEL, ENUM, x509.DNSName("www.example"))))
    yield (
        "the ENUM name of another number",
        "RFC 6116 §3.2",
        der_of(leaf_with(names(TEL, x509.DNSName(OTHER_NUMBER.enum_domain)))),
    )
    yield "the tel URI of another number", "RFC 3966 §5.1.4", der_of(leaf_with(names(URL(OTHER_NUMBER.tel_uri), ENUM)))
    yield "a tel URI with a parameter", "RFC 3966 §3", der_of(leaf_with(names(URL(NUMBER.tel_uri + ";ext=1"), ENUM)))
    yield "a tel URI in capitals", "RFC 3966 §3", der_of(leaf_with(names(URL("TEL:" + NUMBER.e164), ENUM)))
    yield "a local number", "RFC 3966 §5.1.5", der_of(leaf_with(names(NO_NUMBER, ENUM)))
    yield "a sip URI", "RFC 3966 §3", der_of(leaf_with(names(URL("sip:alice@ca.example"), ENUM)))

    yield "no TNAuthList", "RFC 8226 §9", der_of(leaf_with(without(TN_AUTH_LIST)))
    yield (
        "a critical TNAuthList",
        "RFC 8226 §9",
        der_of(leaf_with(numbers(TnAuthList.for_number(NUMBER).to_der(), critical=True))),
    )
    yield (
        "a TNAuthList of another number",
        "RFC 8226 §9",
        der_of(leaf_with(numbers(TnAuthList.for_number(OTHER_NUMBER).to_der()))),
    )
    yield (
        "a TNAuthList of a prefix",
        "RFC 8226 §9",
        der_of(leaf_with(numbers(TnAuthList.for_prefixes([NumberPrefix("1202")]).to_der()))),
    )
    yield "a malformed TNAuthList", "RFC 8226 §9", der_of(leaf_with(numbers(b"\x30\x03\x02\x01\x01")))


def numbers_of_another_use() -> Iterator[tuple[str, str, bytes]]:
    """Yield certificates that serve for more or less than signing as a number."""
    yield "no basicConstraints", "RFC 5280 §4.2.1.9", der_of(leaf_with(without(BASIC)))
    yield (
        "an authority with a number's names",
        "RFC 5280 §4.2.1.9",
        der_of(leaf_with(having(x509.BasicConstraints(True, None), critical=True))),
    )
    yield "no keyUsage", "RFC 5280 §4.2.1.3", der_of(leaf_with(without(KEY_USAGE)))
    yield (
        "a keyUsage that is not critical",
        "RFC 5280 §4.2.1.3",
        der_of(leaf_with(key_usage("digital_signature", critical=False))),
    )
    yield (
        "a keyUsage with more bits",
        "RFC 5280 §4.2.1.3",
        der_of(leaf_with(key_usage("digital_signature", "key_cert_sign"))),
    )
    yield "no extKeyUsage", "RFC 5280 §4.2.1.12", der_of(leaf_with(without("2.5.29.37")))
    yield (
        "an extKeyUsage with more purposes",
        "RFC 5280 §4.2.1.12",
        der_of(
            leaf_with(having(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])))
        ),
    )
    yield "no subjectKeyIdentifier", "RFC 5280 §4.2.1.2", der_of(leaf_with(without("2.5.29.14")))
    yield "no authorityKeyIdentifier", "RFC 5280 §4.2.1.1", der_of(leaf_with(without("2.5.29.35")))


def numbers_without_a_way_to_check() -> Iterator[tuple[str, str, bytes]]:
    """Yield certificates that do not say what a verifier needs."""
    yield "no certificatePolicies", "RFC 5280 §4.2.1.4", der_of(leaf_with(without("2.5.29.32")))
    yield "no cRLDistributionPoints", "RFC 5280 §4.2.1.13", der_of(leaf_with(without("2.5.29.31")))
    yield (
        "a CRL of some reasons only",
        "RFC 5280 §4.2.1.13",
        der_of(
            leaf_with(
                revocation_point(
                    full_name=[URL("http://ca.example/0.crl")], reasons=frozenset({x509.ReasonFlags.key_compromise})
                )
            )
        ),
    )
    yield (
        "a CRL of another issuer",
        "RFC 5280 §4.2.1.13",
        der_of(
            leaf_with(
                revocation_point(
                    full_name=[URL("http://ca.example/0.crl")], crl_issuer=[x509.DirectoryName(ROOT.subject)]
                )
            )
        ),
    )
    yield (
        "a CRL by name only",
        "RFC 5280 §4.2.1.13",
        der_of(
            leaf_with(
                revocation_point(
                    relative_name=x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "CRL")])
                )
            )
        ),
    )
    yield (
        "a CRL that is not at a URL",
        "RFC 5280 §4.2.1.13",
        der_of(leaf_with(revocation_point(full_name=[x509.DirectoryName(ROOT.subject)]))),
    )
    yield (
        "a CRL at an ldap URL",
        "RFC 5280 §4.2.1.13",
        der_of(leaf_with(revocation_point(full_name=[URL("ldap://ca.example/cn=crl")]))),
    )
    yield "no authorityInformationAccess", "RFC 5280 §4.2.2.1", der_of(leaf_with(without("1.3.6.1.5.5.7.1.1")))
    yield (
        "no caIssuers",
        "RFC 5280 §4.2.2.1",
        der_of(
            leaf_with(
                having(
                    x509.AuthorityInformationAccess(
                        [x509.AccessDescription(AccessMethod.OCSP, URL("http://ca.example/ocsp"))]
                    )
                )
            )
        ),
    )


def policies(*oids: str) -> Callable[[Extensions], None]:
    """Put certificate policies in."""
    return having(x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]))


def broken_point() -> bytes:
    """Return a number's certificate whose public key has a wrong last octet."""
    der = der_of(LEAF)
    numbers_of_key = NUMBER_KEY.public_key().public_numbers()
    last = numbers_of_key.y.to_bytes(32, "big")
    return der.replace(last, last[:-1] + bytes((last[-1] ^ 1,)))


def authority_certificates() -> Iterator[tuple[str, str, bytes]]:
    """Yield the name, the RFC section and the DER of each case of an authority's certificate."""
    constraints = x509.NameConstraints([x509.DNSName("2.0.2.1.e164.arpa")], None)
    organization, common_name = (NameOID.ORGANIZATION_NAME, "Example Ltd"), (NameOID.COMMON_NAME, "Example Issuing")
    yield "a root", "RFC 5280 §3.2", der_of(ROOT)
    yield "an authority of +1202", "RFC 9060 §4.1", der_of(ISSUING)
    wide = replace(ISSUING_FIELDS, prefixes=(), path_length=2)
    yield (
        "an authority of all numbers",
        "RFC 5280 §4.2.1.9",
        der_of(signed(authority_certificate(wide, ROOT), ROOT_KEY)),
    )
    yield (
        "a name with a country too",
        "RFC 5280 §4.1.2.6",
        der_of(authority_with(subject=subject((NameOID.COUNTRY_NAME, "XX"), organization, common_name))),
    )

    yield "a number's certificate is no authority's", "RFC 5280 §4.2.1.9", der_of(LEAF)
    yield "no basicConstraints", "RFC 5280 §4.2.1.9", der_of(authority_with(without(BASIC)))
    yield (
        "basicConstraints that are not critical",
        "RFC 5280 §4.2.1.9",
        der_of(authority_with(having(x509.BasicConstraints(True, 0)))),
    )
    yield "a keyUsage without cRLSign", "RFC 5280 §4.2.1.3", der_of(authority_with(key_usage("key_cert_sign")))
    yield "no subjectKeyIdentifier", "RFC 5280 §4.2.1.2", der_of(authority_with(without("2.5.29.14")))
    yield "no authorityKeyIdentifier", "RFC 5280 §4.2.1.1", der_of(authority_with(without("2.5.29.35")))
    yield "nameConstraints that are not critical", "RFC 5280 §4.2.1.10", der_of(authority_with(having(constraints)))
    yield (
        "a critical TNAuthList",
        "RFC 8226 §9",
        der_of(authority_with(numbers(TnAuthList.for_prefixes([NumberPrefix("1202")]).to_der(), critical=True))),
    )
    yield "no organization", "RFC 5280 §4.1.2.6", der_of(authority_with(subject=subject(common_name)))
    yield (
        "two common names",
        "RFC 5280 §4.1.2.6",
        der_of(authority_with(subject=subject(organization, common_name, common_name))),
    )
    yield "a key on P-521", "RFC 8226 §4", der_of(authority_with(public_key=key("large", ec.SECP521R1()).public_key()))
    yield "an unknown critical extension", "RFC 5280 §4.2", der_of(authority_with(having(UNKNOWN, critical=True)))


def told_of_number(certificate: NumberCertificate) -> Json:
    """Return what is read from a number's certificate."""
    return {
        "number": certificate.number.e164,
        "numbers": certificate.numbers.identifier,
        "validation": [method.label for method in certificate.validation],
        "crl_urls": list(certificate.crl_urls),
        "ca_issuers_urls": list(certificate.ca_issuers_urls),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "serial": f"{certificate.serial:x}",
        "sct_list": None if certificate.sct_list is None else certificate.sct_list.hex(),
        "fingerprint": certificate.fingerprint.hex(),
    }


def told_of_authority(certificate: AuthorityCertificate) -> Json:
    """Return what is read from an authority's certificate."""
    return {
        "common_name": certificate.common_name,
        "organization": certificate.organization,
        "numbers": None if certificate.numbers is None else certificate.numbers.identifier,
        "path_length": certificate.path_length,
        "crl_urls": list(certificate.crl_urls),
        "ca_issuers_urls": list(certificate.ca_issuers_urls),
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "serial": f"{certificate.serial:x}",
        "fingerprint": certificate.fingerprint.hex(),
    }


# Requests


def request_with(
    *extensions: x509.ExtensionType,
    subject_name: x509.Name | None = None,
    signing_key: ec.EllipticCurvePrivateKey = NUMBER_KEY,
    algorithm: hashes.HashAlgorithm | None = None,
    attribute: tuple[x509.ObjectIdentifier, bytes] | None = None,
) -> bytes:
    """Return a signed request with these extensions, whatever they are."""
    builder = x509.CertificateSigningRequestBuilder(subject_name=subject_name or x509.Name([]))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    if attribute is not None:
        builder = builder.add_attribute(*attribute)
    request = builder.sign(signing_key, algorithm or hashes.SHA256(), ecdsa_deterministic=True)
    return request.public_bytes(Encoding.DER)


def tn_auth_list(number: TelephoneNumber) -> x509.UnrecognizedExtension:
    """Return the extension for one number."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(TN_AUTH_LIST), TnAuthList.for_number(number).to_der())


def requests() -> Iterator[tuple[str, str, bytes]]:
    """Yield the name, the RFC section and the DER of each case of a signing request."""
    number, both = tn_auth_list(NUMBER), x509.SubjectAlternativeName([TEL, ENUM])
    prefix = TnAuthList.for_prefixes([NumberPrefix("1202")]).to_der()
    genuine = number_request(NUMBER, NUMBER_KEY).public_bytes(Encoding.DER)
    yield "a number's request", "RFC 8555 §7.4", genuine
    yield "without a subjectAltName", "RFC 8555 §7.4", request_with(number)
    yield "signed with SHA-384", "RFC 2986 §4.2", request_with(number, both, algorithm=hashes.SHA384())

    yield "a changed signature", "RFC 2986 §4.2", genuine[:-1] + bytes((genuine[-1] ^ 1,))
    yield "signed with SHA-224", "RFC 2986 §4.2", request_with(number, algorithm=hashes.SHA224())
    yield "a key on P-384", "RFC 8226 §4", request_with(number, signing_key=ROOT_KEY)
    yield "a subject", "RFC 8555 §7.4", request_with(number, subject_name=subject((NameOID.COMMON_NAME, "Alice")))
    yield "no TNAuthList", "RFC 9448 §3", request_with(both)
    yield "a TNAuthList of a prefix", "RFC 9448 §3", request_with(x509.UnrecognizedExtension(number.oid, prefix))
    yield "a malformed TNAuthList", "RFC 8226 §9", request_with(x509.UnrecognizedExtension(number.oid, b"\x30\x00"))
    yield "names of another number", "RFC 8555 §7.4", request_with(tn_auth_list(OTHER_NUMBER), both)
    yield (
        "another name",
        "RFC 8555 §7.4",
        request_with(number, x509.SubjectAlternativeName([TEL, ENUM, x509.DNSName("www.example")])),
    )
    yield "another extension", "RFC 8555 §7.4", request_with(number, x509.BasicConstraints(True, None))
    yield (
        "another attribute",
        "RFC 8555 §7.4",
        request_with(number, attribute=(x509.ObjectIdentifier("1.2.840.113549.1.9.7"), b"secret")),
    )
    yield "no extension at all", "RFC 8555 §7.4", request_with()


# PASSporTs


def compact(header: bytes, claims: bytes, signing_key: ec.EllipticCurvePrivateKey = NUMBER_KEY) -> str:
    """Sign any header and claims, whether a PASSporT may have them or not."""
    signing_input = f"{base64url(header)}.{base64url(claims)}"
    der = signing_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    return f"{signing_input}.{base64url(b''.join(part.to_bytes(32, 'big') for part in decode_dss_signature(der)))}"


def base64url(data: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def dumps(value: object) -> bytes:
    """Serialize as RFC 8225 §9 says."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


HEADER: Json = {"alg": "ES256", "typ": "passport", "x5u": CHAIN_URL}
CLAIMS: Json = {"dest": {"tn": [CALLED]}, "iat": ISSUED_AT, "orig": {"tn": NUMBER.digits}}
CALL = Passport(NUMBER, (CALLED,), ISSUED_AT)
BODY = b"See you at eight."


def token_with(header: Json | None = None, claims: Json | None = None) -> str:
    """Return a signed token with some members replaced; a value of None takes the member out."""
    every = ({**HEADER, **(header or {})}, {**CLAIMS, **(claims or {})})
    return compact(*(dumps({name: value for name, value in each.items() if value is not None}) for each in every))


def passports_of_the_profile() -> Iterator[tuple[str, str, str]]:
    """Yield PASSporTs that are read: the name of the case, its RFC section and the token."""
    message = Passport(NUMBER, (CALLED,), ISSUED_AT, "msg", passport.message_integrity(BODY))
    many = Passport(
        NUMBER, ("911", CALLED, "*82"), ISSUED_AT, dest_uris=("sip:bob@example.net", "sip:alice@example.com")
    )
    head, body, signature = token_with().split(".")
    yield "a call, with its chain", "RFC 8225 §5", passport.sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING))
    yield "a call, with the chain's URL", "RFC 8225 §4.3", passport.sign(CALL, NUMBER_KEY, certificate_url=CHAIN_URL)
    yield "a message", "RFC 9475 §3.2", passport.sign(message, NUMBER_KEY, chain=(LEAF,), certificate_url=CHAIN_URL)
    yield "several destinations", "RFC 8225 §5.2.1", passport.sign(many, NUMBER_KEY, certificate_url=CHAIN_URL)
    yield (
        "white space and another order",
        "RFC 7515 §4",
        compact(b'{ "x5u":"https://ca.example/chain.pem", "typ":"passport","alg":"ES256"}', dumps(CLAIMS)),
    )
    yield "members that are not understood", "RFC 8225 §8.1", token_with({"kid": "1"}, {"attest": "A", "jti": "5"})
    yield "signed by another key", "RFC 7518 §3.4", compact(dumps(HEADER), dumps(CLAIMS), key("another"))
    yield (
        "changed after it was signed",
        "RFC 7518 §3.4",
        f"{head}.{base64url(dumps(CLAIMS | {'iat': ISSUED_AT + 1}))}.{signature}",
    )
    yield "r and s of 0", "RFC 7518 §3.4", f"{head}.{body}.{'A' * 86}"


def texts_that_are_no_passport() -> Iterator[tuple[str, str, str]]:
    """Yield texts that are not three parts of base64url."""
    genuine = token_with()
    head, body, signature = genuine.split(".")
    yield "nothing", "RFC 7515 §7.1", ""
    yield "compact form", "RFC 8225 §7", f"..{signature}"
    yield "two parts", "RFC 7515 §7.1", f"{head}.{body}"
    yield "four parts", "RFC 7515 §7.1", f"{genuine}.{signature}"
    yield "padding", "RFC 7515 §2", genuine + "=="
    yield "a signature of 63 bytes", "RFC 7518 §3.4", f"{head}.{body}.{base64url(bytes(63))}"
    yield "unused bits that are not 0", "RFC 4648 §3.5", genuine[:-1] + chr(ord(genuine[-1]) + 1)
    yield "a part of 1 character", "RFC 4648 §4", f"A.{body}.{signature}"
    yield "more than 16 KiB", "RFC 8225 §4", token_with({"kid": "k" * 12300})


def json_that_two_could_read_differently() -> Iterator[tuple[str, str, str]]:
    """Yield headers and claims that are not JSON, or not one JSON."""
    yield "a header that is not JSON", "RFC 7515 §4", compact(b"{", dumps(CLAIMS))
    yield "a header that is not UTF-8", "RFC 7515 §4", compact(b'{"alg":"\xff"}', dumps(CLAIMS))
    yield "a header that is a list", "RFC 7515 §4", compact(b"[]", dumps(CLAIMS))
    yield (
        "a header member twice",
        "RFC 7515 §4",
        compact(b'{"alg":"none","alg":"ES256","typ":"passport"}', dumps(CLAIMS)),
    )
    yield "a claim twice", "RFC 8225 §9", compact(dumps(HEADER), b'{"dest":{"tn":["1","2"],"tn":["1"]}}')
    yield "not a number", "RFC 8259 §6", compact(dumps(HEADER), b'{"iat":NaN}')
    yield "nested very deep", "RFC 8259 §9", compact(dumps(HEADER), b"[" * 4000 + b"]" * 4000)


def headers_that_are_refused() -> Iterator[tuple[str, str, str]]:
    """Yield PASSporTs whose header asks for something else, or names no certificate."""
    leaf = base64.b64encode(der_of(LEAF)).decode()
    yield "another algorithm", "RFC 8225 §4.2", token_with({"alg": "RS256"})
    yield "no algorithm", "RFC 7515 §4.1.1", token_with({"alg": None})
    yield "alg none", "RFC 8725 §3.1", token_with({"alg": "none"})
    yield "another type", "RFC 8225 §4.1", token_with({"typ": "JWT"})
    yield "a critical header", "RFC 7515 §4.1.11", token_with({"crit": ["b64"], "b64": False})
    yield "an unknown ppt", "RFC 8225 §8.1", token_with({"ppt": "shaken"})
    yield "a ppt that is no string", "RFC 8225 §8.1", token_with({"ppt": ["msg"]})
    yield "no certificate", "RFC 8225 §4.3", token_with({"x5u": None})
    yield "an x5u that is no web URL", "RFC 8225 §4.3", token_with({"x5u": "file:///etc/passwd"})
    yield "an x5u that is no string", "RFC 7515 §4.1.5", token_with({"x5u": [CHAIN_URL]})
    yield "an x5c that is no list", "RFC 7515 §4.1.6", token_with({"x5c": leaf})
    yield "an empty x5c", "RFC 7515 §4.1.6", token_with({"x5c": []})
    yield "an x5c of numbers", "RFC 7515 §4.1.6", token_with({"x5c": [1]})
    yield "an x5c of 11 certificates", "RFC 7515 §4.1.6", token_with({"x5c": [leaf] * 11})
    yield "an x5c in base64url", "RFC 7515 §4.1.6", token_with({"x5c": [base64url(der_of(LEAF))]})
    yield "an x5c with a line break", "RFC 7515 §4.1.6", token_with({"x5c": [leaf[:64] + "\n" + leaf[64:]]})
    yield "an x5c with unused bits", "RFC 4648 §3.5", token_with({"x5c": [with_unused_bit(leaf)]})
    yield "an x5c of no certificate", "RFC 7515 §4.1.6", token_with({"x5c": ["MAA="]})


def claims_that_are_refused() -> Iterator[tuple[str, str, str]]:
    """Yield PASSporTs whose claims are not those of one call."""
    yield "no orig", "RFC 8225 §5.2.1", token_with({}, {"orig": None})
    yield "an orig that is a URI", "RFC 8225 §5.2.1.2", token_with({}, {"orig": {"uri": "sip:alice@example.com"}})
    yield "an orig of two identities", "RFC 8225 §5.2.1", token_with({}, {"orig": {"tn": NUMBER.digits, "x": "1"}})
    yield "an orig with a plus", "RFC 8224 §8.3", token_with({}, {"orig": {"tn": NUMBER.e164}})
    yield "an orig that is a list", "RFC 8225 §5.2.1.1", token_with({}, {"orig": {"tn": [NUMBER.digits]}})
    yield "no dest", "RFC 8225 §5.2.1", token_with({}, {"dest": None})
    yield "a dest that is no list", "RFC 8225 §5.2.1", token_with({}, {"dest": {"tn": CALLED}})
    yield "a dest without numbers", "RFC 8225 §5.2.1", token_with({}, {"dest": {"tn": []}})
    yield "a dest of a URI only", "RFC 8225 §5.2.1.2", token_with({}, {"dest": {"uri": ["sip:alice@example.com"]}})
    yield "a dest with a plus", "RFC 8224 §8.3", token_with({}, {"dest": {"tn": ["+" + CALLED]}})
    yield (
        "a dest with a relative URI",
        "RFC 8225 §5.2.1.2",
        token_with({}, {"dest": {"tn": [CALLED], "uri": ["alice"]}}),
    )
    yield "no iat", "RFC 8225 §5.1.1", token_with({}, {"iat": None})
    yield "an iat that is a string", "RFC 8225 §5.1.1", token_with({}, {"iat": str(ISSUED_AT)})
    yield "a fractional iat", "RFC 8225 §9", token_with({}, {"iat": ISSUED_AT + 0.5})
    yield "an iat that is true", "RFC 8225 §5.1.1", token_with({}, {"iat": True})
    yield "an iat before 1970", "RFC 7519 §2", token_with({}, {"iat": -1})
    yield "an iat of 4301 digits", "RFC 8259 §6", compact(dumps(HEADER), b'{"iat":1' + b"0" * 4300 + b"}")
    yield "a message without msgi", "RFC 9475 §3.2", token_with({"ppt": "msg"})
    yield "a msgi without ppt", "RFC 9475 §3.2", token_with({}, {"msgi": passport.message_integrity(BODY)})
    yield "a msgi that is no string", "RFC 9475 §3.2", token_with({"ppt": "msg"}, {"msgi": 1})
    yield (
        "a msgi of another hash",
        "RFC 9475 §3.2",
        token_with({"ppt": "msg"}, {"msgi": "md5-1B2M2Y8AsgTpgAmY7PhCfg=="}),
    )


def with_unused_bit(text: str) -> str:
    """Return base64 of the same bytes, with an unused bit set; the DER's length leaves some."""
    stripped = text.rstrip("=")
    if stripped == text:
        stripped = text = base64.b64encode(der_of(ISSUING)).decode().rstrip("=")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    changed = stripped[:-1] + alphabet[alphabet.index(stripped[-1]) | 1]
    return changed + "=" * (-len(changed) % 4)


def told_of_passport(token: SignedPassport) -> Json:
    """Return what is read from a PASSporT, and whether the key of the vectors signed it."""
    told = token.passport
    try:
        token.verify(NUMBER_KEY.public_key())
        verified = True
    except StirError:
        verified = False
    return {
        "orig": told.orig.e164,
        "dest": list(told.dest),
        "dest_uris": list(told.dest_uris),
        "issued_at": told.issued_at,
        "ppt": told.ppt,
        "message_integrity": told.message_integrity,
        "chain": [certificate.fingerprint(hashes.SHA256()).hex() for certificate in token.chain],
        "certificate_url": token.certificate_url,
        "verified": verified,
    }


# Identity headers


def identity_headers() -> Iterator[tuple[str, str, str]]:
    """Yield the name, the RFC section and the text of each case of an Identity header's value."""
    by_url, by_chain = token_with(), passport.sign(CALL, NUMBER_KEY, chain=(LEAF,))
    message = Passport(NUMBER, (CALLED,), ISSUED_AT, "msg", passport.message_integrity(BODY))
    text = passport.sign(message, NUMBER_KEY, certificate_url=CHAIN_URL)
    info = f"info=<{CHAIN_URL}>"
    another = base64url(hashlib.sha256(b"another certificate").digest())
    yield "a token with its URL", "RFC 8224 §4", IdentityHeader.for_token(by_url).format()
    yield "a token with its chain", "RFC 6920 §3", IdentityHeader.for_token(by_chain).format()
    yield "a message", "RFC 9475 §3.1", IdentityHeader.for_token(text).format()
    yield "without alg", "RFC 8224 §4.1", f"{by_url};{info}"
    yield (
        "quotes, spaces, folding and capitals",
        "RFC 3261 §7.3.1",
        f'{text} ;\r\n INFO = <{CHAIN_URL}> ; Alg=ES256 ; ppt = "msg" ; n',
    )
    yield "a chain beside any URI", "RFC 8224 §7.3", f"{by_chain};info=<https://elsewhere.example/>"

    yield "nothing", "RFC 8224 §4", ""
    yield "no info", "RFC 8224 §4", by_url
    yield "info without angle brackets", "RFC 8224 §4", f"{by_url};info={CHAIN_URL}"
    yield "info in quotes", "RFC 8224 §4", f'{by_url};info="{CHAIN_URL}"'
    yield "info that is no URI", "RFC 8224 §4", f"{by_chain};info=<chain.pem>"
    yield "info that is not the x5u", "RFC 8224 §4.1", f"{by_url};info=<https://elsewhere.example/>"
    yield "info that names another certificate", "RFC 6920 §3", f"{by_chain};info=<ni:///sha-256;{another}>"
    yield "another alg", "RFC 8224 §4.1", f"{by_url};{info};alg=RS256"
    yield "a ppt that the token lacks", "RFC 8224 §4.1", f"{by_url};{info};ppt=msg"
    yield "no ppt where the token has one", "RFC 8224 §4.1", f"{text};{info}"
    yield "a parameter twice", "RFC 8224 §4", f"{by_url};{info};{info}"
    yield "an empty parameter", "RFC 8224 §4", f"{by_url};{info};;"
    yield "compact form", "RFC 8225 §7", f"..{by_url.rpartition('.')[2]};{info}"
    yield "more than it may have", "RFC 8224 §4", f"{by_url};{info};x={'x' * 20480}"


def told_of_header(header: IdentityHeader) -> Json:
    """Return what is read from an Identity header's value."""
    return {"info": header.info, "algorithm": header.algorithm, "ppt": header.ppt, "value": header.format()}


# TNAuthLists and key authorizations


def tn_auth_lists() -> Iterator[tuple[str, str, str]]:
    """Yield the name, the RFC section and the identifier of each case of a TNAuthList."""
    ranges = TnAuthList.for_prefixes([NumberPrefix("1202")])
    yield "one number", "RFC 8226 §9", "MA-iDRYLMTIwMTU1NTAxMDA"
    yield "a prefix", "RFC 8226 §9", ranges.identifier
    for name, section, der in (
        ("a provider", "RFC 8226 §9", "30 08 a0 06 16 04 37 30 39 4a"),
        ("a service code", "RFC 8226 §9", "30 07 a2 05 16 03 2a 36 37"),
        ("a count with a leading zero", "X.690 §8.3.2", "30 0d a1 0b 30 09 16 02 31 30 02 03 00 00 5a"),
        ("an empty list", "RFC 8226 §9", "30 00"),
        ("an entry of no kind", "RFC 8226 §9", "30 05 a3 03 02 01 01"),
        ("a number with a plus", "RFC 8226 §9", "30 07 a2 05 16 03 2b 31 32"),
        ("a number of 16 digits", "RFC 8226 §9", "30 14 a2 12 16 10" + " 31" * 16),
        ("a range of one", "RFC 8226 §9", "30 0b a1 09 30 07 16 02 31 30 02 01 01"),
        ("a range of 90 from 10", "RFC 8226 §9", "30 0b a1 09 30 07 16 02 31 30 02 01 5a"),
        ("a range of 91 from 10", "RFC 8226 §9", "30 0b a1 09 30 07 16 02 31 30 02 01 5b"),
        ("a range from a service code", "RFC 8226 §9", "30 0b a1 09 30 07 16 02 2a 30 02 01 02"),
        ("an implicit tag", "RFC 8226 §9", "30 04 82 02 31 32"),
        ("a length in long form", "X.690 §10.1", "30 81 07 a2 05 16 03 2a 36 37"),
        ("bytes after the list", "X.690 §8.1", "30 07 a2 05 16 03 2a 36 37 00"),
        ("an indefinite length", "X.690 §10.1", "30 80 a2 05 16 03 2a 36 37 00 00"),
    ):
        yield name, section, base64url(bytes.fromhex(der))
    yield "padding", "RFC 9448 §3", "MA-iDRYLMTIwMTU1NTAxMDA="
    yield "unused bits", "RFC 4648 §3.5", "MA-iDRYLMTIwMTU1NTAxMDB"


def told_of_list(numbers_: TnAuthList) -> Json:
    """Return what is read from a TNAuthList."""
    single = numbers_.single_number
    return {
        "der": numbers_.to_der().hex(),
        "number": None if single is None else single.e164,
        "intervals": [[interval.start, interval.count] for interval in numbers_.intervals],
    }


def key_authorizations() -> Iterator[Json]:
    """Yield both parts, the account key's thumbprint and the digest of each case."""
    part2, thumbprint = (
        key_authorization.token_from_bytes(bytes(range(16, 32))),
        hashlib.sha256(b"account key").digest(),
    )
    for part1 in (key_authorization.token_from_bytes(bytes(range(16))), "12345678", "000000", "9999999999"):
        yield {
            "part1": part1,
            "part2": part2,
            "thumbprint": thumbprint.hex(),
            "key_authorization": key_authorization.key_authorization(part1, part2, thumbprint),
            "digest": key_authorization.digest(part1, part2, thumbprint),
        }


# Files


def outcome(read: Callable[[], Json]) -> Json:
    """Return what is read, or the error."""
    try:
        return {"expect": read()}
    except StirError as error:
        return {"error": {"class": type(error).__name__, "message": str(error)}}


READERS: dict[str, Callable[[str], Json]] = {
    "number_certificate": lambda text: told_of_number(NumberCertificate.read(load_certificate(base64.b64decode(text)))),
    "authority_certificate": lambda text: told_of_authority(
        AuthorityCertificate.read(load_certificate(base64.b64decode(text)))
    ),
    "request": lambda text: {"number": NumberRequest.read(base64.b64decode(text)).number.e164},
    "passport": lambda text: told_of_passport(SignedPassport.parse(text)),
    "identity_header": lambda text: told_of_header(IdentityHeader.parse(text)),
    "tn_auth_list": lambda text: told_of_list(TnAuthList.from_identifier(text)),
}
"""How each format is read, from the text in its vectors to what is expected of it."""


def cases(kind: str, found: Iterator[tuple[str, str, str | bytes]]) -> list[Json]:
    """Return the cases of one format, each with what comes of it."""
    written = []
    for name, section, given in found:
        text = base64.b64encode(given).decode() if isinstance(given, bytes) else given
        written.append(
            {"name": name, "section": section, "input": text} | outcome(lambda text=text: READERS[kind](text))
        )
    return written


def vectors() -> dict[str, list[Json]]:
    """Return every case, by the name of its file."""
    return {
        "number_certificate": cases(
            "number_certificate",
            chain(
                numbers_of_the_profile(),
                numbers_of_another_form(),
                numbers_of_other_names(),
                numbers_of_another_use(),
                numbers_without_a_way_to_check(),
            ),
        ),
        "authority_certificate": cases("authority_certificate", authority_certificates()),
        "request": cases("request", requests()),
        "passport": cases(
            "passport",
            chain(
                passports_of_the_profile(),
                texts_that_are_no_passport(),
                json_that_two_could_read_differently(),
                headers_that_are_refused(),
                claims_that_are_refused(),
            ),
        ),
        "identity_header": cases("identity_header", identity_headers()),
        "tn_auth_list": cases("tn_auth_list", tn_auth_lists()),
        "key_authorization": list(key_authorizations()),
    }


def written(found: list[Json]) -> str:
    """Return a file's text."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, found in vectors().items():
        (FOLDER / f"{name}.json").write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main()
