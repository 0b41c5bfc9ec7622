"""Authorities and numbers in memory, with keys and all: what a trust store is shown in the tests.

Certificates are made by `stir.certificate_building`. `reissued` makes another from one, with something wrong in it,
signed all the same: what a careless or hostile authority would issue.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from policies.terms import Purpose, Terms
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    signature_hash,
)
from stir.passport import MESSAGE, Passport, message_integrity, sign
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.validation_method import ValidationMethod
from trust_store import Anchor, Call

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CALLER = TelephoneNumber.parse("+12025550123")
CALLED = TelephoneNumber.parse("+442079460018")
STRANGER = TelephoneNumber.parse("+13035550142")
CRL_URL = "https://ca.example/crl/1/0.crl"

Extensions = Iterable[tuple[x509.ExtensionType, bool]]


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    """Return the same P-256 key for the same number: fixtures need many keys, and none of them is secret."""
    return ec.derive_private_key(0x5EED + number, ec.SECP256R1())


@dataclass(frozen=True)
class Authority:
    """An authority that issues what it is asked for. `above` are the certificates over its own, next one first."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Its own certificate and those above it."""
        return (self.certificate, *self.above)

    def anchor(self, name: str = "example-ca", line: int = 5, **terms: object) -> Anchor:
        """Return this authority as an anchor, on these terms."""
        made = Terms(name=name, operator=f"Operator of {name}", source=f"trust.toml:{line}", **terms)  # type: ignore[arg-type]
        return Anchor(made, self.certificate)

    def with_certificate(self, certificate: x509.Certificate) -> Authority:
        """Return the same authority under another certificate of its key."""
        return Authority(certificate, self.key, self.above)

    def authority(
        self,
        name: str,
        *,
        prefixes: Iterable[str] = (),
        path_length: int | None = 0,
        key_number: int = 2,
        crl_url: str | None = None,
    ) -> Authority:
        """Certify another authority."""
        fields = _authority_fields(name, prefixes, path_length, key_number, crl_url)
        builder = authority_certificate(fields, self.certificate)
        made = builder.sign(self.key, signature_hash(self.key), ecdsa_deterministic=True)
        return Authority(made, key(key_number), self.chain)

    def number(
        self,
        number: TelephoneNumber = CALLER,
        *,
        not_before: datetime = NOW - timedelta(days=1),
        not_after: datetime = NOW + timedelta(days=6),
        serial: int = 1001,
        key_number: int = 3,
        crl_url: str = CRL_URL,
    ) -> Held:
        """Certify a number."""
        fields = NumberCertificateFields(
            number=number,
            public_key=key(key_number).public_key(),
            serial=serial,
            not_before=not_before,
            not_after=not_after,
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer/1.der",
            crl_url=crl_url,
        )
        builder = number_certificate(fields, self.certificate)
        made = builder.sign(self.key, signature_hash(self.key), ecdsa_deterministic=True)
        return Held(number, key(key_number), (made, *self.chain))

    def foreign_number(self, number: TelephoneNumber = CALLER, *, key_number: int = 3) -> Held:
        """Certify a number that this authority may not speak for, as the builder would not."""
        willing = root(key_number=99).number(number, key_number=key_number)
        forged = reissued(willing.chain[0], self.key, issuer=self.certificate)
        return Held(number, willing.key, (forged, *self.chain))


@dataclass(frozen=True)
class Held:
    """A number's key, and its certificate with those above it."""

    number: TelephoneNumber
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    def with_leaf(self, certificate: x509.Certificate) -> Held:
        """Return the same with another certificate in the first place."""
        return Held(self.number, self.key, (certificate, *self.chain[1:]))

    def token(
        self,
        *,
        orig: TelephoneNumber | None = None,
        dest: TelephoneNumber = CALLED,
        issued_at: datetime = NOW,
        body: bytes | None = None,
        chain: Iterable[x509.Certificate] | None = None,
        certificate_url: str | None = None,
    ) -> str:
        """Sign a call, or with `body` a message."""
        passport = Passport(
            orig=orig or self.number,
            dest=(dest.digits,),
            issued_at=int(issued_at.timestamp()),
            ppt=None if body is None else MESSAGE,
            message_integrity=None if body is None else message_integrity(body),
        )
        brought = self.chain if chain is None else tuple(chain)
        return sign(passport, self.key, chain=brought, certificate_url=certificate_url)

    def call(self, at: datetime = NOW) -> Call:
        """Return a call from this number as it comes in."""
        return Call(self.token(issued_at=at), self.number, CALLED, at)

    def message(self, body: bytes = b"hello", *, at: datetime = NOW, received: bytes | None = None) -> Call:
        """Return a message from this number as it comes in, `received` in place of what was signed."""
        token = self.token(issued_at=at, body=body)
        return Call(token, self.number, CALLED, at, Purpose.MESSAGE, body if received is None else received)


def root(name: str = "Example Root", *, prefixes: Iterable[str] = (), key_number: int = 1) -> Authority:
    """Return an authority that certifies itself."""
    own = key(key_number)
    fields = _authority_fields(name, prefixes, None, key_number, None)
    made = authority_certificate(fields, None).sign(own, signature_hash(own), ecdsa_deterministic=True)
    return Authority(made, own)


def reissued(
    certificate: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    *,
    issuer: x509.Certificate | None = None,
    subject: x509.Name | None = None,
    public_key: ec.EllipticCurvePublicKey | None = None,
    without: Iterable[type[x509.ExtensionType] | x509.ObjectIdentifier] = (),
    extra: Extensions = (),
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> x509.Certificate:
    """Return a certificate with something else in it, signed by `signer` in the name of `issuer`.

    `without` takes extensions away, `extra` puts others in, each with whether it is critical.
    """
    dropped = {one if isinstance(one, x509.ObjectIdentifier) else one.oid for one in without}
    if issuer is not None:
        dropped.add(x509.AuthorityKeyIdentifier.oid)
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        extra = (*extra, (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False))
    builder = (
        x509.CertificateBuilder()
        .serial_number(certificate.serial_number)
        .issuer_name(certificate.issuer if issuer is None else issuer.subject)
        .subject_name(certificate.subject if subject is None else subject)
        .public_key(public_key or certificate.public_key())
        .not_valid_before(not_before or certificate.not_valid_before_utc)
        .not_valid_after(not_after or certificate.not_valid_after_utc)
    )
    kept = ((one.value, one.critical) for one in certificate.extensions if one.oid not in dropped)
    for value, critical in (*kept, *extra):
        builder = builder.add_extension(value, critical)
    return builder.sign(signer, signature_hash(signer), ecdsa_deterministic=True)


def _authority_fields(
    name: str, prefixes: Iterable[str], path_length: int | None, key_number: int, crl_url: str | None
) -> AuthorityFields:
    return AuthorityFields(
        common_name=name,
        organization=f"Operator of {name}",
        public_key=key(key_number).public_key(),
        serial=500 + key_number,
        not_before=NOW - timedelta(days=100),
        not_after=NOW + timedelta(days=1000),
        prefixes=tuple(NumberPrefix.parse(prefix) for prefix in prefixes),
        path_length=path_length,
        crl_url=crl_url,
    )
