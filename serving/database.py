"""Transactions and statements in SQLite or PostgreSQL.

Statements are kept as SQL text in PostgreSQL's dialect with `?` for values, and go to the driver's own connection.
Building one with peewee's query language, or only sending it through peewee, takes longer than SQLite takes to run it,
and every request runs several. For SQLite the row locks (`FOR UPDATE …`) are left out: there a transaction that writes
is alone from its first statement on.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import peewee

from serving.connections import Connections, OneForEachThread, OneThatWrites
from serving.errors import Conflict, StorageError
from serving.turns import step_aside

Value = str | bytes | int | bool | None
Row = tuple[Any, ...]

_Found = TypeVar("_Found")
_Value = TypeVar("_Value")

_ROW_LOCK = re.compile(r"\s+FOR (NO KEY )?UPDATE( OF \w+(, \w+)*)?( SKIP LOCKED)?")
_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_BUSY_SECONDS = 30
_AT_ONCE = (100, 10, 1)
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "secure_delete": "on",  # what is erased is overwritten, not just unlinked
    "journal_size_limit": 64 * 1024 * 1024,
    "wal_autocheckpoint": 4000,  # pages: one that was written many times is moved to its place once
}


class _Here(threading.local):
    """What one thread knows of itself: the connection of the transaction that it is in."""

    connection: Any = None


class _LostConnectionError(StorageError):
    """The server was restarted, or the network failed."""


class Database:
    """A database that threads and processes share. Connections are opened when first used.

    Programs of one process may share it too: each brings its own tables (`serving.migrations`) and its own statements.
    A process may fork before the first use, or after `close`. With connections open, only PostgreSQL's can be left
    behind. Every method raises StorageError.
    """

    def __init__(self, driver: peewee.Database, *, keeps_turn: bool = False) -> None:
        """Take an unconnected peewee database; it opens the connections, and runs the migrations over its own.

        With `keeps_turn`, a thread does not step aside (`serving.turns`) for a disk: where each request writes, the
        next could only wait for the one connection that does.
        """
        self._keeps_turn = keeps_turn
        self.driver = driver
        self.is_sqlite = isinstance(driver, peewee.SqliteDatabase)
        self._connections: Connections = (OneThatWrites if self.is_sqlite else OneForEachThread)(self._open)
        self._violated, self._failed = _errors(is_sqlite=self.is_sqlite)
        self._here = _Here()
        self._compiled: dict[str, str] = {}

    @classmethod
    def at(cls, url: str, *, cache_mib: int | None = None, keeps_turn: bool = False) -> Database:
        """Return the database at `sqlite:///path` or `postgresql://…`, without connecting to it.

        `cache_mib` is how much of a SQLite file each connection may keep in memory, where its own default is too small.
        """
        if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
            return cls(_sqlite(Path(url.removeprefix(_SQLITE)), cache_mib), keeps_turn=keeps_turn)
        if url.startswith((_POSTGRESQL, "postgres://")):
            return cls(_postgresql(_POSTGRESQL + url.partition("://")[2]))
        msg = "database: give sqlite:/// and the path of a file, or postgresql:// and where the server is"
        raise StorageError(msg)

    @property
    def is_in_transaction(self) -> bool:
        """Whether the calling thread is in a transaction, of which nothing may remain."""
        return self._here.connection is not None

    def rows(self, sql: str, *values: Value) -> list[Row]:
        """Run a query and return all its rows."""
        if (connection := self._here.connection) is not None:
            return _all(self._execute(connection, sql, values))
        return self._alone(sql, values, _all, to_write=False)

    def row(self, sql: str, *values: Value) -> Row | None:
        """Run a query and return its first row, or None."""
        if (connection := self._here.connection) is not None:
            return _first(self._execute(connection, sql, values))
        return self._alone(sql, values, _first, to_write=False)

    def run(self, sql: str, *values: Value) -> int:
        """Run a statement that changes rows, and return how many."""
        if (connection := self._here.connection) is not None:
            return _count(self._execute(connection, sql, values))
        return self._alone(sql, values, _count, to_write=True)

    def run_soon_durable(self, sql: str, *values: Value) -> int:
        """Run one statement outside a transaction; on SQLite it survives a killed process, but not a lost power supply.

        For what nobody was promised. A commit that is synced takes these along.
        """
        return self._alone(sql, values, _count, to_write=True, synced=False)

    def run_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> int:
        """Run a statement for each row of values, inside a transaction, and return how many rows it changed."""
        connection, values = self._here.connection, list(rows)
        if len(values) <= 1:
            return sum(_count(self._execute(connection, sql, one)) for one in values)
        try:
            cursor = connection.cursor()
            cursor.executemany(self._compiled.get(sql) or self._compile(sql), values)
        except self._failed as error:
            raise self._told(connection, error) from None
        return _count(cursor)

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[None]:
        """Do what follows wholly or not at all, and durably once the block is left. Transactions do not nest.

        Without `synced`, SQLite keeps it through a killed process but perhaps not through a lost power supply: for
        what nobody was promised. The next synced commit takes it along.
        """
        here = self._here
        if here.connection is not None:
            msg = "a transaction is open in this thread already"
            raise StorageError(msg)
        connection = here.connection = self._begin(synced=synced)
        try:
            yield
            if synced and not self._keeps_turn:
                step_aside()
            self._execute(connection, "COMMIT", ())
        except BaseException:
            self._roll_back(connection)
            raise
        finally:
            here.connection = None
            self._connections.take_back(connection)

    def close(self) -> None:
        """Close the connections of all threads. A later use opens new ones."""
        self._connections.close()

    def _alone(
        self,
        sql: str,
        values: tuple[Value, ...],
        take: Callable[[Any], _Found],
        *,
        to_write: bool,
        synced: bool = True,
        again: bool = True,
    ) -> _Found:
        """Run a statement outside a transaction.

        One that reads runs once more, over a new connection, where the old one was lost. Of one that writes nobody
        knows what it did before that.
        """
        connection = self._connections.lend(to_write=to_write)
        try:
            if to_write and self.is_sqlite:
                self._sync(connection, synced=synced)
            return take(self._execute(connection, sql, values))
        except _LostConnectionError:
            if to_write or not again:
                raise
        finally:
            self._connections.take_back(connection)
        return self._alone(sql, values, take, to_write=to_write, synced=synced, again=False)

    def _begin(self, *, synced: bool, again: bool = True) -> Any:  # noqa: ANN401  # the drivers have no type in common
        """Begin a transaction, and return its connection, which is this thread's until it is taken back."""
        connection = self._connections.lend(to_write=True)
        try:
            if self.is_sqlite:
                self._sync(connection, synced=synced)
            self._execute(connection, "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN", ())
        except BaseException as error:
            self._connections.take_back(connection)
            if not again or not isinstance(error, _LostConnectionError):
                raise
            return self._begin(synced=synced, again=False)
        return connection

    def _execute(self, connection: Any, sql: str, values: tuple[Value, ...]) -> Any:  # noqa: ANN401  # as above
        """Run a statement, and return its cursor. Every statement comes through here, but for those of `run_many`."""
        try:
            return connection.execute(self._compiled.get(sql) or self._compile(sql), values)
        except self._failed as error:
            raise self._told(connection, error) from None

    def _sync(self, connection: Any, *, synced: bool) -> None:  # noqa: ANN401  # as above
        """Have SQLite's one writer wait for the disk when it commits, or not."""
        if connection.synced is not synced:
            self._execute(connection, f"PRAGMA synchronous = {'full' if synced else 'normal'}", ())
            connection.synced = synced

    def _compile(self, sql: str) -> str:
        compiled = _ROW_LOCK.sub("", sql) if self.is_sqlite else sql.replace("?", "%s")
        self._compiled[sql] = compiled
        return compiled

    def _roll_back(self, connection: Any) -> None:  # noqa: ANN401  # as above
        """Undo; a connection that cannot even do that is left, and the server or the file undoes it."""
        try:
            connection.execute("ROLLBACK")
        except self._failed:
            connection.close()

    def _open(self) -> Any:  # noqa: ANN401  # as above
        reasons: tuple[type[Exception], ...] = (*self._failed, peewee.PeeweeException, OSError)
        try:
            return self.driver._connect()  # type: ignore[attr-defined]  # noqa: SLF001  # else: one for each thread
        except reasons as error:
            msg = f"the database cannot be opened: {_reason(error)}"
            raise StorageError(msg) from None

    def _told(self, connection: Any, error: Exception) -> StorageError:  # noqa: ANN401  # as above
        """Return our error for a driver's, without the values of rows."""
        if isinstance(error, self._violated):
            return Conflict(_reason(error))
        is_lost = not self.is_sqlite and connection.closed
        return (_LostConnectionError if is_lost else StorageError)(_reason(error))


