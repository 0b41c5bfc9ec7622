from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import plain_tree
from transparency.errors import ProofError
from transparency.merkle import (
    EMPTY_ROOT,
    LARGEST_TREE,
    Node,
    consistency_nodes,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    leaf_hash,
    nodes_of_range,
    root_from_inclusion,
    tree_head,
    verify_consistency,
    verify_inclusion,
)

LARGEST = 70
LEAVES = [b"leaf %d" % number for number in range(LARGEST)]
ROOTS = [plain_tree.root(LEAVES[:size]) for size in range(LARGEST + 1)]


class Reader:
    """Reads complete subtrees from the leaves."""

    def __init__(self, leaves: Sequence[bytes] = LEAVES) -> None:
        """Read from these leaves."""
        self._leaves = leaves

    def read(self, nodes: Sequence[Node]) -> list[bytes]:
        """Return the hash of each node."""
        return [
            plain_tree.root(self._leaves[node.offset << node.level : (node.offset + 1) << node.level]) for node in nodes
        ]


READER = Reader()
sizes = st.integers(1, LARGEST)
places = sizes.flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size)))
growths = sizes.flatmap(lambda size: st.tuples(st.integers(1, size), st.just(size)))


def flipped(data: bytes, bit: int) -> bytes:
    """Return the data with one bit changed."""
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("size", range(LARGEST + 1))
def test_a_tree_has_the_root_that_rfc_6962_defines(size: int) -> None:
    """MTH of RFC 6962 §2.1, for every size."""
    assert tree_head(READER, size) == ROOTS[size]


@given(places)
def test_an_inclusion_proof_is_the_path_of_rfc_6962(place: tuple[int, int]) -> None:
    """PATH of RFC 6962 §2.1.1, and it verifies (RFC 9162 §2.1.3.2)."""
    index, size = place
    proof = inclusion_proof(READER, index, size)
    assert list(proof) == plain_tree.path(index, LEAVES[:size])
    verify_inclusion(index, size, leaf_hash(LEAVES[index]), proof, ROOTS[size])


@given(growths)
def test_a_consistency_proof_is_that_of_rfc_6962(growth: tuple[int, int]) -> None:
    """PROOF of RFC 6962 §2.1.2, and it verifies (RFC 9162 §2.1.4.2)."""
    old, new = growth
    proof = consistency_proof(READER, old, new)
    assert list(proof) == plain_tree.consistency(old, LEAVES[:new])
    verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])


@given(places, st.data())
def test_a_changed_bit_anywhere_breaks_an_inclusion_proof(place: tuple[int, int], data: st.DataObject) -> None:
    """Leaf, root and every hash between are all bound."""
    index, size = place
    parts = [leaf_hash(LEAVES[index]), ROOTS[size], *inclusion_proof(READER, index, size)]
    broken = data.draw(st.integers(0, len(parts) - 1))
    parts[broken] = flipped(parts[broken], data.draw(st.integers(0, 255)))
    leaf, root, *proof = parts
    with pytest.raises(ProofError, match="does not lead to the root"):
        verify_inclusion(index, size, leaf, proof, root)


@given(growths, st.data())
def test_a_changed_bit_anywhere_breaks_a_consistency_proof(growth: tuple[int, int], data: st.DataObject) -> None:
    """Both roots and every hash are bound."""
    old, new = growth
    parts = [ROOTS[old], ROOTS[new], *consistency_proof(READER, old, new)]
    broken = data.draw(st.integers(0, len(parts) - 1))
    parts[broken] = flipped(parts[broken], data.draw(st.integers(0, 255)))
    old_root, new_root, *proof = parts
    with pytest.raises(ProofError, match="not proven"):
        verify_consistency(old, new, proof, old_root, new_root)


@given(places, st.integers(0, LARGEST - 1))
def test_a_proof_proves_its_own_leaf_only(place: tuple[int, int], other: int) -> None:
    """A leaf cannot be shown at an index where it is not."""
    index, size = place
    proof = inclusion_proof(READER, index, size)
    if other == index or other >= size:
        return
    with pytest.raises(ProofError):
        verify_inclusion(other, size, leaf_hash(LEAVES[index]), proof, ROOTS[size])


@given(places)
def test_an_inclusion_proof_has_its_length(place: tuple[int, int]) -> None:
    """A hash too few or too many is refused, whatever it is (RFC 9162 §2.1.3.2)."""
    index, size = place
    leaf, proof = leaf_hash(LEAVES[index]), inclusion_proof(READER, index, size)
    with pytest.raises(ProofError, match="too many hashes"):
        root_from_inclusion(index, size, leaf, (*proof, bytes(32)))
    if proof:
        with pytest.raises(ProofError, match="too few hashes"):
            root_from_inclusion(index, size, leaf, proof[:-1])


