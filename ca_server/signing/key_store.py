"""Where the authority's signing keys live. Implement `KeyStore` to keep them in an HSM: docs/how-to/key-store.md."""

from __future__ import annotations

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec


class KeyStore(Protocol):
    """Named P-256 and P-384 signing keys.

    A key is `cryptography`'s interface, of which only `sign`, `public_key` and `curve` are used: a token's key is a
    subclass whose `sign` calls the token. Open after a fork.
    """

    def create(self, name: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        """Make a key; raise KeyStoreError where the name is taken."""

    def open(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Return a key; raise KeyStoreError, saying what to do, where it is missing or its passphrase is wrong."""
