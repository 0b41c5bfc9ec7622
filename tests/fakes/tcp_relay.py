"""A TCP relay in front of a server, which can cut what goes through it: how a network fails."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self


class TcpRelay:
    """Passes bytes both ways between its own port and a server's, until told to cut."""

    def __init__(self, server_port: int) -> None:
        """Listen on a free port of the loopback address."""
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin to relay."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut everything and stop."""
        self._stopping = True
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        self._thread.join()
        self.cut()
        self._selector.close()
        self._listener.close()

    def cut(self) -> None:
        """Close all connections at once, with a reset."""
        with self._lock:
            for sock in self._peers:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._pass_on(key.fileobj)
        for sock in list(self._peers):
            self._forget(sock)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._stopping:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._server_port))
        with self._lock:
            self._peers |= {client: server, server: client}
        for sock in (client, server):
            self._selector.register(sock, selectors.EVENT_READ)

    def _pass_on(self, sock: socket.socket) -> None:
        peer = self._peers.get(sock)
        if peer is None:
            return
        try:
            octets = sock.recv(65536)
            if octets:
                peer.sendall(octets)
                return
        except OSError:
            pass
        self._forget(sock)
        self._forget(peer)

    def _forget(self, sock: socket.socket) -> None:
        with self._lock:
            if self._peers.pop(sock, None) is None:
                return
        self._selector.unregister(sock)
        sock.close()