@given(growths)
def test_a_consistency_proof_has_its_length(growth: tuple[int, int]) -> None:
    """A hash too few or too many is refused, whatever it is (RFC 9162 §2.1.4.2)."""
    old, new = growth
    proof = consistency_proof(READER, old, new)
    for wrong in ((*proof, bytes(32)), proof[:-1] if proof else (bytes(32),), ()):
        if wrong == proof:
            continue
        with pytest.raises(ProofError, match="not proven"):
            verify_consistency(old, new, wrong, ROOTS[old], ROOTS[new])


@given(growths)
def test_a_longer_tree_is_not_consistent_with_another_history(growth: tuple[int, int]) -> None:
    """A log that shows two histories has no proof from the one to the other."""
    old, new = growth
    other = Reader([b"another", *LEAVES[1:]])
    proof = consistency_proof(other, old, new)
    with pytest.raises(ProofError):
        verify_consistency(old, new, proof, ROOTS[old], tree_head(other, new))


@pytest.mark.parametrize("new", [0, 1, 5])
def test_every_tree_begins_with_the_empty_one(new: int) -> None:
    """From nothing, nothing needs to be proven."""
    assert consistency_proof(READER, 0, new) == ()
    verify_consistency(0, new, (), EMPTY_ROOT, ROOTS[new])


def test_the_empty_tree_has_one_root() -> None:
    """Neither end of a growth can claim another."""
    for old_root, new_size, new_root in ((ROOTS[1], 5, ROOTS[5]), (EMPTY_ROOT, 0, ROOTS[1]), (ROOTS[1], 0, ROOTS[1])):
        with pytest.raises(ProofError, match="not proven"):
            verify_consistency(0, new_size, (), old_root, new_root)


def test_a_tree_is_consistent_with_itself_only() -> None:
    """Two roots of one size are a fork."""
    verify_consistency(5, 5, (), ROOTS[5], ROOTS[5])
    with pytest.raises(ProofError, match="not proven"):
        verify_consistency(5, 5, (), ROOTS[5], ROOTS[6])
    with pytest.raises(ProofError, match="not proven"):
        verify_consistency(5, 5, (bytes(32),), ROOTS[5], ROOTS[5])


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5), (0, LARGEST_TREE + 1)])
def test_a_tree_never_shrinks(old: int, new: int) -> None:
    """There is no proof from a larger tree to a smaller one."""
    with pytest.raises(ProofError):
        verify_consistency(old, new, (), EMPTY_ROOT, EMPTY_ROOT)
    with pytest.raises(ProofError):
        consistency_nodes(old, new)


@pytest.mark.parametrize(("index", "size"), [(-1, 5), (5, 5), (0, 0), (0, LARGEST_TREE + 1), (0, -1)])
def test_a_tree_has_only_its_leaves(index: int, size: int) -> None:
    """There is no proof for a leaf beyond the tree."""
    with pytest.raises(ProofError):
        root_from_inclusion(index, size, bytes(32), ())
    with pytest.raises(ProofError):
        inclusion_nodes(index, size)


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_hashes_have_32_bytes(wrong: bytes) -> None:
    """A hash of another length is refused before it is hashed: two short ones could pass for one."""
    with pytest.raises(ProofError, match="32 bytes"):
        root_from_inclusion(0, 2, wrong, (bytes(32),))
    with pytest.raises(ProofError, match="32 bytes"):
        root_from_inclusion(0, 2, bytes(32), (wrong,))
    for old_root, new_root, proof in ((wrong, bytes(32), ()), (bytes(32), wrong, ()), (bytes(32), bytes(32), (wrong,))):
        with pytest.raises(ProofError, match="32 bytes"):
            verify_consistency(1, 2, proof, old_root, new_root)


@given(st.integers(0, LARGEST_TREE))
def test_a_tree_is_made_of_at_most_63_complete_subtrees(size: int) -> None:
    """They follow one another without a gap, and get smaller."""
    nodes = nodes_of_range(0, size)
    assert len(nodes) <= 63
    assert [node.level for node in nodes] == sorted({node.level for node in nodes}, reverse=True)
    start = 0
    for node in nodes:
        assert node.offset << node.level == start
        start += 1 << node.level
    assert start == size


@given(st.integers(1, LARGEST_TREE).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_a_proof_in_the_largest_tree_has_at_most_63_hashes(place: tuple[int, int]) -> None:
    """Proofs grow with the logarithm of the tree, and need no more than two nodes for each level."""
    parts = inclusion_nodes(*place)
    assert len(parts) <= 63
    assert sum(map(len, parts)) <= 126
