"""What a log keeps, in SQLite or PostgreSQL. Peewee lives only here; frozen values go in and out."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from serving.database import Database
from serving.errors import StorageError
from serving.migrations import migrate
from serving.times import to_column
from transparency.server.storage.entries import Entries, LoggedEntry, Queued, Submission
from transparency.server.storage.trees import Trees, TreeState

__all__ = ["LoggedEntry", "Queued", "Storage", "Submission", "TreeState"]

_STEPS = Path(__file__).parent / "migrations"
_HISTORY = "log_migrations"
_CACHE_MIB = 16
_SEQUENCER_LOCK = 0x73657175656E6365  # "sequence", of a PostgreSQL database
_LOCK_SUFFIX = ".sequencer"


class Storage:
    """One log's database. Any number of threads and processes may share it, each process with a Storage of its own.

    Methods that change something are durable when they return, inside `transaction` when its block is left, unless
    their docstring says otherwise.
    """

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        self._database = database
        self.entries = Entries(database)
        self.trees = Trees(database)

    @classmethod
    def open(cls, url: str) -> Storage:
        """Return the storage at `sqlite:///path` or `postgresql://…`; raise StorageError for any other URL.

        The connection is made when it is first used, by each thread for itself, so that a server may fork after this.
        """
        return cls(Database.at(url, cache_mib=_CACHE_MIB))

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables to this version, and return the names of the steps that were missing."""
        return migrate(self._database, _STEPS, _HISTORY)

    def transaction(self) -> AbstractContextManager[None]:
        """Do what follows wholly or not at all."""
        return self._database.transaction()

    @contextlib.contextmanager
    def sequencing(self) -> Iterator[None]:
        """Be the one sequencer of this database while the block lasts; raise StorageError where another is.

        The lock ends with the process that holds it, however that ends. It spares two sequencers the quarrel; that the
        tree stays one is up to `Trees.swap`.
        """
        if not self._database.is_sqlite:
            (held,) = self._database.rows("SELECT pg_try_advisory_lock(?)", _SEQUENCER_LOCK)[0]
            _require_lock(bool(held))
            try:
                yield
            finally:
                with contextlib.suppress(StorageError):
                    self._database.rows("SELECT pg_advisory_unlock(?)", _SEQUENCER_LOCK)
            return
        path = Path(str(self._database.driver.database) + _LOCK_SUFFIX)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _require_lock(_flock(descriptor))
            yield
        finally:
            os.close(descriptor)

    def spend_request(self, id_: bytes, expires_at: datetime, now: datetime) -> bool:
        """Note that an owner's request was answered; return False where it was before. Forgets those that expired."""
        with self._database.transaction():
            self._database.run("DELETE FROM log_owner_requests WHERE expires_at < ?", to_column(now))
            added = self._database.run(
                "INSERT INTO log_owner_requests (id, expires_at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING",
                id_,
                to_column(expires_at),
            )
        return added == 1

    def ping(self) -> None:
        """Raise StorageError where the database does not answer."""
        self._database.rows("SELECT 1 FROM log_shards LIMIT 1")

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_lock(held: bool) -> None:
    if not held:
        msg = "another sequencer is at work on this database; a log has one: stop that one first"
        raise StorageError(msg)
