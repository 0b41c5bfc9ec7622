"""What a directory keeps, in SQLite or PostgreSQL. Frozen values go in and out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from number_directory.server.storage.authorities import Authorities, Issuer, KeptAuthority
from number_directory.server.storage.conflicts import Conflict, Conflicts
from number_directory.server.storage.entries import MOVE, Entries, Entry, EntryState
from number_directory.server.storage.feeds import Feeds
from number_directory.server.storage.grants import Grants, Shown, Visibility
from number_directory.server.storage.hidden import NO_LAYOUT, HiddenNumbers, Layout
from number_directory.server.storage.numbers import KeptNumber, Numbers
from number_directory.server.storage.record_tree import KeptTree, RecordTree
from number_directory.server.storage.shared import Secrets, SharedQuotas, SharedReplays
from number_directory.server.storage.statements import Frames, KeptStatement
from serving.database import Database
from serving.storage import ProgramStorage

__all__ = [
    "MOVE",
    "NO_LAYOUT",
    "Conflict",
    "Entry",
    "EntryState",
    "Issuer",
    "KeptAuthority",
    "KeptNumber",
    "KeptStatement",
    "KeptTree",
    "Layout",
    "Shown",
    "Storage",
    "Visibility",
]

_WORKER_LOCK = 0x6469726563746F72  # "director", of a PostgreSQL database
_LOCK_SUFFIX = ".directory-worker"


class Storage(ProgramStorage):
    """One directory's database. Threads and processes may share it, each process with a Storage of its own.

    Methods that change something are durable when they return, inside `transaction` when its block is left, unless
    their docstring says otherwise.
    """

    steps = Path(__file__).parent / "migrations"
    history = "directory_migrations"
    cache_mib = 64

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        super().__init__(database)
        self._secrets = Secrets(database)
        frames = Frames(database)
        self.numbers = Numbers(database, frames)
        self.entries = Entries(database, frames)
        self.grants = Grants(database, frames)
        self.hidden = HiddenNumbers(database)
        self.conflicts = Conflicts(database)
        self.authorities = Authorities(database)
        self.tree = RecordTree(database)
        self.quotas = SharedQuotas(database)
        self.replays = SharedReplays(database)
        self.feeds = Feeds(database)

    def secret(self, name: str) -> bytes:
        """Return the 32 random bytes of this name, the same for every front end and for good."""
        return self._secrets.get(name)

    @contextlib.contextmanager
    def working(self) -> Iterator[bool]:
        """Try to be the one worker of this database while the block lasts; the block is told whether it is.

        The lock ends with the process that holds it, however that ends. It spares two workers the quarrel; that the
        tree stays one is up to `RecordTree.swap`.
        """
        with self._alone(_WORKER_LOCK, _LOCK_SUFFIX) as held:
            yield held

    def ping(self) -> None:
        """Raise StorageError where the database does not answer."""
        self._database.rows("SELECT 1 FROM directory_trees LIMIT 1")
