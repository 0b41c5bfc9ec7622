from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.fakes.log_world import (
    SHARD,
    FailingPublisher,
    fill,
    make_log,
    published,
    sealed,
    shard_of,
)
from transparency.entry import SealedEntry, rounded_timestamp
from transparency.errors import TileMissingError
from transparency.merkle import inclusion_proof, leaf_hash, verify_inclusion
from transparency.server.config import LogConfig
from transparency.server.errors import HistoryError, OvertakenError, PublishingError
from transparency.server.log import Log
from transparency.server.publishing import FilePublisher
from transparency.server.sequencer import Sequencer
from transparency.tiles import ENTRIES, Fetch, TileReader, decode_bundle, tile_of

STEPS = ("stage", "write", "write checkpoint", "unstage", "delete")


def sequencer(log: Log) -> Sequencer:
    """Return a sequencer that knows nothing yet."""
    return Sequencer(log, shard_of(log))


def fetch_from(log: Log) -> Fetch:
    """Return a function that reads the published files."""

    def fetch(path: str) -> bytes:
        data = log.publisher.read(f"{SHARD.name}/{path}")
        if data is None:
            raise TileMissingError(path)
        return data

    return fetch


def assert_whole(log: Log) -> int:
    """Hold the published tree to its checkpoint, and each placed entry to the tree; return the tree's size."""
    checkpoint = published(log)
    reader = TileReader(fetch_from(log), checkpoint.size, checkpoint.root)
    state = log.storage.trees.state(SHARD.name)
    assert state is not None
    assert (state.size, state.root, state.published_size) == (checkpoint.size, checkpoint.root, checkpoint.size)
    seen = set()
    for serial in range(1, 2000):
        entry = log.storage.entries.find(sealed(log, serial).id)
        if entry is None or entry.leaf_index is None:
            continue
        assert entry.timestamp_ms is not None
        seen.add(entry.leaf_index)
        leaf = SealedEntry(entry.timestamp_ms, entry.label, entry.issuer_key_hash, entry.commitment).to_bytes()
        proof = inclusion_proof(reader, entry.leaf_index, checkpoint.size)
        verify_inclusion(entry.leaf_index, checkpoint.size, leaf_hash(leaf), proof, checkpoint.root)
        tile = tile_of(ENTRIES, entry.leaf_index // 256, checkpoint.size)
        bundle = decode_bundle(fetch_from(log)(tile.path), tile.width)
        assert bundle[entry.leaf_index % 256] == leaf
    assert seen == set(range(checkpoint.size))
    return checkpoint.size


def test_an_empty_log_has_a_checkpoint(log: Log) -> None:
    """Before the first entry, readers find the signed root of the empty tree."""
    assert sequencer(log).step() == 0
    assert published(log).size == 0


def test_every_entry_is_in_the_tree_at_its_index(log: Log) -> None:
    """Entries of one pool and of several, across tiles, are found in the published bundles and proven by the tiles."""
    works = sequencer(log)
    first = 1
    for count in (1, 3, 252, 1, 255, 300, 700):
        fill(log, count, first)
        assert works.step() == count
        first += count
    assert assert_whole(log) == first - 1


def test_a_pool_is_bounded(config: LogConfig) -> None:
    """A sequencer takes as many entries at once as the settings allow, and the rest next."""
    bounded = msgspec.structs.replace(config.sequencing, largest_pool=10)
    log = make_log(msgspec.structs.replace(config, sequencing=bounded))
    fill(log, 25)
    works = sequencer(log)
    assert [works.step() for _ in range(4)] == [10, 10, 5, 0]
    log.storage.close()


def test_the_tree_does_not_depend_on_the_pools(config: LogConfig) -> None:
    """One pool, several, and a restart in between lead to the same root."""
    whole = make_log(config)
    fill(whole, 600)
    sequencer(whole).step()
    root = published(whole).root
    whole.storage.close()
    shutil.rmtree(config.publishing.directory)
    (config.folder / "log.db").unlink()
    again = make_log(config)
    for first, count in ((1, 5), (6, 251), (257, 344)):
        fill(again, count, first)
        sequencer(again).step()
    assert published(again).root == root
    again.storage.close()


def test_timestamps_are_whole_minutes(log: Log) -> None:
    """The entry's time tells the minute and no more."""
    fill(log, 1)
    sequencer(log).step()
    entry = log.storage.entries.find(sealed(log, 1).id)
    assert entry is not None
    assert entry.timestamp_ms == rounded_timestamp(int(log.clock().timestamp() * 1000))


@pytest.mark.parametrize("step", STEPS)
def test_a_full_disk_is_told_and_survived(config: LogConfig, step: str) -> None:
    """Wherever the disk is full, the step fails loudly, no SCT of it is given out, and the next one makes it good."""
    full: set[str] = set()

    def fail(method: str) -> None:
        if method in full:
            msg = f"no space left on device ({errno.ENOSPC})"
            raise PublishingError(msg)

    publisher = FailingPublisher(FilePublisher(config.publishing.directory, config.publishing.staging), fail)
    log = make_log(config, publisher=publisher)
    works = sequencer(log)
    fill(log, 300)
    works.step()
    fill(log, 300, 301)
    full.add(step)
    with pytest.raises(PublishingError, match="no space left"):
        works.step()
    if step in {"stage", "write", "write checkpoint"}:
        assert log.storage.trees.published_sizes() == {SHARD.name: 300}
        assert published(log).size == 300
    full.clear()
    fill(log, 20, 601)
    while works.step():
        pass
    assert assert_whole(log) == 620
    sequencer(log).recover()
    assert list(config.publishing.staging.iterdir()) == []
    log.storage.close()


def test_a_real_full_disk_leaves_no_half_files(config: LogConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that the kernel refuses is told as such, and leaves neither a file nor a draft."""
    log = make_log(config)
    works = sequencer(log)
    works.recover()
    before = sorted(config.folder.rglob("*"))
    fill(log, 3)
    with monkeypatch.context() as broken:

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        broken.setattr(os, "fsync", full)
        with pytest.raises(PublishingError, match="No space left"):
            works.step()
    after = sorted(path for path in config.folder.rglob("*") if path != config.publishing.staging)
    assert [path for path in after if "log.db" not in path.name] == [
        path for path in before if "log.db" not in path.name
    ]
    assert works.step() == 3
    log.storage.close()


def test_of_two_sequencers_one_ends_loudly(config: LogConfig) -> None:
    """Two sequencers at once, past the lock that should keep them apart, still make one tree: the slower one ends."""
    one, two = make_log(config), make_log(config)
    first, second = sequencer(one), sequencer(two)
    first.step()
    second.step()
    fill(one, 10)
    assert first.step() == 10
    fill(one, 10, 11)
    with pytest.raises(OvertakenError, match="another sequencer"):
        second.step()
    assert first.step() == 10
    assert assert_whole(one) == 20
    one.storage.close()
    two.storage.close()


def test_a_sequencer_that_slept_publishes_no_old_checkpoint(config: LogConfig) -> None:
    """One that was overtaken between its commit and its checkpoint signs nothing."""
    rival = make_log(config)

    def overtake(method: str) -> None:
        if method == "write" and not overtaken:
            overtaken.append(method)
            fill(rival, 5, 500)
            sequencer(rival).step()

    overtaken: list[str] = []
    publisher = FailingPublisher(FilePublisher(config.publishing.directory, config.publishing.staging), overtake)
    slow = make_log(config, publisher=publisher)
    fill(slow, 10)
    with pytest.raises(OvertakenError):
        sequencer(slow).step()
    assert published(slow).size == 15
    assert assert_whole(rival) == 15
    slow.storage.close()
    rival.storage.close()


def test_what_a_rival_has_staged_stays(config: LogConfig) -> None:
    """A sequencer that starts drops what is staged for trees that are, and not what another may be about to commit."""
    log, rival = make_log(config), make_log(config)

    def start_rival(method: str) -> None:
        if method == "write":
            msg = "the power is gone"
            raise PublishingError(msg)

    class Slow(FailingPublisher):
        """Lets the rival start between staging and commit."""

        def stage(self, name: str, data: bytes) -> None:
            super().stage(name, data)
            sequencer(rival).recover()

    publisher = Slow(FilePublisher(config.publishing.directory, config.publishing.staging), start_rival)
    slow = make_log(config, publisher=publisher)
    fill(log, 10)
    with pytest.raises(PublishingError):
        sequencer(slow).step()
    sequencer(log).recover()
    assert assert_whole(log) == 10
    for one in (log, rival, slow):
        one.storage.close()


def test_an_old_copy_of_the_database_is_refused(config: LogConfig) -> None:
    """A database that knows less than the world has seen is refused: going on would show two trees of one size."""
    log = make_log(config)
    fill(log, 5)
    sequencer(log).step()
    log.storage.close()
    old = (config.folder / "log.db").read_bytes()
    log = make_log(config)
    fill(log, 5, 6)
    sequencer(log).step()
    log.storage.close()
    for path in config.folder.glob("log.db*"):
        path.unlink()
    (config.folder / "log.db").write_bytes(old)
    log = make_log(config)
    fill(log, 7, 100)
    with pytest.raises(HistoryError, match="the database is an old copy"):
        sequencer(log).step()
    assert published(log).size == 10
    log.storage.close()


def test_an_old_copy_of_the_files_is_refused(config: LogConfig, tmp_path: Path) -> None:
    """Published files that know less than was published are refused."""
    log = make_log(config)
    fill(log, 5)
    sequencer(log).step()
    shutil.copytree(config.publishing.directory, tmp_path / "old")
    fill(log, 5, 6)
    sequencer(log).step()
    shutil.rmtree(config.publishing.directory)
    shutil.copytree(tmp_path / "old", config.publishing.directory)
    with pytest.raises(HistoryError, match="the published files are an old copy"):
        sequencer(log).step()
    shutil.rmtree(config.publishing.directory)
    with pytest.raises(HistoryError, match="the published files are an old copy"):
        sequencer(log).step()
    log.storage.close()


def test_another_tree_of_the_same_size_is_refused(config: LogConfig) -> None:
    """A database with another tree than the published one is refused, however alike they are in size."""
    log = make_log(config)
    fill(log, 5)
    sequencer(log).step()
    log.storage.close()
    (config.folder / "log.db").unlink()
    files = config.publishing.directory.rename(config.folder / "first")
    log = make_log(config)
    fill(log, 5, 50)
    sequencer(log).step()
    shutil.rmtree(config.publishing.directory)
    files.rename(config.publishing.directory)
    with pytest.raises(HistoryError, match="different trees of 5 entries"):
        sequencer(log).step()
    log.storage.close()


@pytest.mark.parametrize("path", ["tile/0/000.p/5", "tile/entries/000.p/5"])
@pytest.mark.parametrize("damage", [lambda _: None, lambda data: data[:-1], lambda data: data[:-1] + b"\0"])
def test_a_damaged_tile_is_found_at_the_start(
    config: LogConfig, path: str, damage: Callable[[bytes], bytes | None]
) -> None:
    """A right edge that is missing, cut or changed is refused before anything is built on it."""
    log = make_log(config)
    fill(log, 5)
    sequencer(log).step()
    file = config.publishing.directory / SHARD.name / path
    damaged = damage(file.read_bytes())
    file.unlink()
    if damaged is not None:
        file.write_bytes(damaged)
    with pytest.raises(HistoryError, match="the published tiles"):
        sequencer(log).step()
    log.storage.close()


def test_a_foreign_checkpoint_is_refused(config: LogConfig) -> None:
    """A checkpoint that another key signed, or that is damaged, is refused."""
    log = make_log(config)
    sequencer(log).step()
    file = config.publishing.directory / SHARD.name / "checkpoint"
    file.write_bytes(file.read_bytes().replace(b"0\n", b"1\n", 1))
    with pytest.raises(HistoryError, match="was not signed by this shard's key"):
        sequencer(log).step()
    log.storage.close()


def test_what_is_neither_published_nor_staged_is_missed(config: LogConfig) -> None:
    """Where a crash came behind the commit and the staged bundle is gone too, the operator is told what to restore."""

    def fail(method: str) -> None:
        if method == "write":
            msg = "the power is gone"
            raise PublishingError(msg)

    publisher = FailingPublisher(FilePublisher(config.publishing.directory, config.publishing.staging), fail)
    log = make_log(config, publisher=publisher)
    fill(log, 5)
    with pytest.raises(PublishingError):
        sequencer(log).step()
    shutil.rmtree(config.publishing.staging)
    with pytest.raises(HistoryError, match="neither published nor staged"):
        sequencer(log).step()
    log.storage.close()


def test_partial_tiles_go_once_the_next_tile_is_full(log: Log) -> None:
    """What a reader may just fetch stays, and the partial tiles of the tile before are deleted."""
    works = sequencer(log)
    first = 1
    for count in (100, 200, 200, 100):
        fill(log, count, first)
        works.step()
        first += count
    partials = {path.parent.name for path in log.config.publishing.directory.rglob("*.p/*")}
    assert partials == {"001.p", "002.p", "000.p"}
    leaves = {path.parent.name for path in (log.config.publishing.directory / SHARD.name / "tile/0").rglob("*.p/*")}
    assert leaves == {"001.p", "002.p"}
    assert assert_whole(log) == 600
