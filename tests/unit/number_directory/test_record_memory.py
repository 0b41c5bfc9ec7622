from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import platformdirs
import pytest

from number_directory import record_memory
from number_directory.record_memory import FILE_NAME, KEY_NAME, RecordMemory, RecordMemoryError
from number_directory.remembered import Remembered
from tests.fakes.directory_statements import ASKER, CHAT, ISSUED_AT, URL, VIDEO, published, record
from tests.fakes.small_pki import CALLED, CALLER

THREADS = 4


def seen(sequence: int = 1, app: str = CHAT) -> Remembered:
    """Return what is remembered of a record."""
    return Remembered.of(published(record(app, sequence=sequence)), URL, ISSUED_AT)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[RecordMemory]:
    """Return a memory in a folder that is not there yet."""
    with RecordMemory(tmp_path / "home" / "state") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return its folder."""
    return tmp_path / "home" / "state"


def test_what_was_seen_is_recalled_by_the_next_process(memory: RecordMemory, folder: Path) -> None:
    """Of each number and app, as it was."""
    assert memory.recall(CALLED, CHAT) is None
    assert memory.remember(seen(), None)
    assert memory.remember(replace(seen(app=VIDEO), since=7), None)
    with RecordMemory(folder) as other:
        assert other.recall(CALLED, CHAT) == seen()
        assert other.recall(CALLED, VIDEO) == replace(seen(app=VIDEO), since=7)
        assert other.recall(CALLER, CHAT) is None


def test_only_who_read_it_replaces_it(memory: RecordMemory, folder: Path) -> None:
    """Whoever has read what is gone by now is told, and changes nothing."""
    assert memory.remember(seen(), None)
    assert not memory.remember(seen(2), None)
    with RecordMemory(folder) as other:
        assert other.remember(seen(3), seen())
    assert not memory.remember(seen(2), seen())
    assert memory.recall(CALLED, CHAT) == seen(3)


def test_many_at_once_never_go_back(folder: Path) -> None:
    """Lookups that run side by side, each with its own connection, leave the newest."""

    def remember(sequence: int) -> None:
        with RecordMemory(folder) as mine:
            while True:
                kept = mine.recall(CALLED, CHAT)
                if kept is not None and kept.record.sequence >= sequence:
                    return
                if mine.remember(seen(sequence), kept):
                    return

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(remember, [3, 9, 1, 7, 5, 8, 2, 6, 4]))
    with RecordMemory(folder) as memory:
        assert memory.recall(CALLED, CHAT) == seen(9)


def test_a_number_is_forgotten(memory: RecordMemory) -> None:
    """With all its apps, and no other number."""
    other = Remembered.of(published(record(number=CALLER), ASKER), URL, ISSUED_AT)
    for one in (seen(), seen(app=VIDEO), other):
        memory.remember(one, None)
    memory.forget([CALLED])
    assert memory.recall(CALLED, CHAT) is memory.recall(CALLED, VIDEO) is None
    assert memory.recall(CALLER, CHAT) == other


def test_what_serves_no_more_is_forgotten(memory: RecordMemory) -> None:
    """Whatever is kept until before the time of the next sighting."""
    memory.remember(replace(seen(), keep_until=ISSUED_AT - 1), None)
    memory.remember(seen(app=VIDEO), None)
    assert memory.recall(CALLED, CHAT) is None
    assert memory.recall(CALLED, VIDEO) is not None


def test_it_stays_small(memory: RecordMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more records than there is room for, those go that would be forgotten first."""
    monkeypatch.setattr(record_memory, "MOST_REMEMBERED", 2)
    apps = ["a.example", "b.example", "c.example"]
    for late, app in zip((5, 1, 9), apps, strict=True):
        memory.remember(replace(seen(app=app), keep_until=ISSUED_AT + late), None)
    assert [app for app in apps if memory.recall(CALLED, app)] == ["a.example", "c.example"]


