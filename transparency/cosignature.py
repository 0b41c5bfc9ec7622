"""Cosignatures: a witness saw this checkpoint, and that the log only grew to it (C2SP tlog-cosignature).

Of both kinds, Ed25519 is what deployed witnesses make, and ML-DSA-44 holds against quantum computers too; it also binds
the witness's name, and does not cover extension lines.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from transparency.checkpoint import Checkpoint
from transparency.errors import CheckpointError, NoteError
from transparency.signed_note import (
    NoteSignature,
    ed25519_verifies,
    format_verifier_key,
    key_id,
    parse_verifier_key,
    require_ed25519_key,
    require_name,
)

ED25519: Final = 0x04
"""The signature type of timestamped Ed25519 cosignatures."""
ML_DSA_44: Final = 0x06
"""The signature type of timestamped ML-DSA-44 cosignatures."""

_TIMESTAMP = struct.Struct(">Q")
_LARGEST_TIMESTAMP = 2**63 - 1
_ED25519_SIZE = 64
_ML_DSA_44_SIZE = 2420
_ML_DSA_44_KEY_SIZE = 1312
_SUBTREE_LABEL = b"subtree/v1\n\x00"
_LONGEST_ORIGIN = 255


@dataclass(frozen=True, slots=True)
class Ed25519CosignatureVerifier:
    """A witness's Ed25519 key of 32 bytes under its name. Raises NoteError for a key of no use."""

    name: str
    public_key: bytes

    signature_type: ClassVar[int] = ED25519

    def __post_init__(self) -> None:
        """Refuse a name that no line can hold and a key that any signature fits."""
        require_name(self.name)
        require_ed25519_key(self.public_key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key of signature type 0x04."""
        return cls(*parse_verifier_key(text, ED25519))

    @property
    def key_id(self) -> bytes:
        """The key's identifier."""
        return key_id(self.name, ED25519, self.public_key)

    def format(self) -> str:
        """Return the verifier key as it is handed out."""
        return format_verifier_key(self.name, ED25519, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Tell whether the witness cosigned a checkpoint's text."""
        if len(signature) != _TIMESTAMP.size + _ED25519_SIZE:
            return False
        timestamp = timestamp_of(signature)
        message = _ed25519_message(text, timestamp)
        return timestamp <= _LARGEST_TIMESTAMP and ed25519_verifies(
            self.public_key, message, signature[_TIMESTAMP.size :]
        )


@dataclass(frozen=True, slots=True)
class MlDsa44CosignatureVerifier:
    """A witness's ML-DSA-44 key of 1312 bytes under its name (FIPS 204). Raises NoteError for a key of no use."""

    name: str
    public_key: bytes

    signature_type: ClassVar[int] = ML_DSA_44

    def __post_init__(self) -> None:
        """Refuse a name that no line can hold and a key of the wrong length."""
        require_name(self.name)
        if len(self.public_key) != _ML_DSA_44_KEY_SIZE:
            msg = f"an ML-DSA-44 public key has {_ML_DSA_44_KEY_SIZE} bytes"
            raise NoteError(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key of signature type 0x06."""
        return cls(*parse_verifier_key(text, ML_DSA_44))

    @property
    def key_id(self) -> bytes:
        """The key's identifier."""
        return key_id(self.name, ML_DSA_44, self.public_key)

    def format(self) -> str:
        """Return the verifier key as it is handed out."""
        return format_verifier_key(self.name, ML_DSA_44, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Tell whether the witness cosigned the tree head of a checkpoint's text."""
        if len(signature) != _TIMESTAMP.size + _ML_DSA_44_SIZE:
            return False
        timestamp = timestamp_of(signature)
        if timestamp > _LARGEST_TIMESTAMP:
            return False
        try:
            message = _subtree_message(self.name, text, timestamp)
            key = MLDSA44PublicKey.from_public_bytes(self.public_key)
            key.verify(signature[_TIMESTAMP.size :], message)
        except (InvalidSignature, CheckpointError):
            return False
        return True


CosignatureVerifier = Ed25519CosignatureVerifier | MlDsa44CosignatureVerifier
"""A witness's key of either kind."""


@dataclass(frozen=True, slots=True)
class Ed25519Cosigner:
    """A witness that cosigns with Ed25519. The key serves for nothing else: what it signs does not name the witness."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)

    @property
    def verifier(self) -> Ed25519CosignatureVerifier:
        """What others need to check this witness's cosignatures."""
        return Ed25519CosignatureVerifier(self.name, self.key.public_key().public_bytes_raw())

    def cosign(self, checkpoint: Checkpoint, timestamp: int) -> NoteSignature:
        """Return the cosignature of a checkpoint at a time in seconds since 1970.

        It states that the log has shown no larger tree by then, and that all its trees were consistent.
        """
        text = checkpoint.text.encode()
        signature = self.key.sign(_ed25519_message(text, _require_timestamp(timestamp)))
        return NoteSignature(self.name, self.verifier.key_id, _TIMESTAMP.pack(timestamp) + signature)


@dataclass(frozen=True, slots=True)
class MlDsa44Cosigner:
    """A witness that cosigns with ML-DSA-44."""

    name: str
    key: MLDSA44PrivateKey = field(repr=False)

    @property
    def verifier(self) -> MlDsa44CosignatureVerifier:
        """What others need to check this witness's cosignatures."""
        return MlDsa44CosignatureVerifier(self.name, self.key.public_key().public_bytes_raw())

    def cosign(self, checkpoint: Checkpoint, timestamp: int) -> NoteSignature:
        """Return the cosignature of a checkpoint at a time in seconds since 1970, as `Ed25519Cosigner.cosign` does."""
        text = checkpoint.text.encode()
        signature = self.key.sign(_subtree_message(self.name, text, _require_timestamp(timestamp)))
        return NoteSignature(self.name, self.verifier.key_id, _TIMESTAMP.pack(timestamp) + signature)


def parse_cosignature_key(text: str) -> CosignatureVerifier:
    """Read a witness's verifier key of either kind."""
    try:
        return Ed25519CosignatureVerifier.parse(text)
    except NoteError:
        return MlDsa44CosignatureVerifier.parse(text)


def timestamp_of(signature: bytes) -> int:
    """Return when a cosignature says it was made, in seconds since 1970; its verifier says whether that is true."""
    if len(signature) < _TIMESTAMP.size:
        msg = "a cosignature begins with a timestamp of 8 bytes"
        raise NoteError(msg)
    timestamp: int
    (timestamp,) = _TIMESTAMP.unpack_from(signature)
    return timestamp


def _ed25519_message(text: bytes, timestamp: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % timestamp + text


def _subtree_message(name: str, text: bytes, timestamp: int) -> bytes:
    """Return the cosigned_message of a checkpoint, which is the subtree that begins with the first leaf."""
    checkpoint = Checkpoint.parse(text.decode())
    origin, cosigner = checkpoint.origin.encode(), name.encode()
    return (
        _SUBTREE_LABEL
        + bytes([len(cosigner)])
        + cosigner
        + _TIMESTAMP.pack(timestamp)
        + bytes([len(origin)])
        + origin
        + _TIMESTAMP.pack(0)
        + _TIMESTAMP.pack(checkpoint.size)
        + checkpoint.root
    )


def _require_timestamp(timestamp: int) -> int:
    if not 0 <= timestamp <= _LARGEST_TIMESTAMP:
        msg = "a cosignature's time is in seconds since 1970"
        raise NoteError(msg)
    return timestamp
