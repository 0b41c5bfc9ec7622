from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transparency.strategies import hashes, notes, sizes
from tests.vectors.make_transparency_vectors import (
    CHECKPOINT,
    ENTRY,
    LOG,
    NOTE,
    NOW_MS,
    POLICY,
    PROOF,
    STRANGER,
    WITNESS,
    ed25519,
)
from transparency.cosignature import Ed25519Cosigner, timestamp_of
from transparency.errors import NoteError, ProofError, TransparencyError
from transparency.merkle import leaf_hash
from transparency.proof import LARGEST_EXTRA, LARGEST_PROOF, TlogProof, WitnessPolicy
from transparency.signed_note import Note, NoteSignature

LEAF = leaf_hash(ENTRY.to_bytes())
SECOND = Ed25519Cosigner("witness.example/w2", ed25519("second"))
THIRD = Ed25519Cosigner("third.example", ed25519("third"))
NO_WITNESS = WitnessPolicy({}, 0)


def cosigned(*witnesses: Ed25519Cosigner) -> Note:
    """Return the log's checkpoint with the lines of these witnesses."""
    note = Note.parse(CHECKPOINT.to_note([LOG]))
    return note.with_signatures([witness.cosign(CHECKPOINT, NOW_MS // 1000) for witness in witnesses])


proofs = st.builds(
    TlogProof,
    sizes,
    st.lists(hashes, max_size=63).map(tuple),
    notes,
    st.none() | st.binary(min_size=1, max_size=60),
)


@given(proofs)
def test_a_proof_survives_its_bytes(proof: TlogProof) -> None:
    """Every proof has one encoding."""
    assert TlogProof.parse(proof.to_bytes()) == proof


@given(
    st.binary(max_size=200)
    | st.text(max_size=100).map(lambda text: f"c2sp.org/tlog-proof@v1\n{text}".encode("utf-8", "replace"))
)
def test_any_bytes_give_a_proof_or_this_rooms_error(data: bytes) -> None:
    """What is read as a proof is written as the same bytes."""
    try:
        proof = TlogProof.parse(data)
    except (ProofError, NoteError):
        return
    assert proof.to_bytes() == data


def test_a_proof_is_enough_without_a_network() -> None:
    """Leaf, log key and witness policy are all that is needed."""
    assert PROOF.verify(LEAF, LOG.verifier, POLICY) == CHECKPOINT


@given(st.data())
@settings(max_examples=300)
def test_a_corrupt_byte_anywhere_is_found(data: st.DataObject) -> None:
    """No byte of a proof is free."""
    broken = bytearray(PROOF.to_bytes())
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(TransparencyError):
        TlogProof.parse(bytes(broken)).verify(LEAF, LOG.verifier, POLICY)


def test_extra_data_is_nobodys_word() -> None:
    """It travels along, and nothing vouches for it (C2SP tlog-proof)."""
    changed = TlogProof.parse(replace(PROOF, extra=b"anything").to_bytes())
    assert changed.extra == b"anything"
    assert changed.verify(LEAF, LOG.verifier, POLICY) == CHECKPOINT


def test_another_leaf_is_not_proven() -> None:
    """A proof is of one entry."""
    with pytest.raises(ProofError, match="does not lead to the root"):
        PROOF.verify(leaf_hash(b"another"), LOG.verifier, POLICY)


def test_another_logs_proof_is_refused() -> None:
    """The checkpoint is the log's that the reader asks for."""
    with pytest.raises(NoteError, match="signed by none of"):
        PROOF.verify(LEAF, STRANGER.verifier, POLICY)


# Witnesses


def test_a_quorum_counts_operators() -> None:
    """Two witnesses of one operator are one."""
    policy = WitnessPolicy({WITNESS.verifier: "one", SECOND.verifier: "one", THIRD.verifier: "two"}, 2)
    assert policy.check(cosigned(WITNESS, THIRD)) == {"one", "two"}
    with pytest.raises(ProofError, match="1 known operators' witnesses"):
        policy.check(cosigned(WITNESS, SECOND))


def test_an_old_cosignature_does_not_count_where_a_recent_one_is_asked_for() -> None:
    """C2SP tlog-cosignature: its time says until when the witness has seen nothing larger."""
    (line,) = (one for one in cosigned(WITNESS).signatures if one.name == WITNESS.name)
    policy = WitnessPolicy({WITNESS.verifier: "one"}, 1)
    assert policy.check(cosigned(WITNESS), timestamp_of(line.signature)) == {"one"}
    with pytest.raises(ProofError, match="0 known operators' witnesses"):
        policy.check(cosigned(WITNESS), timestamp_of(line.signature) + 1)


def test_a_line_that_is_wrong_does_not_count() -> None:
    """Nor does it keep the others from counting: else anybody could spoil a checkpoint."""
    policy = WitnessPolicy({WITNESS.verifier: "one", THIRD.verifier: "two"}, 1)
    forged = NoteSignature(WITNESS.name, WITNESS.verifier.key_id, bytes(72))
    assert policy.check(cosigned(THIRD).with_signatures([forged])) == {"two"}


def test_witnesses_that_nobody_knows_do_not_count() -> None:
    """An attacker's own witnesses are worth nothing."""
    with pytest.raises(ProofError, match="0 known operators' witnesses"):
        POLICY.check(cosigned(SECOND, THIRD))


def test_a_reader_may_ask_for_no_witness() -> None:
    """Then the log's word is taken."""
    assert NO_WITNESS.check(NOTE) == frozenset()
    assert replace(PROOF, note=cosigned()).verify(LEAF, LOG.verifier, NO_WITNESS) == CHECKPOINT


@pytest.mark.parametrize("quorum", [-1, 2])
def test_a_quorum_can_be_reached(quorum: int) -> None:
    """A policy that refuses everything is a mistake, and is told at once."""
    with pytest.raises(ProofError, match="cannot be reached"):
        WitnessPolicy({WITNESS.verifier: "one", SECOND.verifier: "one"}, quorum)


# Form


@pytest.mark.parametrize(
    "fields",
    [
        {"index": -1},
        {"hashes": (bytes(32),) * 64},
        {"hashes": (bytes(31),)},
        {"extra": b""},
        {"extra": bytes(LARGEST_EXTRA + 1)},
    ],
)
def test_a_proof_that_has_no_form_cannot_exist(fields: dict[str, object]) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(ProofError):
        replace(PROOF, **fields)  # type: ignore[arg-type]


def test_a_proof_has_an_end() -> None:
    """A huge proof is refused before it is read."""
    with pytest.raises(ProofError, match="at most"):
        TlogProof.parse(bytes(LARGEST_PROOF + 1))


def test_a_proof_with_a_broken_note_is_a_notes_error() -> None:
    """What is wrong is said where it is wrong."""
    with pytest.raises(NoteError):
        TlogProof.parse(PROOF.to_bytes()[:-1])
