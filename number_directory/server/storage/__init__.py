"""What a directory keeps, in SQLite or PostgreSQL. Frozen values go in and out."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from number_directory.server.storage.authorities import Authorities, Issuer, KeptAuthority
from number_directory.server.storage.conflicts import Conflict, Conflicts
from number_directory.server.storage.entries import MOVE, Entries, Entry, EntryState
from number_directory.server.storage.feeds import Feeds
from number_directory.server.storage.grants import Grants, Shown, Visibility
from number_directory.server.storage.numbers import KeptNumber, Numbers
from number_directory.server.storage.record_tree import KeptTree, RecordTree
from number_directory.server.storage.shared import Secrets, SharedQuotas, SharedReplays
from serving.database import Database
from serving.migrations import migrate

__all__ = [
    "MOVE",
    "Conflict",
    "Entry",
    "EntryState",
    "Issuer",
    "KeptAuthority",
    "KeptNumber",
    "KeptTree",
    "Shown",
    "Storage",
    "Visibility",
]

_STEPS = Path(__file__).parent / "migrations"
_HISTORY = "directory_migrations"
_CACHE_MIB = 64
_WORKER_LOCK = 0x6469726563746F72  # "director", of a PostgreSQL database
_LOCK_SUFFIX = ".directory-worker"


class Storage:
    """One directory's database. Threads and processes may share it, each process with a Storage of its own.

    Methods that change something are durable when they return, inside `transaction` when its block is left, unless
    their docstring says otherwise.
    """

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        self._database = database
        self._secrets = Secrets(database)
        self.numbers = Numbers(database)
        self.entries = Entries(database)
        self.grants = Grants(database)
        self.conflicts = Conflicts(database)
        self.authorities = Authorities(database)
        self.tree = RecordTree(database)
        self.quotas = SharedQuotas(database)
        self.replays = SharedReplays(database)
        self.feeds = Feeds(database)

    @classmethod
    def open(cls, url: str) -> Storage:
        """Return the storage at `sqlite:///path` or `postgresql://…`; raise StorageError for any other URL.

        The connection is made when it is first used, by each thread for itself, so that a server may fork after this.
        """
        return cls(Database.at(url, cache_mib=_CACHE_MIB))

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables to this version, and return the names of the steps that were missing."""
        return migrate(self._database, _STEPS, _HISTORY)

    def transaction(self, *, synced: bool = True) -> AbstractContextManager[None]:
        """Do what follows wholly or not at all."""
        return self._database.transaction(synced=synced)

    def secret(self, name: str) -> bytes:
        """Return the 32 random bytes of this name, the same for every front end and for good."""
        return self._secrets.get(name)

    @property
    def file(self) -> Path | None:
        """The database's file, None where it is on a server."""
        return Path(str(self._database.driver.database)) if self._database.is_sqlite else None

    @contextlib.contextmanager
    def working(self) -> Iterator[bool]:
        """Try to be the one worker of this database while the block lasts; the block is told whether it is.

        The lock ends with the process that holds it, however that ends. It spares two workers the quarrel; that the
        tree stays one is up to `RecordTree.swap`.
        """
        file = self.file
        if file is None:
            (held,) = self._database.rows("SELECT pg_try_advisory_lock(?)", _WORKER_LOCK)[0]
            try:
                yield bool(held)
            finally:
                if held:
                    self._database.rows("SELECT pg_advisory_unlock(?)", _WORKER_LOCK)
            return
        descriptor = os.open(f"{file}{_LOCK_SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _flock(descriptor)
        finally:
            os.close(descriptor)

    def ping(self) -> None:
        """Raise StorageError where the database does not answer."""
        self._database.rows("SELECT 1 FROM directory_trees LIMIT 1")

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
