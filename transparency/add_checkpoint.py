"""What a log's feeder sends to a witness, and what comes back (C2SP tlog-witness, add-checkpoint)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from transparency.checkpoint import Checkpoint, read_decimal, read_hash
from transparency.errors import CheckpointError, NoteError
from transparency.merkle import HASH_SIZE
from transparency.signed_note import MOST_SIGNATURES, Note, NoteSignature, encode_base64

SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of the size that a witness has seen last, in its answer to a request that began elsewhere."""
MOST_HASHES: Final = 63
"""Hashes that a request's consistency proof may have."""

_OLD = "old "


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint for a witness to cosign, with the proof that its tree begins with that of `old_size` leaves.

    Nobody has believed the note yet. Raises CheckpointError for what no request can hold.
    """

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    def __post_init__(self) -> None:
        """Refuse what has no form."""
        read_decimal(str(self.old_size))
        if len(self.proof) > MOST_HASHES or any(len(part) != HASH_SIZE for part in self.proof):
            msg = f"a consistency proof for a witness has at most {MOST_HASHES} hashes of {HASH_SIZE} bytes"
            raise CheckpointError(msg)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read a request's body; raise NoteError where it has not the one form of a request."""
        header, blank, note = body.partition(b"\n\n")
        if not blank or not header.isascii():
            msg = "a request is an old size, a consistency proof, an empty line and a checkpoint"
            raise CheckpointError(msg)
        first, *hashes = header.decode("ascii").split("\n")
        if not first.startswith(_OLD) or len(hashes) > MOST_HASHES:
            msg = f"a request begins with 'old', a space and a size, and {MOST_HASHES} hashes at most follow"
            raise CheckpointError(msg)
        return cls(read_decimal(first.removeprefix(_OLD)), tuple(read_hash(line) for line in hashes), Note.parse(note))

    def to_bytes(self) -> bytes:
        """Return the request's body."""
        lines = (f"{_OLD}{self.old_size}", *(encode_base64(part) for part in self.proof))
        return "".join(f"{line}\n" for line in lines).encode("ascii") + b"\n" + self.note.to_bytes()

    def checkpoint(self) -> Checkpoint:
        """Return what the note says, without believing it."""
        return Checkpoint.parse(self.note.text)


def encode_signatures(signatures: Sequence[NoteSignature]) -> bytes:
    """Return a witness's answer: signature lines to put under the checkpoint."""
    return "".join(f"{signature.format()}\n" for signature in signatures).encode()


def decode_signatures(body: bytes) -> tuple[NoteSignature, ...]:
    """Read a witness's answer; whose the signatures are, and whether they are right, is for the caller to check."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        msg = "a witness answers in UTF-8"
        raise NoteError(msg) from error
    lines = text.removesuffix("\n").split("\n")
    if not text.endswith("\n") or len(lines) > MOST_SIGNATURES:
        msg = f"a witness answers with 1 to {MOST_SIGNATURES} signature lines"
        raise NoteError(msg)
    return tuple(NoteSignature.parse(line) for line in lines)


def encode_size(size: int) -> bytes:
    """Return the body that tells a feeder which size the witness has seen last."""
    return f"{size}\n".encode("ascii")


def decode_size(body: bytes) -> int:
    """Read the size that a witness has seen last; raise CheckpointError."""
    if not body.endswith(b"\n") or not body.isascii():
        msg = "a witness tells its size in decimal, on one line"
        raise CheckpointError(msg)
    return read_decimal(body[:-1].decode("ascii"))
