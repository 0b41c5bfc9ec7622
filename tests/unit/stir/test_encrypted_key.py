from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from stir.encrypted_key import encrypted_pem

PASSPHRASE = b"correct horse"

pytestmark = pytest.mark.usefixtures("full_cost")


def test_a_p256_key_comes_back_with_its_passphrase_only() -> None:
    """RFC 5958 §3: what is written can be read by another implementation, and a wrong passphrase opens nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = encrypted_pem(key, PASSPHRASE)
    opened = load_pem_private_key(pem, PASSPHRASE)
    assert isinstance(opened, ec.EllipticCurvePrivateKey)
    assert opened.private_numbers() == key.private_numbers()
    # What another key decrypts to ends like a padded key once in 256 times, and is none.
    with pytest.raises(ValueError, match=r"Incorrect password|Could not deserialize key data"):
        load_pem_private_key(pem, b"battery staple")


def test_an_ed25519_key_comes_back() -> None:
    """A log's checkpoint key is kept in the same form (RFC 8410)."""
    key = ed25519.Ed25519PrivateKey.generate()
    opened = load_pem_private_key(encrypted_pem(key, PASSPHRASE), PASSPHRASE)
    assert isinstance(opened, ed25519.Ed25519PrivateKey)
    assert opened.private_bytes_raw() == key.private_bytes_raw()


def test_no_two_encryptions_are_alike() -> None:
    """RFC 7914 §8: each file has a salt of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    assert encrypted_pem(key, PASSPHRASE) != encrypted_pem(key, PASSPHRASE)


def test_a_guess_costs_as_much_as_openssl_reads() -> None:
    """RFC 7914 §7: the file says N = 16,384, r = 8 and p = 5, in that order."""
    pem = encrypted_pem(ec.generate_private_key(ec.SECP256R1()), PASSPHRASE)
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    assert bytes.fromhex("0202 4000 0201 08 0201 05") in der
