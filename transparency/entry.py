"""The sealed entry: what a log shows of a certificate to everybody.

A label stands for the number, by a function that only the log's key computes and everyone can check (RFC 9381). A
commitment stands for the certificate, and opens with 16 random bytes that only the certificate carries. So whoever
holds the certificate can prove that it is in the log, and whoever holds only the log learns neither number nor key.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Final, Self

from stir.telephone_number import TelephoneNumber
from transparency.errors import EntryError

ENTRY_SIZE: Final = 105
"""Bytes of a sealed entry."""
OPENING_SIZE: Final = 16
"""Random bytes that open a commitment."""
TIMESTAMP_GRAIN_MS: Final = 60_000
"""Timestamps are whole minutes, in milliseconds: an entry does not tell when somebody held a phone in hand."""

_VERSION = 1
_HASH_SIZE = 32
_LAYOUT = struct.Struct(">BQ32s32s32s")
_LARGEST_TIMESTAMP = 2**63 - 1
_LONGEST_SHARD = 255
_VRF_DOMAIN = b"\x01"
_VRF_OUTPUT_SIZE = 64
# The commitment key of the KEYTRANS protocol: HMAC-SHA256 under a fixed, public key.
_COMMITMENT_KEY = bytes.fromhex("d821f8790d97709796b4d7903357c3f5")


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """One leaf of a log: when, for which label, by which issuer, and the commitment to the certificate.

    `timestamp_ms` is a whole minute, in milliseconds since 1970; the other three have 32 bytes. Raises EntryError.
    """

    timestamp_ms: int
    label: bytes
    issuer_key_hash: bytes
    commitment: bytes

    def __post_init__(self) -> None:
        """Refuse what has no encoding."""
        if not 0 <= self.timestamp_ms <= _LARGEST_TIMESTAMP or self.timestamp_ms % TIMESTAMP_GRAIN_MS:
            msg = "a sealed entry's timestamp is a whole minute, in milliseconds since 1970"
            raise EntryError(msg)
        for name in ("label", "issuer_key_hash", "commitment"):
            if len(getattr(self, name)) != _HASH_SIZE:
                msg = f"a sealed entry's {name} has {_HASH_SIZE} bytes"
                raise EntryError(msg)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the 105 bytes of an entry; every entry has one encoding."""
        if len(data) != ENTRY_SIZE:
            msg = f"a sealed entry has {ENTRY_SIZE} bytes"
            raise EntryError(msg)
        version, *fields = _LAYOUT.unpack(data)
        if version != _VERSION:
            msg = f"a sealed entry of version {version} is not known here"
            raise EntryError(msg)
        return cls(*fields)

    def to_bytes(self) -> bytes:
        """Return the entry's 105 bytes: u8 version, u64 timestamp, label, issuer key hash, commitment."""
        return _LAYOUT.pack(_VERSION, self.timestamp_ms, self.label, self.issuer_key_hash, self.commitment)


def rounded_timestamp(timestamp_ms: int) -> int:
    """Return the whole minute at or before a time in milliseconds."""
    return timestamp_ms - timestamp_ms % TIMESTAMP_GRAIN_MS


def vrf_input(shard: str, number: TelephoneNumber) -> bytes:
    """Return what the shard's VRF is evaluated on for a number.

    `shard` is the shard's origin, 1 to 255 characters of ASCII. Its length goes before it, so that no digit of a number
    can be read as the end of a shard's name.
    """
    if not shard.isascii() or not 0 < len(shard) <= _LONGEST_SHARD:
        msg = f"a shard's origin has 1 to {_LONGEST_SHARD} characters of ASCII"
        raise EntryError(msg)
    return _VRF_DOMAIN + bytes([len(shard)]) + shard.encode("ascii") + number.digits.encode("ascii")


def label(beta: bytes) -> bytes:
    """Return the 32-byte label for a VRF's 64-byte output."""
    if len(beta) != _VRF_OUTPUT_SIZE:
        msg = f"a VRF's output has {_VRF_OUTPUT_SIZE} bytes"
        raise EntryError(msg)
    return beta[:_HASH_SIZE]


def commitment(opening: bytes, label: bytes, tbs: bytes) -> bytes:
    """Return the 32-byte commitment to a certificate: HMAC-SHA256(Kc, opening || label || TBS).

    `opening` has 16 random bytes, `label` 32; `tbs` is the certificate's TBS without poison and SCT list. As the first
    two have fixed lengths, no two triples meet in one message.
    """
    if len(opening) != OPENING_SIZE or len(label) != _HASH_SIZE:
        msg = f"a commitment takes an opening of {OPENING_SIZE} bytes and a label of {_HASH_SIZE}"
        raise EntryError(msg)
    return hmac.digest(_COMMITMENT_KEY, opening + label + tbs, hashlib.sha256)
