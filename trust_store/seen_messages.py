"""The memory of messages that were believed, so that a copy is not believed again.

A message's token is good for a day, not for a minute, and whoever sees it could send it again. Two texts can carry the
same token, so a message is known by what its token states and by who received it, never by the token's text.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeAlias

from stir.passport import Passport
from stir.telephone_number import TelephoneNumber
from trust_store.errors import MemoryFileError

_PATIENCE = 5.0
_MOST_IN_MEMORY = 100_000

Clock: TypeAlias = Callable[[], datetime]


class SeenMessages(Protocol):
    """What `TrustStore` asks: is this the first time? Times are seconds since 1970."""

    def is_known(self, key: bytes) -> bool:
        """Tell whether a message came in before, and remember nothing."""
        ...

    def is_first(self, key: bytes, expires: float, at: datetime) -> bool:
        """Tell whether a message comes in for the first time, and remember it until `expires`; atomically.

        What expired before `at` may be forgotten, but nothing that has yet to expire: `at` may be a time to come.
        """
        ...


def message_key(passport: Passport, received_by: TelephoneNumber) -> bytes:
    """Return the name of a message: SHA-256 over what its token states and over the number that received it."""
    stated = [
        passport.orig.digits,
        passport.dest,
        passport.dest_uris,
        passport.issued_at,
        passport.ppt,
        passport.message_integrity,
        received_by.digits,
    ]
    return hashlib.sha256(json.dumps(stated).encode("ascii")).digest()


def _now() -> datetime:
    return datetime.now(UTC)


class MessagesInMemory:
    """A memory that ends with the process, and forgets the oldest of more than 100,000 messages."""

    def __init__(self, clock: Clock = _now) -> None:
        """Begin with nothing."""
        self._clock = clock
        self._lock = threading.Lock()
        self._expires: dict[bytes, float] = {}

    def is_known(self, key: bytes) -> bool:
        """Tell whether a message came in before."""
        with self._lock:
            return key in self._expires

    def is_first(self, key: bytes, expires: float, at: datetime) -> bool:
        """Tell whether a message comes in for the first time, and remember it."""
        with self._lock:
            if key in self._expires:
                return False
            self._expires[key] = expires
            if len(self._expires) > _MOST_IN_MEMORY:
                self._make_room(min(at, self._clock()))
            return True

    def _make_room(self, before: datetime) -> None:
        kept = {key: expires for key, expires in self._expires.items() if expires >= before.timestamp()}
        while len(kept) > _MOST_IN_MEMORY:
            del kept[next(iter(kept))]
        self._expires = kept


class MessagesInFile:
    """A memory in an SQLite file, which processes may share. It holds hashes and times only."""

    def __init__(self, path: Path, clock: Clock = _now) -> None:
        """Use the file, which need not exist yet."""
        self._path = path
        self._clock = clock

    def is_known(self, key: bytes) -> bool:
        """Tell whether a message came in before; raise MemoryFileError."""
        if not self._path.exists():
            return False
        try:
            with closing(self._open()) as database:
                return database.execute("SELECT 1 FROM seen WHERE key = ?", (key,)).fetchone() is not None
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def is_first(self, key: bytes, expires: float, at: datetime) -> bool:
        """Tell whether a message comes in for the first time, and remember it; raise MemoryFileError."""
        before = min(at, self._clock()).timestamp()
        try:
            with closing(self._open()) as database, database:
                database.execute("DELETE FROM seen WHERE expires < ?", (before,))
                added = database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, expires))
                return added.rowcount == 1
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.touch(mode=0o600)
        database = sqlite3.connect(self._path, timeout=_PATIENCE)
        try:
            database.execute("CREATE TABLE IF NOT EXISTS seen (key BLOB PRIMARY KEY, expires REAL NOT NULL)")
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _unusable(self, error: Exception) -> MemoryFileError:
        return MemoryFileError(f"cannot use {self._path}: {error}; move it away to begin a new one")
