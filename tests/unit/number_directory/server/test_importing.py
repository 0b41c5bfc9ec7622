from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from number_directory.access_list import ANYONE, AppAccess
from number_directory.server import importing
from number_directory.server.errors import ImportFailure
from number_directory.server.importing import Progress, import_file
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_world import DirectoryWorld

NUMBERS = [TelephoneNumber(f"1303555{index:04}") for index in range(40)]


@pytest.fixture
def now_world(world: DirectoryWorld) -> DirectoryWorld:
    """Return a world at the real time, by which an import goes."""
    world.clock.now = datetime.now(UTC)
    return world


def lines(world: DirectoryWorld) -> list[str]:
    """Return what many owners signed."""
    now = world.clock()
    for index, number in enumerate(NUMBERS):
        life = timedelta(days=300)
        held = world.authority.number(number, serial=5000 + index, not_before=now - life, not_after=now + life)
        world.hold(number, held)
    records = [world.record_token(number) for number in NUMBERS]
    access = [world.access_list_token(number, default=AppAccess(frozenset({ANYONE}))) for number in NUMBERS[:10]]
    return [*records, *access]


def test_a_file_is_imported_and_again_without_harm(now_world: DirectoryWorld, tmp_path: Path) -> None:
    """Records and access lists count as if they had been sent; the second time, all are known."""
    file = tmp_path / "statements"
    text = "\n".join([*lines(now_world), "nonsense", ""])
    file.write_text(text)
    told: list[Progress] = []
    now_world.directory.storage.close()
    done = import_file(now_world.config, file, 2, told.append)
    assert (done.taken, done.known, done.refused) == (50, 0, 1)
    assert [reason.partition(":")[0] for reason in done.reasons] == ["malformed"]
    assert (told[0].position, told[-1].position, told[-1].size) == (0, len(text), len(text))
    answer = now_world.look_up(*NUMBERS, caller=None)
    assert [bool(texts) for texts in answer.records.values()] == [True] * 10 + [False] * 30
    assert now_world.sequencer().step() == 50
    now_world.directory.storage.close()
    again = import_file(now_world.config, file, 1, told.append)
    assert (again.taken, again.known, again.refused) == (0, 50, 1)


def test_what_nobody_admitted_signed_is_not_imported(now_world: DirectoryWorld, tmp_path: Path) -> None:
    """Each statement is verified, wherever it comes from."""
    file = tmp_path / "statements"
    file.write_text("\n".join(lines(now_world)))
    now_world.config.admission.write_text("")
    now_world.directory.storage.close()
    done = import_file(now_world.config, file, 1, lambda _: None)
    assert (done.taken, done.refused) == (0, 50)
    assert [reason.partition(":")[0] for reason in done.reasons] == ["notAdmitted"]


def test_a_file_that_cannot_be_read_is_told(small_world: DirectoryWorld, tmp_path: Path) -> None:
    """The operator is told which file."""
    small_world.directory.storage.close()
    with pytest.raises(ImportFailure, match="statements"):
        import_file(small_world.config, tmp_path / "statements", 1, lambda _: None)


def _import_and_die(world: DirectoryWorld, file: Path, after: int) -> None:
    """Import in another process, which is killed once so many statements are in."""

    def tell(progress: Progress) -> None:
        if progress.done.statements >= after:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=import_file, args=(world.config, file, 2, tell))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


def test_a_killed_import_goes_on_where_it_was(
    now_world: DirectoryWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `kill -9`, what was taken is not verified again; a file that has changed is read from its beginning."""
    monkeypatch.setattr(importing, "_BATCH_LINES", 10)
    file = tmp_path / "statements"
    file.write_text("\n".join(lines(now_world)) + "\n")
    now_world.directory.storage.close()
    _import_and_die(now_world, file, after=20)
    told: list[Progress] = []
    done = import_file(now_world.config, file, 1, told.append)
    assert (done.skipped, done.taken, done.known) == (20, 30, 0)
    assert told[0].position == done.skipped_bytes > 0
    again = import_file(now_world.config, file, 1, told.append)
    assert (again.skipped, again.taken, again.known) == (0, 0, 50)
    assert now_world.sequencer().step() == 50


@pytest.mark.parametrize("change", ["the file", "from the start"])
def test_an_import_begins_anew_where_that_is_meant(
    now_world: DirectoryWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Another file under the same name, and one that is asked for from its start, is read from there."""
    monkeypatch.setattr(importing, "_BATCH_LINES", 10)
    file = tmp_path / "statements"
    file.write_text("\n".join(lines(now_world)) + "\n")
    now_world.directory.storage.close()
    _import_and_die(now_world, file, after=20)
    if change == "the file":
        file.write_text(file.read_text() + "nonsense\n")
    done = import_file(now_world.config, file, 1, lambda _: None, from_start=change == "from the start")
    assert (done.skipped, done.taken, done.known) == (0, 30, 20)
