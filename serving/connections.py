"""The connections of one process to its database, lent to its threads: PostgreSQL's one to each, SQLite's to all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol

from serving.errors import StorageError
from serving.turns import step_aside

Open = Callable[[], Any]
"""Makes a new connection of the driver's own type."""


class Connections(Protocol):
    """Lends connections. A process may fork before the first is open, or after `close`."""

    def lend(self, *, to_write: bool) -> Any:  # noqa: ANN401  # the drivers have no type in common
        """Return a connection that is the calling thread's until it is taken back. It may be used to read only."""

    def take_back(self, connection: Any) -> None:  # noqa: ANN401  # as above
        """Take back what was lent; one that is broken is closed."""

    def close(self) -> None:
        """Close all connections. A later use opens new ones."""


class OneForEachThread:
    """PostgreSQL's connections. One that a parent had open is left alone after a fork: to close it would end both."""

    def __init__(self, open_: Open) -> None:
        """Open nothing yet."""
        self._open_new = open_
        self._here = _Here()
        self._open: dict[threading.Thread, Any] = {}
        self._abandoned: list[Any] = []
        self._registry = threading.Lock()
        self._generation = 0
        self._pid = os.getpid()

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._open)

    def lend(self, *, to_write: bool) -> Any:  # noqa: ANN401, ARG002  # any connection may write
        """Return this thread's connection."""
        here, pid = self._here, os.getpid()
        if here.opened_in == (pid, self._generation):
            return here.connection
        if self._pid != pid:
            self._pid, self._registry = pid, threading.Lock()
            self._abandoned.extend(self._open.values())
            self._open = {}
        connection = self._open_new()
        with self._registry:
            for thread in [thread for thread in self._open if not thread.is_alive()]:
                self._open.pop(thread).close()
            self._open[threading.current_thread()] = connection
            here.connection, here.opened_in = connection, (pid, self._generation)
        return connection

    def take_back(self, connection: Any) -> None:  # noqa: ANN401  # as above
        """Leave the connection to the thread, unless it is closed: the server was restarted, or the network failed."""
        if connection.closed:
            with self._registry:
                self._open.pop(threading.current_thread(), None)
                self._here.opened_in = None

    def close(self) -> None:
        """Close the connections of all threads, also those at work."""
        with self._registry:
            connections = list(self._open.values())
            self._open.clear()
            self._generation += 1
        for connection in connections:
            connection.close()


class _Here(threading.local):
    """What one thread knows of its own connection."""

    opened_in: tuple[int, int] | None = None
    connection: Any = None


class OneThatWrites:
    """SQLite's connections: one that writes, for which threads queue, and others that read while it is busy.

    SQLite has one writer at a time, and whoever waits for it in its busy handler sleeps too long. When nobody writes,
    that connection reads too, because it has pages and statements at hand: every other one drops its pages whenever
    something was written.
    """

    def __init__(self, open_: Open) -> None:
        """Open nothing yet."""
        self._open_new = open_
        self._pid = os.getpid()
        self._begin()

    def _begin(self) -> None:
        self._turn = threading.Lock()
        self._writer: Any = None
        self._readers: list[Any] = []
        self._lent: set[Any] = set()

    def __len__(self) -> int:
        """Return how many connections are open."""
        return (self._writer is not None) + len(self._readers) + len(self._lent)

    def lend(self, *, to_write: bool) -> Any:  # noqa: ANN401  # as above
        """Return the connection that writes, or another one to read where that is busy."""
        if self._pid != os.getpid():
            self._leave_parent()
        if self._turn.acquire(blocking=False) or (to_write and self._wait_for_turn()):
            try:
                self._writer = self._writer or self._open_new()
            except BaseException:
                self._turn.release()
                raise
            return self._writer
        try:
            reader = self._readers.pop()
        except IndexError:
            reader = self._open_new()
        self._lent.add(reader)
        return reader

    def take_back(self, connection: Any) -> None:  # noqa: ANN401  # as above
        """Let the next thread have it."""
        if connection is self._writer:
            if connection.closed:
                self._writer = None
            self._turn.release()
        elif connection in self._lent and not connection.closed:
            self._lent.discard(connection)
            self._readers.append(connection)
        else:  # the database was closed meanwhile
            self._lent.discard(connection)
            connection.close()

    def close(self) -> None:
        """Close the one that writes when its transaction has ended, and those that read once they are taken back."""
        if self._pid != os.getpid():  # what is open is the parent's
            return
        with self._turn:
            writer, self._writer = self._writer, None
            readers, self._readers = self._readers, []
            self._lent.clear()
        for connection in (writer, *readers):
            if connection is not None:
                connection.close()

    def _wait_for_turn(self) -> bool:
        """Wait for the thread that writes, which may wait for another process, or for the disk."""
        step_aside()
        return self._turn.acquire()

    def _leave_parent(self) -> None:
        """Refuse to go on after a fork with connections open.

        SQLite keeps its locks in the process's memory and in the kernel. A fork copies the former only, and a child
        that believes them can destroy the file (sqlite.org/howtocorrupt.html §2.7).
        """
        if len(self):
            msg = "the SQLite database was open when this process forked; close it first, or open it after the fork"
            raise StorageError(msg)
        self._pid = os.getpid()
        self._begin()
