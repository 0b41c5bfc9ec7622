"""A directory's database with many records in it within minutes, to measure what others cost then.

A few numbers are imported as an operator would. Their rows are then written again and again, under other numbers and
with other serial numbers and hashes, past all checks: of the true size and shape, but for the text of statements, which
is that of the first ones. Every 500th number has served, for the worker to forget.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from number_directory.server.storage.grants import key_of

FIRST = 12_000_000_000
APART = 7
"""Of seven numbers one is imported, another filled in."""
_FILLED = 3
_PLACES = 4
_AT_ONCE = 20_000
_SERVED = 500
_RANDOM_INDICES = ("directory_entries_of_certificate", "directory_numbers_of_certificate")
_NUMBER_OF = {"directory_numbers": 0, "directory_entries": 0, "directory_grants": 2, "directory_hidden": 0}

_Write = Callable[[str, Iterable[Sequence[Any]]], object]
_Rows = dict[str, list[list[Any]]]


def filled(place: int) -> int:
    """Return a number that is filled in."""
    return FIRST + place * APART + _FILLED


def fill(url: str, records: int) -> float:
    """Multiply the records of the four numbers that are in a database to so many; return the seconds that it took."""
    begun = time.perf_counter()
    with (_sqlite if url.startswith("sqlite:") else _postgresql)(url) as (read, write):
        like = {table: read(f"SELECT * FROM {table} ORDER BY {column}") for table, column in _ORDER.items()}  # noqa: S608
        numbers = sorted({row[0] for row in like["directory_numbers"]})
        patterns = [_of(like, number) for number in numbers]
        places = range(len(numbers), records // 3)
        leaves = _Leaves(14 * len(places) // 4)
        for start in range(places.start, places.stop, _AT_ONCE):
            some = range(start, min(start + _AT_ONCE, places.stop))
            for table, column in _NUMBER_OF.items():
                write(table, _rows(patterns, table, column, some))
            write("directory_leaves", leaves.of(sum(_statements(patterns, place) for place in some)))
    return time.perf_counter() - begun


_ORDER = {"directory_numbers": "number", "directory_entries": "number, app", "directory_grants": "number, key"} | {
    "directory_hidden": "number"
}


def _of(like: _Rows, number: int) -> _Rows:
    return {table: [row for row in rows if row[_NUMBER_OF[table]] == number] for table, rows in like.items()}


def _statements(patterns: Sequence[_Rows], place: int) -> int:
    pattern = patterns[place % len(patterns)]
    return len(pattern["directory_entries"]) + (pattern["directory_numbers"][0][1] is not None)


def _rows(patterns: Sequence[_Rows], table: str, column: int, places: Iterable[int]) -> Iterator[list[Any]]:
    for place in places:
        number = filled(place)
        for like in patterns[place % len(patterns)][table]:
            row = list(like)
            before, row[column] = row[column], number
            if table == "directory_entries":
                row[5], row[6], row[10] = os.urandom(32), os.urandom(32), os.urandom(16)
                if place % _SERVED == 0:
                    row[12] = 1
            elif table == "directory_numbers" and row[4] is not None:
                row[4] = os.urandom(16)
            elif table == "directory_grants":
                row[0] = key_of(bytes(row[0]).removesuffix(key_of(b"", before)), number)
            yield row


@dataclass
class _Leaves:
    """Hashes that are random, and in order: so a database takes them soon."""

    count: int
    _next: int = 0

    def of(self, count: int) -> Iterator[tuple[bytes, int, int]]:
        """Yield the next rows."""
        step, now = 2**64 // (self.count + _AT_ONCE * 14), int(time.time() * 1_000_000)
        for index in range(self._next, self._next + count):
            yield (index * step).to_bytes(8, "big") + os.urandom(24), now, index
        self._next += count


@contextmanager
def _sqlite(url: str) -> Iterator[tuple[Callable[[str], list[list[Any]]], _Write]]:
    path = Path(url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = off", "synchronous = off", "cache_size = -262144", "locking_mode = exclusive"):
        connection.execute(f"PRAGMA {pragma}")
    indices = [
        connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
        for name in _RANDOM_INDICES
    ]
    for name in _RANDOM_INDICES:
        connection.execute(f"DROP INDEX {name}")

    def write(table: str, rows: Iterable[Sequence[Any]]) -> None:
        columns = len(connection.execute(f"PRAGMA table_info({table})").fetchall())
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * columns)})", rows)  # noqa: S608
        connection.execute("COMMIT")

    yield lambda sql: [list(row) for row in connection.execute(sql).fetchall()], write
    for sql in indices:
        connection.execute(sql)
    connection.close()


@contextmanager
def _postgresql(url: str) -> Iterator[tuple[Callable[[str], list[list[Any]]], _Write]]:
    import psycopg  # noqa: PLC0415  # needed only here

    with psycopg.connect(url) as connection:

        def write(table: str, rows: Iterable[Sequence[Any]]) -> None:
            with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            connection.commit()

        yield lambda sql: [list(row) for row in connection.execute(sql).fetchall()], write
        connection.commit()
        connection.autocommit = True
        connection.execute("ANALYZE")
