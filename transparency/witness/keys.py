"""A witness's key: Ed25519 in one file, under a passphrase where its operator set one."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from serving.key_files import read_ed25519, write_key

_LOST = "restore it from your backup; `answerback log witness init` makes a new witness"


def create_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Make a key in a file that is new and for its owner alone; raise KeyStoreError."""
    key = Ed25519PrivateKey.generate()
    write_key(path, key, passphrase)
    return key


def open_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Read the key; raise KeyStoreError where it is missing, open to others or not what it should be."""
    return read_ed25519(path, passphrase, lost=_LOST)
