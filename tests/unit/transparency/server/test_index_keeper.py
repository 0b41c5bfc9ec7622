from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.index_files import built
from tests.fakes.log_world import (
    NOW,
    SHARD,
    Authority,
    FailingPublisher,
    fill,
    make_config,
    make_log,
    published,
    sealed,
    shard_of,
)
from transparency.checkpoint import Checkpoint
from transparency.label_index import MAP_CHECKPOINT_PATH, MapCheckpoint, read_bucket
from transparency.server import index_keeper
from transparency.server.config import LogConfig
from transparency.server.errors import HistoryError, PublishingError
from transparency.server.index_keeper import KEPT_FOR, IndexKeeper
from transparency.server.log import Log
from transparency.server.publishing import FilePublisher
from transparency.server.sequencer import Sequencer


def sequence(log: Log, count: int, first: int) -> None:
    """Let the tree grow."""
    fill(log, count, first)
    Sequencer(log, shard_of(log)).step()


def fetch(log: Log, path: str) -> bytes:
    """Return a published file of the shard."""
    data = log.publisher.read(f"{SHARD.name}/{path}")
    assert data is not None
    return data


def checkpoint(log: Log) -> MapCheckpoint:
    """Return the published map checkpoint, its signature checked."""
    return MapCheckpoint.from_note(fetch(log, MAP_CHECKPOINT_PATH), shard_of(log).keys.checkpoint.verifier)


def assert_indexed(log: Log, count: int) -> None:
    """Hold the published index to the tree, and to what is kept of each entry."""
    found = checkpoint(log)
    assert (found.log.size, found.log.root) == (published(log).size, published(log).root)
    expected = defaultdict(list)
    labels = [b""] * count
    for serial in range(1, count + 1):
        entry = log.storage.entries.find(sealed(log, serial).id)
        assert entry is not None
        assert entry.leaf_index is not None
        expected[entry.label].append(entry.leaf_index)
        labels[entry.leaf_index] = entry.label
    for label, indices in expected.items():
        bucket = read_bucket(found, label, lambda path, start, length: fetch(log, path)[start : start + length])
        assert bucket.indices_of(label) == tuple(sorted(indices))
    assert built(labels)[0].root == found.root


def test_the_index_follows_the_tree(log: Log) -> None:
    """After each turn the index has every published entry, and names the checkpoint that it was made from."""
    keeper = IndexKeeper(log, shard_of(log))
    first = 1
    for count in (1, 300, 40, 500):
        sequence(log, count, first)
        first += count
        assert keeper.step() == count
        assert_indexed(log, first - 1)
    assert keeper.step() == 0


def test_an_empty_log_has_an_index(log: Log) -> None:
    """Absence can be shown before the first entry; a log without a checkpoint has no index yet."""
    keeper = IndexKeeper(log, shard_of(log))
    assert keeper.step() == 0
    Sequencer(log, shard_of(log)).step()
    assert keeper.step() == 0
    assert checkpoint(log).log.size == 0


def test_a_restart_goes_on_where_the_index_is(log: Log) -> None:
    """A new keeper reads the published index and adds what it lacks."""
    sequence(log, 400, 1)
    IndexKeeper(log, shard_of(log)).step()
    sequence(log, 30, 401)
    assert IndexKeeper(log, shard_of(log)).step() == 30
    assert_indexed(log, 430)


def segments(log: Log) -> set[Path]:
    """Return the segments that are published."""
    return set((log.config.publishing.directory / SHARD.name / "index/segment").iterdir())


@pytest.mark.parametrize("damage", [b"", b"x"])
def test_a_damaged_index_is_made_again(log: Log, damage: bytes) -> None:
    """Whatever is missing or wrong in the index is made again from the tree's entries."""
    sequence(log, 400, 1)
    keeper = IndexKeeper(log, shard_of(log))
    keeper.step()
    for path in segments(log):
        path.write_bytes(damage) if damage else path.unlink()
    sequence(log, 300, 401)
    keeper.step()
    assert_indexed(log, 700)
    (log.config.publishing.directory / SHARD.name / MAP_CHECKPOINT_PATH).write_bytes(damage)
    sequence(log, 10, 701)
    assert IndexKeeper(log, shard_of(log)).step() == 710
    assert_indexed(log, 710)


