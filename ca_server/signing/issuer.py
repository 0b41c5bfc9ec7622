"""The authority's issuing certificate and key at work: number certificates and CRLs, linted before release."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.errors import KeyStoreError, LintError
from ca_server.orders import Issuance, Revocation
from ca_server.signing.lint import (
    lint_number_certificate,
    lint_precertificate,
    lint_revocation_list,
    require_within,
)
from ca_server.signing.revocation_list import RevocationListFields, revocation_list
from stir.certificate import AuthorityCertificate
from stir.certificate_building import NumberCertificateFields, number_certificate, precertificate, signature_hash
from stir.certificate_chain import write_pem_chain
from stir.errors import CertificateProfileError
from stir.telephone_number import TelephoneNumber
from transparency.sct import issuer_key_hash, tbs_of

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
    def key_hash(self) -> bytes:
        """The SHA-256 of the issuing key's SubjectPublicKeyInfo, by which logs know the issuer (RFC 6962 §3.2)."""
        return issuer_key_hash(self.certificate)

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
        """Return the certificate that `issuance` describes, with the timestamps that were fixed for it.

        The signature is deterministic (RFC 6979), so signing once more after a crash gives the same bytes. Raises
        LintError, and releases nothing, where the result is not what was meant. What may not be signed at all, such as
        a number outside the issuer's own, is refused before the key is used.
        """
        if issuance.sct_list is None:
            msg = "a certificate that awaits its logs is not signed"
            raise LintError(msg)
        sct_list = issuance.sct_list or None
        fields = self._fields(number, public_key, issuance)
        with _profile_errors():
            builder = number_certificate(fields, self.certificate, sct_list)
        certificate = builder.sign(self.key, signature_hash(self.key), ecdsa_deterministic=True)
        lint_number_certificate(certificate, fields, self.certificate, sct_list)
        if sct_list is not None and logged_digest(self.key_hash, tbs_of(certificate)) != issuance.logged_digest:
            msg = "the certificate is not the one that the logs were shown"
            raise LintError(msg)
        return certificate

    def sign_precertificate(
        self, number: TelephoneNumber, public_key: ec.EllipticCurvePublicKey, issuance: Issuance
    ) -> x509.Certificate:
        """Return the precertificate to show to logs: the same bytes each time (RFC 6962 §3.1). Raises LintError."""
        fields = self._fields(number, public_key, issuance)
        with _profile_errors():
            builder = precertificate(fields, self.certificate)
        signed = builder.sign(self.key, signature_hash(self.key), ecdsa_deterministic=True)
        lint_precertificate(signed, fields, self.certificate)
        return signed

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
        """Return what the certificate says; raise LintError where this issuer may not sign it."""
        if not self.covers(number):
            msg = f"the issuing certificate may not speak for {number.masked}"
            raise LintError(msg)
        require_within(issuance.not_before, issuance.not_after, self.certificate)
        with _profile_errors():
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


def logged_digest(key_hash: bytes, tbs: bytes) -> bytes:
    """Return the SHA-256 by which the authority knows what a log's timestamp is of: the issuer's key hash and the TBS.

    `tbs` is without poison and SCT list, so that precertificate and certificate have one digest (RFC 6962 §3.2).
    """
    return sha256(key_hash + tbs).digest()


@contextmanager
def _profile_errors() -> Iterator[None]:
    try:
        yield
    except CertificateProfileError as error:
        msg = f"the certificate to sign is outside the profile: {error}"
        raise LintError(msg) from error
