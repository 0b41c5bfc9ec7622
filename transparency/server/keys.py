"""The keys of a log's shards, in files: PKCS#8 in PEM, under a passphrase unless the operator opted out by name.

A shard has three: one signs SCTs (P-256), one signs checkpoints (Ed25519), and one evaluates the VRF. Whoever has the
last can try out all telephone numbers and tell which are in its shard; whoever has the others can speak for the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving.key_files import KeyFiles, passphrase_of
from transparency.server.config import Keys
from transparency.signed_note import Ed25519Signer
from transparency.vrf import VrfPrivateKey

_SCT, _CHECKPOINT, _VRF = "sct", "checkpoint", "vrf"
_LOST = "restore it from your backup: a shard cannot go on without its keys"


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
    """Three files a shard, `<shard>-sct.key` and so on, in `directory`, for its owner's eyes only."""

    directory: Path
    passphrase: bytes | None = field(repr=False)

    def create(self, shard: str, origin: str) -> ShardKeys:
        """Make the keys of a shard; raise KeyStoreError where one is there already."""
        self._files.write(f"{shard}-{_SCT}", ec.generate_private_key(ec.SECP256R1()))
        self._files.write(f"{shard}-{_CHECKPOINT}", Ed25519PrivateKey.generate())
        self._files.write(f"{shard}-{_VRF}", Ed25519PrivateKey.generate())
        return self.open(shard, origin)

    def open(self, shard: str, origin: str) -> ShardKeys:
        """Read the keys of a shard; raise KeyStoreError where one is missing, open to others, or does not open."""
        sct = self._files.on_curve(f"{shard}-{_SCT}", ec.SECP256R1)
        checkpoint = self._files.ed25519(f"{shard}-{_CHECKPOINT}")
        vrf = self._files.ed25519(f"{shard}-{_VRF}")
        return ShardKeys(sct, Ed25519Signer(origin, checkpoint), VrfPrivateKey.from_seed(vrf.private_bytes_raw()))

    def path(self, shard: str, kind: str) -> Path:
        """Return the file of a key."""
        return self._files.path(f"{shard}-{kind}")

    @property
    def _files(self) -> KeyFiles:
        return KeyFiles(self.directory, self.passphrase, lost=_LOST)


def open_key_store(settings: Keys) -> KeyStore:
    """Return the key store that the settings describe; raise KeyStoreError where its passphrase is missing."""
    return KeyStore(settings.directory, passphrase_of(settings))
