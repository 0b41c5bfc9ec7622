from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.transparency.strategies import checkpoints, lines, sizes
from transparency.checkpoint import Checkpoint, read_decimal, read_hash
from transparency.errors import CheckpointError, NoteError
from transparency.merkle import LARGEST_TREE
from transparency.signed_note import Ed25519Signer, Note, sign_note

ORIGIN = "log.example/2026h1"
LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Ed25519Signer("other.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))
CHECKPOINT = Checkpoint(ORIGIN, 5, bytes(range(32)))


@given(checkpoints)
def test_a_checkpoint_survives_its_text(checkpoint: Checkpoint) -> None:
    """Every checkpoint has one text."""
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@given(st.text(max_size=80) | st.lists(lines | sizes.map(str), max_size=5).map(lambda parts: "\n".join([*parts, ""])))
def test_any_text_gives_a_checkpoint_or_this_rooms_error(text: str) -> None:
    """What is read as a checkpoint is written as the same text."""
    try:
        checkpoint = Checkpoint.parse(text)
    except CheckpointError:
        return
    assert checkpoint.text == text


def test_a_checkpoint_is_opened_with_the_logs_key() -> None:
    """What the log signed is what is read."""
    assert Checkpoint.from_note(CHECKPOINT.to_note([LOG]), LOG.verifier) == CHECKPOINT


@pytest.mark.parametrize("place", range(len(CHECKPOINT.to_note([LOG]))))
def test_a_corrupt_byte_anywhere_is_found(place: int) -> None:
    """No byte of a signed checkpoint is free."""
    for change in (0x01, 0x20, 0x80):
        broken = bytearray(CHECKPOINT.to_note([LOG]))
        broken[place] ^= change
        with pytest.raises(NoteError):
            Checkpoint.from_note(bytes(broken), LOG.verifier)


def test_a_checkpoint_is_signed_by_its_log() -> None:
    """Anybody else's signature does not make it the log's."""
    with pytest.raises(NoteError, match="signed by none of"):
        Checkpoint.from_note(CHECKPOINT.to_note([OTHER]), LOG.verifier)


def test_a_log_signs_for_its_own_origin_only() -> None:
    """One log's key cannot speak for another's tree."""
    with pytest.raises(CheckpointError, match=r"origin is not other\.example"):
        Checkpoint.from_note(CHECKPOINT.to_note([OTHER]), OTHER.verifier)


def test_a_log_may_be_asked_for_more_signatures() -> None:
    """Cosignatures of whomever are passed over here."""
    note = Note.parse(CHECKPOINT.to_note([LOG, OTHER]))
    assert Checkpoint.of_note(note, LOG.verifier) == CHECKPOINT


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    """A log's key may sign other notes, and they are no checkpoints."""
    with pytest.raises(CheckpointError, match="an origin, a size and a root hash"):
        Checkpoint.from_note(sign_note("hello\n", [LOG]).to_bytes(), LOG.verifier)


@pytest.mark.parametrize(
    "fields",
    [
        ("", 5, bytes(32)),
        ("a\nb", 5, bytes(32)),
        ("\ud800", 5, bytes(32)),
        ("é" * 128, 5, bytes(32)),
        (ORIGIN, -1, bytes(32)),
        (ORIGIN, LARGEST_TREE + 1, bytes(32)),
        (ORIGIN, 5, bytes(31)),
        (ORIGIN, 0, bytes(32)),
        (ORIGIN, 5, bytes(32), ("",)),
        (ORIGIN, 5, bytes(32), ("a\nb",)),
    ],
)
def test_a_checkpoint_that_has_no_text_cannot_exist(fields: tuple[str, int, bytes]) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(CheckpointError):
        Checkpoint(*fields)


@given(sizes)
def test_a_decimal_is_read(number: int) -> None:
    """What is written is read."""
    assert read_decimal(str(number)) == number


@pytest.mark.parametrize("text", ["", "00", "01", "-1", "+1", "1 ", "1\n", "\u0661", "1_000", str(2**63)])
def test_a_decimal_has_one_form(text: str) -> None:
    """No two texts stand for one number."""
    with pytest.raises(CheckpointError, match="decimal"):
        read_decimal(text)


@pytest.mark.parametrize("text", ["", "AAAA", "A" * 44, "A" * 42 + "B=", "-" * 43 + "="])
def test_a_hash_is_32_bytes_of_base64(text: str) -> None:
    """Other lengths and other encodings are refused."""
    with pytest.raises(CheckpointError):
        read_hash(text)
