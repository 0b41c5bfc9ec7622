from __future__ import annotations

import fcntl
import os
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from number_directory.server.errors import ConfigurationError
from number_directory.server.replays import KEY_SIZE, Replays, ReplayTable
from tests.fakes.directory_world import DirectoryWorld
from tests.fakes.small_pki import NOW

SOON = NOW + timedelta(minutes=1)


@pytest.fixture(params=["file", "database"])
def replays(request: pytest.FixtureRequest, world: DirectoryWorld, tmp_path: Path) -> Replays:
    """Return each memory of requests."""
    return (
        ReplayTable(tmp_path / "replays", places=1024) if request.param == "file" else world.directory.storage.replays
    )


def test_a_request_is_spent_once(replays: Replays) -> None:
    """The first to come is noted, and the second is not the first."""
    key, other = os.urandom(KEY_SIZE), os.urandom(KEY_SIZE)
    assert replays.spend(key, SOON, NOW) is True
    assert replays.spend(key, SOON, NOW) is False
    assert replays.spend(other, SOON, NOW) is True


def test_a_place_is_free_again_when_its_request_is_no_longer_fresh(tmp_path: Path) -> None:
    """The table never grows: a full set takes no more, until what is in it has expired."""
    table = ReplayTable(tmp_path / "replays", places=16)
    size = (tmp_path / "replays").stat().st_size
    for _ in range(16):
        assert table.spend(os.urandom(KEY_SIZE), SOON, NOW) is True
    assert table.spend(os.urandom(KEY_SIZE), SOON, NOW) is None
    later = NOW + timedelta(minutes=2)
    assert table.spend(os.urandom(KEY_SIZE), later + timedelta(minutes=1), later) is True
    assert (tmp_path / "replays").stat().st_size == size
    table.close()


def test_processes_share_a_table(tmp_path: Path) -> None:
    """Of processes that are sent the same requests, each request is one's."""
    path, keys = tmp_path / "replays", [os.urandom(KEY_SIZE) for _ in range(500)]
    readers = []
    for _ in range(3):
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                table = ReplayTable(path, places=2**14)
                os.write(writer, bytes(table.spend(key, SOON, NOW) is True for key in keys))
            finally:
                os._exit(0)
        os.close(writer)
        readers.append(reader)
    won = []
    for reader in readers:
        with os.fdopen(reader, "rb") as pipe:
            won.append(pipe.read())
        os.wait()
    assert [sum(each) for each in zip(*won, strict=True)] == [1] * len(keys)


def test_whoever_opened_a_table_shares_it(tmp_path: Path) -> None:
    """Of two that are open in one process, only one can be at work: a request that comes at once is answered once."""
    first, second = (ReplayTable(tmp_path / "replays", 16) for _ in range(2))
    until = NOW + timedelta(seconds=60)
    waiting = threading.Thread(target=second.spend, args=(bytes(KEY_SIZE), until, NOW))
    with (tmp_path / "replays").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(5)
    assert first.spend(bytes(KEY_SIZE), until, NOW) is False
    first.close()
    second.close()


def test_a_table_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """The operator is told which file, and why."""
    with pytest.raises(ConfigurationError, match="replays"):
        ReplayTable(tmp_path / "missing" / "replays")