def some_at_a_time(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    """Yield values in order, as many at a time as one statement has places for: one, ten or a hundred.

    With few sizes the database knows every statement.
    """
    start = 0
    while left := len(values) - start:
        count = next(size for size in _AT_ONCE if size <= left)
        yield values[start : start + count]
        start += count


def _all(cursor: Any) -> list[Row]:  # noqa: ANN401  # as above
    found: list[Row] = cursor.fetchall()
    return found


def _first(cursor: Any) -> Row | None:  # noqa: ANN401  # as above
    found: Row | None = cursor.fetchone()
    return found


def _count(cursor: Any) -> int:  # noqa: ANN401  # as above
    return int(cursor.rowcount)


def _sqlite(path: Path, cache_mib: int | None) -> peewee.Database:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        msg = f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed"
        raise StorageError(msg)
    cache = {} if cache_mib is None else {"cache_size": -1024 * cache_mib}
    return _PrivateSqlite(
        str(path),
        pragmas=_SQLITE_PRAGMAS | cache,
        timeout=_BUSY_SECONDS,
        check_same_thread=False,
        factory=_SqliteConnection,
    )


class _SqliteConnection(sqlite3.Connection):
    """A connection that knows its own state."""

    synced = True
    """Whether a commit waits for the disk."""
    closed = False

    def close(self) -> None:
        """Close, and remember it."""
        self.closed = True
        super().close()


class _PrivateSqlite(peewee.SqliteDatabase):
    """A SQLite file that only its owner can read: it holds what people entrusted to the program.

    A file that is there is opened by SQLite alone: to close any other descriptor of it would drop the locks of every
    connection that this process has, and the next process to close its own would take the log away under them
    (sqlite.org/howtocorrupt.html §2.2).
    """

    def _connect(self) -> sqlite3.Connection:
        path = Path(self.database)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass
        except OSError as error:
            msg = f"{path}: {error.strerror}; make its folder, or set database to another file"
            raise StorageError(msg) from error
        connection: sqlite3.Connection = super()._connect()  # type: ignore[misc]  # its stub has no types
        return connection


def _postgresql(url: str) -> peewee.Database:
    try:
        import psycopg  # noqa: F401, PLC0415 - needed only where the URL asks for it
    except ImportError as error:
        msg = "PostgreSQL needs its driver: pip install 'answerback[postgresql]'"
        raise StorageError(msg) from error
    return peewee.PostgresqlDatabase(url, prefer_psycopg3=True)


def _errors(*, is_sqlite: bool) -> tuple[type[Exception], tuple[type[Exception], ...]]:
    """Return what the driver raises where a row must be the only one of its kind, and for whatever else goes wrong."""
    if is_sqlite:
        return sqlite3.IntegrityError, (sqlite3.Error,)
    import psycopg  # noqa: PLC0415 - needed only where the URL asks for it

    return psycopg.IntegrityError, (psycopg.Error,)


def _reason(error: BaseException) -> str:
    """Say what the database said, without the values of rows: they may be secrets."""
    original = getattr(error, "orig", error)
    diagnosis = getattr(original, "diag", None)  # PostgreSQL's detail quotes the row; its primary message does not
    return str(getattr(diagnosis, "message_primary", None) or original).partition("\n")[0]
