"""What reading a log costs: proofs from its tiles, at 10^5 to 10^7 leaves, and the label index of 4 million labels.

Proofs are made from files on the local disk. Beside ours stands `tlog-scales`, which makes the same proofs from the
same files; it believes the files, where ours holds each tile to the tree's root first. With each proof a new leaf is
asked for, so that its tile is new; the tiles above it are kept, unless the row says that the reader is new, too.

The index is updated by the log's own keeper: it reads the new entries and the buckets that change, writes and syncs the
segments, signs and publishes the map checkpoint, and deletes what is needed no longer. It is updated until it must copy
out of old segments with each update, and on until all buckets are split. Beside it stands as many bytes written into
one file, and synced.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256, shake_256
from pathlib import Path
from statistics import median

from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

from bench.integration import NOW, SHARD, open_log
from bench.table import Row
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import TileMissingError
from transparency.index_growth import LabelIndex
from transparency.label_index import MAP_CHECKPOINT_PATH, SEGMENTS_PATH, MapCheckpoint, read_bucket
from transparency.merkle import HASH_SIZE, inclusion_proof, verify_inclusion
from transparency.server.index_keeper import IndexKeeper
from transparency.server.log import Log
from transparency.tiles import ENTRIES, TILE_WIDTH, Frontier, TileCoordinates, TileReader, encode_bundle

PROOF_TARGET_MS = 0.3
UPDATE_TARGET_S = 0.3
LOOKUP_TARGET_BYTES = 8000
LEAVES = 1_000_000
MORE_LEAVES = (100_000, 1_000_000, 10_000_000)
LABELS = 4_000_000
NEW_LABELS = 5000
PROOFS = 300

_PEER = "tlog-scales"
_AT_ONCE = 4096 * TILE_WIDTH


@dataclass(frozen=True)
class ProofCost:
    """What an inclusion proof costs in a tree, in milliseconds: by a kept reader, by a new one, and by the peer's."""

    leaves: int
    kept: float
    new: float
    peer_kept: float
    peer_new: float
    checked: float


def measure() -> Iterator[Row]:
    """Measure a proof among a million leaves, and an update of the index and a lookup in it."""
    yield from proof_rows(proof_cost(LEAVES))
    yield from index_rows(LABELS)


def proof_rows(cost: ProofCost) -> Iterator[Row]:
    """Put a tree's costs into the table."""
    what = f"proof among {cost.leaves:,} leaves"
    yield Row(what, "ms", cost.kept, PROOF_TARGET_MS, _PEER, cost.peer_kept)
    yield Row(f"{what}, new reader", "ms", cost.new, None, _PEER, cost.peer_new)
    yield Row(f"{what}, checked", "ms", cost.checked, None, "making it", cost.kept)


