"""Turns: one thread of a process waits for clients and answers them, and the next takes over when it must wait itself.

Threads that are at work at once in one process gain nothing while they compute, since Python's interpreter lock lets
one of them go on at a time. To hand that lock over at every statement, at every byte that is sent, costs as much as a
quarter of the work. So the thread whose turn it is keeps it from one request to the next, and the others sleep until it
steps aside: before it waits for a client, a disk or another thread, or because it has been at one request for too long.
Whoever stepped aside goes on beside the next, and queues for another turn when it is done.
"""

from __future__ import annotations

import math
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from serving.sockets import has_data

_LONGEST_SECONDS = 0.005
"""How long a thread is left alone with one request: as long as the interpreter leaves one with its lock."""
_RESTS_AFTER = 20
"""How many times the watch finds nobody at work before it sleeps until somebody is."""


class Waiting(Protocol):
    """A connection that waits for its client's next request until `timeout`, by `time.monotonic`."""

    sock: socket.socket
    timeout: float


_Connection = TypeVar("_Connection", bound=Waiting)


@dataclass(frozen=True, slots=True, eq=False)
class _Turn(Generic[_Connection]):
    """A thread's turn: what it is at work on since when, None while it waits for clients."""

    thread: int
    connection: _Connection | None = None
    descriptor: int = -1
    since: float = field(default_factory=time.monotonic)


class Turns(Generic[_Connection]):
    """The connections that wait for their clients, and the threads that take turns with them."""

    def __init__(self) -> None:
        """Begin without connections. Call it after a fork."""
        self._lock = threading.Lock()
        """Held by the thread whose turn it is."""
        self._turn: _Turn[_Connection] | None = None
        self._changing = threading.Lock()
        """Held by whoever says that a turn ends, or goes on."""
        self._selector = selectors.DefaultSelector()
        self._waiting: dict[int, _Connection] = {}
        self._deadline = math.inf
        self._ready: deque[int] = deque()
        self._bell, self._clapper = os.pipe()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._at_work = threading.Event()
        self._watches = False
        self._ended = False
        threading.Thread(target=self._watch, name="turns", daemon=True).start()

    def __len__(self) -> int:
        """Return how many connections wait."""
        return len(self._waiting)

    def wait_for(self, connection: _Connection) -> None:
        """Have a connection wait: a new one, or one whose client was answered by the calling thread."""
        descriptor = connection.sock.fileno()
        with self._changing:
            connection.timeout = min(connection.timeout, self._deadline)
            self._waiting[descriptor] = connection
            if self._turn is not None and self._turn.connection is connection:
                self._turn = _Turn(threading.get_ident())
            else:
                self._selector.register(descriptor, selectors.EVENT_READ)

    def next(self) -> _Connection | None:
        """Wait for a turn, then for a client, and return its connection, which waits no more; None once this ended."""
        turn = self._turn
        if turn is None or turn.thread != threading.get_ident():
            self._lock.acquire()
            self._turn = _Turn(threading.get_ident())
        _here.turns = self
        while True:
            while not self._ready:
                self._ready.extend(key.fd for key, _ in self._selector.select())
            descriptor = self._ready.popleft()
            if descriptor == self._bell:
                self.step_aside()
                return None
            connection = self._waiting.pop(descriptor, None)
            if connection is not None:
                self._turn = _Turn(threading.get_ident(), connection, descriptor)
                if not self._watches:
                    self._at_work.set()
                return connection

    def step_aside(self) -> None:
        """Let the next thread have its turn, if this is the calling thread's."""
        turn = self._turn
        if turn is not None and turn.thread == threading.get_ident():
            self._end(turn)

    def make_room(self) -> None:
        """Do so where clients wait; else the turn is kept, for which two threads would have to wake.

        A client that comes meanwhile waits until this thread is done, or has taken long.
        """
        if self._waiting:
            self.step_aside()

    def dismiss(self, most: int, now: float) -> Iterator[_Connection]:
        """Yield connections whose time is over, and the longest waiting where more than `most` wait: they no longer do.

        A request that is there already is answered first.
        """
        waiting = list(self._waiting.items())
        for place, (descriptor, connection) in enumerate(waiting):
            if place >= len(waiting) - most and (now < connection.timeout or _asks(connection)):
                continue
            if self._waiting.pop(descriptor, None) is not None:
                self._selector.unregister(descriptor)
                yield connection

    def hurry(self, deadline: float) -> None:
        """Let no connection wait beyond a time, nor one that comes to wait later."""
        with self._changing:
            self._deadline = deadline
            waiting = list(self._waiting.values())
        for connection in waiting:
            connection.timeout = min(connection.timeout, deadline)

    def end(self) -> None:
        """Tell all threads that ask what is next, now or later, that there is nothing."""
        self._ended = True
        self._at_work.set()
        os.write(self._clapper, b"\0")

    def _end(self, turn: _Turn[_Connection]) -> None:
        """End a turn, unless it has ended; what it is at work on is not offered to the next thread."""
        with self._changing:
            if self._turn is not turn:
                return
            self._turn = None
            if turn.connection is not None:
                self._selector.unregister(turn.descriptor)
        self._lock.release()

    def _watch(self) -> None:
        """End the turns of threads that take long over one request."""
        while not self._ended:
            self._await_work()
            idle = 0
            while idle < _RESTS_AFTER:
                time.sleep(_LONGEST_SECONDS)
                turn = self._turn
                if turn is None or turn.connection is None:
                    idle += 1
                    continue
                idle = 0
                if time.monotonic() - turn.since > _LONGEST_SECONDS:
                    self._end(turn)

    def _await_work(self) -> None:
        self._watches = False
        self._at_work.clear()
        turn = self._turn
        if (turn is None or turn.connection is None) and not self._ended:
            self._at_work.wait()
        self._watches = True


def _asks(connection: Waiting) -> bool:
    """Tell whether a connection's client has asked, or a thread has the connection by now."""
    try:
        return has_data(connection.sock, 0)
    except (OSError, ValueError):
        return True


class _Here(threading.local):
    """What one thread knows of itself: with which others it takes turns."""

    turns: Turns[Any] | None = None


_here = _Here()


def step_aside() -> None:
    """Let another thread of this process have its turn, if a client waits: this one is about to wait itself.

    It does nothing where threads take no turns.
    """
    if _here.turns is not None:
        _here.turns.make_room()
