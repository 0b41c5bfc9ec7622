"""Anchors: the authorities' certificates at which the user's belief begins.

An anchor is usually a root, and may be any authority's certificate: then the path ends there, and the authorities
above it do not matter. `cryptography` would also take a number's certificate for an anchor, so that is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import Store

from policies.facts import CertificateFacts
from policies.terms import KeyType, Terms
from stir.certificate import AuthorityCertificate
from stir.errors import CertificateProfileError
from stir.validation_method import ValidationMethod
from trust_store.errors import AnchorError
from trust_store.fingerprints import all_fingerprints, sha256_of

_ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")
_KEY_TYPES: dict[type[ec.EllipticCurve], KeyType] = {ec.SECP256R1: KeyType.P256, ec.SECP384R1: KeyType.P384}


@dataclass(frozen=True, slots=True)
class Anchor:
    """An authority's certificate with the user's terms for it. Raises AnchorError where it is no authority's."""

    terms: Terms
    certificate: x509.Certificate
    authority: AuthorityCertificate = field(init=False, repr=False, compare=False)
    store: Store = field(init=False, repr=False, compare=False)
    key_identifier: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the certificate, and make the verifier's store of just this anchor."""
        try:
            authority = AuthorityCertificate.read(self.certificate)
        except CertificateProfileError as error:
            msg = f"it cannot be an anchor: {error}"
            raise AnchorError(msg) from error
        object.__setattr__(self, "authority", authority)
        object.__setattr__(self, "store", Store([self.certificate]))
        object.__setattr__(self, "key_identifier", key_identifier_of(self.certificate))

    @property
    def sha256(self) -> str:
        """The SHA-256 of the certificate, in hexadecimal: by this the user knows the anchor."""
        return sha256_of(self.certificate)

    def require(self, sha256: str) -> None:
        """Refuse another certificate than the one that the user named; raise AnchorError."""
        if self.sha256 != sha256:
            msg = f"its SHA-256 is {self.sha256}, which is not the one that was asked for"
            raise AnchorError(msg)


def authority_facts(authority: AuthorityCertificate, *, fingerprints: bool) -> CertificateFacts:
    """Return what the rules need to know of an authority's certificate, its fingerprints only where asked for."""
    return CertificateFacts(
        title=f"the authority {authority.common_name}",
        not_before=authority.not_before,
        not_after=authority.not_after,
        numbers=authority.numbers,
        fingerprints=all_fingerprints(authority.certificate) if fingerprints else frozenset(),
        key=_KEY_TYPES[type(authority.public_key.curve)],
    )


def key_identifier_of(certificate: x509.Certificate) -> bytes:
    """Return the identifier that an authority's certificate gives its key; the profile requires one."""
    return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


def methods_left_by(certificate: x509.Certificate) -> frozenset[ValidationMethod]:
    """Return which methods an authority between the number and the anchor lets stand (RFC 5280 §6.1.3 (d), (e)).

    One without policies lets none stand, one with anyPolicy all. An anchor is no part of that: it has no say here.
    """
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    named = {policy.policy_identifier for policy in policies}
    return frozenset(method for method in ValidationMethod if _ANY_POLICY in named or method.oid in named)
