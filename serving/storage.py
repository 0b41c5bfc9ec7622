"""What the storage of every program is: its tables in a database that others may share."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar, Self

from serving.database import Database
from serving.errors import StorageError
from serving.migrations import migrate


class ProgramStorage:
    """One program's tables. Threads and processes may share them, each process with a storage of its own.

    A program derives from this: `steps` is the folder of its steps of migration, `history` the table that remembers
    them, `cache_mib` how much of a SQLite file a connection may keep in memory, and `keeps_turn` whether a thread keeps
    its turn while a disk is written. Every method raises StorageError.
    """

    steps: ClassVar[Path]
    history: ClassVar[str]
    cache_mib: ClassVar[int | None] = None
    keeps_turn: ClassVar[bool] = False

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        self._database = database

    @classmethod
    def open(cls, url: str) -> Self:
        """Return the storage at `sqlite:///path` or `postgresql://…`; raise StorageError for any other URL.

        The connection is made when it is first used, so that a server may fork after this.
        """
        return cls(Database.at(url, cache_mib=cls.cache_mib, keeps_turn=cls.keeps_turn))

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables to this version, and return the names of the steps that were missing.

        Several processes may do so at once. Raises StorageError where the database is newer than this version.
        """
        return migrate(self._database, self.steps, self.history)

    def transaction(self, *, synced: bool = True) -> AbstractContextManager[None]:
        """Do what follows wholly or not at all.

        Without `synced`, SQLite does not wait for the disk: it survives a killed process, and a lost power supply once
        anything else was synced after it. For what nobody was told yet.
        """
        return self._database.transaction(synced=synced)

    @property
    def file(self) -> Path | None:
        """The database's file, None where it is on a server."""
        return Path(str(self._database.driver.database)) if self._database.is_sqlite else None

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()

    @contextlib.contextmanager
    def _alone(self, lock: int, suffix: str) -> Iterator[bool]:
        """Try to be the only one who does something here while the block lasts; the block is told whether it is.

        The lock ends with the process that holds it, however that ends. It is known in PostgreSQL by the number `lock`,
        and beside a SQLite file by `suffix`.
        """
        if self.file is None:
            (held,) = self._database.rows("SELECT pg_try_advisory_lock(?)", lock)[0]
            try:
                yield bool(held)
            finally:
                if held:
                    with contextlib.suppress(StorageError):
                        self._database.rows("SELECT pg_advisory_unlock(?)", lock)
            return
        descriptor = os.open(f"{self.file}{suffix}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _flock(descriptor)
        finally:
            os.close(descriptor)


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
