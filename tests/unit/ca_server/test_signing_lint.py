from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.errors import LintError
from ca_server.orders import Revocation
from ca_server.signing.issuer import Issuer
from ca_server.signing.lint import lint_number_certificate, lint_precertificate, lint_revocation_list
from ca_server.signing.revocation_list import RevocationListFields, revocation_list
from stir.certificate_building import NumberCertificateFields, number_certificate, precertificate
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.authority import NOW, make_issuer

KEY = ec.generate_private_key(ec.SECP256R1())
MEANT = NumberCertificateFields(
    number=TelephoneNumber("12025550123"),
    public_key=KEY.public_key(),
    serial=2**120,
    not_before=NOW,
    not_after=NOW + timedelta(days=7),
    validation=ValidationMethod.SMS_CODE,
    ca_issuers_url="https://ca.example/issuer.der",
    crl_url="https://ca.example/0.crl",
)
NO_TIMESTAMPS = b"\x00\x00"
LIST = RevocationListFields("https://ca.example/0.crl", 3, NOW, NOW + timedelta(hours=1), (Revocation(5, NOW, 1),))


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Return the authority whose signatures are looked at."""
    return make_issuer()


def sign(
    fields: NumberCertificateFields, issuer: Issuer, key: ec.EllipticCurvePrivateKey | None = None
) -> x509.Certificate:
    """Sign a certificate, by another key than the issuer's where one is given."""
    return number_certificate(fields, issuer.certificate).sign(key or issuer.key, hashes.SHA256())


def sign_list(
    fields: RevocationListFields, issuer: Issuer, key: ec.EllipticCurvePrivateKey | None = None
) -> x509.CertificateRevocationList:
    """Sign a CRL, by another key than the issuer's where one is given."""
    return revocation_list(fields, issuer.certificate).sign(key or issuer.key, hashes.SHA256())


def test_what_was_meant_passes(issuer: Issuer) -> None:
    """A certificate and a CRL that say what was meant are released."""
    lint_number_certificate(sign(MEANT, issuer), MEANT, issuer.certificate)
    lint_revocation_list(sign_list(LIST, issuer), LIST, issuer.certificate)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"number": TelephoneNumber("12025550124")}, "number"),
        ({"public_key": ec.generate_private_key(ec.SECP256R1()).public_key()}, "public key"),
        ({"serial": 2**120 + 1}, "serial number"),
        ({"not_before": NOW + timedelta(seconds=1)}, "start of validity"),
        ({"not_after": NOW + timedelta(days=8)}, "end of validity"),
        ({"validation": ValidationMethod.SMS_REPLY}, "validation method"),
        ({"ca_issuers_url": "https://ca.example/other.der"}, "issuer's URL"),
        ({"crl_url": "https://ca.example/1.crl"}, "CRL's URL"),
    ],
)
def test_each_field_that_differs_holds_a_certificate_back(
    issuer: Issuer, change: dict[str, object], named: str
) -> None:
    """A certificate that says anything else than what was meant is not released, and the field is named."""
    signed = sign(dataclasses.replace(MEANT, **change), issuer)  # type: ignore[arg-type]
    with pytest.raises(LintError, match=f"{named}$") as held:
        lint_number_certificate(signed, MEANT, issuer.certificate)
    assert "5550" not in str(held.value)


def test_a_certificate_outside_the_profile_is_held_back(issuer: Issuer) -> None:
    """What the strict reader refuses, verifiers may refuse too."""
    with pytest.raises(LintError, match="outside the profile"):
        lint_number_certificate(issuer.certificate, MEANT, issuer.chain[0])


def test_a_certificate_under_another_key_is_held_back(issuer: Issuer) -> None:
    """The signature is verified under the issuing certificate."""
    signed = sign(MEANT, issuer, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(LintError, match="does not verify"):
        lint_number_certificate(signed, MEANT, issuer.certificate)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"url": "https://ca.example/1.crl"}, "scope"),
        ({"number": 4}, "number"),
        ({"this_update": NOW - timedelta(seconds=1)}, "time"),
        ({"next_update": NOW + timedelta(hours=2)}, "next time"),
        ({"revocations": ()}, "entries"),
        ({"revocations": (Revocation(6, NOW, 1),)}, "entries"),
        ({"revocations": (Revocation(5, NOW + timedelta(seconds=1), 1),)}, "entries"),
        ({"revocations": (Revocation(5, NOW, 0),)}, "entries"),
        ({"revocations": (Revocation(5, NOW, 4),)}, "entries"),
    ],
)
def test_each_field_that_differs_holds_a_crl_back(issuer: Issuer, change: dict[str, object], named: str) -> None:
    """A CRL that says anything else than what was meant is not released."""
    signed = sign_list(dataclasses.replace(LIST, **change), issuer)  # type: ignore[arg-type]
    with pytest.raises(LintError, match=f"{named}$"):
        lint_revocation_list(signed, LIST, issuer.certificate)


def test_the_entries_of_a_crl_are_compared_as_it_holds_them(issuer: Issuer) -> None:
    """Parts of a second, the order of the entries, and a reason that is said by leaving it out hold nothing back."""
    listed = (Revocation(9, NOW + timedelta(microseconds=7), 0), Revocation(5, NOW, 1))
    fields = dataclasses.replace(LIST, revocations=listed)
    lint_revocation_list(sign_list(fields, issuer), fields, issuer.certificate)


def test_a_crl_of_another_issuer_is_held_back(issuer: Issuer) -> None:
    """The CRL's issuer is the issuing certificate's subject."""
    with pytest.raises(LintError, match=r"issuer$"):
        lint_revocation_list(sign_list(LIST, issuer), LIST, issuer.chain[0])


def test_a_crl_under_another_key_is_held_back(issuer: Issuer) -> None:
    """The CRL's signature is verified under the issuing certificate."""
    signed = sign_list(LIST, issuer, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(LintError, match="does not verify"):
        lint_revocation_list(signed, LIST, issuer.certificate)


def test_a_precertificate_without_poison_is_not_shown(issuer: Issuer) -> None:
    """What any program would take for a certificate does not leave as a precertificate (RFC 6962 §3.1)."""
    with pytest.raises(LintError, match="outside the profile"):
        lint_precertificate(sign(MEANT, issuer), MEANT, issuer.certificate)


def test_a_precertificate_says_what_the_certificate_will(issuer: Issuer) -> None:
    """A precertificate of something else, or by another key, is not shown to logs."""
    good = precertificate(MEANT, issuer.certificate).sign(issuer.key, hashes.SHA256())
    lint_precertificate(good, MEANT, issuer.certificate)
    with pytest.raises(LintError, match="serial number"):
        lint_precertificate(good, dataclasses.replace(MEANT, serial=5), issuer.certificate)
    forged = precertificate(MEANT, issuer.certificate).sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    with pytest.raises(LintError, match="does not verify"):
        lint_precertificate(forged, MEANT, issuer.certificate)


def test_a_list_of_timestamps_is_the_one_that_was_meant(issuer: Issuer) -> None:
    """A certificate with other timestamps than those that were fixed, or with none, is not released."""
    certificate = number_certificate(MEANT, issuer.certificate, NO_TIMESTAMPS).sign(issuer.key, hashes.SHA256())
    lint_number_certificate(certificate, MEANT, issuer.certificate, NO_TIMESTAMPS)
    for other in (None, b"\x00\x01"):
        with pytest.raises(LintError, match="list of timestamps"):
            lint_number_certificate(certificate, MEANT, issuer.certificate, other)