def test_a_damage_at_the_start_is_made_good_at_once(log: Log) -> None:
    """A new keeper does not wait for new entries to mend what its readers cannot read."""
    sequence(log, 400, 1)
    IndexKeeper(log, shard_of(log)).step()
    for path in segments(log):
        path.unlink()
    assert IndexKeeper(log, shard_of(log)).step() == 400
    assert_indexed(log, 400)


def test_what_is_needed_no_longer_goes_after_a_while(config: LogConfig) -> None:
    """Replaced segments stay for those who are reading, then go; also those that a restart has forgotten."""
    now = NOW

    def clock() -> datetime:
        return now

    log = make_log(config, clock=clock)
    keeper = IndexKeeper(log, shard_of(log))
    sequence(log, 300, 1)
    keeper.step()
    before = segments(log)
    sequence(log, 300, 301)
    keeper.step()
    assert before < segments(log)
    restarted = IndexKeeper(log, shard_of(log))
    restarted.step()
    now += KEPT_FOR + timedelta(seconds=1)
    sequence(log, 1, 601)
    restarted.step()
    assert not before & segments(log)
    assert_indexed(log, 601)
    log.storage.close()


def test_catching_up_leaves_no_waste(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an index is on its way, while it is brought up step by step, was shown to nobody and goes at once."""
    monkeypatch.setattr(index_keeper, "_AT_ONCE", 256)
    sequence(log, 2000, 1)
    assert IndexKeeper(log, shard_of(log)).step() == 2000
    assert len(segments(log)) == 1
    assert_indexed(log, 2000)


def test_an_index_ahead_of_its_tree_is_not_gone_back_from(config: LogConfig, tmp_path: Path) -> None:
    """Where the tree's files are an old copy, or another's, the index that was shown stays, and a person is told."""
    log, other = make_log(config), make_log(make_config(tmp_path / "other", Authority.make()))
    sequence(log, 5, 1)
    old = fetch(log, "checkpoint")
    sequence(log, 5, 6)
    IndexKeeper(log, shard_of(log)).step()
    shown = fetch(log, MAP_CHECKPOINT_PATH)
    sequence(other, 10, 50)
    forked = Checkpoint(shard_of(log).origin, 10, published(other).root).to_note([shard_of(log).keys.checkpoint])
    for checkpoint_note in (old, forked):
        log.publisher.write({f"{SHARD.name}/checkpoint": checkpoint_note})
        with pytest.raises(HistoryError, match="no one copy"):
            IndexKeeper(log, shard_of(log)).step()
        assert fetch(log, MAP_CHECKPOINT_PATH) == shown
    log.storage.close()
    other.storage.close()


@pytest.mark.parametrize("step", ["write", "write checkpoint", "delete", "read"])
def test_a_full_disk_loses_nothing(config: LogConfig, step: str) -> None:
    """Whatever step fails, the index that is shown is whole, and the next turn goes on from there."""
    failing = False

    def fail(what: str) -> None:
        if failing and what == step:
            msg = "no space left on device"
            raise PublishingError(msg)

    now = NOW
    publisher = FailingPublisher(FilePublisher(config.publishing.directory, config.publishing.staging), fail)
    log = make_log(config, publisher=publisher, clock=lambda: now)
    keeper = IndexKeeper(log, shard_of(log))
    sequence(log, 300, 1)
    keeper.step()
    sequence(log, 300, 301)
    keeper.step()
    shown, size = checkpoint(log), 600
    sequence(log, 300, 601)
    failing, now = True, now + KEPT_FOR
    with pytest.raises(PublishingError):
        keeper.step()
    failing = False
    if step == "delete":
        shown, size = checkpoint(log), 900
    for number in range(1 << shown.depth):
        first = (number << (32 - shown.depth)).to_bytes(4, "big") + bytes(28)
        bucket = read_bucket(shown, first, lambda path, start, length: fetch(log, path)[start : start + length])
        assert all(index < size for indices in bucket.leaves.values() for index in indices)
    assert keeper.step() == 900 - size
    assert_indexed(log, 900)
    log.storage.close()


def test_a_missing_bundle_is_told(log: Log) -> None:
    """Without the entries there is nothing to make the index from, and the operator is told."""
    sequence(log, 5, 1)
    (log.config.publishing.directory / SHARD.name / "tile/entries/000.p/5").unlink()
    with pytest.raises(HistoryError, match="entry bundle"):
        IndexKeeper(log, shard_of(log)).step()
