"""Connections and transactions: one connection for each thread, to SQLite or PostgreSQL, through peewee.

Statements are kept as SQL text in PostgreSQL's dialect with `?` for values. Building one with peewee's query language
takes longer than SQLite takes to run it, and every request runs several. For SQLite the row locks (`FOR UPDATE …`) are
left out: there a transaction that writes is alone from its first statement on.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import peewee

from serving.errors import Conflict, StorageError

Value = str | bytes | int | bool | None
Row = tuple[Any, ...]

_ROW_LOCK = re.compile(r"\s+FOR (NO KEY )?UPDATE( OF \w+(, \w+)*)?( SKIP LOCKED)?")
_SQLITE = "sqlite:///"
_POSTGRESQL = "postgresql://"
_BUSY_SECONDS = 30
_OLDEST_SQLITE = (3, 35, 0)  # RETURNING
_SQLITE_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": "full",
    "foreign_keys": 1,
    "secure_delete": "on",  # what is erased is overwritten, not just unlinked
    "journal_size_limit": 64 * 1024 * 1024,
}


class _Cursor(Protocol):
    rowcount: int

    def fetchall(self) -> list[Row]: ...
    def fetchone(self) -> Row | None: ...


class _Here(threading.local):
    """What one thread knows of its own connection."""

    opened_in: tuple[int, int] | None = None
    inside: bool = False


class Database:
    """A database that threads and processes share. Connections are opened when first used.

    Programs of one process may share it too: each brings its own tables (`serving.migrations`) and its own statements.
    A process may fork before the first use, or after `close`. With connections open, only PostgreSQL's can be left
    behind. Every method raises StorageError.
    """

    def __init__(self, driver: peewee.Database) -> None:
        """Take an unconnected peewee database."""
        self.driver = driver
        self.is_sqlite = isinstance(driver, peewee.SqliteDatabase)
        self._here = _Here()
        self._compiled: dict[str, str] = {}
        self._open: dict[threading.Thread, Any] = {}
        self._abandoned: list[Any] = []
        self._registry = threading.Lock()
        self._generation = 0
        self._pid = os.getpid()
        self._writer: AbstractContextManager[object] = self._new_writer()

    @classmethod
    def at(cls, url: str, *, cache_mib: int | None = None) -> Database:
        """Return the database at `sqlite:///path` or `postgresql://…`, without connecting to it.

        `cache_mib` is how much of a SQLite file each connection may keep in memory, where its own default is too small.
        """
        if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
            return cls(_sqlite(Path(url.removeprefix(_SQLITE)), cache_mib))
        if url.startswith((_POSTGRESQL, "postgres://")):
            return cls(_postgresql(_POSTGRESQL + url.partition("://")[2]))
        msg = "database: give sqlite:/// and the path of a file, or postgresql:// and where the server is"
        raise StorageError(msg)

    def rows(self, sql: str, *values: Value) -> list[Row]:
        """Run a query and return all its rows."""
        self._ready()
        return self._execute(sql, values, again=not self._here.inside).fetchall()

    def row(self, sql: str, *values: Value) -> Row | None:
        """Run a query and return its first row, or None."""
        self._ready()
        return self._execute(sql, values, again=not self._here.inside).fetchone()

    def run(self, sql: str, *values: Value) -> int:
        """Run a statement that changes rows, and return how many."""
        self._ready()
        if self._here.inside:
            return self._execute(sql, values).rowcount
        with self._writer:
            return self._execute(sql, values).rowcount

    def run_soon_durable(self, sql: str, *values: Value) -> int:
        """Run one statement outside a transaction; on SQLite it survives a killed process, but not a lost power supply.

        For what nobody was promised. A commit that is synced takes these along.
        """
        if not self.is_sqlite:
            return self.run(sql, *values)
        self._ready()
        with self._writer, self._unsynced():
            return self._execute(sql, values).rowcount

    def run_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> int:
        """Run a statement for each row of values, inside a transaction, and return how many rows it changed."""
        compiled = self._compiled.get(sql) or self._compile(sql)
        with _translated():
            cursor = self.driver.connection().cursor()  # type: ignore[no-untyped-call]  # its stub has no types
            cursor.executemany(compiled, list(rows))
        return int(cursor.rowcount)

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[None]:
        """Do what follows wholly or not at all, and durably once the block is left. Transactions do not nest.

        Without `synced`, SQLite keeps it through a killed process but perhaps not through a lost power supply: for
        what nobody was promised. The next synced commit takes it along.
        """
        if self._here.inside:
            msg = "a transaction is open in this thread already"
            raise StorageError(msg)
        self._ready()
        with self._writer, nullcontext() if synced or not self.is_sqlite else self._unsynced():
            self._execute("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN", (), again=True)
            self._here.inside = True
            try:
                yield
                self._execute("COMMIT", ())
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._here.inside = False

    def close(self) -> None:
        """Close the connections of all threads. A later use opens new ones."""
        with self._registry:
            connections = list(self._open.values())
            self._open.clear()
            self._generation += 1
        for connection in connections:
            connection.close()

    def _execute(self, sql: str, values: tuple[Value, ...], *, again: bool = False) -> _Cursor:
        """Run a statement; with `again`, once more over a new connection where the old one was lost."""
        compiled = self._compiled.get(sql) or self._compile(sql)
        try:
            cursor: _Cursor = self.driver.execute_sql(compiled, values)  # type: ignore[no-untyped-call]  # its stub has no types
        except peewee.IntegrityError as error:
            raise Conflict(_reason(error)) from None
        except peewee.PeeweeException as error:
            if not self._lost():
                raise StorageError(_reason(error)) from None
            self._forget()
            if not again:
                raise StorageError(_reason(error)) from None
        else:
            return cursor
        self._ready()
        return self._execute(sql, values)

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        """Have SQLite commit without waiting for the disk. Only the one writer may ask for it."""
        self._execute("PRAGMA synchronous = normal", ())
        try:
            yield
        finally:
            self._execute("PRAGMA synchronous = full", ())

    def _compile(self, sql: str) -> str:
        compiled = _ROW_LOCK.sub("", sql) if self.is_sqlite else sql.replace("?", "%s")
        self._compiled[sql] = compiled
        return compiled

    def _roll_back(self) -> None:
        """Undo; a connection that cannot even do that is left, and the server or the file undoes it."""
        try:
            self.driver.execute_sql("ROLLBACK")  # type: ignore[no-untyped-call]  # its stub has no types
        except peewee.PeeweeException:
            self._forget()

    def _ready(self) -> None:
        """Have this thread connected, by a connection of this process; call it before taking any lock."""
        if self._here.opened_in == (self._pid, self._generation) and self._pid == os.getpid():
            return
        if self._pid != os.getpid():
            self._leave_parent()
        self.driver.dispose()
        try:
            self.driver.connect()
        except (peewee.PeeweeException, OSError) as error:
            msg = f"the database cannot be opened: {_reason(error)}"
            raise StorageError(msg) from None
        with self._registry:
            self._close_dead()
            self._open[threading.current_thread()] = self.driver.connection()  # type: ignore[no-untyped-call]  # its stub has no types
            self._here.opened_in = (self._pid, self._generation)
            self._here.inside = False

    def _leave_parent(self) -> None:
        """Leave the parent's connections alone after a fork: to close one here would talk over the parent's.

        SQLite keeps its locks in the process's memory and in the kernel. A fork copies the former only, and a child
        that believes them can destroy the file (sqlite.org/howtocorrupt.html §2.7).
        """
        if self.is_sqlite and self._open:
            msg = "the SQLite database was open when this process forked; close it first, or open it after the fork"
            raise StorageError(msg)
        self._pid = os.getpid()
        self._registry = threading.Lock()
        self._writer = self._new_writer()
        self._abandoned.extend(self._open.values())
        self._open = {}

    def _close_dead(self) -> None:
        for thread in [thread for thread in self._open if not thread.is_alive()]:
            self._open.pop(thread).close()

    def _lost(self) -> bool:
        """Tell whether this thread's connection is gone: the server was restarted, or the network failed."""
        connection = self._open.get(threading.current_thread())
        return not self.is_sqlite and (connection is None or bool(connection.closed))

    def _forget(self) -> None:
        with self._registry:
            connection = self._open.pop(threading.current_thread(), None)
            self._here.opened_in = None
        if connection is not None:
            connection.close()

    def _new_writer(self) -> AbstractContextManager[object]:
        """Let the threads of a process queue for SQLite's one writer, instead of asleep in its busy handler."""
        return threading.Lock() if self.is_sqlite else nullcontext()


def _sqlite(path: Path, cache_mib: int | None) -> peewee.Database:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        msg = f"SQLite {sqlite3.sqlite_version} is too old: 3.35 or newer is needed"
        raise StorageError(msg)
    cache = {} if cache_mib is None else {"cache_size": -1024 * cache_mib}
    return _PrivateSqlite(str(path), pragmas=_SQLITE_PRAGMAS | cache, timeout=_BUSY_SECONDS, check_same_thread=False)


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


@contextmanager
def _translated() -> Iterator[None]:
    """Tell the drivers' errors as ours, where a statement does not go through peewee."""
    try:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]  # its stub lacks it
            yield
    except peewee.IntegrityError as error:
        raise Conflict(_reason(error)) from None
    except peewee.PeeweeException as error:
        raise StorageError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    """Say what the database said, without the values of rows: they may be secrets."""
    original = getattr(error, "orig", error)
    diagnosis = getattr(original, "diag", None)  # PostgreSQL's detail quotes the row; its primary message does not
    return str(getattr(diagnosis, "message_primary", None) or original).partition("\n")[0]
