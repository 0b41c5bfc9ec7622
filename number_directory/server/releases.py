"""Waiting for a receipt: one thread looks at the record log for all requests of a front end that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from number_directory.server.errors import ServingError
from serving.turns import step_aside

_LOOK_SECONDS = 0.025


@dataclass
class Releases:
    """Tells when the record log shows more than before. `look` returns its published size."""

    look: Callable[[], int]
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _wanted: threading.Event = field(default_factory=threading.Event, init=False)
    _size: int = field(default=-1, init=False)
    _waiting: int = field(default=0, init=False)
    _looker: threading.Thread | None = field(default=None, init=False)

    def wait(self, place: Callable[[], int | None], seconds: float) -> int | None:
        """Return a leaf's place once the log shows it, None where that takes longer. Raises StorageError."""
        deadline = time.monotonic() + seconds
        step_aside()
        with self._changed:
            self._waiting += 1
            self._wanted.set()
            if self._looker is None or not self._looker.is_alive():
                self._looker = threading.Thread(target=self._keep_looking, name="releases", daemon=True)
                self._looker.start()
        try:
            return self._wait(place, deadline)
        finally:
            with self._changed:
                self._waiting -= 1

    def _wait(self, place: Callable[[], int | None], deadline: float) -> int | None:
        while True:
            with self._changed:
                seen = self._size
            index = place()
            if index is not None and index < seen:
                return index
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                if self._size == seen:
                    self._changed.wait(left)

    def _keep_looking(self) -> None:
        """Look as long as anybody waits, then sleep until somebody does: a connection is made once."""
        while self._wanted.wait():
            try:
                size = self.look()
            except ServingError:
                size = self._size  # whoever waits asks the database too, and tells its client
            with self._changed:
                if size != self._size:
                    self._size = size
                    self._changed.notify_all()
                if self._waiting == 0:
                    self._wanted.clear()
            time.sleep(_LOOK_SECONDS)
