from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stir.passport import MESSAGE, Passport, message_integrity
from tests.fakes.small_pki import CALLED, CALLER, NOW, STRANGER, Authority, Held
from trust_store import Outcome, TrustHome, TrustStore
from trust_store.editing import add_anchor
from trust_store.errors import MemoryFileError
from trust_store.seen_messages import MessagesInFile, MessagesInMemory, SeenMessages, message_key

PASSPORT = Passport(
    orig=CALLER,
    dest=(CALLED.digits,),
    issued_at=1,
    ppt=MESSAGE,
    message_integrity=message_integrity(b"hello"),
)
KEY = message_key(PASSPORT, CALLED)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(params=["memory", "file"])
def seen(request: pytest.FixtureRequest, tmp_path: Path) -> SeenMessages:
    """Return each kind of memory, empty."""
    return MessagesInMemory() if request.param == "memory" else MessagesInFile(tmp_path / "new" / "seen.sqlite3")


def test_a_message_is_first_once(seen: SeenMessages) -> None:
    """Every later one is a copy."""
    assert not seen.is_known(KEY)
    assert seen.is_first(KEY, LATER.timestamp(), NOW)
    assert not seen.is_first(KEY, LATER.timestamp(), NOW)
    assert seen.is_known(KEY)


def test_to_ask_does_not_remember(seen: SeenMessages) -> None:
    """A question changes nothing."""
    assert not seen.is_known(KEY)
    assert seen.is_first(b"other", LATER.timestamp(), NOW)
    assert not seen.is_known(KEY)


@pytest.mark.parametrize(
    "other",
    [
        replace(PASSPORT, orig=STRANGER),
        replace(PASSPORT, dest=(STRANGER.digits,)),
        replace(PASSPORT, issued_at=2),
        replace(PASSPORT, message_integrity=message_integrity(b"bye")),
        replace(PASSPORT, dest_uris=("sip:a@b.example",)),
        replace(PASSPORT, ppt=None, message_integrity=None),
    ],
)
def test_a_message_is_known_by_all_that_it_states(other: Passport) -> None:
    """Any other claim makes another message."""
    assert message_key(other, CALLED) != KEY
    assert message_key(PASSPORT, STRANGER) != KEY
    assert message_key(replace(PASSPORT), CALLED) == KEY


def test_a_file_forgets_what_no_token_can_repeat(tmp_path: Path) -> None:
    """A token that is too old is refused by its age; its message need not be remembered."""
    seen = MessagesInFile(tmp_path / "seen.sqlite3", lambda: LATER + timedelta(minutes=1))
    assert seen.is_first(KEY, LATER.timestamp(), NOW)
    assert seen.is_first(b"other", LATER.timestamp(), LATER + timedelta(seconds=1))
    assert not seen.is_known(KEY)


def test_a_message_judged_in_a_time_to_come_erases_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks what is believed in 2099 is not open to copies of what came today."""
    monkeypatch.setattr("trust_store.seen_messages._MOST_IN_MEMORY", 2)
    in_2099 = NOW.replace(year=2099)
    for seen in (MessagesInMemory(lambda: NOW), MessagesInFile(tmp_path / "seen.sqlite3", lambda: NOW)):
        assert seen.is_first(b"first", in_2099.timestamp(), NOW)
        assert seen.is_first(KEY, LATER.timestamp(), NOW)
        assert seen.is_first(b"other", in_2099.timestamp(), in_2099)
        assert seen.is_known(KEY)


def test_a_message_judged_in_a_time_past_is_still_known(tmp_path: Path) -> None:
    """What expired by the machine's clock alone can be repeated to whoever asks about that time again."""
    seen = MessagesInFile(tmp_path / "seen.sqlite3", lambda: LATER + timedelta(days=365))
    assert seen.is_first(KEY, LATER.timestamp(), NOW)
    assert seen.is_first(b"other", LATER.timestamp(), NOW)
    assert not seen.is_first(KEY, LATER.timestamp(), NOW)


def test_memory_forgets_the_old_before_the_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded: what has expired goes first, then what came first."""
    monkeypatch.setattr("trust_store.seen_messages._MOST_IN_MEMORY", 3)
    seen = MessagesInMemory(lambda: NOW)
    assert seen.is_first(b"1", LATER.timestamp(), NOW)
    assert seen.is_first(b"expired", (NOW - timedelta(hours=1)).timestamp(), NOW)
    assert seen.is_first(b"2", LATER.timestamp(), NOW)
    assert seen.is_first(b"3", LATER.timestamp(), NOW)
    assert [seen.is_known(key) for key in (b"1", b"expired", b"2", b"3")] == [True, False, True, True]
    assert seen.is_first(b"4", LATER.timestamp(), NOW)
    assert [seen.is_known(key) for key in (b"1", b"2", b"3", b"4")] == [False, True, True, True]


def test_a_copy_is_known_to_the_next_process(home: TrustHome, root: Authority, held: Held) -> None:
    """A loaded store remembers on the disk, in a file of the user's alone, and no number stands in it."""
    add_anchor(home, root.anchor())
    outcomes = [TrustStore.load(home.trust_file).judge(held.message()).outcome for _ in range(2)]
    assert outcomes == [Outcome.VERIFIED, Outcome.REFUSED]
    assert home.seen_messages.stat().st_mode & 0o077 == 0
    assert CALLER.digits.encode() not in home.seen_messages.read_bytes()


def test_a_damaged_memory_is_an_error(tmp_path: Path) -> None:
    """To go on without it would be to believe copies."""
    path = tmp_path / "seen.sqlite3"
    path.write_bytes(b"this is no database, but long enough to be read as one " * 50)
    seen = MessagesInFile(path)
    for ask in (lambda: seen.is_known(KEY), lambda: seen.is_first(KEY, LATER.timestamp(), NOW)):
        with pytest.raises(MemoryFileError, match="move it away"):
            ask()


def test_a_memory_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(MemoryFileError, match=r"seen\.sqlite3"):
        MessagesInFile(tmp_path / "file" / "seen.sqlite3").is_first(KEY, LATER.timestamp(), NOW)
