"""Revocation lists of one small authority, and a server that hands one out."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes import small_pki
from tests.fakes.small_pki import CRL_URL, NOW, Authority
from trust_store.errors import FetchError

SERIAL = 1001
OTHER_URL = "https://ca.example/crl/1/1.crl"
AUTHORITY = small_pki.root().authority("Example Issuing")
LEAF = AUTHORITY.number(serial=SERIAL).chain[0]
ISSUER = AUTHORITY.certificate


def scope(url: str | None = CRL_URL, **parts: object) -> x509.IssuingDistributionPoint:
    """Return the scope of a shard, with something else in it."""
    names = None if url is None else [x509.UniformResourceIdentifier(url)]
    usual: dict[str, object] = {
        "full_name": names,
        "relative_name": None,
        "only_contains_user_certs": True,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return x509.IssuingDistributionPoint(**(usual | parts))  # type: ignore[arg-type]


def crl(
    *revoked: int,
    signer: Authority = AUTHORITY,
    issuer: x509.Name | None = None,
    this_update: datetime = NOW - timedelta(minutes=30),
    life: timedelta = timedelta(days=1),
    distribution: x509.IssuingDistributionPoint | None = scope(),  # noqa: B008  # a constant
    reason: x509.ReasonFlags | None = None,
    extra: tuple[x509.ExtensionType, bool] | None = None,
) -> bytes:
    """Return the DER of a revocation list."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer or signer.certificate.subject)
        .last_update(this_update)
        .next_update(this_update + life)
    )
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - timedelta(hours=1))
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    if distribution is not None:
        builder = builder.add_extension(distribution, critical=True)
    if extra is not None:
        builder = builder.add_extension(*extra)
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


class Server:
    """Answers with the documents that it has, and counts how often it is asked."""

    def __init__(self, **documents: bytes) -> None:
        """Have the list at CRL_URL, where one is given."""
        self.document: bytes | None = documents.get("document")
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        """Return the document."""
        self.asked.append(url)
        if self.document is None:
            msg = "ca.example could not be asked"
            raise FetchError(msg)
        return self.document
