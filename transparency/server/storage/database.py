"""Connections and transactions of a log, in SQLite or PostgreSQL, through peewee: one connection for each thread.

Statements are SQL text with `?` for values. For SQLite the row locks are left out: a transaction there is alone.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import peewee

from transparency.server.errors import Conflict, StorageError

Value = str | bytes | int | bool | None
Row = tuple[Any, ...]

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_BUSY_SECONDS = 30
_FOR_UPDATE = " FOR UPDATE"
_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "secure_delete": "on",  # an erased certificate is overwritten, not just unlinked
    "cache_size": -16 * 1024,
    "journal_size_limit": 64 * 1024 * 1024,
}


class Database:
    """A database that threads share, and processes by a Database of their own each. Open it after a fork."""

    def __init__(self, driver: peewee.Database) -> None:
        """Take an unconnected peewee database."""
        self.driver = driver
        self.is_sqlite = isinstance(driver, peewee.SqliteDatabase)
        self._inside = threading.local()
        self._connections: dict[threading.Thread, Any] = {}
        self._registry = threading.Lock()
        self._closed = 0
        # SQLite has one writer: its threads queue here instead of asleep in the busy handler.
        self._writer: contextlib.AbstractContextManager[object] = (
            threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        )

    @classmethod
    def at(cls, url: str) -> Database:
        """Return the database at `sqlite:///path` or `postgresql://…`, without connecting to it."""
        if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
            return cls(_sqlite(Path(url.removeprefix(_SQLITE))))
        if url.startswith(_POSTGRESQL):
            return cls(_postgresql(url))
        msg = "database: give sqlite:/// and the path of a file, or postgresql:// and where the server is"
        raise StorageError(msg)

    def rows(self, sql: str, *values: Value) -> list[Row]:
        """Run a query and return all its rows."""
        rows: list[Row] = self._execute(sql, values).fetchall()
        return rows

    def row(self, sql: str, *values: Value) -> Row | None:
        """Run a query and return its first row, or None."""
        row: Row | None = self._execute(sql, values).fetchone()
        return row

    def run(self, sql: str, *values: Value) -> int:
        """Run a statement that changes rows, and return how many; durable when it returns, outside a transaction."""
        if self._is_inside():
            return int(self._execute(sql, values).rowcount)
        with self._writer:
            return int(self._execute(sql, values).rowcount)

    def run_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> int:
        """Run a statement for each row of values, inside a transaction, and return how many rows it changed."""
        with self._wrapped():
            cursor = self._connection().cursor()
            cursor.executemany(self._compiled(sql), list(rows))
            return int(cursor.rowcount)

    @contextlib.contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[None]:
        """Do what follows wholly or not at all, and durably once the block is left. Transactions do not nest.

        Without `synced`, SQLite keeps it through a killed process but perhaps not through a lost power supply: for
        what nobody was promised. The next synced one takes it along.
        """
        if self._is_inside():
            msg = "a transaction is open in this thread already"
            raise StorageError(msg)
        with self._writer, self._durability(synced):
            self._execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN", ())
            self._inside.value = True
            try:
                yield
                self._execute("COMMIT", ())
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._inside.value = False

    def close(self) -> None:
        """Close the connections of all threads. A later use opens new ones."""
        with self._registry:
            connections = list(self._connections.values())
            self._connections.clear()
            self._closed += 1
        for connection in connections:
            connection.close()

    def _execute(self, sql: str, values: tuple[Value, ...]) -> Any:  # noqa: ANN401 - a cursor of either driver
        """Run a statement; once more, outside a transaction, where the connection was lost meanwhile."""
        self._connect()
        try:
            with self._wrapped():
                return self.driver.execute_sql(self._compiled(sql), values)  # type: ignore[no-untyped-call]  # its stub has no types
        except Conflict:
            raise
        except StorageError:
            if self.is_sqlite or not self._connection().closed:
                raise
            self._inside.generation = -1
            if self._is_inside():
                raise
        self._connect()
        with self._wrapped():
            return self.driver.execute_sql(self._compiled(sql), values)  # type: ignore[no-untyped-call]  # its stub has no types

    def _compiled(self, sql: str) -> str:
        return sql.replace(_FOR_UPDATE, "") if self.is_sqlite else sql.replace("?", "%s")

    def _connection(self) -> Any:  # noqa: ANN401 - a connection of either driver
        self._connect()
        return self.driver.connection()  # type: ignore[no-untyped-call]  # its stub has no types

    def _connect(self) -> None:
        """Have this thread connected."""
        if getattr(self._inside, "generation", -1) == self._closed:
            return
        try:
            self.driver.close()
            self.driver.connect(reuse_if_open=True)
        except (peewee.PeeweeException, OSError) as error:
            msg = f"the database cannot be opened: {_reason(error)}"
            raise StorageError(msg) from None
        with self._registry:
            for thread in [thread for thread in self._connections if not thread.is_alive()]:
                self._connections.pop(thread).close()
            self._connections[threading.current_thread()] = self.driver.connection()  # type: ignore[no-untyped-call]  # its stub has no types
            self._inside.generation = self._closed
            self._inside.value = False

    @contextlib.contextmanager
    def _wrapped(self) -> Iterator[None]:
        """Tell the drivers' errors as ours, without the values of rows."""
        try:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # its stub lacks it
                yield
        except peewee.IntegrityError as error:
            raise Conflict(_reason(error)) from None
        except peewee.PeeweeException as error:
            raise StorageError(_reason(error)) from None

    @contextlib.contextmanager
    def _durability(self, synced: bool) -> Iterator[None]:
        if synced or not self.is_sqlite:
            yield
            return
        self._execute("PRAGMA synchronous = normal", ())
        try:
            yield
        finally:
            self._execute("PRAGMA synchronous = full", ())

    def _is_inside(self) -> bool:
        return bool(getattr(self._inside, "value", False))

    def _roll_back(self) -> None:
        """Undo; a connection that cannot even do that is left, and the server or the file undoes it."""
        try:
            self.driver.execute_sql("ROLLBACK")  # type: ignore[no-untyped-call]  # its stub has no types
        except peewee.PeeweeException:
            self._inside.generation = -1


class _PrivateSqlite(peewee.SqliteDatabase):
    """A SQLite file that only its owner can read: it holds certificates with numbers."""

    def _connect(self) -> Any:  # noqa: ANN401 - peewee's
        path = Path(self.database)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            msg = f"{path}: {error.strerror}; make its folder, or set database to another file"
            raise StorageError(msg) from error
        return super()._connect()  # type: ignore[misc]  # its stub has no types


def _sqlite(path: Path) -> peewee.Database:
    return _PrivateSqlite(str(path), pragmas=_PRAGMAS, timeout=_BUSY_SECONDS, check_same_thread=False)


def _postgresql(url: str) -> peewee.Database:
    try:
        import psycopg  # noqa: F401, PLC0415 - needed only where the URL asks for it
    except ImportError as error:
        msg = "PostgreSQL needs its driver: pip install 'answerback[postgresql]'"
        raise StorageError(msg) from error
    return peewee.PostgresqlDatabase("postgresql://" + url.partition("://")[2], prefer_psycopg3=True)


def _reason(error: BaseException) -> str:
    """Say what the database said, without the values of rows."""
    original = getattr(error, "orig", error)
    diagnosis = getattr(original, "diag", None)  # PostgreSQL's detail quotes the row; its primary message does not
    return str(getattr(diagnosis, "message_primary", None) or original).partition("\n")[0]
