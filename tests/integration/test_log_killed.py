"""Kill the sequencer at every step that reaches the disk or the database, start it again, and compare all it ever said.

The sequencer runs in a child that is killed with SIGKILL, which no program survives or cleans up after. What a killed
child has written is what the next one finds. (That the kernel keeps what was written is what fsync is for; these tests
kill processes, not machines.)
"""

from __future__ import annotations

import os
import pathlib
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from serving.database import Database
from tests.fakes.log_world import NOW, SHARD, Authority, fill, make_config, make_log, published, sealed, shard_of
from tests.fakes.postgresql import PostgresqlServer
from tests.fakes.storages import DATABASES
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import TileMissingError
from transparency.label_index import MAP_CHECKPOINT_PATH, MapCheckpoint, read_bucket
from transparency.merkle import consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from transparency.server.config import LogConfig
from transparency.server.index_keeper import IndexKeeper
from transparency.server.log import Log
from transparency.server.publishing import FilePublisher
from transparency.server.sequencer import Sequencer
from transparency.signed_note import Note
from transparency.tiles import TileReader

_FIRST, _SECOND = 200, 120  # the second pool fills a tile and begins the next
_MOST_STEPS = 200


class _Told(FilePublisher):
    """Notes every checkpoint beside the log, before it is published: the world may have seen it from then on."""

    def write(self, files: Mapping[str, bytes]) -> None:
        """Note the checkpoint, then write."""
        for path, data in files.items():
            if path.endswith("checkpoint"):
                with (self.directory.parent / "told").open("ab") as file:
                    file.write(data + b"\0")
        super().write(files)


@pytest.fixture(params=DATABASES)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogConfig]:
    """Return the settings of a log with two pools of entries, of which the first is published."""
    if request.param == "sqlite":
        yield make_config(tmp_path, Authority.make())
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_database()
    yield make_config(tmp_path, Authority.make(), database=url)
    server.drop(url)


def _sequence(config: LogConfig, kill_at: int | None) -> None:
    """Do what the sequencer's process does, until nothing waits; be killed before the step of this number."""
    log = make_log(config, publisher=_Told(config.publishing.directory, config.publishing.staging))
    works = Sequencer(log, shard_of(log))
    if kill_at is not None:
        _kill_before(kill_at)
    while works.step():
        pass
    log.storage.close()


def _kill_before(number: int) -> None:
    """Count everything that reaches the disk or the database, and kill this process before one of them."""
    left = number

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return function(*args, **kwargs)

        return call

    for owner, name in (
        (os, "fsync"),
        (pathlib.Path, "rename"),
        (pathlib.Path, "unlink"),
        (Database, "_execute"),
        (Database, "run_many"),
    ):
        setattr(owner, name, counted(getattr(owner, name)))


