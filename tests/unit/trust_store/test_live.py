from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from tests.fakes.small_pki import CALLER, NOW, Authority, Held
from trust_store import LiveTrustStore, Outcome, Rule, TrustHome, TrustStore
from trust_store import live as live_module
from trust_store.editing import add_anchor, add_deny, remove_anchor, remove_deny
from trust_store.entries import DenyEntry
from trust_store.errors import FetchError, TrustFileError, TrustStoreError


@pytest.fixture
def live(home: TrustHome, root: Authority) -> LiveTrustStore:
    """Return a live store that believes the root."""
    add_anchor(home, root.anchor())
    return LiveTrustStore(home.trust_file, settles_in=0)


def test_what_the_user_changes_counts_from_the_next_call_on(home: TrustHome, live: LiveTrustStore, held: Held) -> None:
    """An app need not be restarted, nor load anything."""
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    add_deny(home, DenyEntry(number=CALLER.e164))
    assert live.judge(held.call()).rule is Rule.DENIED_NUMBER
    remove_anchor(home, "example-ca")
    assert live.explain(held.call()).verdict.rule is Rule.DENIED_NUMBER
    assert live.current.anchors == ()


def test_a_store_that_begins_without_a_file_sees_the_first_one(home: TrustHome, root: Authority, held: Held) -> None:
    """Nobody is believed until somebody is."""
    live = LiveTrustStore(home.trust_file, settles_in=0)
    assert live.judge(held.call()).outcome is Outcome.UNVERIFIED
    add_anchor(home, root.anchor())
    assert live.judge(held.call()).outcome is Outcome.VERIFIED


def test_nothing_is_read_again_while_nothing_changes(live: LiveTrustStore, held: Held) -> None:
    """What was verified stays remembered."""
    live.judge(held.call())
    before = live.current
    live.judge(held.call())
    assert live.current is before


def test_a_slip_of_the_pen_loses_no_limit(home: TrustHome, root: Authority, held: Held) -> None:
    """The last good store stays in use, the trouble is told once, and goes when the file is mended."""
    told: list[TrustStoreError] = []
    add_anchor(home, root.anchor())
    live = LiveTrustStore(home.trust_file, on_trouble=told.append, settles_in=0)
    good = home.trust_file.read_text()
    home.trust_file.write_text(good + "[[deny]\n")
    for _ in range(2):
        assert live.judge(held.call()).outcome is Outcome.VERIFIED
    assert isinstance(live.trouble, TrustFileError)
    assert told == [live.trouble]
    home.trust_file.write_text(good)
    os.utime(home.trust_file, ns=(1, 1))
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    assert live.trouble is None


def test_a_store_that_cannot_be_read_at_first_is_an_error(home: TrustHome) -> None:
    """There is no last good one."""
    home.trust_file.parent.mkdir()
    home.trust_file.write_text("[[anchor]\n")
    with pytest.raises(TrustFileError):
        LiveTrustStore(home.trust_file)


def test_a_file_that_another_names_is_followed_too(home: TrustHome, live: LiveTrustStore, held: Held) -> None:
    """A feed grows while the app runs."""
    feed = home.trust_file.parent / "ports.csv"
    feed.write_text("")
    with home.trust_file.open("a") as file:
        file.write('\n[[feed]]\nfile = "ports.csv"\n')
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    feed.write_text(f"{CALLER.e164},{NOW.date()},port\n")
    assert live.judge(held.call()).rule is Rule.TRANSITION


def test_an_apps_defaults_are_followed(home: TrustHome, root: Authority, held: Held, tmp_path: Path) -> None:
    """An update of the app may change them."""
    app = TrustHome.beside(tmp_path / "app" / "trust.toml")
    live = LiveTrustStore(home.trust_file, defaults=app.trust_file, settles_in=0)
    assert live.judge(held.call()).outcome is Outcome.UNVERIFIED
    add_anchor(app, root.anchor())
    assert live.judge(held.call()).outcome is Outcome.VERIFIED


