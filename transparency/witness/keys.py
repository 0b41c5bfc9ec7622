"""A witness's key: Ed25519 in one file, under a passphrase where its operator set one."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from stir.encrypted_key import encrypted_pem
from transparency.witness.errors import ConfigurationError

_OTHERS = 0o077


def create_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Make a key in a file that is new and for its owner alone; raise ConfigurationError."""
    key = Ed25519PrivateKey.generate()
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"{path} cannot be made: {error.strerror}; a key is never overwritten"
        raise ConfigurationError(msg) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(encrypted_pem(key, passphrase) if passphrase else plain)
        file.flush()
        os.fsync(file.fileno())
    return key


def open_key(path: Path, passphrase: bytes | None) -> Ed25519PrivateKey:
    """Read the key; raise ConfigurationError where it is missing, open to others or not what it should be."""
    try:
        data, mode = path.read_bytes(), path.stat().st_mode
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}; `answerback log witness init` makes a witness"
        raise ConfigurationError(msg) from error
    if mode & _OTHERS:
        msg = f"{path} is a private key but open to other users: run chmod 600 on it"
        raise ConfigurationError(msg)
    try:
        key = load_pem_private_key(data, passphrase)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        msg = f"{path} cannot be opened: is it the witness's key, and the passphrase right?"
        raise ConfigurationError(msg) from error
    if not isinstance(key, Ed25519PrivateKey):
        msg = f"{path} is no Ed25519 key"
        raise ConfigurationError(msg)
    return key
