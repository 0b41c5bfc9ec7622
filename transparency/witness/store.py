"""What a witness remembers: the last checkpoint that it cosigned for each log, and what spoke against a log.

One SQLite file, bound to one key. A request is decided and remembered in one transaction that excludes every other, and
is on the disk before its cosignature leaves: no two requests, processes or power cuts get two histories cosigned.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from transparency.checkpoint import Checkpoint
from transparency.errors import NoteError
from transparency.signed_note import Note
from transparency.witness.errors import StateError

MOST_EVIDENCE = 1000
"""Requests that are kept as evidence against one log: what a forking log signs more of adds nothing."""

_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE witness (only INTEGER PRIMARY KEY CHECK (only = 1), keys TEXT NOT NULL);
CREATE TABLE cosigned (origin TEXT PRIMARY KEY, at INTEGER NOT NULL, note BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    origin TEXT NOT NULL,
    digest BLOB NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    request BLOB NOT NULL,
    cosigned BLOB,
    UNIQUE (origin, digest)
);
"""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The last checkpoint that was cosigned for a log, with all its signatures, and when, in seconds since 1970."""

    note: Note
    at: int

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return Checkpoint.parse(self.note.text)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A request that a log signed and that does not go on from what it signed before.

    `at` is in seconds since 1970, `cosigned` the note that was cosigned last by then.
    """

    origin: str
    at: int
    reason: str
    request: bytes
    cosigned: bytes | None


class Store:
    """A witness's memory. Threads and processes may share the file. Every method raises StateError."""

    def __init__(self, path: Path, keys: str) -> None:
        """Open the memory of the witness with these verifier keys; one that is missing is not made anew."""
        self._lock = threading.Lock()
        self._path = path
        if not path.is_file():
            msg = f"{path} is missing: a witness that forgot what it cosigned must not go on with the same key"
            raise StateError(msg)
        with self._explained():
            self._connection = _connect(path)
            row = self._connection.execute("SELECT keys FROM witness").fetchone()
        if row is None or row[0] != keys:
            self._connection.close()
            msg = f"{path} is the memory of a witness with another key: name the key that belongs to it"
            raise StateError(msg)

    @classmethod
    def create(cls, path: Path, keys: str) -> Self:
        """Make the memory of a witness that has cosigned nothing yet."""
        if path.exists():
            msg = f"{path} exists: a witness's memory is never overwritten"
            raise StateError(msg)
        try:
            with contextlib.closing(_connect(path)) as connection:
                connection.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}")
                connection.execute("INSERT INTO witness VALUES (1, ?)", (keys,))
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            msg = f"{path} cannot be made: {error}"
            raise StateError(msg) from error
        path.chmod(0o600)
        return cls(path, keys)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def deciding(self) -> Iterator[Memory]:
        """Hold everybody else off, then remember all of what was told, or nothing where an exception ends it."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield Memory(self._connection)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def cosigned(self) -> dict[str, Cosigned]:
        """Return the last checkpoint that was cosigned for each log, by its origin."""
        rows = self._rows("SELECT origin, note, at FROM cosigned ORDER BY origin")
        return {origin: Cosigned(_note(note), at) for origin, note, at in rows}

    def evidence(self) -> tuple[Evidence, ...]:
        """Return what speaks against the logs, oldest first."""
        rows = self._rows("SELECT origin, at, reason, request, cosigned FROM evidence ORDER BY id")
        return tuple(Evidence(*row) for row in rows)

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        with self._lock, self._explained():
            return self._connection.execute(query).fetchall()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            msg = f"{self._path} cannot be used: {error}"
            raise StateError(msg) from error


class Memory:
    """What may be read and told within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use a connection whose transaction has begun."""
        self._connection = connection

    def latest(self, origin: str) -> Cosigned | None:
        """Return the last checkpoint that was cosigned for a log."""
        row = self._connection.execute("SELECT note, at FROM cosigned WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else Cosigned(_note(row[0]), row[1])

    def remember(self, origin: str, cosigned: Cosigned) -> None:
        """Put a checkpoint in the place of the last one."""
        self._connection.execute(
            "INSERT INTO cosigned (origin, at, note) VALUES (?, ?, ?) "
            "ON CONFLICT (origin) DO UPDATE SET at = excluded.at, note = excluded.note",
            (origin, cosigned.at, cosigned.note.to_bytes()),
        )

    def keep_evidence(self, evidence: Evidence, text: str) -> None:
        """Keep a request, once for each text of a checkpoint, and up to a limit for each log."""
        count = self._connection.execute("SELECT count(*) FROM evidence WHERE origin = ?", (evidence.origin,))
        if count.fetchone()[0] >= MOST_EVIDENCE:
            return
        self._connection.execute(
            "INSERT INTO evidence (origin, digest, at, reason, request, cosigned) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (origin, digest) DO NOTHING",
            (
                evidence.origin,
                sha256(text.encode()).digest(),
                evidence.at,
                evidence.reason,
                evidence.request,
                evidence.cosigned,
            ),
        )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _note(data: bytes) -> Note:
    try:
        return Note.parse(data)
    except NoteError as error:
        msg = "a checkpoint in the memory is damaged: restore no older copy, retire the key"
        raise StateError(msg) from error
