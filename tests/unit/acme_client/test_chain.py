from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.chain import read_ordered_chain
from acme_client.errors import NotAsOrdered
from acme_client.keys import new_key
from ca_server.signing.issuer import Issuer
from stir.certificate_building import NumberCertificateFields, number_certificate, signature_hash
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.authority import NOW, make_authority_certificate, make_issuance, make_issuer


@pytest.fixture
def leaf(issuer: Issuer, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """Return the certificate of the number and the key."""
    return issuer.sign_certificate(number, key.public_key(), make_issuance())


def test_what_was_ordered_is_taken(
    issuer: Issuer, leaf: x509.Certificate, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey
) -> None:
    """A certificate of the number and key, valid now, below an authority that signed it, is read."""
    certificate, chain = read_ordered_chain(issuer.chain_pem(leaf), number, key, NOW)
    assert certificate.validation == (ValidationMethod.SMS_CODE,)
    assert chain == (leaf, issuer.certificate)


def test_a_certificate_straight_from_the_anchor_may_stand_alone(
    leaf: x509.Certificate, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey
) -> None:
    """A chain of one is consistent: the anchor need not be sent (RFC 8555 §7.4.2)."""
    assert read_ordered_chain(write_pem_chain([leaf]), number, key, NOW)[1] == (leaf,)


def test_a_certificate_for_another_number_is_refused(
    issuer: Issuer, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """The number must be the one that was ordered."""
    with pytest.raises(NotAsOrdered, match="another number"):
        read_ordered_chain(issuer.chain_pem(leaf), TelephoneNumber.parse("+12025550124"), key, NOW)


def test_a_certificate_for_another_key_is_refused(
    issuer: Issuer, leaf: x509.Certificate, number: TelephoneNumber
) -> None:
    """The key must be the one that was ordered for: an authority may not slip in its own."""
    with pytest.raises(NotAsOrdered, match="another key"):
        read_ordered_chain(issuer.chain_pem(leaf), number, new_key(), NOW)


@pytest.mark.parametrize("shift", [timedelta(days=-1), timedelta(days=8)])
def test_a_certificate_that_is_not_valid_now_is_refused(
    issuer: Issuer,
    leaf: x509.Certificate,
    number: TelephoneNumber,
    key: ec.EllipticCurvePrivateKey,
    shift: timedelta,
) -> None:
    """Neither a certificate of the future nor one of the past is stored; the clock is named as a cause."""
    with pytest.raises(NotAsOrdered, match="clock"):
        read_ordered_chain(issuer.chain_pem(leaf), number, key, NOW + shift)


def test_a_chain_whose_signatures_do_not_hold_is_refused(
    leaf: x509.Certificate, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey
) -> None:
    """Each certificate must be signed by the next one."""
    with pytest.raises(NotAsOrdered, match="does not hold"):
        read_ordered_chain(write_pem_chain([leaf, make_issuer().certificate]), number, key, NOW)


def test_an_authority_for_other_numbers_is_refused(number: TelephoneNumber, key: ec.EllipticCurvePrivateKey) -> None:
    """A certificate below an authority that may not speak for the number would be believed by nobody."""
    roots_key, issuing_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = make_authority_certificate("Root", roots_key)
    free = make_authority_certificate("Free", issuing_key, (root, roots_key))
    bound = make_authority_certificate("Free", issuing_key, (root, roots_key), prefixes=("+1303",))
    fields = NumberCertificateFields(
        number=number,
        public_key=key.public_key(),
        serial=7,
        not_before=NOW - timedelta(hours=1),
        not_after=NOW + timedelta(days=7),
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url="https://ca.example/issuer/1.der",
        crl_url="https://ca.example/crl/1/0.crl",
    )
    leaf = number_certificate(fields, free).sign(issuing_key, signature_hash(issuing_key))
    with pytest.raises(NotAsOrdered, match="may not speak"):
        read_ordered_chain(write_pem_chain([leaf, bound]), number, key, NOW)


@pytest.mark.parametrize("pem", [b"", b"no certificate", b"\xff" * 100])
def test_what_is_no_chain_is_refused(pem: bytes, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey) -> None:
    """Anything but PEM certificates is NotAsOrdered, never another error."""
    with pytest.raises(NotAsOrdered, match="outside the profile"):
        read_ordered_chain(pem, number, key, NOW)


def test_an_authoritys_certificate_in_the_leafs_place_is_refused(
    issuer: Issuer, number: TelephoneNumber, key: ec.EllipticCurvePrivateKey
) -> None:
    """The first certificate must be a number's."""
    with pytest.raises(NotAsOrdered):
        read_ordered_chain(write_pem_chain([issuer.certificate]), number, key, NOW)
