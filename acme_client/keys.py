"""P-256 keys: one for each account, and a new one for each certificate. They never serve for both (RFC 8555 §11.1)."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.errors import StoreError


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key from the system's randomness."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the key as unencrypted PKCS #8 in PEM; whoever keeps it keeps it from others."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read a key that `key_to_pem` wrote; raise StoreError for anything else."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        msg = "a stored key is damaged: it is no unencrypted PEM key"
        raise StoreError(msg) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        msg = "a stored key is damaged: it is no P-256 key"
        raise StoreError(msg)
    return key


def same_key(key: ec.EllipticCurvePrivateKey, public_key: object) -> bool:
    """Tell whether `public_key` is the public half of `key`."""
    return isinstance(public_key, ec.EllipticCurvePublicKey) and key.public_key() == public_key
