"""What reading a log costs: proofs from its tiles, at 10^5 to 10^7 leaves, and the label index of 4 million labels.

Proofs are made from files on the local disk. Beside ours stands `tlog-scales`, which makes the same proofs from the
same files; it believes the files, where ours holds each tile to the tree's root first. With each proof a new leaf is
asked for, so that its tile is new; the tiles above it are kept, unless the row says that the reader is new, too.

The index is updated without a disk first, then through the publisher, which syncs. Beside that stand the same files,
written and synced with nothing else about them.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256, shake_256
from pathlib import Path
from statistics import median

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader

from bench.table import Row
from transparency.checkpoint import Checkpoint
from transparency.errors import TileMissingError
from transparency.label_index import LabelIndex, MapCheckpoint, read_bucket
from transparency.merkle import HASH_SIZE, inclusion_proof, verify_inclusion
from transparency.server.publishing import FilePublisher
from transparency.signed_note import Ed25519Signer
from transparency.tiles import TILE_WIDTH, Frontier, TileReader

PROOF_TARGET_MS = 0.3
UPDATE_TARGET_S = 0.3
LOOKUP_TARGET_BYTES = 8000
LEAVES = 1_000_000
MORE_LEAVES = (100_000, 1_000_000, 10_000_000)
LABELS = 4_000_000
NEW_LABELS = 5000
PROOFS = 300
ROUNDS = 5

_PEER = "tlog-scales"
_AT_ONCE = 4096 * TILE_WIDTH
_ORIGIN = "log.example/2026h2"


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


def index_rows(labels: int) -> Iterator[Row]:
    """Measure updates of an index, without any disk, and what a lookup in it downloads."""
    growth = LabelIndex.build(random_labels("first", labels))
    what = f"index of {labels:,}"
    seconds = [
        _cpu_seconds(lambda more=more: growth.index.extend(more, growth.files.__getitem__))  # type: ignore[misc]
        for more in (random_labels(f"more {turn}", NEW_LABELS) for turn in range(ROUNDS))
    ]
    hashed = _cpu_seconds(lambda: [sha256(data).digest() for data in growth.files.values()])
    yield Row(f"{what}: {NEW_LABELS} more, CPU", "s", median(seconds), UPDATE_TARGET_S, "SHA-256 of all files", hashed)
    sizes = lookups(growth.index, growth.files, random_labels("looked up", 1000))
    alone = labels * HASH_SIZE
    yield Row(f"{what}: lookup, mean", "B", sum(sizes) / len(sizes), LOOKUP_TARGET_BYTES, "all labels", alone)
    yield Row(f"{what}: lookup, largest of 1000", "B", max(sizes), LOOKUP_TARGET_BYTES, "all labels", alone)


def lookups(index: LabelIndex, files: dict[str, bytes], labels: Sequence[bytes]) -> list[int]:
    """Look labels up, and return how many bytes each lookup has downloaded: map checkpoint, nodes, bucket."""
    signer = Ed25519Signer(_ORIGIN, Ed25519PrivateKey.generate())
    note = index.checkpoint(Checkpoint(_ORIGIN, index.size, bytes(HASH_SIZE))).to_note([signer])
    sizes = []
    for label in labels:
        seen = [note]

        def fetch(path: str, seen: list[bytes] = seen) -> bytes:
            seen.append(files[path])
            return files[path]

        read_bucket(MapCheckpoint.from_note(note, signer.verifier), label, fetch)
        sizes.append(sum(map(len, seen)))
    return sizes


def disk_rows(labels: int) -> Iterator[Row]:
    """Measure updates of an index in files, synced, beside the same files written plainly."""
    growth = LabelIndex.build(random_labels("first", labels))
    with tempfile.TemporaryDirectory() as name:
        publisher = FilePublisher(Path(name) / "public", Path(name) / "staging")
        publisher.write(growth.files)
        index, updating, writing, plainly = growth.index, [], [], []
        for turn in range(ROUNDS):
            begun = time.perf_counter()
            more = index.extend(random_labels(f"more {turn}", NEW_LABELS), lambda path: publisher.read(path) or b"")
            updating.append(time.perf_counter() - begun)
            writing.append(_seconds(lambda: publisher.write(more.files)))  # noqa: B023  # is called at once
            plainly.append(_seconds(lambda: _write_plainly(Path(name) / f"plain-{turn}", more.files)))  # noqa: B023
            index = more.index
    what, beside, theirs = f"index of {labels:,}: {NEW_LABELS} more", "writing them plainly", median(plainly)
    yield Row(f"{what}, from files", "s", median(updating), UPDATE_TARGET_S, beside, theirs)
    yield Row(f"{what}, written, synced", "s", median(writing), UPDATE_TARGET_S, beside, theirs)


def _write_plainly(folder: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    os.sync()


def random_labels(seed: str, count: int) -> list[bytes]:
    """Return labels as a VRF would make them; the same for the same seed."""
    data = shake_256(seed.encode()).digest(HASH_SIZE * count)
    return [data[start : start + HASH_SIZE] for start in range(0, len(data), HASH_SIZE)]


def _median_ms(work: Callable[[int], object], places: Sequence[int]) -> float:
    return 1000 * median(_seconds(lambda place=place: work(place)) for place in places)  # type: ignore[misc]


def _cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row))  # noqa: T201
