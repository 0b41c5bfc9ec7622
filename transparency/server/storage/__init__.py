"""What a log keeps, in SQLite or PostgreSQL. Peewee lives only here; frozen values go in and out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from serving.database import Database
from serving.errors import StorageError
from serving.storage import ProgramStorage
from serving.times import to_column
from transparency.server.storage.entries import Entries, LoggedEntry, Queued, Submission
from transparency.server.storage.trees import Trees, TreeState

__all__ = ["LoggedEntry", "Queued", "Storage", "Submission", "TreeState"]

_SEQUENCER_LOCK = 0x73657175656E6365  # "sequence", of a PostgreSQL database
_LOCK_SUFFIX = ".sequencer"


class Storage(ProgramStorage):
    """One log's database. Any number of threads and processes may share it, each process with a Storage of its own.

    Methods that change something are durable when they return, inside `transaction` when its block is left, unless
    their docstring says otherwise.
    """

    steps = Path(__file__).parent / "migrations"
    history = "log_migrations"
    cache_mib = 16

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        super().__init__(database)
        self.entries = Entries(database)
        self.trees = Trees(database)

    @contextlib.contextmanager
    def sequencing(self) -> Iterator[None]:
        """Be the one sequencer of this database while the block lasts; raise StorageError where another is.

        The lock ends with the process that holds it, however that ends. It spares two sequencers the quarrel; that the
        tree stays one is up to `Trees.swap`.
        """
        with self._alone(_SEQUENCER_LOCK, _LOCK_SUFFIX) as held:
            if not held:
                msg = "another sequencer is at work on this database; a log has one: stop that one first"
                raise StorageError(msg)
            yield

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
