"""Taking many statements at once, as when a directory is begun from another one's: ten million records and more.

Each line of the file is a signed record or access list. Processes read and verify them, just as if their owners had
sent them; this one puts what they found into the database, a batch in each transaction, which also notes how far the
file was read. A batch is there wholly or not at all. An import that was stopped, by whatever, goes on behind the last
batch that is there, unless the file has changed since; and what is there is left as it is when it is sent again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from number_directory.access_list import LARGEST_ACCESS_LIST, SignedAccessList
from number_directory.errors import StatementError
from number_directory.record import SignedRecord
from number_directory.server.admission import Admission
from number_directory.server.app import open_storage, system_clock
from number_directory.server.config import DirectoryConfig
from number_directory.server.errors import ImportFailure, Refusal, RefusalKind
from number_directory.server.publishing import (
    Accepted,
    Prepared,
    PreparedList,
    admitted_access_list,
    admitted_record,
    prepare,
    prepare_list,
    store_all,
)
from number_directory.server.storage import Storage
from number_directory.statement import Succession
from serving.processes import end_with

_BATCH_LINES = 500
_BATCHES_AHEAD = 3
_MOST_REASONS = 20
_BETWEEN = "~"


@dataclass
class Imported:
    """What became of a file's lines, and why some were refused.

    `skipped` statements at the file's beginning, in `skipped_bytes`, were dealt with by an import that was stopped.
    """

    taken: int = 0
    known: int = 0
    refused: int = 0
    skipped: int = 0
    skipped_bytes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def statements(self) -> int:
        """How many statements were dealt with this time."""
        return self.taken + self.known + self.refused

    def refuse(self, reason: str) -> None:
        """Count a refusal, and its reason unless there are too many different ones."""
        self.refused += 1
        if reason in self.reasons or len(self.reasons) < _MOST_REASONS:
            self.reasons[reason] += 1


_Found = Prepared | PreparedList | str
"""What a line is: a statement, or why it is refused."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import has come: `position` of `size` bytes of the file, and what became of what stands before."""

    position: int
    size: int
    done: Imported


def import_file(
    config: DirectoryConfig,
    file: Path,
    processes: int,
    tell: Callable[[Progress], object],
    *,
    from_start: bool = False,
) -> Imported:
    """Take the statements of a file, and return what became of them.

    `tell` hears where it begins, and of each batch once that is durable. With `from_start`, the file is read from its
    beginning even where an earlier import was stopped. Call it where no database is open yet. Raises ImportFailure or
    another ServingError.
    """
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, _begin, (config, os.getpid())) as pool:
        pool.submit(len, "").result()  # all processes begin with the first task: before the database is open
        storage = open_storage(config)
        try:
            return _import(storage, pool, _File.at(file), processes, tell, from_start=from_start)
        finally:
            storage.close()


def _import(
    storage: Storage,
    pool: ProcessPoolExecutor,
    file: _File,
    processes: int,
    tell: Callable[[Progress], object],
    *,
    from_start: bool,
) -> Imported:
    position, lines = (0, 0) if from_start else file.reached(storage.feeds.position(file.feed))
    done = Imported(skipped=lines, skipped_bytes=position)
    tell(Progress(position, file.size, done))
    for size, found in _verified(pool, file.path, position, processes):
        position += size
        lines += len(found)
        _store(storage, found, done, file.feed, file.position(position, lines))
        tell(Progress(position, file.size, done))
    storage.feeds.advance(file.feed, "")
    return done


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be imported, as it is now."""

    path: Path
    size: int
    identity: str

    @classmethod
    def at(cls, path: Path) -> _File:
        try:
            found = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        return cls(path, found.st_size, f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}")

    @property
    def feed(self) -> str:
        """Under which name the database knows how far it was read."""
        return f"import:{self.path.resolve()}"

    def position(self, position: int, lines: int) -> str:
        """Return what is noted: where the next batch begins."""
        return f"{self.identity}:{position}:{lines}"

    def reached(self, noted: str) -> tuple[int, int]:
        """Return how many bytes and statements an earlier import of this very file dealt with."""
        *identity, position, lines = noted.split(":") if noted else ("", "0", "0")
        return (int(position), int(lines)) if ":".join(identity) == self.identity else (0, 0)


def _verified(pool: ProcessPoolExecutor, file: Path, start: int, processes: int) -> Iterator[tuple[int, list[_Found]]]:
    """Yield what each batch of lines is, in order, with its size; some are verified ahead."""
    ahead: deque[tuple[int, Future[list[_Found]]]] = deque()
    for size, lines in _batches(file, start):
        ahead.append((size, pool.submit(_prepare_all, lines)))
        if len(ahead) >= processes * _BATCHES_AHEAD:
            first, future = ahead.popleft()
            yield first, future.result()
    while ahead:
        first, future = ahead.popleft()
        yield first, future.result()


def _batches(file: Path, start: int) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open("rb") as handle:
            handle.seek(start)
            lines: list[str] = []
            size = 0
            while line := handle.readline(LARGEST_ACCESS_LIST + 2):
                size += len(line)
                lines.append(line.decode("ascii", "replace").strip())
                if len(lines) == _BATCH_LINES:
                    yield size, lines
                    lines, size = [], 0
            yield size, lines
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> ImportFailure:
    return ImportFailure(f"{file} cannot be read: {error.strerror}")


# In the database's process


def _store(storage: Storage, found: list[_Found], done: Imported, feed: str, reached: str) -> None:
    """Store a batch and note, in one transaction, how far the file was read."""
    now = system_clock()
    with storage.transaction():
        results = store_all(storage, [one for one in found if not isinstance(one, str)], now)
        storage.feeds.advance(feed, reached)
    for result in results:
        if isinstance(result, Accepted):
            done.taken += result.succession is Succession.NEWER
            done.known += result.succession is Succession.SAME
        else:
            done.refuse(str(result))
    for one in found:
        if isinstance(one, str):
            done.refuse(one)


# In the processes that verify


class _Verifier:
    """What one of the processes has: settings, and an admission of its own."""

    config: DirectoryConfig
    admission: Admission


def _begin(config: DirectoryConfig, parent: int) -> None:
    end_with(parent)
    _Verifier.config = config
    _Verifier.admission = Admission.of_file(config.admission, system_clock())


def _prepare_all(lines: list[str]) -> list[_Found]:
    now = system_clock()
    return [_prepare(line, now) for line in lines if line]


def _prepare(line: str, now: datetime) -> _Found:
    admission, records = _Verifier.admission, _Verifier.config.records
    try:
        if _BETWEEN in line:
            record = SignedRecord.parse(line)
            return prepare(records, record, admitted_record(admission, record, now), now)
        access_list = SignedAccessList.parse(line)
        admitted = admitted_access_list(admission, access_list, now)
        return prepare_list(records, access_list, admitted)
    except StatementError as error:
        return f"{RefusalKind.MALFORMED.value}: {error}"
    except Refusal as refusal:
        return str(refusal)
