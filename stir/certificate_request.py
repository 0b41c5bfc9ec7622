"""The request for a number's certificate, which asks for the number and for nothing else (RFC 2986, RFC 8555 §7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from stir.certificate_extensions import (
    TN_AUTH_LIST,
    Extensions,
    optional,
    read_names,
    read_tn_auth_list,
    write_names,
    write_tn_auth_list,
)
from stir.certificate_profile import SIGNATURES, profile_errors, require_curve, require_size
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList

_EXTENSION_REQUEST = x509.ObjectIdentifier("1.2.840.113549.1.9.14")
_REQUEST_SIGNATURES = SIGNATURES | {SignatureAlgorithmOID.ECDSA_WITH_SHA512}


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
        with profile_errors("the certificate signing request"):
            request = x509.load_der_x509_csr(require_size(der))
            public_key = require_curve(request.public_key(), ec.SECP256R1)
            if request.signature_algorithm_oid not in _REQUEST_SIGNATURES or not request.is_signature_valid:
                msg = "the certificate signing request must be signed by its own key, with ECDSA and SHA-256 or longer"
                raise CertificateProfileError(msg)
            return cls(_requested_number(request), public_key)


def number_request(number: TelephoneNumber, key: ec.EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """Return the signed request for a number's certificate; the same bytes for the same number and key (RFC 6979)."""
    require_curve(key.public_key(), ec.SECP256R1)
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([]))
    builder = builder.add_extension(write_names(number), critical=True)
    builder = builder.add_extension(write_tn_auth_list(TnAuthList.for_number(number)), critical=False)
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def _requested_number(request: x509.CertificateSigningRequest) -> TelephoneNumber:
    """Return the number that a request asks for; refuse everything else that it asks for."""
    if request.subject.rdns:
        msg = "the subject of the certificate signing request must be empty"
        raise CertificateProfileError(msg)
    if [attribute.oid for attribute in request.attributes] != [_EXTENSION_REQUEST]:
        msg = "the certificate signing request must hold one attribute, the extensionRequest"
        raise CertificateProfileError(msg)
    extensions: Extensions = {extension.oid: extension for extension in request.extensions}
    unexpected = extensions.keys() - {TN_AUTH_LIST, ExtensionOID.SUBJECT_ALTERNATIVE_NAME}
    if unexpected:
        names = ", ".join(sorted(oid.dotted_string for oid in unexpected))
        msg = f"the certificate signing request asks for extensions that are not issued: {names}"
        raise CertificateProfileError(msg)
    return _number_asked_for(extensions)


def _number_asked_for(extensions: Extensions) -> TelephoneNumber:
    numbers = read_tn_auth_list(extensions)
    number = None if numbers is None else numbers.single_number
    if number is None:
        msg = "the certificate signing request must hold a TNAuthList of exactly one telephone number"
        raise CertificateProfileError(msg)
    names = optional(extensions, x509.SubjectAlternativeName)
    if names is not None and read_names(names) != number:
        msg = "the certificate signing request's TNAuthList and subjectAltName differ"
        raise CertificateProfileError(msg)
    return number
