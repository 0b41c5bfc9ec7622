"""Auditing one shard of a log: make its label index again from all its entries, and sign the log's if it is the same.

An owner sees its own label, a witness that the tree only grows. The auditor is who sees that no entry is left out of
the index or filed under another label: it reads every entry. It learns labels and no numbers, as everybody does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol

from transparency.alarms import Alarm, AlarmKind, LogAtFault, one_line
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import LabelIndexError, TileError, TransparencyError
from transparency.following import Seen, Shard
from transparency.index_growth import LabelIndex
from transparency.label_bucket import Bucket
from transparency.label_index import MapCheckpoint, path_of
from transparency.merkle import leaf_hash
from transparency.signed_note import Ed25519Signer, Note, NoteSignature
from transparency.tiles import TILE_WIDTH, Frontier
from transparency.transport import Unreachable

STEP: Final = 64 * TILE_WIDTH
"""Entries that are read before the index is extended by them."""
MOST_DIFFERENCES: Final = 100
"""Entries that are named in the alarms of one audit: a wholly other index needs no list."""


def confirmed_path(origin: str) -> str:
    """Return where, below an auditor's URL, the last map checkpoint lies that it has confirmed for a shard."""
    return f"{sha256(origin.encode()).hexdigest()}/map-checkpoint"


class OwnIndexDamaged(Exception):
    """What the auditor itself kept is not what it was: no fault of the log's."""


