"""The authority's issuing certificate and key at work: number certificates and CRLs, linted before release."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.errors import KeyStoreError, LintError
from ca_server.orders import Issuance, Revocation
from ca_server.signing.lint import lint_number_certificate, lint_revocation_list
from ca_server.signing.revocation_list import RevocationListFields, revocation_list
from stir.certificate import (
    AuthorityCertificate,
    NumberCertificateFields,
    number_certificate,
    signature_hash,
    write_pem_chain,
)
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber

_ID_CHARACTERS = 16


@dataclass(frozen=True)
class Issuer:
    """Signs for one issuing certificate.

    `chain` holds the certificates above `certificate`, in order, up to the anchor that users are given; it is empty
    where the issuing certificate is itself the anchor. `public_url` is the CA's, without a trailing slash; `crl_shards`
    how many CRLs its certificates are spread over. Raises KeyStoreError where the key is not the certificate's.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    public_url: str
    crl_shards: int

    def __post_init__(self) -> None:
        """Refuse a key that would sign what nobody can verify."""
        if self.key.public_key() != self.certificate.public_key():
            msg = (
                "the issuing key does not belong to the issuing certificate; "
                "set authority.key and authority.certificate to a pair made together"
            )
            raise KeyStoreError(msg)

    @cached_property
    def id(self) -> str:
        """The name of this issuing certificate in URLs: the first 16 hex digits of its SHA-256."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()[:_ID_CHARACTERS]

    @cached_property
    def certificate_url(self) -> str:
        """Where the issuing certificate is served, in DER: the caIssuers of what it signs (RFC 5280 §4.2.2.1)."""
        return f"{self.public_url}/issuer/{self.id}.der"

    @cached_property
    def certificate_der(self) -> bytes:
        """What `certificate_url` serves."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @cached_property
    def not_after(self) -> datetime:
        """The moment after which nothing this issuer signed is valid: the earliest end in its chain."""
        return min(certificate.not_valid_after_utc for certificate in (self.certificate, *self.chain))

    def crl_url(self, shard: int) -> str:
        """Return where the CRL of a shard is served (RFC 5280 §4.2.1.13)."""
        return f"{self.public_url}/crl/{self.id}/{shard}.crl"

    def covers(self, number: TelephoneNumber) -> bool:
        """Tell whether every certificate from the issuing one up to the anchor may speak for the number (RFC 9060)."""
        return all(
            authority.numbers is None or authority.numbers.covers_number(number) for authority in self._authorities
        )

    def sign_certificate(
        self, number: TelephoneNumber, public_key: ec.EllipticCurvePublicKey, issuance: Issuance
    ) -> x509.Certificate:
        """Return the certificate that `issuance` describes.

        The signature is deterministic (RFC 6979), so signing once more after a crash gives the same bytes. Raises
        LintError, and releases nothing, where the result is not what was meant.
        """
        if not self.covers(number):
            msg = f"the issuing certificate may not speak for {number.masked}"
            raise LintError(msg)
        try:
            fields = self._fields(number, public_key, issuance)
            builder = number_certificate(fields, self.certificate)
        except CertificateProfileError as error:
            msg = f"the certificate to sign is outside the profile: {error}"
            raise LintError(msg) from error
        certificate = builder.sign(self.key, signature_hash(self.key), ecdsa_deterministic=True)
        lint_number_certificate(certificate, fields, self.certificate)
        return certificate

    def sign_crl(
        self,
        shard: int,
        number: int,
        this_update: datetime,
        next_update: datetime,
        revocations: Iterable[Revocation],
    ) -> bytes:
        """Return the CRL of a shard, in DER, with its growing `number` (RFC 5280 §5). Raises LintError."""
        if not 0 <= shard < self.crl_shards:
            msg = f"there is no CRL shard {shard}: they are 0 to {self.crl_shards - 1}"
            raise LintError(msg)
        fields = RevocationListFields(self.crl_url(shard), number, this_update, next_update, tuple(revocations))
        signed = revocation_list(fields, self.certificate).sign(
            self.key, signature_hash(self.key), ecdsa_deterministic=True
        )
        lint_revocation_list(signed, fields, self.certificate)
        return signed.public_bytes(serialization.Encoding.DER)

    def chain_pem(self, leaf: x509.Certificate) -> bytes:
        """Return the leaf and the certificates between it and the anchor, leaf first (RFC 8555 §9.1).

        The anchor is left out, because whoever believes it has it, unless the issuing certificate is the anchor:
        clients such as certbot take a chain of two certificates or more.
        """
        return write_pem_chain((leaf, self.certificate)) + self._intermediates_pem

    def issued(self, certificate: x509.Certificate) -> bool:
        """Tell whether this issuer's key signed the certificate."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, TypeError, ValueError):
            return False
        return True

    def _fields(
        self, number: TelephoneNumber, public_key: ec.EllipticCurvePublicKey, issuance: Issuance
    ) -> NumberCertificateFields:
        return NumberCertificateFields(
            number=number,
            public_key=public_key,
            serial=issuance.serial,
            not_before=issuance.not_before,
            not_after=issuance.not_after,
            validation=issuance.validation,
            ca_issuers_url=self.certificate_url,
            crl_url=self.crl_url(issuance.shard),
        )

    @cached_property
    def _intermediates_pem(self) -> bytes:
        return write_pem_chain(self.chain[:-1]) if self.chain[:-1] else b""

    @cached_property
    def _authorities(self) -> tuple[AuthorityCertificate, ...]:
        return tuple(AuthorityCertificate.read(certificate) for certificate in (self.certificate, *self.chain))
