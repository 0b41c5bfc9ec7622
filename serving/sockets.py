"""Asking the kernel about a connection."""

from __future__ import annotations

import select
import socket
import ssl


def has_data(connection: socket.socket, milliseconds: int) -> bool:
    """Tell whether something can be read from a connection, or its end, within so many milliseconds."""
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return True
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(milliseconds))
