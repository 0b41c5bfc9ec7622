"""A proof that a log holds an entry, which needs no network to be checked (C2SP tlog-proof).

It is one text: the entry's index, the hashes from the entry's leaf to the tree's root, and the checkpoint that has this
root, signed by the log and by witnesses. How many witnesses are enough is the reader's policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from transparency.checkpoint import Checkpoint, read_decimal, read_hash
from transparency.cosignature import CosignatureVerifier, timestamp_of
from transparency.errors import CheckpointError, NoteError, ProofError
from transparency.merkle import HASH_SIZE, verify_inclusion
from transparency.signed_note import LARGEST_NOTE, Note, Verifier, decode_base64, encode_base64

FORMAT: Final = "c2sp.org/tlog-proof@v1"
"""The first line of a proof."""
LARGEST_PROOF: Final = LARGEST_NOTE + 64 * 1024
"""Bytes that a proof may have."""
MOST_HASHES: Final = 63
LARGEST_EXTRA: Final = 32 * 1024
"""Bytes of extra data that a proof may carry."""

_EXTRA = "extra "
_INDEX = "index "


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """Which witnesses a reader believes, each with its operator, and how many operators must have cosigned.

    Two keys of one operator count once. A quorum of 0 asks for no witness. Raises ProofError for a quorum that these
    witnesses cannot reach.
    """

    witnesses: Mapping[CosignatureVerifier, str]
    quorum: int

    def __post_init__(self) -> None:
        """Refuse a quorum that nothing reaches."""
        if not 0 <= self.quorum <= len(set(self.witnesses.values())):
            msg = f"a quorum of {self.quorum} cannot be reached by the operators of these witnesses"
            raise ProofError(msg)

    def check(self, note: Note, since: int = 0) -> frozenset[str]:
        """Return the operators whose witnesses cosigned a checkpoint's note; raise ProofError if they are too few.

        A witness whose line is wrong does not count, and does no harm to the others. Nor does one that cosigned before
        `since`, in seconds since 1970.
        """
        operators = frozenset(
            operator for witness, operator in self.witnesses.items() if _cosigned(note, witness, since)
        )
        if len(operators) < self.quorum:
            msg = f"{len(operators)} known operators' witnesses cosigned the checkpoint, {self.quorum} are asked for"
            raise ProofError(msg)
        return operators


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The proof that an entry is at `index` of the tree of a checkpoint's note; `extra` is whatever the sender added.

    Nothing of it is checked before `verify`, and `extra` never is. Raises ProofError for what has no encoding.
    """

    index: int
    hashes: tuple[bytes, ...]
    note: Note
    extra: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse what has no encoding."""
        if self.index < 0 or len(self.hashes) > MOST_HASHES or any(len(hash_) != HASH_SIZE for hash_ in self.hashes):
            msg = f"a proof has an index and at most {MOST_HASHES} hashes of {HASH_SIZE} bytes"
            raise ProofError(msg)
        if self.extra is not None and not 0 < len(self.extra) <= LARGEST_EXTRA:
            msg = f"a proof's extra data has 1 to {LARGEST_EXTRA} bytes, or is not there"
            raise ProofError(msg)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a proof; a proof has one encoding. Raises ProofError, and NoteError for the checkpoint's note."""
        if len(data) > LARGEST_PROOF:
            msg = f"a proof has at most {LARGEST_PROOF} bytes"
            raise ProofError(msg)
        head, blank, note = data.partition(b"\n\n")
        if not blank or not head.isascii():
            msg = "a proof is a head, an empty line and a checkpoint (C2SP tlog-proof)"
            raise ProofError(msg)
        match head.decode("ascii").split("\n"):
            case [format_, extra, index, *hashes] if format_ == FORMAT and extra.startswith(_EXTRA):
                return cls._of_lines(index, hashes, note, extra.removeprefix(_EXTRA))
            case [format_, index, *hashes] if format_ == FORMAT:
                return cls._of_lines(index, hashes, note, None)
            case _:
                msg = f"a proof begins with {FORMAT} and an index"
                raise ProofError(msg)

    @classmethod
    def _of_lines(cls, index: str, hashes: Iterable[str], note: bytes, extra: str | None) -> Self:
        if not index.startswith(_INDEX):
            msg = "a proof tells the index of its entry"
            raise ProofError(msg)
        try:
            place = read_decimal(index.removeprefix(_INDEX))
            path = tuple(read_hash(line) for line in hashes)
            return cls(place, path, Note.parse(note), None if extra is None else decode_base64(extra))
        except CheckpointError as error:
            msg = f"the proof cannot be read: {error}"
            raise ProofError(msg) from error

    def to_bytes(self) -> bytes:
        """Return the proof as it is sent and stored."""
        extra = [] if self.extra is None else [f"{_EXTRA}{encode_base64(self.extra)}"]
        lines = [FORMAT, *extra, f"{_INDEX}{self.index}", *map(encode_base64, self.hashes)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note.to_bytes()

    def verify(self, leaf: bytes, log: Verifier, policy: WitnessPolicy) -> Checkpoint:
        """Return the checkpoint whose tree has this leaf's hash at `index`.

        Raises NoteError unless the log signed the checkpoint, ProofError unless enough witnesses did and the hashes
        lead to its root.
        """
        checkpoint = Checkpoint.of_note(self.note, log)
        policy.check(self.note)
        verify_inclusion(self.index, checkpoint.size, leaf, self.hashes, checkpoint.root)
        return checkpoint


def _cosigned(note: Note, witness: CosignatureVerifier, since: int) -> bool:
    try:
        (line,) = note.verified_by([witness])
    except NoteError:
        return False
    return timestamp_of(line.signature) >= since
