"""Gunicorn's threads, taking turns (`serving.turns`): for programs that wait for nothing far away while they answer."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from serving.deadlines import Deadlines
from serving.log import describe
from serving.turns import Turns

_LARGEST_KEPT = 256 * 1024
"""Bytes of an answer that are kept until it is whole."""

_log = logging.getLogger(__name__)


class ClientSocket(socket.socket):
    """A client's socket: whoever must wait for the client steps aside before. An answer leaves in one piece."""

    def __init__(self, accepted: socket.socket, turns: Turns[Any]) -> None:
        """Take over an accepted connection."""
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self._turns = turns
        self._unsent: list[bytes] = []

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive up to `bufsize` bytes."""
        self.flush()
        try:
            return super().recv(bufsize, flags | socket.MSG_DONTWAIT)
        except BlockingIOError:
            self._turns.make_room()
        return super().recv(bufsize, flags)

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401, ARG002  # gunicorn has bytes, and no flags
        """Keep what is to be sent until `flush`, or until it is much."""
        self._unsent.append(bytes(data))
        if len(data) > _LARGEST_KEPT:
            self.flush()

    def sendfile(self, *file: Any, **part: Any) -> int:  # noqa: ANN401  # as `socket.socket` has them
        """Send a file, after what was to be sent before it."""
        self.flush()
        self._turns.make_room()
        return super().sendfile(*file, **part)

    def flush(self) -> None:
        """Send what was kept."""
        if not self._unsent:
            return
        data = b"".join(self._unsent)
        self._unsent.clear()
        try:
            sent = self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._turns.make_room()
            super().sendall(memoryview(data)[sent:])

    def close(self) -> None:
        """Close, once nobody else waits for what comes from here."""
        self._turns.step_aside()
        super().close()


class TurnWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn accepts connections and says when it is over; in between they are with the threads and their turns."""

    longest_seconds: float

    def init_process(self) -> None:
        """Begin to watch, in the process that serves."""
        self.deadlines = Deadlines(self.longest_seconds)
        self.turns: Turns[Any] = Turns()
        threading.Thread(target=self.deadlines.keep, name="deadlines", daemon=True).start()
        super().init_process()

    def run(self) -> None:
        """Serve until gunicorn says that it is over."""
        for _ in range(self.cfg.threads):
            self.tpool.submit(self._serve)
        try:
            super().run()
        finally:
            self.turns.end()

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Have a connection that gunicorn has accepted wait for its client."""
        conn.sock = ClientSocket(conn.sock, self.turns)
        conn.data_ready = True  # before a thread has it
        self._wait_for(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT002  # gunicorn's
        """Close the connections whose clients were silent for too long, or for longest where they are too many."""
        most, now = (0, math.inf) if force else (self.max_keepalived, time.monotonic())
        for conn in self.turns.dismiss(most, now):
            conn.close()
            self.nr_conns -= 1

    def _cap_keepalive(self, deadline: float) -> None:
        self.turns.hurry(deadline)

    def _wait_for(self, conn: Any) -> None:  # noqa: ANN401  # as above
        conn.set_timeout()
        self.turns.wait_for(conn)

    def _serve(self) -> None:
        """Answer clients, whenever it is this thread's turn."""
        while (conn := self.turns.next()) is not None:
            try:
                stays = self._answer(conn)
            except OSError:  # the client has gone
                stays = False
            except Exception as error:  # noqa: BLE001  # whatever one client did, the next is served
                _log.error("connection_failed: %s", describe(error))
                stays = False
            if stays:
                self._wait_for(conn)
            else:
                self._leave(conn)

    def _answer(self, conn: Any) -> bool:  # noqa: ANN401  # as above
        """Answer what a client has asked so far, and tell whether it may ask more."""
        stays = True
        while stays:
            with self.deadlines.on(conn):
                stays = bool(self.handle(conn))
                conn.sock.flush()
            if not conn.parser.unreader.buf.getvalue():
                break
        return stays

    def _leave(self, conn: Any) -> None:  # noqa: ANN401  # as above
        """Close a connection beside the next turn: that takes until the client has read its last answer."""
        self.turns.step_aside()
        with suppress(OSError):
            conn.close(graceful=True)
        self.method_queue.defer(self._left)

    def _left(self) -> None:
        self.nr_conns -= 1


def turn_worker(longest: float) -> type[TurnWorker]:
    """Return gunicorn's threads, taking turns. No client keeps one for more than `longest` seconds over one request."""
    return type("TurnWorker", (TurnWorker,), {"longest_seconds": longest})
