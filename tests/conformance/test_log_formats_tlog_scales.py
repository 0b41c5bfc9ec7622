"""What a log publishes, read by `tlog-scales`, a library for C2SP's tiled logs that knows nothing of us."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import MLDSA44CosignatureSigner, PlainEd25519Signer, Vkey
from tlog_scales.tlog import Checkpoint as ForeignCheckpoint
from tlog_scales.tlog import ConsistencyProof, ConsistencyProofInvalid, InclusionProof, InclusionProofInvalid

from tests.vectors.make_transparency_vectors import (
    BUNDLES,
    CHECKPOINT,
    LEAVES,
    LOG,
    NOTE,
    NOW_MS,
    ORIGIN,
    PLACE,
    SIZE,
    TILES,
    WITNESS,
    ed25519,
    seed,
)
from transparency.checkpoint import Checkpoint
from transparency.cosignature import MlDsa44CosignatureVerifier, MlDsa44Cosigner, timestamp_of
from transparency.merkle import consistency_proof, inclusion_proof, leaf_hash, tree_head
from transparency.signed_note import Ed25519Verifier, Note, NoteSignature
from transparency.tiles import TileReader

ML_DSA = MlDsa44Cosigner("witness.example/pq", MLDSA44PrivateKey.from_seed_bytes(seed("post-quantum")))
OURS = TileReader((TILES | BUNDLES).__getitem__, SIZE, CHECKPOINT.root)
OLDER = (1, 2, 255, 256, 257, 300, 511, 512, 599)


@pytest.fixture
def theirs(tmp_path: Path) -> TilesReader:
    """Return the library's reader of the vectors' log."""
    for path, data in (TILES | BUNDLES | {"checkpoint": NOTE.to_bytes()}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return TilesReader(LocalBackend(tmp_path))


def test_it_reads_our_checkpoint(theirs: TilesReader) -> None:
    """C2SP tlog-checkpoint: origin, size, root, and the log's signature by our verifier key."""
    found = theirs.get_checkpoint()
    assert (found.origin, found.size, found.root_hash) == (ORIGIN, SIZE, CHECKPOINT.root)
    found.verify(Vkey.from_string(LOG.verifier.format()))
    assert found.serialize().encode() == NOTE.to_bytes()


def test_it_reads_our_tree(theirs: TilesReader) -> None:
    """C2SP tlog-tiles: root, entries and proofs come out of our files as they do here."""
    theirs.get_checkpoint()
    assert theirs.calculate_root_hash() == CHECKPOINT.root
    for index in (0, 255, 256, PLACE, 599):
        assert theirs.get_entry(index) == LEAVES[index]
        assert tuple(theirs.get_inclusion_proof(index, SIZE).node_hashes) == inclusion_proof(OURS, index, SIZE)
    for old in OLDER:
        assert tuple(theirs.get_consistency_proof(old, SIZE).node_hashes) == consistency_proof(OURS, old, SIZE)


@pytest.mark.parametrize("index", [0, 1, 255, 256, PLACE, 511, 512, 599])
def test_it_takes_our_inclusion_proofs(index: int) -> None:
    """RFC 9162 §2.1.3.2: right as they are, and wrong for another leaf."""
    proof = InclusionProof(index, SIZE, list(inclusion_proof(OURS, index, SIZE)))
    proof.check(leaf_hash(LEAVES[index]), CHECKPOINT.root)
    with pytest.raises(InclusionProofInvalid):
        proof.check(leaf_hash(b"another"), CHECKPOINT.root)


@pytest.mark.parametrize("old", OLDER)
def test_it_takes_our_consistency_proofs(old: int) -> None:
    """RFC 9162 §2.1.4.2: right as they are, and wrong for another history."""
    proof = ConsistencyProof(old, SIZE, list(consistency_proof(OURS, old, SIZE)))
    proof.check(tree_head(OURS, old), CHECKPOINT.root)
    with pytest.raises(ConsistencyProofInvalid):
        proof.check(bytes(32), CHECKPOINT.root)


@pytest.mark.parametrize("witness", [WITNESS, ML_DSA], ids=["Ed25519", "ML-DSA-44"])
def test_it_takes_our_cosignatures(witness: MlDsa44Cosigner) -> None:
    """C2SP tlog-cosignature: both kinds, by our verifier keys, and for this checkpoint only."""
    line = witness.cosign(CHECKPOINT, NOW_MS // 1000)
    checkpoint = ForeignCheckpoint.from_text(Note(CHECKPOINT.text, (line,)).to_bytes().decode())
    key = Vkey.from_string(witness.verifier.format())
    checkpoint.verify(key)
    with pytest.raises(InvalidSignature):
        ForeignCheckpoint(ORIGIN, SIZE + 1, CHECKPOINT.root, checkpoint.signatures).verify(key)


def test_we_take_its_signatures() -> None:
    """C2SP signed-note: a log of its making is read here."""
    signer = PlainEd25519Signer(ORIGIN, ed25519("foreign log"))
    made = ForeignCheckpoint.make_signed(ORIGIN, SIZE, CHECKPOINT.root, [signer])
    verifier = Ed25519Verifier.parse(signer.vkey.serialize())
    assert Checkpoint.from_note(made.serialize().encode(), verifier) == CHECKPOINT


def test_we_take_its_post_quantum_cosignatures() -> None:
    """C2SP tlog-cosignature: an ML-DSA-44 witness of its making is believed here, for this checkpoint only."""
    signer = MLDSA44CosignatureSigner("foreign.example", MLDSA44PrivateKey.from_seed_bytes(seed("foreign witness")))
    made = signer.sign(ForeignCheckpoint(ORIGIN, SIZE, CHECKPOINT.root, []))
    line = NoteSignature.parse(made.serialize())
    verifier = MlDsa44CosignatureVerifier.parse(signer.vkey.serialize())
    assert verifier.verify(CHECKPOINT.text.encode(), line.signature)
    assert timestamp_of(line.signature) > NOW_MS // 1000
    assert not verifier.verify(Checkpoint(ORIGIN, SIZE + 1, CHECKPOINT.root).text.encode(), line.signature)
