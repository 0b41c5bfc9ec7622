"""Revocation lists that are fetched in the background, so that no call waits for the network.

Of each path that was judged in the last day, the keeper has the newest list ready: it asks again when a list is older
than `ASKED_AGAIN_AFTER`. A question is answered by what is at hand. Where nothing is, and revocation is required, the
question waits for that one list; where it is not required, the caller is believed at once, and the list is there for
the next call.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from cryptography import x509

from policies.facts import RevocationFacts, RevocationState
from trust_store.revocation_lists import ASKED_AGAIN_AFTER, RevocationLists

KEPT_FOR = timedelta(days=1)
"""How long after it was last asked about a list is kept new."""
MOST_KEPT = 256
"""How many lists are kept new; the ones that were not asked about for longest are left."""


def _now() -> datetime:
    return datetime.now(UTC)


class ListKeeper:
    """Knows about revocation by the lists at hand, and keeps them new. Threads may share it.

    `every` is how often it looks, `is_required` whether a question may wait for a list that is missing. The thread
    begins with the first question, and again in a process that was forked.
    """

    def __init__(
        self,
        lists: RevocationLists,
        *,
        every: timedelta = ASKED_AGAIN_AFTER,
        is_required: Callable[[], bool] = lambda: False,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """Keep these lists, which were given a way to be fetched."""
        self._lists = lists
        self._every = every
        self._is_required = is_required
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, x509.Certificate], datetime] = OrderedDict()
        self._wake = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return what is known of a certificate whose issuer publishes its list at each of the URLs."""
        is_new = self._remember(issuer, urls)
        facts = self._lists.status_at_hand(certificate, issuer, urls, at)
        if facts.state is RevocationState.UNKNOWN and self._is_required():
            facts = self._lists.status(certificate, issuer, urls, at)
        if is_new or facts.state is RevocationState.UNKNOWN:
            self._wake.set()
        self._require_thread()
        return facts

    def refresh(self) -> None:
        """Ask for the lists that are due, once, in this thread."""
        now = self._clock()
        with self._lock:
            for key in [key for key, used in self._kept.items() if now - used > KEPT_FOR]:
                del self._kept[key]
            due = list(self._kept)
        for url, issuer in due:
            if not self._closed:
                self._lists.newest(url, issuer, now)

    def close(self) -> None:
        """End the thread, and wait until a list that it is asking for has come or failed."""
        self._closed = True
        self._wake.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def _remember(self, issuer: x509.Certificate, urls: tuple[str, ...]) -> bool:
        """Keep the lists of a path that was asked about; tell whether one of them is new here."""
        now, is_new = self._clock(), False
        with self._lock:
            for url in urls:
                is_new = is_new or (url, issuer) not in self._kept
                self._kept[url, issuer] = now
                self._kept.move_to_end((url, issuer))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return is_new

    def _require_thread(self) -> None:
        if self._closed or (self._thread is not None and self._thread.is_alive()):
            return
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._keep, name="answerback-lists", daemon=True)
                self._thread.start()

    def _keep(self) -> None:
        while not self._closed:
            self._wake.clear()
            self.refresh()
            self._wake.wait(self._every.total_seconds())