def _in_child(work: Callable[[], None]) -> bool:
    """Work in a child; return whether it came to its end. A child that fails otherwise fails the test."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing may run on in a copy of the test
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, -signal.SIGKILL}
    return code == 0


def _queue(config: LogConfig, count: int, first: int) -> None:
    log = make_log(config)
    fill(log, count, first)
    log.storage.close()


def _assert_one_history(config: LogConfig, last: int) -> None:
    """Hold every checkpoint that was ever told to the tree, and every entry that may have its SCT to its place."""
    log = make_log(config)
    checkpoint = published(log)

    def fetch(path: str) -> bytes:
        data = log.publisher.read(f"{SHARD.name}/{path}")
        if data is None:
            raise TileMissingError(path)
        return data

    reader = TileReader(fetch, checkpoint.size, checkpoint.root)
    verifier = shard_of(log).keys.checkpoint.verifier
    told = [Checkpoint.from_note(note, verifier) for note in (config.folder / "told").read_bytes().split(b"\0") if note]
    assert len({one.root for one in told}) == len({one.size for one in told})
    for one in told:
        proof = consistency_proof(reader, one.size, checkpoint.size)
        verify_consistency(one.size, checkpoint.size, proof, one.root, checkpoint.root)
    released = log.storage.trees.published_sizes()[SHARD.name]
    assert released <= checkpoint.size
    for serial in range(1, last + 1):
        entry = log.storage.entries.find(sealed(log, serial).id)
        assert entry is not None
        if entry.leaf_index is None or entry.timestamp_ms is None or entry.leaf_index >= released:
            continue
        leaf = SealedEntry(entry.timestamp_ms, entry.label, entry.issuer_key_hash, entry.commitment).to_bytes()
        proof = inclusion_proof(reader, entry.leaf_index, checkpoint.size)
        verify_inclusion(entry.leaf_index, checkpoint.size, leaf_hash(leaf), proof, checkpoint.root)
    log.storage.close()


@pytest.mark.slow
def test_a_killed_sequencer_goes_on_with_one_tree(config: LogConfig) -> None:
    """Killed before each of its steps in turn, the sequencer goes on: no size has two roots, no released entry is lost.

    Each round queues a new pool, kills the sequencer a step later than the round before, looks at what the world can
    see, and lets another finish. It ends with the first round that nobody was left to be killed in.
    """
    _queue(config, _FIRST, 1)
    assert _in_child(partial(_sequence, config, None))
    last = _FIRST
    for kill_at in range(_MOST_STEPS):
        _queue(config, _SECOND, last + 1)
        last += _SECOND
        ended = _in_child(partial(_sequence, config, kill_at))
        if (config.publishing.directory / SHARD.name / "checkpoint").exists():
            log = make_log(config)
            assert log.storage.trees.published_sizes()[SHARD.name] <= published(log).size
            log.storage.close()
        if ended:
            break
        assert _in_child(partial(_sequence, config, None))
    assert ended, "the sequencer has more steps than this test kills it at"
    _assert_one_history(config, last)
    log = make_log(config)
    assert published(log).size == last
    log.storage.close()


def _index(config: LogConfig, now: datetime, kill_at: int | None) -> None:
    """Bring the index up to the tree, and delete what it needs no longer; be killed before the step of this number."""
    moment = now
    log = make_log(config, clock=lambda: moment)
    keeper = IndexKeeper(log, shard_of(log))
    if kill_at is not None:
        _kill_before(kill_at)
    keeper.step()
    moment += timedelta(minutes=30)
    keeper.step()
    log.storage.close()


def _labels_shown(log: Log) -> dict[bytes, tuple[int, ...]]:
    """Return what a watcher of every bucket finds in the index that is shown, which must be whole."""

    def fetch(path: str) -> bytes:
        data = log.publisher.read(f"{SHARD.name}/{path}")
        assert data is not None, path
        return data

    map_ = MapCheckpoint.from_note(fetch(MAP_CHECKPOINT_PATH), shard_of(log).keys.checkpoint.verifier)
    leaves = {}
    for number in range(1 << map_.depth):
        first = (number << (32 - map_.depth)).to_bytes(4, "big") + bytes(28)
        found = read_bucket(map_, first, lambda path, start, length: fetch(path)[start : start + length])
        leaves |= found.leaves
    assert sorted(index for indices in leaves.values() for index in indices) == list(range(map_.log.size))
    return leaves


@pytest.mark.slow
def test_an_index_that_is_killed_at_any_step_is_whole(config: LogConfig) -> None:
    """What is shown is the index before or the index after, and the next start brings it up and leaves no waste."""
    _queue(config, 4000, 1)
    assert _in_child(partial(_sequence, config, None))
    now, last = NOW, 4000
    assert _in_child(partial(_index, config, now, None))
    for kill_at in range(_MOST_STEPS):
        _queue(config, 10, last + 1)
        last += 10
        assert _in_child(partial(_sequence, config, None))
        now += timedelta(hours=1)
        ended = _in_child(partial(_index, config, now, kill_at))
        log = make_log(config)
        _labels_shown(log)
        log.storage.close()
        if ended:
            break
        assert _in_child(partial(_index, config, now, None))
    assert ended, "the index's keeper has more steps than this test kills it at"
    log = make_log(config, clock=lambda: now)
    keeper = IndexKeeper(log, shard_of(log))
    keeper.step()
    now += timedelta(hours=1)
    keeper.step()
    assert len(_labels_shown(log)) == len({sealed(log, serial).label for serial in range(1, last + 1)})
    shown = MapCheckpoint.parse(Note.parse(log.publisher.read(f"{SHARD.name}/{MAP_CHECKPOINT_PATH}") or b"").text)
    segments = log.publisher.sizes(f"{SHARD.name}/index/segment/")
    assert shown.log.size == last
    assert len(segments) <= 3
    assert not list((config.publishing.directory / SHARD.name / "index").rglob(".draft-*"))
    log.storage.close()


@pytest.mark.slow
def test_a_sequencer_killed_twice_in_a_row_goes_on(config: LogConfig) -> None:
    """A crash during the recovery from a crash is survived as well, wherever both come."""
    _queue(config, _FIRST, 1)
    assert _in_child(partial(_sequence, config, None))
    last = _FIRST
    for first_kill in range(5, 60, 6):
        for second_kill in range(0, 30, 5):
            _queue(config, 3, last + 1)
            last += 3
            _in_child(partial(_sequence, config, first_kill))
            _in_child(partial(_sequence, config, second_kill))
    assert _in_child(partial(_sequence, config, None))
    _assert_one_history(config, last)
