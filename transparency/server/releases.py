"""Waiting for an entry's place: one thread looks at the database for all requests of a front end that wait."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from serving.errors import ServingError
from transparency.server.storage import LoggedEntry, Storage

_LOOK_SECONDS = 0.02


@dataclass
class Releases:
    """Tells when an entry's SCT may be given out: it has its place, and everybody can read the tree that holds it.

    `most` is how many may wait at once: whoever comes on top of them is told to come again, so that a sequencer that
    stands still does not take the last thread from those who only read.
    """

    storage: Storage
    most: int = 1_000_000
    _changed: threading.Condition = field(default_factory=threading.Condition, init=False)
    _wanted: threading.Event = field(default_factory=threading.Event, init=False)
    _sizes: dict[str, int] = field(default_factory=dict, init=False)
    _waiting: int = field(default=0, init=False)
    _looker: threading.Thread | None = field(default=None, init=False)

    def wait(self, id_: bytes, seconds: float) -> LoggedEntry | None:
        """Return the entry once it is released, None where that takes longer. Raises StorageError."""
        deadline = time.monotonic() + seconds
        with self._changed:
            if self._waiting >= self.most:
                deadline = time.monotonic()
            self._waiting += 1
            self._wanted.set()
            if self._looker is None or not self._looker.is_alive():
                self._looker = threading.Thread(target=self._look, name="releases", daemon=True)
                self._looker.start()
        try:
            return self._wait(id_, deadline)
        finally:
            with self._changed:
                self._waiting -= 1

    def _wait(self, id_: bytes, deadline: float) -> LoggedEntry | None:
        while True:
            with self._changed:
                seen = dict(self._sizes)
            entry = self.storage.entries.find(id_)
            if entry is not None and entry.leaf_index is not None and entry.leaf_index < seen.get(entry.shard, 0):
                return entry
            with self._changed:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                if self._sizes == seen:
                    self._changed.wait(left)

    def _look(self) -> None:
        """Look as long as anybody waits, then sleep until somebody does: a connection is made once."""
        while self._wanted.wait():
            try:
                sizes = self.storage.trees.published_sizes()
            except ServingError:
                sizes = self._sizes  # whoever waits asks the database too, and tells its client
            with self._changed:
                if sizes != self._sizes:
                    self._sizes = sizes
                    self._changed.notify_all()
                if self._waiting == 0:
                    self._wanted.clear()
            time.sleep(_LOOK_SECONDS)