def proof_cost(leaves: int, proofs: int = PROOFS) -> ProofCost:
    """Make a tree of so many leaves in files, and proofs of leaves here and there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = _write_tree(folder, leaves)
        places = random.Random(leaves).sample(range(leaves), proofs)  # noqa: S311  # the same places each time
        kept = _ours(folder, leaves, root)
        theirs = _theirs(folder, leaves)
        _ = [(kept(place), theirs(place)) for place in places[:1]]
        return ProofCost(
            leaves,
            kept=_median_ms(kept, places[1:]),
            new=median(_median_ms(_ours(folder, leaves, root), [place]) for place in places),
            peer_kept=_median_ms(theirs, places[1:]),
            peer_new=median(_median_ms(_theirs(folder, leaves), [place]) for place in places),
            checked=_checked_ms(kept, leaves, root, places),
        )


def _ours(folder: Path, leaves: int, root: bytes) -> Callable[[int], Sequence[bytes]]:
    def fetch(path: str) -> bytes:
        try:
            return (folder / path).read_bytes()
        except FileNotFoundError:
            msg = f"there is no {path}"
            raise TileMissingError(msg) from None

    reader = TileReader(fetch, leaves, root)
    return lambda place: inclusion_proof(reader, place, leaves)


def _theirs(folder: Path, leaves: int) -> Callable[[int], Sequence[bytes]]:
    reader = TilesReader(LocalBackend(folder))
    reader.set_size(leaves)
    return lambda place: reader.get_inclusion_proof(place, leaves).node_hashes


def _checked_ms(prove: Callable[[int], Sequence[bytes]], leaves: int, root: bytes, places: Sequence[int]) -> float:
    proofs = {place: prove(place) for place in places}
    return _median_ms(lambda place: verify_inclusion(place, leaves, leaf_hash_of(place), proofs[place], root), places)


def leaf_hash_of(place: int) -> bytes:
    """Return the made up hash of a leaf."""
    return sha256(place.to_bytes(8, "big")).digest()


def _write_tree(folder: Path, leaves: int) -> bytes:
    """Write the hash tiles of a tree, and return its root."""
    frontier = Frontier()
    for start in range(0, leaves, _AT_ONCE):
        growth = frontier.append([leaf_hash_of(place) for place in range(start, min(leaves, start + _AT_ONCE))])
        for tile, data in growth.tiles.items():
            path = folder / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        frontier = growth.frontier
    return frontier.root


@dataclass(frozen=True)
class Update:
    """What one update of the index took: seconds on the clock and of the processor, and bytes written."""

    seconds: float
    cpu: float
    written: int
    is_deeper: bool


def index_rows(labels: int) -> Iterator[Row]:
    """Measure updates of an index in files, its restart, and what a lookup in it downloads."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = open_log(folder, NEW_LABELS, _Clock())
        _publish_index(log, random_labels("first", labels))
        sizes = lookups(log, random_labels("looked up", 1000))
        restart = _seconds(IndexKeeper(log, log.shards[SHARD.name]).step)
        data = _everything(log)
        hashed = _seconds(lambda: sha256(data).digest())
        *updates, deeper = _updates(log, labels)
        alone = [_seconds(lambda one=one: _write_plainly(folder / "plain", one.written)) for one in updates]  # type: ignore[misc]
        split = _seconds(lambda: _write_plainly(folder / "plain", deeper.written))
        log.storage.close()
    what, beside = f"index of {labels:,}", "its bytes, written and synced"
    more, every = f"{what}: {NEW_LABELS} more", [one.seconds for one in updates]
    yield Row(f"{more}, median", "s", median(every), UPDATE_TARGET_S, beside, median(alone))
    yield Row(f"{more}, longest of {len(every)}", "s", max(every), UPDATE_TARGET_S, beside, max(alone))
    cpu = median(one.cpu for one in updates)
    yield Row(f"{more}, of that CPU", "s", cpu, None, "SHA-256 of all the index", hashed)
    yield Row(f"{more}, all buckets split", "s", deeper.seconds, None, beside, split)
    yield Row(f"{what}: restart", "s", restart, None, "SHA-256 of all the index", hashed)
    needed = labels * HASH_SIZE
    yield Row(f"{what}: lookup, mean", "B", sum(sizes) / len(sizes), LOOKUP_TARGET_BYTES, "all labels", needed)
    yield Row(f"{what}: lookup, largest of 1000", "B", max(sizes), LOOKUP_TARGET_BYTES, "all labels", needed)


class _Clock:
    """A clock that passes an hour whenever it is looked at, so that what is needed no longer is deleted."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(hours=1)
        return self.now


def _publish_index(log: Log, labels: Sequence[bytes]) -> None:
    """Publish an index as the log's own, and the checkpoint of a tree that it is said to be made from."""
    shard = log.shards[SHARD.name]
    index = LabelIndex.build(labels, lambda path, data: log.publisher.write({shard.files.at(path): data}))
    checkpoint = Checkpoint(shard.origin, index.size, leaf_hash_of(index.size))
    signer = shard.keys.checkpoint
    log.publisher.write({shard.files.at(MAP_CHECKPOINT_PATH): index.checkpoint(checkpoint).to_note([signer])})
    log.publisher.write({shard.files.checkpoint: checkpoint.to_note([signer])})


