from __future__ import annotations

import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from policies.facts import RevocationFacts, RevocationState
from tests.fakes.clock import HandClock
from tests.fakes.small_crl import ISSUER, LEAF, SERIAL, Server, crl
from tests.fakes.small_pki import CRL_URL, NOW
from trust_store.list_keeper import KEPT_FOR, ListKeeper
from trust_store.revocation_lists import RevocationLists


class Signalling(Server):
    """A server that tells when it was asked."""

    def __init__(self, **documents: bytes) -> None:
        """Have the list, where one is given."""
        super().__init__(**documents)
        self.was_asked = threading.Event()

    def __call__(self, url: str) -> bytes:
        """Return the document."""
        try:
            return super().__call__(url)
        finally:
            self.was_asked.set()


def says(keeper: ListKeeper, at: datetime = NOW, url: str = CRL_URL) -> RevocationFacts:
    """Return what a keeper says of the number's certificate."""
    return keeper.status(LEAF, ISSUER, (url,), at)


def waited(keeper: ListKeeper, state: RevocationState) -> bool:
    """Tell whether a keeper comes to say something of the number's certificate."""
    pause = threading.Event()
    return any(says(keeper).state is state or pause.wait(0.01) for _ in range(3000))


def test_a_question_is_answered_by_what_is_at_hand_and_the_list_is_there_for_the_next(tmp_path: Path) -> None:
    """The first call of an authority is believed as it is, the next one by its list."""
    server = Signalling(document=crl(SERIAL))
    keeper = ListKeeper(RevocationLists(tmp_path, server), clock=HandClock(NOW))
    try:
        first = says(keeper)
        assert first.state is RevocationState.UNKNOWN or server.was_asked.is_set()
        assert waited(keeper, RevocationState.REVOKED)
        assert server.asked == [CRL_URL]
    finally:
        keeper.close()


def test_where_it_is_required_a_question_waits_for_the_list(tmp_path: Path) -> None:
    """And a caller is not refused for having been the first."""
    keeper = ListKeeper(
        RevocationLists(tmp_path, Server(document=crl())), is_required=lambda: True, clock=HandClock(NOW)
    )
    keeper._closed = True  # no thread: the question itself asks
    assert says(keeper).state is RevocationState.GOOD


def test_lists_are_asked_for_again_when_they_are_due(tmp_path: Path) -> None:
    """Every few minutes, as long as somebody calls from there once a day."""
    server, clock = Server(document=crl(this_update=NOW)), HandClock(NOW)
    keeper = ListKeeper(RevocationLists(tmp_path, server), clock=clock)
    keeper._closed = True
    says(keeper)
    keeper._closed = False
    for minutes, asked in ((0, 1), (4, 1), (6, 2), (12, 3)):
        clock.now = NOW + timedelta(minutes=minutes)
        keeper.refresh()
        assert len(server.asked) == asked
    clock.now = NOW + KEPT_FOR + timedelta(seconds=1)
    keeper.refresh()
    assert len(server.asked) == 3
    assert keeper._kept == {}


def test_a_closed_keeper_asks_nobody(tmp_path: Path) -> None:
    """It still answers by what is at hand."""
    server = Server(document=crl())
    keeper = ListKeeper(RevocationLists(tmp_path, server))
    keeper.close()
    assert says(keeper).state is RevocationState.UNKNOWN
    keeper.refresh()
    assert server.asked == []


def test_it_keeps_a_bounded_number_of_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones that were not asked about for longest are left."""
    monkeypatch.setattr("trust_store.list_keeper.MOST_KEPT", 2)
    keeper = ListKeeper(RevocationLists(tmp_path))
    keeper._closed = True
    for url in ("a", "b", "a", "c"):
        says(keeper, url=f"https://ca.example/{url}.crl")
    assert [url for url, _ in keeper._kept] == ["https://ca.example/a.crl", "https://ca.example/c.crl"]


def test_the_thread_begins_once_and_again_after_it_is_gone(tmp_path: Path) -> None:
    """As in a process that was forked, where the parent's thread is not."""
    keeper = ListKeeper(RevocationLists(tmp_path, Server(document=crl())), clock=HandClock(NOW))
    try:
        says(keeper)
        begun = keeper._thread
        says(keeper)
        assert keeper._thread is begun
        keeper._thread = None
        says(keeper)
        assert keeper._thread is not begun
    finally:
        keeper.close()
        if begun is not None:
            begun.join(30)


def test_threads_begin_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second finds it."""
    keeper = ListKeeper(RevocationLists(tmp_path, Server(document=crl())), clock=HandClock(NOW))
    made: list[threading.Thread] = []

    class Lock:
        """Lets another thread be first."""

        def __enter__(self) -> None:
            if not made:
                made.append(threading.Thread(target=keeper._wake.wait, args=(30,)))
                made[0].start()
                keeper._thread = made[0]

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(keeper, "_lock", Lock())
    keeper._require_thread()
    assert keeper._thread is made[0]
    keeper.close()


def test_a_certificate_without_a_list_is_unknown(tmp_path: Path) -> None:
    """There is nothing to keep."""
    keeper = ListKeeper(RevocationLists(tmp_path))
    assert keeper.status(LEAF, ISSUER, (), NOW).state is RevocationState.UNKNOWN
    keeper.close()
