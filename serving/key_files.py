"""Private keys in files: PKCS#8 in PEM, under a passphrase unless the operator opted out by name.

A file appears whole and on the disk, or not at all; it never takes the place of another, and is its owner's alone.
"""

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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from serving.errors import KeyStoreError
from serving.settings import Keys
from stir.encrypted_key import encrypted_pem

PrivateKey = ec.EllipticCurvePrivateKey | Ed25519PrivateKey | MLDSA44PrivateKey

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_OPT_OUT = "keys.unencrypted"
_OWNER_ONLY = 0o600
_OWNER_ONLY_FOLDER = 0o700
_CURVES: dict[type[ec.EllipticCurve], str] = {ec.SECP256R1: "P-256", ec.SECP384R1: "P-384"}


@dataclass(frozen=True)
class KeyFiles:
    """One file a key, `<name>.key`, in `directory`, for its owner's eyes only.

    With a passphrase every key is encrypted, and one that is not is refused; without one, which the operator must have
    asked for, the other way round. `lost` says what to do about a key that is missing.
    """

    directory: Path
    passphrase: bytes | None = field(repr=False)
    lost: str = "restore it from your backup"

    def write(self, name: str, key: PrivateKey) -> None:
        """Keep a key; raise KeyStoreError where its name is taken."""
        path = self.path(name)
        try:
            self.directory.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise KeyStoreError(msg) from error
        write_key(path, key, self.passphrase)

    def on_curve(self, name: str, *curves: type[ec.EllipticCurve]) -> ec.EllipticCurvePrivateKey:
        """Read a key on one of the curves; raise KeyStoreError where it is none, missing, or does not open."""
        key = self._read(name)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, curves):
            allowed = " or ".join(_CURVES[curve] for curve in curves)
            msg = f"{self.path(name)} is no key on {allowed}"
            raise KeyStoreError(msg)
        return key

    def ed25519(self, name: str) -> Ed25519PrivateKey:
        """Read an Ed25519 key; raise KeyStoreError where it is none, missing, or does not open."""
        return _require_ed25519(self._read(name), self.path(name))

    def path(self, name: str) -> Path:
        """Return the file of a key; raise KeyStoreError for a name that could lead elsewhere."""
        if not _NAME.fullmatch(name):
            msg = f"a key is named with up to 64 letters, digits, '_', '-' and '.', not {name!r}"
            raise KeyStoreError(msg)
        return self.directory / f"{name}.key"

    def names(self) -> tuple[str, ...]:
        """Return the names of the keys that are here, in order."""
        return tuple(sorted(path.stem for path in self.directory.glob("*.key")))

    def _read(self, name: str) -> object:
        return _read_key(self.path(name), self.passphrase, self.lost, _OPT_OUT)


def write_key(path: Path, key: PrivateKey, passphrase: bytes | None) -> None:
    """Write a new file with a key; raise KeyStoreError where there is one of that name."""
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        _write_new(path, plain if passphrase is None else encrypted_pem(key, passphrase))
    except FileExistsError as error:
        msg = f"{path} exists; a key is never overwritten: choose another name"
        raise KeyStoreError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror}"
        raise KeyStoreError(msg) from error


def read_ed25519(path: Path, passphrase: bytes | None, *, lost: str) -> Ed25519PrivateKey:
    """Read the Ed25519 key of a file; raise KeyStoreError where it is missing, another, or does not open."""
    return _require_ed25519(_read_key(path, passphrase, lost, None), path)


def read_ml_dsa_44(path: Path, passphrase: bytes | None, *, lost: str) -> MLDSA44PrivateKey:
    """Read the ML-DSA-44 key of a file; raise KeyStoreError where it is missing, another, or does not open."""
    key = _read_key(path, passphrase, lost, None)
    if not isinstance(key, MLDSA44PrivateKey):
        msg = f"{path} is no ML-DSA-44 key"
        raise KeyStoreError(msg)
    return key


def passphrase_of(keys: Keys) -> bytes | None:
    """Return the passphrase that the settings lead to, None where they opt out; raise KeyStoreError without either."""
    if keys.unencrypted:
        return None
    if keys.passphrase_file is not None:
        return passphrase_in(keys.passphrase_file)
    passphrase = os.environb.get(os.fsencode(keys.passphrase_variable), b"")
    if not passphrase:
        msg = (
            f"the keys' passphrase is missing: set the environment variable {keys.passphrase_variable}, "
            "or keys.passphrase_file"
        )
        raise KeyStoreError(msg)
    return passphrase


def passphrase_in(path: Path) -> bytes:
    """Return the first line of a file; raise KeyStoreError where it is empty or cannot be read."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        msg = f"the passphrase file {path} cannot be read: {error.strerror}"
        raise KeyStoreError(msg) from error
    if not lines or not lines[0]:
        msg = f"the passphrase file {path} is empty; write the passphrase on its first line"
        raise KeyStoreError(msg)
    return lines[0]


def _read_key(path: Path, passphrase: bytes | None, lost: str, opt_out: str | None) -> object:
    pem = _read_private(path, lost)
    try:
        return load_pem_private_key(pem, passphrase)
    except TypeError as error:  # `cryptography` tells a passphrase too many or too few by this
        raise KeyStoreError(_wrong_encryption(path, passphrase, opt_out)) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        msg = f"{path} does not open: the passphrase is wrong, or the file is no PKCS#8 key in PEM"
        raise KeyStoreError(msg) from error


def _wrong_encryption(path: Path, passphrase: bytes | None, opt_out: str | None) -> str:
    if passphrase is None:
        setting = "" if opt_out is None else f"set {opt_out} = false and "
        return f"{path} is encrypted; {setting}give its passphrase"
    otherwise = "give no passphrase" if opt_out is None else f"set {opt_out} = true"
    return f"{path} is not encrypted; encrypt it with `openssl pkcs8 -topk8`, or {otherwise} if it may stay so"


def _require_ed25519(key: object, path: Path) -> Ed25519PrivateKey:
    if not isinstance(key, Ed25519PrivateKey):
        msg = f"{path} is no Ed25519 key"
        raise KeyStoreError(msg)
    return key


def _read_private(path: Path, lost: str) -> bytes:
    """Return the content of a file that other users of this machine cannot read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as error:
        msg = f"{path} is missing; {lost}"
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
