"""A witness's keys: Ed25519 in one file, perhaps ML-DSA-44 in another, under a passphrase where there is one."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from serving.errors import KeyStoreError
from serving.key_files import read_ed25519, read_ml_dsa_44, write_key

_LOST = "restore it from your backup; `answerback log witness init` makes a new witness"


def create_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Make a key in a file that is new and for its owner alone; raise KeyStoreError."""
    key = Ed25519PrivateKey.generate()
    write_key(path, key, passphrase)
    return key


def open_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Read the key; raise KeyStoreError where it is missing, open to others or not what it should be."""
    return read_ed25519(path, passphrase, lost=_LOST)


def create_ml_dsa_44_key(path: Path, passphrase: bytes | None) -> MLDSA44PrivateKey:
    """Make a key that holds against quantum computers too; raise KeyStoreError where that is not possible here."""
    try:
        key = MLDSA44PrivateKey.generate()
    except UnsupportedAlgorithm as error:
        msg = "the installed `cryptography` makes no ML-DSA-44 keys: install its newest wheel, or go without"
        raise KeyStoreError(msg) from error
    write_key(path, key, passphrase)
    return key


def open_ml_dsa_44_key(path: Path, passphrase: bytes | None) -> MLDSA44PrivateKey:
    """Read such a key; raise KeyStoreError where it is missing, open to others or not what it should be."""
    return read_ml_dsa_44(path, passphrase, lost=_LOST)
