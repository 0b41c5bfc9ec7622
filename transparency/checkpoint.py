"""Checkpoints: what a log says its tree is, in a signed note (C2SP tlog-checkpoint)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from transparency.errors import CheckpointError, NoteError
from transparency.merkle import EMPTY_ROOT, HASH_SIZE, LARGEST_TREE
from transparency.signed_note import Note, Signer, Verifier, decode_base64, encode_base64, sign_note

_LONGEST_ORIGIN = 255
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_NO_LINE = re.compile(r"[\x00-\x1f]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's origin, the size of its tree and the tree's root, with extension lines where a log has any.

    Raises CheckpointError for values that no checkpoint has.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no checkpoint can say."""
        for line in (self.origin, *self.extensions):
            _require_line(line)
        if len(self.origin.encode()) > _LONGEST_ORIGIN:
            msg = f"a checkpoint's origin has at most {_LONGEST_ORIGIN} bytes"
            raise CheckpointError(msg)
        if not 0 <= self.size <= LARGEST_TREE or len(self.root) != HASH_SIZE:
            msg = f"a checkpoint has a size of 0 to 2**63 - 1 and a root of {HASH_SIZE} bytes"
            raise CheckpointError(msg)
        if self.size == 0 and self.root != EMPTY_ROOT:
            msg = "the tree without leaves has one root, and this is another"
            raise CheckpointError(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint's note, without believing it; a checkpoint has one text."""
        if not text.endswith("\n"):
            msg = "a checkpoint ends in a newline"
            raise CheckpointError(msg)
        match text[:-1].split("\n"):
            case [origin, size, root, *extensions] if _DECIMAL.fullmatch(size):
                return cls(origin, int(size), read_hash(root), tuple(extensions))
            case _:
                msg = "a checkpoint is an origin, a size and a root hash, each on a line"
                raise CheckpointError(msg)

    @classmethod
    def from_note(cls, data: bytes, verifier: Verifier) -> Self:
        """Read a checkpoint that the log signed; its origin is the name of the log's key.

        Cosignatures are passed over here: see `transparency.proof.WitnessPolicy`. Raises NoteError where the log's
        signature is missing or wrong, CheckpointError where the text is not this log's checkpoint.
        """
        return cls.of_note(Note.parse(data), verifier)

    @classmethod
    def of_note(cls, note: Note, verifier: Verifier) -> Self:
        """Read a checkpoint from a note that was parsed already, as `from_note` does."""
        note.verified_by([verifier])
        checkpoint = cls.parse(note.text)
        if checkpoint.origin != verifier.name:
            msg = f"the checkpoint's origin is not {verifier.name}, whose key signed it"
            raise CheckpointError(msg)
        return checkpoint

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    def to_note(self, signers: Sequence[Signer]) -> bytes:
        """Return the checkpoint's note, signed by the log and whoever else is given."""
        return sign_note(self.text, signers).to_bytes()


def read_hash(text: str) -> bytes:
    """Read a hash of 32 bytes in base64; raise CheckpointError."""
    try:
        data = decode_base64(text)
    except NoteError as error:
        raise CheckpointError(str(error)) from error
    if len(data) != HASH_SIZE:
        msg = f"a hash has {HASH_SIZE} bytes"
        raise CheckpointError(msg)
    return data


def read_decimal(text: str) -> int:
    """Read a number of 0 to 2**63 - 1 in decimal, without leading zeroes; raise CheckpointError."""
    if not _DECIMAL.fullmatch(text) or int(text) > LARGEST_TREE:
        msg = "a size or an index is a decimal number of 0 to 2**63 - 1 without leading zeroes"
        raise CheckpointError(msg)
    return int(text)


def _require_line(line: str) -> None:
    if not line or _NO_LINE.search(line) or not _has_utf8(line):
        msg = "the lines of a checkpoint are not empty and have no control characters"
        raise CheckpointError(msg)


def _has_utf8(line: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in line)
