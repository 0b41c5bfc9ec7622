from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transparency.strategies import checkpoints
from transparency.checkpoint import Checkpoint
from transparency.cosignature import (
    Ed25519CosignatureVerifier,
    Ed25519Cosigner,
    MlDsa44CosignatureVerifier,
    MlDsa44Cosigner,
    parse_cosignature_key,
    timestamp_of,
)
from transparency.errors import NoteError
from transparency.signed_note import Ed25519Signer, Note, NoteSignature, sign_note

LOG = Ed25519Signer("log.example/1", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ED25519 = Ed25519Cosigner("w.example/1", Ed25519PrivateKey.from_private_bytes(bytes(32)))
ML_DSA = MlDsa44Cosigner("w.example/2", MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
COSIGNERS = [ED25519, ML_DSA]
CHECKPOINT = Checkpoint("log.example/1", 5, bytes(range(32)))
TEXT = CHECKPOINT.text.encode()
NOW = 1_767_225_600

each = pytest.mark.parametrize("cosigner", COSIGNERS, ids=["Ed25519", "ML-DSA-44"])
Cosigner = Ed25519Cosigner | MlDsa44Cosigner


@each
@settings(max_examples=20)
@given(checkpoint=checkpoints, timestamp=st.integers(0, 2**63 - 1))
def test_a_cosignature_verifies(cosigner: Cosigner, checkpoint: Checkpoint, timestamp: int) -> None:
    """A witness's line is under the checkpoint, and tells when it was made."""
    line = cosigner.cosign(checkpoint, timestamp)
    note = Note(checkpoint.text, (line,))
    assert Note.parse(note.to_bytes()).verified_by([cosigner.verifier]) == (line,)
    assert timestamp_of(line.signature) == timestamp


def test_a_cosignature_is_of_c2sps_text() -> None:
    """The header, the time and the whole checkpoint, signed with Ed25519 (C2SP tlog-cosignature)."""
    line = ED25519.cosign(CHECKPOINT, NOW)
    message = f"cosignature/v1\ntime {NOW}\n{CHECKPOINT.text}".encode()
    ED25519.key.public_key().verify(line.signature[8:], message)
    assert line.signature[:8] == NOW.to_bytes(8, "big")


def test_a_post_quantum_cosignature_is_of_c2sps_struct() -> None:
    """The label, the names with their lengths, and the tree as the subtree from 0 (C2SP tlog-cosignature)."""
    line = ML_DSA.cosign(CHECKPOINT, NOW)
    message = (
        b"subtree/v1\n\x00"
        b"\x0bw.example/2"
        + NOW.to_bytes(8, "big")
        + b"\x0dlog.example/1"
        + bytes(8)
        + (5).to_bytes(8, "big")
        + bytes(range(32))
    )
    ML_DSA.key.public_key().verify(line.signature[8:], message)
    assert len(line.signature) == 8 + 2420


@each
def test_a_corrupt_byte_anywhere_breaks_a_cosignature(cosigner: Cosigner) -> None:
    """Neither the time nor the signature can be changed."""
    good = cosigner.cosign(CHECKPOINT, NOW).signature
    step = 1 if len(good) < 100 else 97
    for place in [*range(8), *range(8, len(good), step)]:
        broken = bytearray(good)
        broken[place] ^= 1
        assert not cosigner.verifier.verify(TEXT, bytes(broken))


@each
def test_a_cosignature_is_of_one_checkpoint(cosigner: Cosigner) -> None:
    """Another size, root or origin was not cosigned."""
    good = cosigner.cosign(CHECKPOINT, NOW).signature
    for other in (
        Checkpoint("log.example/1", 6, bytes(range(32))),
        Checkpoint("log.example/1", 5, bytes(32)),
        Checkpoint("log.example/2", 5, bytes(range(32))),
    ):
        assert not cosigner.verifier.verify(other.text.encode(), good)


def test_extension_lines_are_cosigned_with_ed25519_only() -> None:
    """An ML-DSA-44 cosignature is of the tree head alone (C2SP tlog-cosignature)."""
    extended = Checkpoint("log.example/1", 5, bytes(range(32)), ("more",)).text.encode()
    assert not ED25519.verifier.verify(extended, ED25519.cosign(CHECKPOINT, NOW).signature)
    assert ML_DSA.verifier.verify(extended, ML_DSA.cosign(CHECKPOINT, NOW).signature)


def test_a_post_quantum_cosignature_names_its_witness() -> None:
    """The same key under another name has cosigned nothing."""
    line = ML_DSA.cosign(CHECKPOINT, NOW)
    assert not MlDsa44CosignatureVerifier("w.example/3", ML_DSA.verifier.public_key).verify(TEXT, line.signature)


def test_what_is_no_checkpoint_has_no_post_quantum_cosignature() -> None:
    """The struct needs an origin, a size and a root."""
    assert not ML_DSA.verifier.verify(b"hello\n", ML_DSA.cosign(CHECKPOINT, NOW).signature)


@each
@pytest.mark.parametrize("size", [0, 7, 8, 71, 73, 2427, 2429])
def test_a_cosignature_has_its_length(cosigner: Cosigner, size: int) -> None:
    """Nothing is cut off or passed over."""
    assert not cosigner.verifier.verify(TEXT, bytes(size))


@each
@pytest.mark.parametrize("timestamp", [-1, 2**63])
def test_a_cosignatures_time_has_63_bits(cosigner: Cosigner, timestamp: int) -> None:
    """C2SP: it must not exceed 2^63 - 1, and is refused where it does."""
    with pytest.raises(NoteError, match="seconds since 1970"):
        cosigner.cosign(CHECKPOINT, timestamp)
    size = len(cosigner.cosign(CHECKPOINT, NOW).signature) - 8
    assert not cosigner.verifier.verify(TEXT, (2**63).to_bytes(8, "big") + bytes(size))


def test_a_plain_signature_is_no_cosignature() -> None:
    """A log's own line does not count as a witness's, though the key were the same."""
    line = sign_note(CHECKPOINT.text, [Ed25519Signer(ED25519.name, ED25519.key)]).signatures[0]
    assert not line.is_by(ED25519.verifier)
    assert not ED25519.verifier.verify(TEXT, line.signature)
    assert not ED25519.verifier.verify(TEXT, bytes(8) + line.signature)


def test_a_time_is_in_the_first_8_bytes() -> None:
    """Less than that is no cosignature."""
    with pytest.raises(NoteError, match="timestamp of 8 bytes"):
        timestamp_of(bytes(7))


@each
def test_a_witnesss_key_survives_its_text(cosigner: Cosigner) -> None:
    """Either kind is read by its signature type."""
    verifier = cosigner.verifier
    assert parse_cosignature_key(verifier.format()) == verifier
    assert type(verifier).parse(verifier.format()) == verifier


@pytest.mark.parametrize("text", ["", "w.example", LOG.verifier.format()])
def test_a_logs_key_is_no_witnesss(text: str) -> None:
    """A key of another type is refused."""
    with pytest.raises(NoteError):
        parse_cosignature_key(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ed25519CosignatureVerifier("w.example", bytes(32)),
        lambda: Ed25519CosignatureVerifier("w example", ED25519.verifier.public_key),
        lambda: MlDsa44CosignatureVerifier("w.example", bytes(1311)),
        lambda: MlDsa44CosignatureVerifier("w example", bytes(1312)),
    ],
)
def test_a_witnesss_key_of_no_use_is_refused(make: object) -> None:
    """A point of small order, a wrong length, a name that no line can hold."""
    with pytest.raises(NoteError):
        make()  # type: ignore[operator]


@each
def test_a_cosigner_does_not_print_its_key(cosigner: Cosigner) -> None:
    """A private key is in no log line."""
    assert repr(cosigner) == f"{type(cosigner).__name__}(name={cosigner.name!r})"


@each
def test_a_witness_that_cosigns_again_counts_once(cosigner: Cosigner) -> None:
    """Two lines of one key, of different times, are one witness."""
    note = sign_note(CHECKPOINT.text, [LOG])
    note = note.with_signatures([cosigner.cosign(CHECKPOINT, NOW), cosigner.cosign(CHECKPOINT, NOW + 1)])
    assert len(note.verified_by([cosigner.verifier])) == 1
    assert isinstance(note.signatures[1], NoteSignature)
