"""The log's files as objects in S3, against a server that we did not write (moto)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3  # type: ignore[import-untyped]  # has no stubs
import msgspec
import pytest
from moto.server import ThreadedMotoServer

from tests.fakes.log_world import SHARD, Authority, fill, make_config, make_log, published, shard_of
from transparency.errors import TileMissingError
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
    return make_config(tmp_path, Authority.make(), publishing=settings)


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
    paths = set(log.publisher.paths(""))
    assert not any(path.startswith("staging/") for path in paths)
    assert f"{SHARD.name}/tile/0/000.p/3" not in paths
    assert f"{SHARD.name}/tile/0/002" in paths


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
