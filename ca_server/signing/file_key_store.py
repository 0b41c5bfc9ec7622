"""Signing keys in files: PKCS#8 in PEM, under a passphrase unless the operator opted out by name."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from ca_server.errors import KeyStoreError
from serving.key_files import KeyFiles

_CURVES = (ec.SECP256R1, ec.SECP384R1)


@dataclass(frozen=True)
class FileKeyStore(KeyFiles):
    """One file a key, `<name>.key`, in `directory`, on the curves that verifiers know."""

    lost: str = "restore it from your backup, or make a new authority with `answerback ca init`"

    def create(self, name: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        """Make a key. Its file appears whole or not at all, and never takes the place of another."""
        if not isinstance(curve, _CURVES):
            msg = f"a signing key is on P-256 or P-384, not {curve.name}"
            raise KeyStoreError(msg)
        key = ec.generate_private_key(curve)
        self.write(name, key)
        return key

    def open(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Read a key; raise KeyStoreError where it is missing, open to others, or does not open."""
        return self.on_curve(name, *_CURVES)
