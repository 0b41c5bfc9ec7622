"""How long a web server's thread stays with a client: never for long, and a moment longer where it is not missed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from serving.sockets import has_data

_FOLLOWING_MS = 100
"""How long a thread stays with a client that it answered: a program's next request comes sooner, a person's later."""


class Deadlines:
    """Cuts off whoever takes too long. A client that sends half a request would otherwise keep its thread for ever."""

    def __init__(self, longest: float) -> None:
        """Allow `longest` seconds."""
        self._longest = longest
        self._began: dict[Any, float] = {}

    @contextmanager
    def on(self, connection: Any) -> Iterator[None]:  # noqa: ANN401  # gunicorn is untyped
        """Let the time run for what is done meanwhile with a connection, which has its socket as `sock`."""
        self._began[connection] = time.monotonic()
        try:
            yield
        finally:
            del self._began[connection]

    def enforce(self) -> None:
        """Shut down the connections whose time is over; whoever waits for them then reads their end."""
        now = time.monotonic()
        for connection, began in list(self._began.items()):
            if now - began > self._longest:
                with suppress(OSError):
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)  # not TLS's, which is the thread's own

    def keep(self) -> NoReturn:
        """Enforce them, for as long as the process lives."""
        while True:
            time.sleep(min(1.0, self._longest))
            self.enforce()


def web_worker(longest: float) -> type[ThreadWorker]:
    """Return gunicorn's threads, none of which a client keeps for more than `longest` seconds over one request."""

    class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
        """Gunicorn's threads, with an end to patience."""

        longest_seconds = longest

        def init_process(self) -> None:
            """Begin to watch, in the process that serves."""
            self.deadlines = Deadlines(self.longest_seconds)
            self.held: set[Any] = set()
            threading.Thread(target=self.deadlines.keep, name="deadlines", daemon=True).start()
            super().init_process()

        def handle(self, conn: Any) -> Any:  # noqa: ANN401  # gunicorn is untyped
            """Serve one request, as long as that may take, and those that follow it at once.

            To give a connection back and get it again for the next request costs as much as to read that request.
            """
            self.held.add(conn)
            try:
                while True:
                    with self.deadlines.on(conn):
                        stays = super().handle(conn)
                    if stays is not True or not self._follows(conn):
                        return stays
            finally:
                self.held.discard(conn)

        def _follows(self, conn: Any) -> bool:  # noqa: ANN401  # gunicorn is untyped
            """Tell whether the client's next request is there within a moment, unless the thread may be missed.

            Gunicorn sees to a request that it has read in part.
            """
            if not self.alive or 2 * len(self.held) > self.cfg.threads or conn.parser.unreader.buf.getvalue():
                return False
            return has_data(conn.sock, _FOLLOWING_MS)

    return WebWorker
