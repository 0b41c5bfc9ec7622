from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from acme_client.errors import StoreError
from acme_client.keys import key_from_pem, key_to_pem, new_key, same_key


def pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes | None = None) -> bytes:
    """Return a key in PEM, encrypted where there is a password."""
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def test_a_key_survives_its_pem() -> None:
    """A key that is written is the key that is read."""
    key = new_key()
    assert same_key(key_from_pem(key_to_pem(key)), key.public_key())


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        pem(ec.generate_private_key(ec.SECP384R1())),
        pem(ed25519.Ed25519PrivateKey.generate()),
        pem(new_key(), b"secret"),
    ],
)
def test_what_is_no_p256_key_is_damage(damaged: bytes) -> None:
    """Any other key, and what is no key, raises StoreError."""
    with pytest.raises(StoreError, match="damaged"):
        key_from_pem(damaged)


def test_a_key_of_another_kind_is_never_the_same() -> None:
    """Only the public half of the key itself is the same key."""
    assert not same_key(new_key(), new_key().public_key())
    assert not same_key(new_key(), ed25519.Ed25519PrivateKey.generate().public_key())
