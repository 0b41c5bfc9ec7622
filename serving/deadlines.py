"""An end to patience: no slow client keeps a thread of a web server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]


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
            threading.Thread(target=self.deadlines.keep, name="deadlines", daemon=True).start()
            super().init_process()

        def handle(self, conn: Any) -> Any:  # noqa: ANN401  # gunicorn is untyped
            """Serve one request, as long as that may take."""
            with self.deadlines.on(conn):
                return super().handle(conn)

    return WebWorker
