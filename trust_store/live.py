"""A trust store that follows its files: what the user changes counts within a second."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeAlias

from policies.terms import RevocationMode
from policies.verdicts import Verdict
from trust_store.errors import TrustFileError, TrustStoreError
from trust_store.evidence import Evidence
from trust_store.home import TrustHome
from trust_store.list_keeper import ListKeeper
from trust_store.revocation_lists import Fetch, RevocationLists
from trust_store.seen_messages import MessagesInFile
from trust_store.store import Explanation, RevocationSource, TrustStore

SETTLES_IN = 1.0
"""For how many seconds a file is left alone before it is read again."""

_Stamp: TypeAlias = tuple[tuple[int, int, int, int] | None, ...]


class LiveTrustStore:
    """The user's store as it is now. Threads may share it.

    Before each question it looks whether a file has changed, which takes a few microseconds, and loads the store anew
    where one has and was left alone since for `settles_in` seconds: an editor may empty a file before it writes it, and
    one that is half written may lack a limit. Where the files cannot be read then, the last good store stays in use, so
    that no limit is lost by a slip of the pen; `trouble` says what is wrong, and `on_trouble` is told once. It is told
    as well when a store has lost its last anchor: none becomes empty unnoticed.

    With `fetch`, revocation lists are fetched by a `ListKeeper` in a thread of its own, so that no question waits for
    the network, but where revocation is required and no list is at hand. `close` ends the thread.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        fetch: Fetch | None = None,
        defaults: Path | None = None,
        on_trouble: Callable[[TrustStoreError], None] = lambda _: None,
        settles_in: float = SETTLES_IN,
    ) -> None:
        """Load the store; raise TrustStoreError where that cannot be done."""
        self._home = TrustHome.of_user() if path is None else TrustHome.beside(path)
        self._defaults = defaults
        self._on_trouble = on_trouble
        self._settles_in = settles_in
        self._changing: tuple[_Stamp, float] | None = None
        lists = RevocationLists(self._home.revocation_lists, fetch)
        self._keeper = None if fetch is None else ListKeeper(lists, is_required=self._is_revocation_required)
        self._revocation: RevocationSource = self._keeper or lists
        self._seen = MessagesInFile(self._home.seen_messages)
        self._lock = threading.Lock()
        self._trouble: TrustStoreError | None = None
        self._store, self._stamp = self._loaded((self._home.trust_file,))

    @property
    def trouble(self) -> TrustStoreError | None:
        """Why the files as they are now do not count; None where they do."""
        return self._trouble

    @property
    def current(self) -> TrustStore:
        """The store as it is now; it does not change under the hands of whoever has it."""
        if _stamp(self._store.files) != self._stamp:
            self._reload()
        return self._store

    def judge(self, evidence: Evidence) -> Verdict:
        """Return the verdict on a call, a message or a record; see `TrustStore.judge`."""
        return self.current.judge(evidence)

    def explain(self, evidence: Evidence) -> Explanation:
        """Return the verdict with what each rule found; see `TrustStore.explain`."""
        return self.current.explain(evidence)

    def close(self) -> None:
        """End the thread that fetches revocation lists, where there is one."""
        if self._keeper is not None:
            self._keeper.close()

    def __enter__(self) -> Self:
        """Be closed at the end of a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def _is_revocation_required(self) -> bool:
        return self._store.settings.revocation is RevocationMode.REQUIRED

    def _reload(self) -> None:
        with self._lock:
            stamp = _stamp(self._store.files)
            if stamp == self._stamp or not self._is_settled(stamp):  # or another thread was faster
                return
            had_anchors = bool(self._store.anchors)
            try:
                self._store, self._stamp = self._loaded(self._store.files)
                self._trouble = None
            except TrustStoreError as error:
                self._trouble, self._stamp = error, stamp
                self._on_trouble(error)
                return
            if had_anchors and not self._store.anchors:
                msg = f"{self._home.trust_file}: it names no anchor any more, so that nobody is believed"
                self._on_trouble(TrustFileError(msg))

    def _is_settled(self, stamp: _Stamp) -> bool:
        """Tell whether files have been left alone long enough: by when they changed, or by when that was first seen.

        The second counts where a file is gone, or has changed at a time that is to come by this clock.
        """
        ages = [-1.0 if one is None else time.time() - one[2] / 1e9 for one in stamp]
        if all(age >= self._settles_in for age in ages):
            return True
        now = time.monotonic()
        if self._changing is None or self._changing[0] != stamp:
            self._changing = stamp, now
        return now - self._changing[1] >= self._settles_in

    def _loaded(self, files: tuple[Path, ...]) -> tuple[TrustStore, _Stamp]:
        """Load the store, with a stamp of its files that is as old as what was read: a change after it is seen."""
        while True:
            stamp = _stamp(files)
            store = TrustStore.of_home(self._home, self._revocation, self._seen, defaults=self._defaults)
            if store.files == files:
                return store, stamp
            files = store.files


def _stamp(files: tuple[Path, ...]) -> _Stamp:
    """Tell files apart from what they were before: a change of any of them changes this."""
    return tuple(_stamp_of(file) for file in files)


def _stamp_of(file: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116  # asked before each question: a Path's own takes twice as long
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
