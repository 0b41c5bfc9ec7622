"""An authority's certificates and keys, made in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.orders import Issuance
from ca_server.signing.issuer import Issuer
from stir.certificate_building import AuthorityFields, authority_certificate, signature_hash
from stir.telephone_number import NumberPrefix
from stir.validation_method import ValidationMethod

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
"""A moment at which everything made here is valid."""


def make_authority_certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
    prefixes: tuple[str, ...] = (),
    path_length: int | None = 0,
    lifetime: timedelta = timedelta(days=365),
) -> x509.Certificate:
    """Return the certificate of an authority, by itself or under `issuer`."""
    fields = AuthorityFields(
        common_name=name,
        organization="Example Ltd",
        public_key=key.public_key(),
        serial=x509.random_serial_number(),
        not_before=NOW - timedelta(days=1),
        not_after=NOW + lifetime,
        prefixes=tuple(NumberPrefix.parse(prefix) for prefix in prefixes),
        path_length=path_length if issuer else None,
    )
    signing_key = issuer[1] if issuer else key
    builder = authority_certificate(fields, issuer[0] if issuer else None)
    return builder.sign(signing_key, signature_hash(signing_key), ecdsa_deterministic=True)


def make_issuer(
    public_url: str = "https://ca.example",
    prefixes: tuple[str, ...] = (),
    crl_shards: int = 4,
    lifetime: timedelta = timedelta(days=365),
) -> Issuer:
    """Return the issuer of a new authority: a P-384 root and a P-256 issuing certificate."""
    root_key = ec.generate_private_key(ec.SECP384R1())
    root = make_authority_certificate("Example root", root_key, lifetime=lifetime)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = make_authority_certificate("Example CA", key, (root, root_key), prefixes, lifetime=lifetime)
    return Issuer(certificate, (root,), key, public_url, crl_shards)


def make_issuance(
    serial: int = 2**120 + 1, shard: int = 0, start: datetime = NOW, lifetime: timedelta = timedelta(days=7)
) -> Issuance:
    """Return what was decided of one certificate."""
    return Issuance(
        serial=serial,
        csr=b"",
        not_before=start - timedelta(hours=1),
        not_after=start + lifetime,
        shard=shard,
        validation=ValidationMethod.SMS_CODE,
        reserved_at=start,
    )
