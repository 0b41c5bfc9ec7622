from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes import small_pki
from tests.fakes.small_pki import Authority, Held
from trust_store.fingerprints import _GROUP_ORDERS, _with_signature, all_fingerprints, key_sha256_of, sha256_of


def other_form(certificate: x509.Certificate) -> x509.Certificate:
    """Return the certificate with the second form of its P-256 signature."""
    r, s = decode_dss_signature(certificate.signature)
    return x509.load_der_x509_certificate(_with_signature(certificate, encode_dss_signature(r, _GROUP_ORDERS[0] - s)))


def test_a_certificate_is_known_by_its_der_and_by_its_key(held: Held) -> None:
    """Both are the SHA-256 that other programs show."""
    certificate = held.chain[0]
    assert sha256_of(certificate) == hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    assert {sha256_of(certificate), key_sha256_of(certificate)} < all_fingerprints(certificate)


def test_two_certificates_of_one_key_share_its_fingerprint() -> None:
    """A deny of a key holds for whatever certificate it comes with."""
    one, other = small_pki.root("One").certificate, small_pki.root("Other").certificate
    assert all_fingerprints(one) & all_fingerprints(other) == {key_sha256_of(one)}


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_other_form_of_a_signature_gives_no_new_name(held: Held, position: int) -> None:
    """A certificate whose signature somebody turned over still verifies, and still answers to its old fingerprint."""
    certificate, issuer = (*held.chain, held.chain[-1])[position : position + 2]
    turned = other_form(certificate)
    turned.verify_directly_issued_by(issuer)
    assert sha256_of(turned) != sha256_of(certificate)
    assert sha256_of(certificate) in all_fingerprints(turned)


def test_unused_bits_give_no_new_name(issuing: Authority) -> None:
    """A signature that ends in a 0 bit can be called one bit shorter; it verifies, and keeps its old fingerprint."""
    numbers = (issuing.number(serial=serial).chain[0] for serial in range(1, 100))
    certificate = next(one for one in numbers if one.signature[-1] % 2 == 0)
    der = bytearray(certificate.public_bytes(Encoding.DER))
    der[-len(certificate.signature) - 1] = 1
    shorter = x509.load_der_x509_certificate(bytes(der))
    shorter.verify_directly_issued_by(issuing.certificate)
    assert sha256_of(shorter) != sha256_of(certificate)
    assert sha256_of(certificate) in all_fingerprints(shorter)


@pytest.mark.parametrize("length", [0, 126, 127, 128, 255, 256, 70000])
def test_a_certificate_is_rebuilt_as_der_whatever_the_length(held: Held, length: int) -> None:
    """The lengths of DER have several forms; rebuilding with the same signature gives the same bytes."""
    certificate = held.chain[0]
    assert _with_signature(certificate, certificate.signature) == certificate.public_bytes(Encoding.DER)
    rebuilt = x509.load_der_x509_certificate(_with_signature(certificate, b"s" * length))
    assert rebuilt.signature == b"s" * length


def test_a_signature_that_is_none_has_no_other_form(held: Held) -> None:
    """Garbage is named by its own bytes alone; it verifies in no form."""
    garbage = x509.load_der_x509_certificate(_with_signature(held.chain[0], b"garbage"))
    assert all_fingerprints(garbage) == {sha256_of(garbage), key_sha256_of(garbage)}


def test_a_signature_too_large_for_a_curve_has_no_other_form_there(held: Held) -> None:
    """What is no number of the group is not turned over in it."""
    large = x509.load_der_x509_certificate(
        _with_signature(held.chain[0], encode_dss_signature(1, max(_GROUP_ORDERS) + 1))
    )
    assert all_fingerprints(large) == {sha256_of(large), key_sha256_of(large)}
