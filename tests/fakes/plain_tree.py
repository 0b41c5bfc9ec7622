"""RFC 6962's Merkle tree, written down as its section 2.1 defines it: slow, recursive, and nothing to get wrong."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def root(leaves: Sequence[bytes]) -> bytes:
    """Return MTH(leaves) (§2.1)."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    middle = _largest_power_below(len(leaves))
    return sha256(b"\x01" + root(leaves[:middle]) + root(leaves[middle:])).digest()


def path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PATH(index, leaves) (§2.1.1)."""
    if len(leaves) == 1:
        return []
    middle = _largest_power_below(len(leaves))
    if index < middle:
        return [*path(index, leaves[:middle]), root(leaves[middle:])]
    return [*path(index - middle, leaves[middle:]), root(leaves[:middle])]


def consistency(old_size: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PROOF(old_size, leaves), for an old tree that is neither empty nor larger than this (§2.1.2)."""
    return _subproof(old_size, leaves, known=True)


def _subproof(size: int, leaves: Sequence[bytes], *, known: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if known else [root(leaves)]
    middle = _largest_power_below(len(leaves))
    if size <= middle:
        return [*_subproof(size, leaves[:middle], known=known), root(leaves[middle:])]
    return [*_subproof(size - middle, leaves[middle:], known=False), root(leaves[:middle])]


def _largest_power_below(size: int) -> int:
    power = 1
    while power * 2 < size:
        power *= 2
    return power
