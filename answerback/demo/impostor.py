"""What the demo's attacker makes: a token that was changed, and a certificate from an authority out of its bounds."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.loading import load_config
from ca_server.signing.loading import open_key_store
from stir.certificate import (
    AuthorityCertificate,
    AuthorityFields,
    NumberCertificateFields,
    ValidationMethod,
    authority_certificate,
    number_certificate,
)
from stir.telephone_number import TelephoneNumber


def with_another_time(token: str, at: datetime) -> str:
    """Return a PASSporT that claims to be signed at another time, under the signature that it had before."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["iat"] = int(at.timestamp())
    changed = json.dumps(claims, separators=(",", ":"), sort_keys=True).encode("ascii")
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
    now = datetime.now(UTC)
    fields = NumberCertificateFields(
        number=number,
        public_key=key.public_key(),
        serial=x509.random_serial_number(),
        not_before=now - timedelta(hours=1),
        not_after=now + timedelta(days=7),
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url=f"{config.public_url}/issuer.der",
        crl_url=f"{config.public_url}/0.crl",
    )
    forged = number_certificate(fields, _without_limits(issuing, issuing_key))
    return forged.sign(issuing_key, hashes.SHA256()), issuing


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
