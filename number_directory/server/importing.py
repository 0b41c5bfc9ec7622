"""Taking many statements at once, as when a directory is begun from another one's: ten million records and more.

Each line of the file is a signed record or access list. Processes read and verify them, just as if their owners had
sent them; this one puts what they found into the database, a batch in each transaction. A batch is there wholly or not
at all, and what is there is left as it is when the file is imported again.
"""

from __future__ import annotations

import multiprocessing
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
    admitted_access_list,
    admitted_record,
    forgotten_at,
    prepare,
    store_access_list,
    store_record,
)
from number_directory.server.storage import Storage
from number_directory.statement import Succession

_BATCH_LINES = 500
_BATCHES_AHEAD = 3
_MOST_REASONS = 20
_BETWEEN = "~"


@dataclass(frozen=True, slots=True)
class PreparedList:
    """An access list that may be taken as far as it tells alone."""

    token: str
    not_before: datetime
    forget_at: datetime


@dataclass
class Imported:
    """What became of a file's lines, and why some were refused."""

    taken: int = 0
    known: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def refuse(self, reason: str) -> None:
        """Count a refusal, and its reason unless there are too many different ones."""
        self.refused += 1
        if reason in self.reasons or len(self.reasons) < _MOST_REASONS:
            self.reasons[reason] += 1


_Found = Prepared | PreparedList | str
"""What a line is: a statement, or why it is refused."""


def import_file(config: DirectoryConfig, file: Path, processes: int, tell: Callable[[int], object]) -> Imported:
    """Take the statements of a file, and return what became of them. `tell` hears how many bytes were dealt with.

    Call it where no database is open yet. Raises ImportFailure or another ServingError.
    """
    done = Imported()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, context, _begin, (config,)) as pool:
        pool.submit(len, "").result()  # all processes begin with the first task: before the database is open
        storage = open_storage(config)
        try:
            for size, found in _verified(pool, file, processes):
                _store(storage, found, done)
                tell(size)
        finally:
            storage.close()
    return done


def _verified(pool: ProcessPoolExecutor, file: Path, processes: int) -> Iterator[tuple[int, list[_Found]]]:
    """Yield what each batch of lines is, in order, with its size; some are verified ahead."""
    ahead: deque[tuple[int, Future[list[_Found]]]] = deque()
    for size, lines in _batches(file):
        ahead.append((size, pool.submit(_prepare_all, lines)))
        if len(ahead) >= processes * _BATCHES_AHEAD:
            first, future = ahead.popleft()
            yield first, future.result()
    while ahead:
        first, future = ahead.popleft()
        yield first, future.result()


def _batches(file: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with file.open("rb") as handle:
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
        msg = f"{file} cannot be read: {error.strerror}"
        raise ImportFailure(msg) from error


# In the database's process


def _store(storage: Storage, found: list[_Found], done: Imported) -> None:
    now = system_clock()
    with storage.transaction():
        results = [one if isinstance(one, str) else _store_one(storage, one, now) for one in found]
    for result in results:
        if isinstance(result, Accepted):
            done.taken += result.succession is Succession.NEWER
            done.known += result.succession is Succession.SAME
        else:
            done.refuse(result if isinstance(result, str) else str(result))


def _store_one(storage: Storage, one: Prepared | PreparedList, now: datetime) -> Accepted | Refusal:
    if isinstance(one, Prepared):
        return store_record(storage, one, now)
    return store_access_list(storage, SignedAccessList.parse(one.token), one.not_before, one.forget_at, now)


# In the processes that verify


class _Verifier:
    """What one of the processes has: settings, and an admission of its own."""

    config: DirectoryConfig
    admission: Admission


def _begin(config: DirectoryConfig) -> None:
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
        return PreparedList(line, admitted.not_before, forgotten_at(records, admitted))
    except StatementError as error:
        return f"{RefusalKind.MALFORMED.value}: {error}"
    except Refusal as refusal:
        return str(refusal)
