"""A bell between those who queue SMS and those who send them, on one machine.

It only spares a waiting worker to look again and again. Nothing is lost with a ring that nobody hears: the worker looks
all the same, only later.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import threading
from pathlib import Path

_SUFFIX = ".bell"
_MANY_RINGS = 4096


class Doorbell:
    """A named pipe. Each process has an object of its own, made after it forked; its threads may ring at once."""

    def __init__(self, path: Path) -> None:
        """Use the pipe at this path; it is made when somebody waits at it."""
        self._path = path
        self._turn = threading.Lock()  # else one thread writes to a number that another closed: by now any file's
        self._ringing: int | None = None
        self._waiting: int | None = None

    @classmethod
    def beside(cls, database: Path | None) -> Doorbell | None:
        """Return the bell of all processes that share a SQLite file; None for a database on a server."""
        return None if database is None else cls(database.with_name(database.name + _SUFFIX))

    def ring(self) -> None:
        """Wake whoever waits, and do not mind if nobody does."""
        with self._turn:
            try:
                if self._ringing is None:
                    self._ringing = self._open(os.O_WRONLY)
                os.write(self._ringing, b"\0")
            except BlockingIOError:  # it has been rung often enough
                pass
            except OSError:
                self._hang_up()

    def wait(self, seconds: float) -> None:
        """Return when it rings, or has rung since the last wait, at the latest after so many seconds. One thread waits.

        Raises OSError where the pipe cannot be made.
        """
        if self._waiting is None:
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self._path, 0o600)
            # Open to write as well: otherwise the pipe ends when the last process that rang does.
            self._waiting = self._open(os.O_RDWR)
        waiting = select.poll()
        waiting.register(self._waiting, select.POLLIN)
        if waiting.poll(seconds * 1000):
            with contextlib.suppress(BlockingIOError):  # another worker was quicker
                os.read(self._waiting, _MANY_RINGS)

    def close(self) -> None:
        """Let go of the pipe."""
        with self._turn:
            self._hang_up()
        if self._waiting is not None:
            os.close(self._waiting)
            self._waiting = None

    def _open(self, mode: int) -> int:
        """Open the pipe; refuse a file in its place, which would ring for ever."""
        descriptor = os.open(self._path, mode | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        return descriptor

    def _hang_up(self) -> None:
        ringing, self._ringing = self._ringing, None
        if ringing is not None:
            os.close(ringing)
