"""The CRL of one shard, before it is signed (RFC 5280 §5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ca_server.errors import LintError
from ca_server.orders import Revocation

REASONS = {
    0: x509.ReasonFlags.unspecified,
    1: x509.ReasonFlags.key_compromise,
    2: x509.ReasonFlags.ca_compromise,
    3: x509.ReasonFlags.affiliation_changed,
    4: x509.ReasonFlags.superseded,
    5: x509.ReasonFlags.cessation_of_operation,
    6: x509.ReasonFlags.certificate_hold,
    9: x509.ReasonFlags.privilege_withdrawn,
    10: x509.ReasonFlags.aa_compromise,
}
"""What each CRLReason number means; 7 is not assigned and 8 belongs to delta CRLs (RFC 5280 §5.3.1)."""


@dataclass(frozen=True, slots=True)
class RevocationListFields:
    """What a CRL says. `url` is its distribution point, `number` grows with each list; times are aware, in UTC.

    Raises LintError for a list that RFC 5280 does not allow.
    """

    url: str
    number: int
    this_update: datetime
    next_update: datetime
    revocations: tuple[Revocation, ...]

    def __post_init__(self) -> None:
        """Refuse a reason that stands for nothing, and an end that is not after the beginning."""
        unknown = next((one.reason for one in self.revocations if one.reason not in REASONS), None)
        if unknown is not None:
            msg = f"a CRL gives no reason {unknown} (RFC 5280 §5.3.1)"
            raise LintError(msg)
        if self.this_update >= self.next_update:
            msg = "a CRL's next update comes after this one"
            raise LintError(msg)


def revocation_list(fields: RevocationListFields, issuer: x509.Certificate) -> x509.CertificateRevocationListBuilder:
    """Return the list, ready to be signed with the issuer's key."""
    # The entries go in at once: add_revoked_certificate copies the list each time, quadratic in a long one.
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.subject, revoked_certificates=[_entry(revocation) for revocation in fields.revocations]
    )
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        builder.last_update(fields.this_update)
        .next_update(fields.next_update)
        .add_extension(x509.CRLNumber(fields.number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), critical=False)
        .add_extension(distribution_point(fields.url), critical=True)
    )


def distribution_point(url: str) -> x509.IssuingDistributionPoint:
    """Return the scope of a shard: it speaks only for end-entity certificates that name this URL (RFC 5280 §5.2.5)."""
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _entry(revocation: Revocation) -> x509.RevokedCertificate:
    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(revocation.serial)
        .revocation_date(revocation.revoked_at.replace(microsecond=0))
    )
    if revocation.reason:  # "unspecified" is said by leaving the reason out (RFC 5280 §5.3.1)
        entry = entry.add_extension(x509.CRLReason(REASONS[revocation.reason]), critical=False)
    return entry.build()
