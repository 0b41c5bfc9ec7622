"""The Merkle tree of a log: hashes, roots, and proofs of inclusion and consistency (RFC 6962 §2.1, RFC 9162 §2.1).

A tree is read through a `HashReader`, which returns the hashes of complete subtrees. Everything else follows from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

from transparency.errors import ProofError

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of the tree without leaves (RFC 6962 §2.1)."""
LARGEST_TREE: Final = 2**63 - 1
"""How many leaves a tree may have."""

_LEAF = b"\x00"
_NODE = b"\x01"


class Node(NamedTuple):
    """A complete subtree: the 2**level leaves from offset * 2**level on."""

    level: int
    offset: int


class HashReader(Protocol):
    """Where the hashes of a tree's complete subtrees come from."""

    def read(self, nodes: Sequence[Node]) -> Sequence[bytes]:
        """Return the 32-byte hash of each node, in the order asked for."""
        ...


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 §2.1)."""
    return sha256(_LEAF + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees side by side (RFC 6962 §2.1)."""
    return sha256(_NODE + left + right).digest()


def pair_up(hashes: bytes) -> bytes:
    """Return the hashes one level up: of an even number of 32-byte hashes, side by side, half as many."""
    return b"".join(
        [
            sha256(_NODE + hashes[start : start + 2 * HASH_SIZE]).digest()
            for start in range(0, len(hashes), 2 * HASH_SIZE)
        ]
    )


def nodes_of_range(start: int, end: int) -> tuple[Node, ...]:
    """Return the complete subtrees that make up the leaves `start` to `end - 1` of a tree's part, left to right.

    `start` must be a multiple of the largest power of two that is not above `end - start`, as in every range that a
    proof speaks of.
    """
    nodes = []
    while start < end:
        level = (end - start).bit_length() - 1
        nodes.append(Node(level, start >> level))
        start += 1 << level
    return tuple(nodes)


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over the complete subtrees of one range, given from left to right."""
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(left, result)
    return result


def tree_head(reader: HashReader, size: int) -> bytes:
    """Return the root of the tree's first `size` leaves."""
    _require_size(size)
    if size == 0:
        return EMPTY_ROOT
    return fold(reader.read(nodes_of_range(0, size)))


def inclusion_nodes(index: int, size: int) -> tuple[tuple[Node, ...], ...]:
    """Return what each hash of an inclusion proof is made of, from the leaf's sibling up (RFC 6962 §2.1.1)."""
    _require_size(size)
    if not 0 <= index < size:
        msg = f"a tree of {size} leaves has no leaf {index}"
        raise ProofError(msg)
    start, end, siblings = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return tuple(nodes_of_range(*sibling) for sibling in reversed(siblings))


def consistency_nodes(old_size: int, new_size: int) -> tuple[tuple[Node, ...], ...]:
    """Return what each hash of a consistency proof is made of (RFC 6962 §2.1.2); nothing from or to equal trees."""
    _require_growth(old_size, new_size)
    if old_size in {0, new_size}:
        return ()
    start, end, ranges = 0, new_size, []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # else the old tree is this very subtree, and its root is known
        ranges.append((start, end))
    return tuple(nodes_of_range(*range_) for range_ in reversed(ranges))


def inclusion_proof(reader: HashReader, index: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` is in the tree of `size` leaves, from the leaf's sibling up."""
    return _proof(reader, inclusion_nodes(index, size))


def consistency_proof(reader: HashReader, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new_size` leaves begins with that of `old_size` leaves."""
    return _proof(reader, consistency_nodes(old_size, new_size))


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Iterable[bytes]) -> bytes:
    """Return the root that an inclusion proof leads to from a leaf's hash (RFC 9162 §2.1.3.2).

    Raises ProofError where the leaf is not in a tree of that size or the proof has too few or too many hashes.
    """
    _require_size(size)
    if not 0 <= index < size:
        msg = f"a tree of {size} leaves has no leaf {index}"
        raise ProofError(msg)
    result, node, last = _require_hash(leaf), index, size - 1
    for sibling in proof:
        _require_hash(sibling)
        if last == 0:
            msg = "the inclusion proof has too many hashes"
            raise ProofError(msg)
        if node & 1 or node == last:
            result = node_hash(sibling, result)
            while not node & 1 and node:  # up to where the lone rightmost subtree meets its left sibling
                node, last = node >> 1, last >> 1
        else:
            result = node_hash(result, sibling)
        node, last = node >> 1, last >> 1
    if last:
        msg = "the inclusion proof has too few hashes"
        raise ProofError(msg)
    return result


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Iterable[bytes], root: bytes) -> None:
    """Check that a leaf's hash is at `index` in the tree of `size` leaves with this root; raise ProofError if not."""
    if root_from_inclusion(index, size, leaf, proof) != root:
        msg = f"the inclusion proof of leaf {index} does not lead to the root of the tree of {size} leaves"
        raise ProofError(msg)


def verify_consistency(old_size: int, new_size: int, proof: Iterable[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the new tree begins with the old one (RFC 9162 §2.1.4.2); raise ProofError if that is not proven."""
    _require_growth(old_size, new_size)
    _require_hash(old_root)
    _require_hash(new_root)
    hashes = tuple(_require_hash(part) for part in proof)
    if old_size in {0, new_size}:
        expected = (EMPTY_ROOT, new_root if new_size else EMPTY_ROOT) if old_size == 0 else (new_root, new_root)
        if hashes or (old_root, new_root) != expected:
            raise _inconsistent(old_size, new_size)
        return
    if old_size & (old_size - 1) == 0:  # the old tree is a complete subtree: its root opens the proof
        hashes = (old_root, *hashes)
    if _roots_from_consistency(old_size, new_size, hashes) != (old_root, new_root):
        raise _inconsistent(old_size, new_size)


def _roots_from_consistency(old_size: int, new_size: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Return the roots of the old and the new tree that the hashes lead to, None where there are too few or many."""
    if not hashes:
        return None
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return None
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    return None if last else (old, new)


def _proof(reader: HashReader, parts: Sequence[Sequence[Node]]) -> tuple[bytes, ...]:
    """Read all nodes at once, and fold those of each part into its hash."""
    hashes = iter(reader.read([node for part in parts for node in part]))
    return tuple(fold([next(hashes) for _ in part]) for part in parts)


def _split(size: int) -> int:
    """Return the largest power of two below `size`, which is 2 or more (RFC 6962 §2.1)."""
    return 1 << ((size - 1).bit_length() - 1)


def _inconsistent(old_size: int, new_size: int) -> ProofError:
    return ProofError(f"it is not proven that the tree of {new_size} leaves begins with that of {old_size} leaves")


def _require_hash(value: bytes) -> bytes:
    if len(value) != HASH_SIZE:
        msg = f"a hash has {HASH_SIZE} bytes"
        raise ProofError(msg)
    return value


def _require_size(size: int) -> None:
    if not 0 <= size <= LARGEST_TREE:
        msg = "a tree has 0 to 2**63 - 1 leaves"
        raise ProofError(msg)


def _require_growth(old_size: int, new_size: int) -> None:
    _require_size(new_size)
    if not 0 <= old_size <= new_size:
        msg = f"a tree never shrinks: {old_size} leaves cannot become {new_size}"
        raise ProofError(msg)