def test_the_files_are_the_users_alone_and_show_no_number(memory: RecordMemory, folder: Path) -> None:
    """Neither digits, nor an app, nor a place stands in either of them, and nothing is left of what is forgotten."""
    memory.remember(seen(), None)
    files = {path.name: path for path in folder.iterdir()}
    assert files.keys() >= {FILE_NAME, KEY_NAME}
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        data = path.read_bytes()
        assert not any(word in data for word in (CALLED.digits.encode(), CHAT.encode(), URL.encode()))
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    (sealed,) = rows(folder)
    memory.forget([CALLED])
    memory.close()
    assert sealed not in (folder / FILE_NAME).read_bytes()


def rows(folder: Path) -> list[bytes]:
    """Return what is sealed in the file."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as database:
        return [sealed for (sealed,) in database.execute("SELECT sealed FROM seen")]


def test_another_secret_finds_nothing(memory: RecordMemory, folder: Path) -> None:
    """Without the secret, nobody can tell whether a number is there."""
    memory.remember(seen(), None)
    memory.close()
    (folder / KEY_NAME).unlink()
    assert memory.recall(CALLED, CHAT) is None


def test_those_who_come_at_once_make_one_secret(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes second uses the first one's."""
    with RecordMemory(folder) as first:
        first.remember(seen(), None)
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name != KEY_NAME and exists(path))
    with RecordMemory(folder) as second:
        assert second.recall(CALLED, CHAT) == seen()
    assert {path.name for path in folder.iterdir()} == {FILE_NAME, KEY_NAME}


@pytest.mark.parametrize("sealed", [b"", b"x" * 12, b"x" * 100, "text", 7])
def test_a_damaged_row_is_told(memory: RecordMemory, folder: Path, sealed: object) -> None:
    """With the file, and what to do: nothing is taken as not seen that was."""
    memory.remember(seen(), None)
    with closing(sqlite3.connect(folder / FILE_NAME)) as database, database:
        database.execute("UPDATE seen SET sealed = ?", (sealed,))
    with pytest.raises(RecordMemoryError, match=r"seen-records\.sqlite3: it is damaged; move it away"):
        memory.recall(CALLED, CHAT)


def test_a_row_of_another_app_is_damaged(memory: RecordMemory, folder: Path) -> None:
    """Rows that change places do not open."""
    memory.remember(seen(), None)
    memory.remember(seen(app=VIDEO), None)
    with closing(sqlite3.connect(folder / FILE_NAME)) as database, database:
        database.execute("UPDATE seen SET sealed = (SELECT sealed FROM seen LIMIT 1)")
    with pytest.raises(RecordMemoryError, match="damaged"):
        [memory.recall(CALLED, app) for app in (CHAT, VIDEO)]


def test_a_file_that_is_none_is_told(folder: Path) -> None:
    """As is a folder that cannot be made."""
    folder.mkdir(parents=True)
    (folder / FILE_NAME).write_bytes(b"no database" * 1000)
    with RecordMemory(folder) as memory, pytest.raises(RecordMemoryError, match="not a database"):
        memory.recall(CALLED, CHAT)
    with RecordMemory(folder / FILE_NAME / "below") as memory, pytest.raises(RecordMemoryError, match="cannot use"):
        memory.recall(CALLED, CHAT)


def test_it_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In $ANSWERBACK_HOME, or among the user's states."""
    monkeypatch.setenv(record_memory.HOME_VARIABLE, str(tmp_path / "named"))
    with RecordMemory.of_user() as memory:
        memory.remember(seen(), None)
    assert (tmp_path / "named" / FILE_NAME).exists()
    monkeypatch.delenv(record_memory.HOME_VARIABLE)
    monkeypatch.setattr(platformdirs.PlatformDirs, "user_state_path", property(lambda _: tmp_path / "own"))
    with RecordMemory.of_user() as memory:
        memory.remember(seen(), None)
    assert (tmp_path / "own" / FILE_NAME).exists()