class IndexFiles(Protocol):
    """Where the auditor keeps the segments of its own index."""

    def sizes(self) -> Mapping[bytes, int]:
        """Return the names of the segments that are there, and how many bytes each has."""
        ...

    def read(self, path: str, parts: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """Return parts of a file: from which byte on, and how many; raise TileMissingError where there is none."""
        ...

    def put(self, path: str, data: bytes) -> None:
        """Keep a file, durably."""
        ...

    def drop(self, path: str) -> None:
        """Forget a file that is not needed any longer."""
        ...


@dataclass(frozen=True, slots=True)
class Audited:
    """How far a shard was read: the tree that its entries make, the index over them, and the notes seen last.

    `confirmed` is the last map checkpoint that was right. Times are in seconds since 1970.
    """

    frontier: Frontier = field(default_factory=Frontier)
    index: MapCheckpoint | None = None
    checkpoint: Seen | None = None
    confirmed: Seen | None = None


@dataclass(slots=True)
class Audit:
    """What an audit found: the state to keep, alarms, troubles, and the confirmed map checkpoint with our signature."""

    state: Audited
    alarms: list[Alarm] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    note: Note | None = None


def audit(shard: Shard, state: Audited, files: IndexFiles, signer: Ed25519Signer | None, now: int) -> Audit:
    """Read what is new, and judge the index that the log shows. Without a signer nothing is signed.

    Raises OwnIndexDamaged where `state` and `files` are not what an earlier audit left.
    """
    found = Audit(state)
    try:
        _audit(shard, files, signer, now, found)
    except LogAtFault as fault:
        found.alarms.append(fault.alarm)
    except Unreachable as error:
        found.troubles.append(one_line(str(error)))
    except TransparencyError as error:
        text = f"the log does not show what it signed: {error}"
        found.alarms.append(shard.fault(AlarmKind.FALSE_FILE, text, {}, str(error)).alarm)
    return found


def _audit(shard: Shard, files: IndexFiles, signer: Ed25519Signer | None, now: int, found: Audit) -> None:
    map_note, map_ = shard.map_checkpoint()
    note, checkpoint = shard.checkpoint_note()  # after the map, so that it covers it
    evidence = {"checkpoint": note.to_bytes(), "map-checkpoint": map_note.to_bytes()}
    former = found.state.checkpoint
    if former is not None:
        shard.require_prefix(*_by_size(former.checkpoint, checkpoint), evidence | {"checkpoint-before": former.note})
    shard.require_prefix(*_by_size(map_.log, checkpoint), evidence)
    if map_.log.size < found.state.frontier.size:
        found.troubles.append(f"the index that is shown is older than the {found.state.frontier.size} entries read")
        return
    index = _read(shard, files, found, map_, max(map_.log, checkpoint, key=lambda one: one.size))
    latest = found.state.checkpoint
    if latest is None or checkpoint.size > latest.checkpoint.size:
        latest = Seen(note.to_bytes(), now)
    found.state = Audited(found.state.frontier, found.state.index, latest, found.state.confirmed)
    if found.state.frontier.root != map_.log.root:  # each entry was held to this very tree
        msg = "the edge of the tree that was kept is not the log's"
        raise OwnIndexDamaged(msg)
    if index.checkpoint(map_.log) != map_:
        found.alarms.extend(_differences(shard, files, index, map_, evidence))
        return
    signature = () if signer is None else (_signature(signer, map_note),)
    found.note = map_note.with_signatures(signature)
    confirmed = Seen(found.note.to_bytes(), now)
    found.state = Audited(found.state.frontier, found.state.index, latest, confirmed)


def _read(shard: Shard, files: IndexFiles, found: Audit, map_: MapCheckpoint, tree: Checkpoint) -> LabelIndex:
    """Read the entries of a tree up to those that a map covers, and extend our own index by them, step by step."""
    state = found.state
    with _own_files():
        sizes = files.sizes()
        index = LabelIndex.empty() if state.index is None else LabelIndex.load(state.index, files.read, sizes)
    for name in sizes.keys() - index.segments.keys():  # left by an audit that was interrupted, and not told of
        files.drop(path_of(name))
    needed = index.segments.keys()
    frontier = state.frontier
    while frontier.size < map_.log.size:
        entries = list(_entries(shard, tree, frontier.size, min(frontier.size + STEP, map_.log.size)))
        frontier = frontier.append([leaf_hash(one.to_bytes()) for one in entries]).frontier
        with _own_files():
            grown = index.extend([one.label for one in entries], files.read, files.put)
        own = grown.checkpoint(Checkpoint(map_.log.origin, frontier.size, frontier.root))
        found.state = Audited(frontier, own, state.checkpoint, state.confirmed)
        for name in index.segments.keys() - grown.segments.keys() - needed:  # what is kept needs these no longer
            files.drop(path_of(name))
        index = grown
    return index


@contextlib.contextmanager
def _own_files() -> Iterator[None]:
    try:
        yield
    except (LabelIndexError, TileError) as error:
        raise OwnIndexDamaged(str(error)) from error


def _entries(shard: Shard, tree: Checkpoint, start: int, end: int) -> Iterator[SealedEntry]:
    for bundle in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
        first = bundle * TILE_WIDTH
        yield from shard.bundle(tree, bundle)[max(start - first, 0) : end - first]


def _signature(signer: Ed25519Signer, note: Note) -> NoteSignature:
    return NoteSignature(signer.name, signer.key_id, signer.sign(note.text.encode()))


# What is wrong with an index


def _differences(
    shard: Shard, files: IndexFiles, ours: LabelIndex, map_: MapCheckpoint, evidence: dict[str, bytes]
) -> Iterator[Alarm]:
    """Yield an alarm for each entry that the log's index leaves out or names under another label."""
    text = f"the index of the first {map_.log.size} entries is not the one that these entries make"
    if map_.labels != ours.labels:
        text = f"{text}: it counts {map_.labels} labels, and there are {ours.labels}"
    yield shard.fault(AlarmKind.HIDDEN, text, evidence, f"index {map_.root.hex()}").alarm
    if map_.depth != ours.depth:
        return
    try:
        pairs = _differing_buckets(shard, files, ours, map_)
        named = [one for our, their, data in pairs for one in _compared(shard, our, their, evidence, data)]
    except (LabelIndexError, TileError) as error:
        text = f"the index that the log signed cannot be read: {error}"
        yield shard.fault(AlarmKind.FALSE_FILE, text, evidence, str(error)).alarm
        return
    yield from named[:MOST_DIFFERENCES]


def _differing_buckets(
    shard: Shard, files: IndexFiles, ours: LabelIndex, map_: MapCheckpoint
) -> Iterator[tuple[Bucket, Bucket, bytes]]:
    """Yield our and their bucket wherever they differ, with the bytes of theirs."""
    for number, their in ours.differing(map_, shard.files.fetch_part):
        with _own_files():
            our = ours.bucket(number, lambda path, start, length: files.read(path, [(start, length)])[0])
        yield Bucket.decode(our), Bucket.decode(their), their


def _compared(shard: Shard, ours: Bucket, theirs: Bucket, evidence: dict[str, bytes], data: bytes) -> Iterator[Alarm]:
    our, their = _leaves(ours), _leaves(theirs)
    kept = evidence | {"bucket": data}
    for label, index in sorted(our - their, key=lambda one: one[1]):
        text = f"entry {index} is in the tree, and the index does not name it under its label"
        yield shard.fault(AlarmKind.HIDDEN, text, kept | {"label": label}, str(index)).alarm
    for label, index in sorted(their - our, key=lambda one: one[1]):
        text = f"the index names entry {index} under a label that is not the entry's"
        yield shard.fault(AlarmKind.MISPLACED, text, kept | {"label": label}, str(index)).alarm


def _leaves(bucket: Bucket) -> set[tuple[bytes, int]]:
    return {(label, index) for label, indices in bucket.leaves.items() for index in indices}


def _by_size(one: Checkpoint, other: Checkpoint) -> tuple[Checkpoint, Checkpoint]:
    return (one, other) if one.size <= other.size else (other, one)
