"""A log of a million entries: its disk, its memory on the way there, and how soon it is back after a restart.

The log is the real one: database, staged pools, tiles, label index, every sync. It grows in a process of its own, so
that the memory is its own too, and is opened again in another. The certificates are noise, as long as
real ones.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from bench.integration import NOW, SHARD, TARGET_MS, open_log, submission
from bench.table import Row
from transparency.server.index_keeper import IndexKeeper
from transparency.server.log import Log
from transparency.server.sequencer import Sequencer

ENTRIES = 1_000_000
STOPS = 10
"""How often the memory is read on the way: each time the most that was used since the last."""
FLAT = 1.1
"""Memory is called flat where it grows by no more than this from the first stop to the last."""
_POOL = 4096
_INDEXED_AT_ONCE = 25_000  # what a busy log has at each update of its index, and some
_ENTRY_AND_HASH = 2 + 105 + 32
_CERTIFICATE = 800
_BLOCK = 512  # st_blocks, whatever the file system's own blocks are
_MB = 1_000_000

_T = TypeVar("_T")


@dataclass(frozen=True)
class Growth:
    """What growing took: the most memory up to each stop, in bytes, and the seconds of sequencing and of indexing."""

    memory: tuple[int, ...]
    sequencing: float
    indexing: float


@dataclass(frozen=True)
class Restart:
    """How long a new process took until it could sequence, and until the index was good, in seconds; and its memory."""

    sequencer: float
    index: float
    memory: int


@dataclass(frozen=True)
class Disk:
    """What a log takes on its disk, in bytes, as the file system counts them."""

    tree: int
    index: int
    database: int


def measure(entries: int = ENTRIES) -> Iterator[Row]:
    """Grow a log, look at its disk, and open it again."""
    yield _sequencing_alone(entries * 3 // 5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        growth = _elsewhere(grow, folder, entries)
        disk = disk_of(folder)
        restart = _elsewhere(reopen, folder, entries)
        reading = _read_all(folder / "public" / SHARD.name / "index")
    first, *others = (memory / _MB for memory in growth.memory)
    for stop, memory in enumerate(others, start=2):
        yield Row(f"{entries * stop // STOPS:,} entries: memory", "MB", memory, FLAT * first, "a tenth of all", first)
    what = f"{entries:,} entries"
    yield Row(f"{what}: memory after a restart", "MB", restart.memory / _MB, None, "before", others[-1])
    per_entry = growth.sequencing * 1000 / entries
    indexing = growth.indexing * 1000 / entries
    yield Row(f"{what}: sequencing one", "ms", per_entry, TARGET_MS, "its share of the index", indexing)
    yield Row(f"{what}: tiles, each", "B", disk.tree / entries, None, "entry and hash alone", _ENTRY_AND_HASH)
    yield Row(f"{what}: label index, each", "B", disk.index / entries, None, "label and place alone", 32 + 5)
    yield Row(f"{what}: database, each", "B", disk.database / entries, None, "the certificate alone", _CERTIFICATE)
    yield Row(f"{what}: restart of the sequencer", "s", restart.sequencer, None, "reading all of the index", reading)
    yield Row(f"{what}: restart of the index", "s", restart.index, None, "reading all of the index", reading)


def _sequencing_alone(entries: int) -> Row:
    """Measure the memory of a sequencer without the index."""
    with tempfile.TemporaryDirectory() as name:
        growth = _elsewhere(partial(grow, is_indexed=False), Path(name), entries)
    first, last = growth.memory[0] / _MB, growth.memory[-1] / _MB
    return Row(f"{entries:,} entries: memory, no index", "MB", last, FLAT * first, "a tenth of all", first)


def grow(folder: Path, entries: int, *, is_indexed: bool = True) -> Growth:
    """Sequence so many entries into a new log, and keep its index up unless told otherwise."""
    clock = _Clock()
    log = open_log(folder, _POOL, clock)
    sequencer, keeper = Sequencer(log, log.shards[SHARD.name]), IndexKeeper(log, log.shards[SHARD.name])
    memory, sequencing, indexing = [], 0.0, 0.0
    for stop in range(STOPS):
        for count in _parts(entries * (stop + 1) // STOPS - entries * stop // STOPS, _INDEXED_AT_ONCE):
            for pool in _parts(count, _POOL):
                _queue(log, pool)
                sequencing += _seconds(sequencer.step)
            indexing += _seconds(keeper.step) if is_indexed else 0.0
            clock.now += timedelta(minutes=5)  # what the index needs no longer is deleted at its next step
        memory.append(_most_resident())
    log.storage.close()
    return Growth(tuple(memory), sequencing, indexing)


def reopen(folder: Path, entries: int) -> Restart:
    """Open a log as a process does that was started anew."""
    clock = _Clock()
    log = open_log(folder, _POOL, clock)
    shard = log.shards[SHARD.name]
    sequencer, keeper = Sequencer(log, shard), IndexKeeper(log, shard)
    ready, indexed = _seconds(sequencer.recover), _seconds(keeper.step)
    state = log.storage.trees.state(SHARD.name)
    if state is None or state.published_size != entries:
        msg = "the log of the bench has lost entries, so its times say nothing"
        raise RuntimeError(msg)
    log.storage.close()
    return Restart(ready, indexed, _most_resident())


def disk_of(folder: Path) -> Disk:
    """Add up what is on the disk."""
    index = folder / "public" / SHARD.name / "index"
    database = sum(_on_disk(path) for path in folder.glob("log.db*"))
    indexed = _tree_on_disk(index)
    return Disk(_tree_on_disk(folder / "public") - indexed, indexed, database)


class _Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def _parts(whole: int, largest: int) -> Iterator[int]:
    """Yield the sizes of the parts that a whole is cut into."""
    for start in range(0, whole, largest):
        yield min(largest, whole - start)


def _queue(log: Log, count: int) -> None:
    for _ in range(count):
        log.storage.entries.add(submission(), NOW)


def _elsewhere(work: Callable[[Path, int], _T], folder: Path, entries: int) -> _T:
    """Do the work in a new process, which shares nothing with this one."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, folder, entries).result()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _most_resident() -> int:
    """Return the most bytes of memory that this process has had since it was asked last. Linux only: proc(5)."""
    (most,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    Path("/proc/self/clear_refs").write_text("5")
    return int(most) * 1024


def _tree_on_disk(folder: Path) -> int:
    return sum(_on_disk(path) for path in folder.rglob("*"))


def _on_disk(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_blocks * _BLOCK
    return 0


def _read_all(folder: Path) -> float:
    """Return the seconds that reading every file of a folder takes."""
    begun = time.perf_counter()
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()
    return time.perf_counter() - begun


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row))  # noqa: T201
