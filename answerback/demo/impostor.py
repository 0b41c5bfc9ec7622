"""What the demo's attackers make: changed tokens, and certificates that nobody should believe."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.loading import load_config
from ca_server.signing.loading import open_key_store
from number_directory.record import SignedRecord, latest_expiry, sign_record
from stir.certificate import AuthorityCertificate
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
)
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod


def with_another_time(token: str, at: datetime) -> str:
    """Return a PASSporT that claims to be signed at another time, under the signature that it had before."""
    return _with_claims(token, iat=int(at.timestamp()))


def with_other_uris(token: str, uris: tuple[str, ...]) -> str:
    """Return a record that leads elsewhere, under the signature and the certificates that it had before."""
    signed, tilde, disclosure = token.partition("~")
    return f"{_with_claims(signed, uris=uris)}{tilde}{disclosure}"


def _with_claims(token: str, **claims: object) -> str:
    header, payload, signature = token.split(".")
    before = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    changed = json.dumps(before | claims, separators=(",", ":"), sort_keys=True).encode("ascii")
    return f"{header}.{base64.urlsafe_b64encode(changed).rstrip(b'=').decode('ascii')}.{signature}"


def certificate_outside_its_numbers(
    authority: Path, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey
) -> tuple[x509.Certificate, ...]:
    """Sign a certificate for `number` with an authority's own issuing key, whatever numbers it may certify.

    The authority's program refuses to, and so does our library. Whoever has stolen the key writes the certificate as
    though the issuing one had no limits. Return the chain, leaf first.
    """
    config = load_config(authority / "ca.toml")
    issuing_key = open_key_store(config).open(config.authority.key)
    issuing = x509.load_pem_x509_certificate(config.authority.certificate.read_bytes())
    forged = _number_certificate(number, key, _without_limits(issuing, issuing_key), config.public_url)
    return forged.sign(issuing_key, hashes.SHA256()), issuing


def _number_certificate(
    number: TelephoneNumber, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, url: str
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    fields = NumberCertificateFields(
        number=number,
        public_key=key.public_key(),
        serial=x509.random_serial_number(),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(days=7),
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url=f"{url}/issuer.der",
        crl_url=f"{url}/0.crl",
    )
    return number_certificate(fields, issuer)


def record_of_nobody(token: str, uris: tuple[str, ...]) -> str:
    """Return a record like another one that leads elsewhere, under an authority that was made up for it."""
    record = SignedRecord.parse(token).record
    key = ec.generate_private_key(ec.SECP256R1())
    chain = _chain_of_nobody(record.number, key)
    return sign_record(replace(record, uris=uris, expires_at=latest_expiry([chain])), key, chain)


def _chain_of_nobody(number: TelephoneNumber, key: ec.EllipticCurvePrivateKey) -> tuple[x509.Certificate, ...]:
    root_key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    root = authority_certificate(
        AuthorityFields(
            common_name="Alder Root",
            organization="Alder Cooperative",
            public_key=root_key.public_key(),
            serial=x509.random_serial_number(),
            not_before=now - timedelta(days=1),
            not_after=now + timedelta(days=365),
        ),
        None,
    ).sign(root_key, hashes.SHA256())
    return _number_certificate(number, key, root, "http://127.0.0.1").sign(root_key, hashes.SHA256()), root


def _without_limits(issuing: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return a certificate of the same name and key that may speak for all numbers. Nobody else ever sees it."""
    read = AuthorityCertificate.read(issuing)
    fields = AuthorityFields(
        common_name=read.common_name,
        organization=read.organization,
        public_key=key.public_key(),
        serial=issuing.serial_number,
        not_before=read.not_before,
        not_after=read.not_after,
    )
    return authority_certificate(fields, None).sign(key, hashes.SHA256())
