"""Keys in files: PKCS#8 in PEM, under a passphrase unless the operator opted out by name."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ca_server.errors import KeyStoreError
from stir.encrypted_key import encrypted_pem

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_OWNER_ONLY = 0o600
_OWNER_ONLY_FOLDER = 0o700


@dataclass(frozen=True)
class FileKeyStore:
    """One file a key, `<name>.key`, in `directory`, for its owner's eyes only.

    With a passphrase every key is encrypted, and one that is not is refused; without one, which the operator must have
    asked for, the other way round.
    """

    directory: Path
    passphrase: bytes | None = field(repr=False)

    def create(self, name: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        """Make a key. Its file appears whole or not at all, and never takes the place of another."""
        path = self.path(name)
        if not isinstance(curve, (ec.SECP256R1, ec.SECP384R1)):
            msg = f"a signing key is on P-256 or P-384, not {curve.name}"
            raise KeyStoreError(msg)
        key = ec.generate_private_key(curve)
        pem = self._pem(key)
        try:
            self.directory.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
            _write_new(path, pem)
        except FileExistsError as error:
            msg = f"{path} exists; a key is never overwritten: choose another name"
            raise KeyStoreError(msg) from error
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise KeyStoreError(msg) from error
        return key

    def open(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Read a key; raise KeyStoreError where it is missing, open to others, or does not open."""
        path = self.path(name)
        pem = _read_private(path)
        try:
            key = load_pem_private_key(pem, self.passphrase)
        except TypeError as error:  # `cryptography` tells a passphrase too many or too few by this
            raise KeyStoreError(self._wrong_encryption(path)) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            msg = f"{path} does not open: the passphrase is wrong, or the file is no PKCS#8 key in PEM"
            raise KeyStoreError(msg) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1)):
            msg = f"{path} is no key on P-256 or P-384"
            raise KeyStoreError(msg)
        return key

    def path(self, name: str) -> Path:
        """Return the file of a key; raise KeyStoreError for a name that could lead elsewhere."""
        if not _NAME.fullmatch(name):
            msg = f"a key is named with up to 64 letters, digits, '_', '-' and '.', not {name!r}"
            raise KeyStoreError(msg)
        return self.directory / f"{name}.key"

    def names(self) -> tuple[str, ...]:
        """Return the names of the keys that are here, in order."""
        return tuple(sorted(path.stem for path in self.directory.glob("*.key")))

    def _pem(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        if self.passphrase is not None:
            return encrypted_pem(key, self.passphrase)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def _wrong_encryption(self, path: Path) -> str:
        if self.passphrase is None:
            return f"{path} is encrypted; set keys.unencrypted = false and give its passphrase"
        return (
            f"{path} is not encrypted; encrypt it with `openssl pkcs8 -topk8`, "
            "or set keys.unencrypted = true if it may stay so"
        )


def _read_private(path: Path) -> bytes:
    """Return the content of a file that other users of this machine cannot read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as error:
        msg = f"{path} is missing; restore it from your backup, or make a new authority with `answerback ca init`"
        raise KeyStoreError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise KeyStoreError(msg) from error
    if mode & stat.S_IRWXO:
        msg = f"{path} is open to every user of this machine; run `chmod 600 {path}`"
        raise KeyStoreError(msg)
    return content


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that appears whole and on disk; raise FileExistsError where there is one of that name."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # a rename would replace what is there
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