def test_the_users_own_store_is_followed(home: TrustHome, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no path is given."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(home.trust_file.parent))
    assert LiveTrustStore().judge(held.call()).outcome is Outcome.UNVERIFIED


def test_a_message_stays_a_copy_after_a_change(home: TrustHome, live: LiveTrustStore, held: Held) -> None:
    """The memory of messages is not the store's."""
    assert live.judge(held.message()).outcome is Outcome.VERIFIED
    add_deny(home, DenyEntry(prefix="+1900"))
    assert live.judge(held.message()).rule is Rule.DUPLICATE


def test_threads_may_share_it_while_it_changes(home: TrustHome, live: LiveTrustStore, held: Held) -> None:
    """Each question has one whole store, the old one or the new."""
    outcomes: set[Outcome] = set()
    stop = threading.Event()

    def judge() -> None:
        while not stop.is_set():
            outcomes.add(live.judge(held.call()).outcome)

    threads = [threading.Thread(target=judge) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        add_deny(home, DenyEntry(number=CALLER.e164))
        live.judge(held.call())
        remove_deny(home, DenyEntry(number=CALLER.e164))
        live.judge(held.call())
    stop.set()
    for thread in threads:
        thread.join(30)
    assert outcomes <= {Outcome.VERIFIED, Outcome.REFUSED}


def test_a_reload_that_another_thread_did_is_not_done_again(
    home: TrustHome, live: LiveTrustStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads see one change; the second finds the new store."""
    add_deny(home, DenyEntry(number=CALLER.e164))
    loaded: list[TrustHome] = []
    of_home = TrustStore.of_home

    def counted(home: TrustHome, *arguments: object, **options: object) -> TrustStore:
        loaded.append(home)
        return of_home(home, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("trust_store.live.TrustStore.of_home", counted)
    live._reload()
    live._reload()
    assert len(loaded) == 1


def test_lists_are_fetched_in_the_background(home: TrustHome, root: Authority, held: Held) -> None:
    """The call does not wait; where revocation is required, it does."""
    asked = threading.Event()

    def fetch(_: str) -> bytes:
        asked.set()
        msg = "ca.example could not be asked"
        raise FetchError(msg)

    add_anchor(home, root.anchor())
    with LiveTrustStore(home.trust_file, fetch=fetch, settles_in=0) as live:
        assert live.judge(held.call()).outcome is Outcome.VERIFIED
        assert asked.wait(30)
        with home.trust_file.open("a") as file:
            file.write('\n[settings]\nrevocation = "required"\n')
        found = live.judge(held.call())
        assert found.rule is Rule.REVOCATION
    LiveTrustStore(home.trust_file).close()


class Clocks:
    """The two clocks by which a live store tells whether a file has settled."""

    def __init__(self) -> None:
        """Begin now."""
        self.wall, self.steady = time.time(), 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Have live stores go by clocks that stand still."""
    made = Clocks()
    monkeypatch.setattr(live_module.time, "time", lambda: made.wall)
    monkeypatch.setattr(live_module.time, "monotonic", lambda: made.steady)
    return made


def test_a_file_that_an_editor_empties_before_it_writes_is_waited_for(
    home: TrustHome, root: Authority, held: Held, clocks: Clocks
) -> None:
    """The last good store answers until the file was left alone for a second."""
    add_anchor(home, root.anchor())
    live = LiveTrustStore(home.trust_file)
    text = home.trust_file.read_text()
    home.trust_file.write_text("")
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    clocks.advance(0.5)
    home.trust_file.write_text(f'{text}\n[[deny]]\nnumber = "{CALLER.e164}"\n')
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    clocks.advance(1.5)
    assert live.judge(held.call()).rule is Rule.DENIED_NUMBER
    assert live.trouble is None


def test_a_store_that_has_become_empty_is_told_once(
    home: TrustHome, root: Authority, held: Held, clocks: Clocks
) -> None:
    """Whether it was meant or not: from then on nobody is believed."""
    told: list[TrustStoreError] = []
    add_anchor(home, root.anchor())
    live = LiveTrustStore(home.trust_file, on_trouble=told.append)
    home.trust_file.write_text("")
    clocks.advance(5)
    for _ in range(2):
        assert live.judge(held.call()).outcome is Outcome.UNVERIFIED
    (trouble,) = told
    assert str(trouble) == f"{home.trust_file}: it names no anchor any more, so that nobody is believed"


@pytest.mark.parametrize("wall", [0.0, -1000.0])
def test_where_no_clock_tells_when_a_file_changed_it_is_waited_for(
    home: TrustHome, root: Authority, held: Held, clocks: Clocks, wall: float
) -> None:
    """A file that is gone has no time; one whose time is to come has none that helps."""
    add_anchor(home, root.anchor())
    live = LiveTrustStore(home.trust_file)
    if wall:
        home.trust_file.write_text("")
        clocks.wall += wall
    else:
        home.trust_file.unlink()
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    clocks.advance(0.5)
    assert live.judge(held.call()).outcome is Outcome.VERIFIED
    clocks.advance(0.6)
    assert live.judge(held.call()).outcome is Outcome.UNVERIFIED
