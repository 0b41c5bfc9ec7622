"""Which signed requests were answered already: none is answered twice, by whichever worker or host.

A request is fresh for a minute, so that little must be remembered. On one host that is a table of one size in a file
that all workers map (`ReplayTable`); several hosts share a table in their database (`storage.replays`).
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from number_directory.server.errors import ConfigurationError
from serving.mapping import map_file

KEY_SIZE: Final = 12
"""Bytes of a request's hash that tell it apart."""

_SLOT = struct.Struct("<12sI")
_WAYS = 16
_SET_BYTES = _WAYS * _SLOT.size
_OWNER_ONLY = 0o600


class Replays(Protocol):
    """Remembers requests until they are no longer fresh."""

    def spend(self, key: bytes, expires_at: datetime, now: datetime) -> bool | None:
        """Note a request by `KEY_SIZE` bytes; return False where it was before, None where there is no room to note it.

        A request that could not be noted must not be answered: it could be again.
        """
        ...


class ReplayTable:
    """A hash table in a file, of which each entry is 16 bytes. It never grows.

    A set of it that is full of fresh requests takes no more: with the usual 2**20 places, that begins to happen, to one
    request in a million, at half a million requests within their freshness.
    """

    def __init__(self, path: Path, places: int = 2**20) -> None:
        """Map the file, which is made where it is missing. Raises ConfigurationError. Call it after a fork."""
        self._sets = places // _WAYS
        size = self._sets * _SET_BYTES
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
            self._map = map_file(self._file, size)
        except OSError as error:
            msg = f"{path} cannot be used to remember requests: {error.strerror}"
            raise ConfigurationError(msg) from error
        self._lock = threading.Lock()

    def spend(self, key: bytes, expires_at: datetime, now: datetime) -> bool | None:
        """Note a request; see `Replays`."""
        start = int.from_bytes(key[:4], "big") % self._sets * _SET_BYTES
        present, until = int(now.timestamp()), int(expires_at.timestamp()) + 1
        with self._lock:  # the file's lock is one of all who opened it, and threads share that
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                return self._spend(start, key, until, present)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _spend(self, start: int, key: bytes, until: int, present: int) -> bool | None:
        free = None
        for at in range(start, start + _SET_BYTES, _SLOT.size):
            found, expires = _SLOT.unpack_from(self._map, at)
            if expires < present:
                free = at if free is None else free
            elif found == key:
                return False
        if free is None:
            return None
        _SLOT.pack_into(self._map, free, key, until)
        return True

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
        os.close(self._file)
