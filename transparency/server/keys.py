"""The keys of a log's shards, in files: PKCS#8 in PEM, under a passphrase unless the operator opted out by name.

A shard has three: one signs SCTs (P-256), one signs checkpoints (Ed25519), and one evaluates the VRF. Whoever has the
last can try out all telephone numbers and tell which are in its shard; whoever has the others can speak for the log.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from stir.encrypted_key import encrypted_pem
from transparency.server.config import Keys
from transparency.server.errors import KeyStoreError
from transparency.signed_note import Ed25519Signer
from transparency.vrf import VrfPrivateKey

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_SCT, _CHECKPOINT, _VRF = "sct", "checkpoint", "vrf"
_OWNER_ONLY = 0o600
_OWNER_ONLY_FOLDER = 0o700


@dataclass(frozen=True, slots=True, repr=False)
class ShardKeys:
    """The three keys of a shard, opened."""

    sct: ec.EllipticCurvePrivateKey
    checkpoint: Ed25519Signer
    vrf: VrfPrivateKey

    @property
    def sct_public_key(self) -> bytes:
        """The SubjectPublicKeyInfo of the key that signs SCTs, in DER."""
        return self.sct.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def log_id(self) -> bytes:
        """The log id in the shard's SCTs: the SHA-256 of that (RFC 6962 §3.2)."""
        return sha256(self.sct_public_key).digest()


@dataclass(frozen=True)
class KeyStore:
    """Three files a shard, `<shard>-sct.key` and so on, in `directory`, for its owner's eyes only.

    With a passphrase every key is encrypted, and one that is not is refused; without one, which the operator must have
    asked for, the other way round.
    """

    directory: Path
    passphrase: bytes | None = field(repr=False)

    def create(self, shard: str, origin: str) -> ShardKeys:
        """Make the keys of a shard; raise KeyStoreError where one is there already."""
        self._write(shard, _SCT, ec.generate_private_key(ec.SECP256R1()))
        self._write(shard, _CHECKPOINT, ed25519.Ed25519PrivateKey.generate())
        self._write(shard, _VRF, ed25519.Ed25519PrivateKey.generate())
        return self.open(shard, origin)

    def open(self, shard: str, origin: str) -> ShardKeys:
        """Read the keys of a shard; raise KeyStoreError where one is missing, open to others, or does not open."""
        sct = self._read(shard, _SCT)
        checkpoint, vrf = self._read(shard, _CHECKPOINT), self._read(shard, _VRF)
        if not isinstance(sct, ec.EllipticCurvePrivateKey) or not isinstance(sct.curve, ec.SECP256R1):
            msg = f"{self.path(shard, _SCT)} is no key on P-256"
            raise KeyStoreError(msg)
        for key, kind in ((checkpoint, _CHECKPOINT), (vrf, _VRF)):
            if not isinstance(key, ed25519.Ed25519PrivateKey):
                msg = f"{self.path(shard, kind)} is no Ed25519 key"
                raise KeyStoreError(msg)
        assert isinstance(checkpoint, ed25519.Ed25519PrivateKey)  # noqa: S101 - the loop above made sure
        assert isinstance(vrf, ed25519.Ed25519PrivateKey)  # noqa: S101 - as above
        return ShardKeys(sct, Ed25519Signer(origin, checkpoint), VrfPrivateKey.from_seed(vrf.private_bytes_raw()))

    def path(self, shard: str, kind: str) -> Path:
        """Return the file of a key."""
        return self.directory / f"{shard}-{kind}.key"

    def _write(self, shard: str, kind: str, key: PrivateKey) -> None:
        path = self.path(shard, kind)
        pem = (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            if self.passphrase is None
            else encrypted_pem(key, self.passphrase)
        )
        try:
            self.directory.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
            _write_new(path, pem)
        except FileExistsError as error:
            msg = f"{path} exists; a key is never overwritten: choose another name for the shard"
            raise KeyStoreError(msg) from error
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror}"
            raise KeyStoreError(msg) from error

    def _read(self, shard: str, kind: str) -> object:
        path = self.path(shard, kind)
        pem = _read_private(path)
        try:
            return load_pem_private_key(pem, self.passphrase)
        except TypeError as error:  # `cryptography` tells a passphrase too many or too few by this
            has = "is encrypted; set keys.unencrypted = false" if self.passphrase is None else "is not encrypted"
            msg = f"{path} {has}"
            raise KeyStoreError(msg) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            msg = f"{path} does not open: the passphrase is wrong, or the file is no PKCS#8 key in PEM"
            raise KeyStoreError(msg) from error


def open_key_store(settings: Keys) -> KeyStore:
    """Return the key store that the settings describe; raise KeyStoreError where its passphrase is missing."""
    return KeyStore(settings.directory, None if settings.unencrypted else _passphrase(settings))


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


def _passphrase(settings: Keys) -> bytes:
    if settings.passphrase_file is not None:
        return passphrase_in(settings.passphrase_file)
    passphrase = os.environb.get(os.fsencode(settings.passphrase_variable), b"")
    if not passphrase:
        msg = (
            f"the keys' passphrase is missing: set the environment variable {settings.passphrase_variable}, "
            "or keys.passphrase_file"
        )
        raise KeyStoreError(msg)
    return passphrase


def _read_private(path: Path) -> bytes:
    """Return the content of a file that other users of this machine cannot read."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError as error:
        msg = f"{path} is missing; restore it from your backup: a shard cannot go on without its keys"
        raise KeyStoreError(msg) from error
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise KeyStoreError(msg) from error
    if mode & stat.S_IRWXO:
        msg = f"{path} is open to every user of this machine; run `chmod 600 {path}`"
        raise KeyStoreError(msg)
    return content


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that appears whole and synced, and never in the place of another."""
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
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