def _updates(log: Log, size: int) -> Iterator[Update]:
    """Let the log grow, and its keeper bring the index up, until its buckets are split."""
    shard = log.shards[SHARD.name]
    keeper, depth, is_deeper = IndexKeeper(log, shard), _map_checkpoint(log).depth, False
    keeper.step()
    while not is_deeper:
        labels = random_labels(f"more {size}", NEW_LABELS)
        _publish_entries(log, size, labels)
        size += NEW_LABELS
        before = log.publisher.sizes(shard.files.at(SEGMENTS_PATH))
        cpu = time.process_time()
        seconds = _seconds(keeper.step)
        cpu = time.process_time() - cpu
        after = log.publisher.sizes(shard.files.at(SEGMENTS_PATH))
        is_deeper = _map_checkpoint(log).depth > depth
        yield Update(seconds, cpu, sum(after[path] for path in after.keys() - before.keys()), is_deeper)


def _publish_entries(log: Log, size: int, labels: Sequence[bytes]) -> None:
    """Publish the entries from `size` on, and the checkpoint of the tree that has them; the rest of it is missing."""
    shard = log.shards[SHARD.name]
    entries = [SealedEntry(0, label, bytes(HASH_SIZE), bytes(HASH_SIZE)).to_bytes() for label in labels]
    first = size // TILE_WIDTH
    before = [SealedEntry(0, bytes(HASH_SIZE), bytes(HASH_SIZE), bytes(HASH_SIZE)).to_bytes()] * (size % TILE_WIDTH)
    entries = before + entries
    for start in range(0, len(entries), TILE_WIDTH):
        bundle = entries[start : start + TILE_WIDTH]
        tile = TileCoordinates(ENTRIES, first + start // TILE_WIDTH, len(bundle))
        log.publisher.write({shard.files.tile(tile): encode_bundle(bundle)})
    grown = size + len(labels)
    checkpoint = Checkpoint(shard.origin, grown, leaf_hash_of(grown))
    log.publisher.write({shard.files.checkpoint: checkpoint.to_note([shard.keys.checkpoint])})


def _map_checkpoint(log: Log) -> MapCheckpoint:
    shard = log.shards[SHARD.name]
    note = log.publisher.read(shard.files.at(MAP_CHECKPOINT_PATH)) or b""
    return MapCheckpoint.from_note(note, shard.keys.checkpoint.verifier)


def lookups(log: Log, labels: Sequence[bytes]) -> list[int]:
    """Look labels up, and return how many bytes each lookup has downloaded: map checkpoint, pages, bucket."""
    shard = log.shards[SHARD.name]
    note = log.publisher.read(shard.files.at(MAP_CHECKPOINT_PATH)) or b""
    sizes = []
    for label in labels:
        seen = [len(note)]

        def fetch(path: str, start: int, length: int, seen: list[int] = seen) -> bytes:
            (part,) = log.publisher.read_parts(shard.files.at(path), [(start, length)]) or [b""]
            seen.append(len(part))
            return part

        read_bucket(_map_checkpoint(log), label, fetch)
        sizes.append(sum(seen))
    return sizes


def _everything(log: Log) -> bytes:
    """Return the whole index, end to end."""
    files = log.shards[SHARD.name].files
    return b"".join(log.publisher.read(path) or b"" for path in log.publisher.sizes(files.at(SEGMENTS_PATH)))


def _write_plainly(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())


def random_labels(seed: str, count: int) -> list[bytes]:
    """Return labels as a VRF would make them; the same for the same seed."""
    data = shake_256(seed.encode()).digest(HASH_SIZE * count)
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def _median_ms(work: Callable[[int], object], places: Sequence[int]) -> float:
    return 1000 * median(_seconds(lambda place=place: work(place)) for place in places)  # type: ignore[misc]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row))  # noqa: T201
