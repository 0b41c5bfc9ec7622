"""The log's files as objects in S3, against a server that we did not write (moto)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # has no stubs
import msgspec
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.log_world import SHARD, Authority, fill, make_config, make_log, published, shard_of
from transparency.errors import TileMissingError
from transparency.label_index import MAP_CHECKPOINT_PATH, FetchPart, MapCheckpoint, read_bucket
from transparency.merkle import tree_head
from transparency.server.config import LogConfig, Publishing
from transparency.server.errors import HistoryError, PublishingError
from transparency.server.index_keeper import IndexKeeper
from transparency.server.log import Log
from transparency.server.publishing.s3_publisher import S3Publisher
from transparency.server.sequencer import Sequencer
from transparency.tiles import TileReader

BUCKET = "tiles"


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """Return the URL of an S3 server that lives as long as the tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def settings(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Publishing:
    """Return the settings of an empty bucket."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("s3", endpoint_url=s3_url, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET)
    for found in client.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        client.delete_object(Bucket=BUCKET, Key=found["Key"])
    return Publishing(type="s3", bucket=BUCKET, prefix="log/", endpoint_url=s3_url, region="us-east-1")


@pytest.fixture
def config(settings: Publishing, tmp_path: Path) -> LogConfig:
    """Return the settings of a log that publishes in the bucket."""
    publishing = msgspec.structs.replace(settings, index_copy=tmp_path / "index-copy")
    return make_config(tmp_path, Authority.make(), publishing=publishing)


@pytest.fixture
def log(config: LogConfig) -> Iterator[Log]:
    """Return the log."""
    opened = make_log(config)
    yield opened
    opened.storage.close()


def assert_whole(log: Log, size: int) -> None:
    """Hold the published tree to its checkpoint."""
    checkpoint = published(log)

    def fetch(path: str) -> bytes:
        data = log.publisher.read(f"{SHARD.name}/{path}")
        if data is None:
            raise TileMissingError(path)
        return data

    assert checkpoint.size == size
    reader = TileReader(fetch, checkpoint.size, checkpoint.root)
    assert tree_head(reader, checkpoint.size) == checkpoint.root


def test_a_tree_grows_in_a_bucket(log: Log) -> None:
    """Tiles, bundles, checkpoint and index are objects; staged bundles and old partial tiles go."""
    works, keeper = Sequencer(log, shard_of(log)), IndexKeeper(log, shard_of(log))
    first = 1
    for count in (3, 250, 300, 300):
        fill(log, count, first)
        assert works.step() == count
        assert keeper.step() == count
        first += count
    assert_whole(log, first - 1)
    paths = log.publisher.sizes(f"{SHARD.name}/").keys()
    assert not log.publisher.sizes("staging/")
    assert f"{SHARD.name}/tile/0/000.p/3" not in paths
    assert f"{SHARD.name}/tile/0/002" in paths


def all_labels(log: Log, fetch: FetchPart) -> dict[bytes, tuple[int, ...]]:
    """Return what a watcher of every bucket finds in the index, whose files it gets by `fetch`."""
    note = log.publisher.read(f"{SHARD.name}/{MAP_CHECKPOINT_PATH}")
    assert note is not None
    found = MapCheckpoint.from_note(note, shard_of(log).keys.checkpoint.verifier)
    leaves = {}
    for number in range(1 << found.depth):
        first = (number << (32 - found.depth)).to_bytes(4, "big") + bytes(28)
        leaves |= read_bucket(found, first, fetch).leaves
    return leaves


def grown(log: Log, *counts: int) -> None:
    """Let a tree and its index grow."""
    works, keeper = Sequencer(log, shard_of(log)), IndexKeeper(log, shard_of(log))
    first = 1
    for count in counts:
        fill(log, count, first)
        works.step()
        assert keeper.step() == count
        first += count


def test_an_index_is_read_from_a_bucket_in_parts(log: Log, settings: Publishing) -> None:
    """An update puts one object and the map checkpoint; a watcher reads parts of it, and caches keep it."""
    grown(log, 300)
    before = log.publisher.sizes(f"{SHARD.name}/index/").keys()
    fill(log, 200, 301)
    Sequencer(log, shard_of(log)).step()
    IndexKeeper(log, shard_of(log)).step()
    (segment,) = log.publisher.sizes(f"{SHARD.name}/index/").keys() - before
    client = boto3.client("s3", endpoint_url=settings.endpoint_url, region_name=settings.region)
    head = client.head_object(Bucket=BUCKET, Key=f"log/{segment}")
    assert (head["ContentType"], "immutable" in head["CacheControl"]) == ("application/octet-stream", True)
    assert log.publisher.size(segment) == head["ContentLength"]
    assert log.publisher.size(f"{segment}0") is None

    def fetch(path: str, start: int, length: int) -> bytes:
        asked = {"Bucket": BUCKET, "Key": f"log/{SHARD.name}/{path}", "Range": f"bytes={start}-{start + length - 1}"}
        answer = client.get_object(**asked)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        return bytes(answer["Body"].read())

    found = all_labels(log, fetch)
    assert sorted(index for indices in found.values() for index in indices) == list(range(500))


@pytest.mark.parametrize("damage", ["gone", "other bytes", "cut off", "leftover"])
def test_this_machines_copy_of_the_index_is_only_a_copy(config: LogConfig, damage: str) -> None:
    """A host without the copy, or with a bad one, comes to the same index as everybody else."""
    log = make_log(config)
    grown(log, 300, 200)
    copies = list(config.publishing.index_copy.rglob("*/segment/*"))
    assert copies
    for copy in copies:
        match damage:
            case "gone":
                copy.unlink()
            case "other bytes":
                copy.write_bytes(bytes(copy.stat().st_size))
            case "cut off":
                copy.write_bytes(copy.read_bytes()[:100])
            case _:
                copy.with_name("0123456789abcdef").write_bytes(b"a segment that the bucket has no longer")
    fill(log, 50, 501)
    Sequencer(log, shard_of(log)).step()
    IndexKeeper(log, shard_of(log)).step()
    found = all_labels(log, lambda path, start, length: read(log, path)[start : start + length])
    assert sorted(index for indices in found.values() for index in indices) == list(range(550))
    assert not list(config.publishing.index_copy.rglob("0123456789abcdef"))
    log.storage.close()


def read(log: Log, path: str) -> bytes:
    """Return an object of the shard."""
    data = log.publisher.read(f"{SHARD.name}/{path}")
    assert data is not None
    return data


def test_a_copy_is_made_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host has no copy of is fetched whole, and then read from its own disk."""
    log.publisher.write({f"{SHARD.name}/index/segment/00": b"0123456789"})
    shutil.rmtree(log.config.publishing.index_copy)
    assert log.publisher.read_parts(f"{SHARD.name}/index/segment/00", [(2, 3), (9, 9)]) == [b"234", b"9"]
    monkeypatch.setattr(S3Publisher, "read", lambda _self, _path: None)
    assert log.publisher.read_parts(f"{SHARD.name}/index/segment/00", [(0, 1)]) == [b"0"]
    assert log.publisher.read_parts(f"{SHARD.name}/index/segment/01", [(0, 1)]) is None
    log.publisher.delete([f"{SHARD.name}/index/segment/00"])
    assert log.publisher.read_parts(f"{SHARD.name}/index/segment/00", [(0, 1)]) is None


def test_objects_carry_what_a_cdn_needs(log: Log, settings: Publishing) -> None:
    """Each object has the type and the cache headers that it is to be served with."""
    fill(log, 256)
    Sequencer(log, shard_of(log)).step()
    client = boto3.client("s3", endpoint_url=settings.endpoint_url, region_name=settings.region)
    tile = client.head_object(Bucket=BUCKET, Key=f"log/{SHARD.name}/tile/0/000")
    assert (tile["ContentType"], "immutable" in tile["CacheControl"]) == ("application/octet-stream", True)
    checkpoint = client.head_object(Bucket=BUCKET, Key=f"log/{SHARD.name}/checkpoint")
    assert (checkpoint["ContentType"], checkpoint["CacheControl"]) == ("text/plain; charset=utf-8", "public, max-age=1")


def test_a_crash_behind_the_commit_is_made_good(config: LogConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is staged in the bucket is published by the next sequencer, on whatever host."""
    log = make_log(config)
    fill(log, 300)
    works = Sequencer(log, shard_of(log))
    works.recover()
    with monkeypatch.context() as broken:

        def fail(_self: object, _files: object) -> None:
            msg = "the network is down"
            raise PublishingError(msg)

        broken.setattr(S3Publisher, "write", fail)
        with pytest.raises(PublishingError):
            works.step()
    assert published(log).size == 0
    log.storage.close()
    again = make_log(config)
    Sequencer(again, shard_of(again)).recover()
    assert_whole(again, 300)
    again.storage.close()


def test_a_tile_is_never_overwritten(log: Log) -> None:
    """A tile that is there with other content is refused, loudly; the same content is no matter."""
    path = f"{SHARD.name}/tile/0/000.p/1"
    log.publisher.write({path: b"a" * 32})
    log.publisher.write({path: b"a" * 32})
    with pytest.raises(HistoryError, match="other content"):
        log.publisher.write({path: b"b" * 32})
    assert log.publisher.read(path) == b"a" * 32


def test_a_server_that_is_away_is_told(config: LogConfig) -> None:
    """Where the object store does not answer, that is what is said."""
    away = msgspec.structs.replace(config.publishing, endpoint_url="http://127.0.0.1:9")
    log = make_log(msgspec.structs.replace(config, publishing=away))
    with pytest.raises(PublishingError, match="cannot be used"):
        log.publisher.read("checkpoint")
    log.storage.close()
