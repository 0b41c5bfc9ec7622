"""Following one shard of a log: what it shows now is held to what it signed, and to what it showed before.

Files come from a `ShardFiles`, which may be anybody: each is held to what the log signed. Whatever an honest log cannot
show is raised as LogAtFault with the evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol, TypeVar

from transparency.alarms import Alarm, AlarmKind, LogAtFault
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import (
    EntryError,
    LabelIndexError,
    NoteError,
    ProofError,
    TileError,
    TileMissingError,
    TransparencyError,
)
from transparency.label_bucket import Bucket
from transparency.label_index import MAP_CHECKPOINT_PATH, MapCheckpoint, read_bucket
from transparency.log_description import LogDescription, ShardDescription
from transparency.merkle import consistency_proof, verify_consistency
from transparency.signed_note import Ed25519Verifier, Note, encode_base64
from transparency.tiles import TILE_WIDTH, TileCache, TileReader

CHECKPOINT_PATH: Final = "checkpoint"
COSIGNED_PATH: Final = "cosigned/checkpoint"
"""Where the newest checkpoint is that witnesses have cosigned; a log that grows quickly shows a newer one without."""
CACHE_GRACE: Final = 300
"""Seconds during which an older checkpoint than was seen before counts as a copy on its way, not as a rollback."""

_Read = TypeVar("_Read", Checkpoint, MapCheckpoint)


class ShardFiles(Protocol):
    """The files of one shard, by their path below its monitoring prefix."""

    def fetch(self, path: str) -> bytes:
        """Return a file; raise TileMissingError where there is none, Unreachable where nobody answers."""
        ...

    def fetch_part(self, path: str, start: int, length: int) -> bytes:
        """Return a part of a file: from which byte on, and how many; raise as `fetch` does."""
        ...


@dataclass(frozen=True, slots=True)
class Recorder:
    """Files, with a memory of those that were fetched: they are evidence."""

    files: ShardFiles
    seen: dict[str, bytes] = field(default_factory=dict)

    def fetch(self, path: str) -> bytes:
        """Return a file, and remember it."""
        self.seen[path] = self.files.fetch(path)
        return self.seen[path]

    def fetch_part(self, path: str, start: int, length: int) -> bytes:
        """Return a part of a file, and remember it."""
        name = f"{path} from byte {start}"
        self.seen[name] = self.files.fetch_part(path, start, length)
        return self.seen[name]


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that was verified: its note, and when its tree was first seen, in seconds since 1970."""

    note: bytes
    at: int

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return Checkpoint.parse(Note.parse(self.note).text)


@dataclass(slots=True)
class Shard:
    """One shard that is followed: whose it is, where its files come from, and the tiles that were authentic before."""

    log: LogDescription
    description: ShardDescription
    files: ShardFiles
    _cache: TileCache = field(default_factory=TileCache)

    def fault(self, kind: AlarmKind, text: str, evidence: Mapping[str, bytes], key: str = "") -> LogAtFault:
        """Return the exception for something that this log did."""
        return LogAtFault(Alarm(kind, self.log.name, self.description.origin, text, evidence, key))

    def checkpoint_note(self) -> tuple[Note, Checkpoint]:
        """Fetch the checkpoint and hold it to the log's key."""
        return self._signed(self.files.fetch(CHECKPOINT_PATH), "checkpoint", Checkpoint.of_note)

    def cosigned_note(self) -> tuple[Note, Checkpoint] | None:
        """Fetch the newest checkpoint that witnesses have cosigned, and hold it to the log's key; None without one.

        Whose cosignatures count is the caller's to say.
        """
        try:
            data = self.files.fetch(COSIGNED_PATH)
        except TileMissingError:
            return None
        return self._signed(data, "cosigned checkpoint", Checkpoint.of_note)

    def map_checkpoint(self) -> tuple[Note, MapCheckpoint]:
        """Fetch the map checkpoint and hold it to the log's key."""
        return self._signed(self.files.fetch(MAP_CHECKPOINT_PATH), "map checkpoint", MapCheckpoint.of_note)

    def _signed(self, data: bytes, what: str, read: Callable[[Note, Ed25519Verifier], _Read]) -> tuple[Note, _Read]:
        """Read what the log must have signed; raise LogAtFault where it did not."""
        try:
            note = Note.parse(data)
            return note, read(note, self.description.checkpoint_key)
        except NoteError as error:
            text = f"the {what} is not one of this log: {error}"
            raise self.fault(AlarmKind.NOT_SIGNED, text, {what.replace(" ", "-"): data}) from error

    def reader(self, checkpoint: Checkpoint) -> TileReader:
        """Return the tree of a checkpoint that the log signed."""
        return TileReader(self.files.fetch, checkpoint.size, checkpoint.root, self._cache)

    def require_prefix(self, old: Checkpoint, new: Checkpoint, evidence: Mapping[str, bytes]) -> None:
        """Check that the tree of `new` begins with that of `old`; `evidence` has the notes that say both."""
        if old.size == new.size:
            if old.root == new.root:
                return
            text = f"two trees of {new.size} leaves were signed"
            raise self.fault(AlarmKind.FORK, text, evidence, _key_of(old, new))
        try:
            proof = consistency_proof(self.reader(new), old.size, new.size)
        except (ProofError, TileError) as error:
            raise self._false_files(error, evidence) from error
        try:
            verify_consistency(old.size, new.size, proof, old.root, new.root)
        except ProofError as error:
            text = f"the signed tree of {new.size} leaves does not begin with the signed one of {old.size}"
            kept = {**evidence, "consistency-proof": hash_lines(proof)}
            raise self.fault(AlarmKind.FORK, text, kept, _key_of(old, new)) from error

    def entries(self, checkpoint: Checkpoint, indices: Iterable[int]) -> dict[int, SealedEntry]:
        """Return the entries at these indices, each held to the tree of the checkpoint."""
        found: dict[int, SealedEntry] = {}
        for bundle, wanted in groupby(sorted(indices), key=lambda index: index // TILE_WIDTH):
            entries = self.bundle(checkpoint, bundle)
            found.update((index, entries[index % TILE_WIDTH]) for index in wanted)
        return found

    def bundle(self, checkpoint: Checkpoint, bundle: int) -> tuple[SealedEntry, ...]:
        """Return the entries of a bundle, as many as the checkpoint's tree has there, held to it."""
        try:
            return tuple(SealedEntry.from_bytes(one) for one in self.reader(checkpoint).read_bundle(bundle))
        except (EntryError, ProofError, TileError) as error:
            raise self._false_files(error, {"checkpoint-text": checkpoint.text.encode()}) from error

    def bucket(self, note: Note, map_: MapCheckpoint, label: bytes) -> Bucket:
        """Return the whole bucket that a label falls into, held to the map checkpoint."""
        try:
            return read_bucket(map_, label, self.files.fetch_part)
        except (LabelIndexError, TileError) as error:
            raise self._false_files(error, {"map-checkpoint": note.to_bytes()}) from error

    def _false_files(self, error: TransparencyError, evidence: Mapping[str, bytes]) -> LogAtFault:
        return self.fault(AlarmKind.FALSE_FILE, f"the log does not show what it signed: {error}", evidence, str(error))


def _key_of(old: Checkpoint, new: Checkpoint) -> str:
    return f"{old.size} {old.root.hex()} {new.size} {new.root.hex()}"


def hash_lines(hashes: Sequence[bytes]) -> bytes:
    """Return a proof's hashes in base64, one a line."""
    return "".join(f"{encode_base64(hash_)}\n" for hash_ in hashes).encode("ascii")
