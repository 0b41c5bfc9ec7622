from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

import pytest

from tests.fakes.log_world import NOW, SHARD, fill, make_log, published, sealed, shard_of
from transparency.label_index import MAP_CHECKPOINT_PATH, LabelIndex, MapCheckpoint, read_bucket
from transparency.server.config import LogConfig
from transparency.server.errors import HistoryError
from transparency.server.index_keeper import KEPT_FOR, IndexKeeper
from transparency.server.log import Log
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
        bucket = read_bucket(found, label, lambda path: fetch(log, path))
        assert bucket.indices_of(label) == tuple(sorted(indices))
    assert LabelIndex.build(labels).index.root == found.root


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


@pytest.mark.parametrize("damage", [b"", b"x"])
def test_a_damaged_index_is_made_again(log: Log, damage: bytes) -> None:
    """Whatever is missing or wrong in the index is made again from the tree's entries."""
    sequence(log, 400, 1)
    keeper = IndexKeeper(log, shard_of(log))
    keeper.step()
    for path in (log.config.publishing.directory / SHARD.name / "index").rglob("*"):
        if path.is_file() and path.name != "checkpoint":
            path.write_bytes(damage) if damage else path.unlink()
    sequence(log, 300, 401)
    keeper.step()
    assert_indexed(log, 700)
    (log.config.publishing.directory / SHARD.name / MAP_CHECKPOINT_PATH).write_bytes(damage)
    sequence(log, 10, 701)
    assert IndexKeeper(log, shard_of(log)).step() == 710
    assert_indexed(log, 710)


def test_what_is_needed_no_longer_goes_after_a_while(config: LogConfig) -> None:
    """Replaced files stay for those who are reading, then go; also those that a restart has forgotten."""
    now = NOW

    def clock() -> datetime:
        return now

    log = make_log(config, clock=clock)
    keeper = IndexKeeper(log, shard_of(log))
    sequence(log, 300, 1)
    keeper.step()
    folder = config.publishing.directory / SHARD.name / "index"
    before = {path for path in folder.rglob("*") if path.is_file()}
    sequence(log, 300, 301)
    keeper.step()
    assert before <= {path for path in folder.rglob("*") if path.is_file()}
    restarted = IndexKeeper(log, shard_of(log))
    restarted.step()
    now += KEPT_FOR + timedelta(seconds=1)
    sequence(log, 1, 601)
    restarted.step()
    assert not before & {path for path in folder.rglob("*") if path.is_file()} - {folder / "checkpoint"}
    assert_indexed(log, 601)
    log.storage.close()


def test_a_missing_bundle_is_told(log: Log) -> None:
    """Without the entries there is nothing to make the index from, and the operator is told."""
    sequence(log, 5, 1)
    (log.config.publishing.directory / SHARD.name / "tile/entries/000.p/5").unlink()
    with pytest.raises(HistoryError, match="entry bundle"):
        IndexKeeper(log, shard_of(log)).step()
