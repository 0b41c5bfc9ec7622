from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from serving.database import Database
from tests.fakes.log_world import (
    NEXT_SHARD,
    NOW,
    SHARD,
    FailingPublisher,
    fill,
    make_log,
    published,
    sealed,
)
from tests.fakes.postgresql import PostgresqlServer
from transparency.server.config import LogConfig
from transparency.server.errors import HistoryError, PublishingError, StorageError
from transparency.server.log import Log
from transparency.server.publishing import FilePublisher
from transparency.server.sequencing import keep_house, run_sequencer
from transparency.server.storage import Storage


class _Running:
    """The sequencer's loop, in a thread while it is entered; it keeps what the loop raised."""

    def __init__(self, log: Log) -> None:
        self.stop = threading.Event()
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, args=(log,))

    def __enter__(self) -> _Running:  # noqa: PYI034 - of this module only
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self, log: Log) -> None:
        try:
            run_sequencer(log, self.stop)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error


def await_published(log: Log, size: int, shard: str = SHARD.name) -> None:
    """Wait until so many entries are published."""
    deadline = time.monotonic() + 20
    while log.storage.trees.published_sizes().get(shard, 0) < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_all_shards_are_sequenced_and_indexed(log: Log) -> None:
    """The loop gives entries of each shard their places, and keeps the label index beside them."""
    fill(log, 5)
    fill(log, 3, 100, NEXT_SHARD)
    with _Running(log) as running:
        await_published(log, 5)
        await_published(log, 3, NEXT_SHARD.name)
        deadline = time.monotonic() + 20
        while not (log.config.publishing.directory / NEXT_SHARD.name / "index/checkpoint").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert running.error is None
    assert published(log, NEXT_SHARD).size == 3


def test_a_disk_that_is_full_for_a_while_is_waited_for(config: LogConfig, caplog: pytest.LogCaptureFixture) -> None:
    """What may pass is logged with its reason, and tried again."""
    full = threading.Event()

    def fail(method: str) -> None:
        if full.is_set() and method == "stage":
            full.clear()
            msg = "no space left on device"
            raise PublishingError(msg)

    publisher = FailingPublisher(FilePublisher(config.publishing.directory, config.publishing.staging), fail)
    log = make_log(config, publisher=publisher)
    full.set()
    fill(log, 5)
    with caplog.at_level(logging.ERROR), _Running(log) as running:
        await_published(log, 5)
    assert running.error is None
    assert "nothing is sequenced for 1 s: no space left on device" in caplog.text
    log.storage.close()


def test_a_contradiction_ends_the_sequencer(config: LogConfig) -> None:
    """Where a person must look, nothing goes on by itself."""
    log = make_log(config)
    log.storage.trees.swap(log.storage.trees.ensure(SHARD.name, config.origin(SHARD)), 9, b"r" * 32)
    with _Running(log) as running:
        running._thread.join(20)
    assert isinstance(running.error, HistoryError)
    log.storage.close()


def test_one_sequencer_works_at_a_time(config: LogConfig) -> None:
    """The second loop on a database is refused while the first one works."""
    one, two = make_log(config), make_log(config)
    fill(one, 1)
    with _Running(one) as first:
        await_published(one, 1)
        with _Running(two) as second:
            second._thread.join(20)
    assert first.error is None
    assert isinstance(second.error, StorageError)
    one.storage.close()
    two.storage.close()


def test_the_house_is_kept(config: LogConfig) -> None:
    """What expired longer ago than it is kept is erased, and what waits and expired meanwhile is dropped."""
    log = make_log(config)
    fill(log, 2)
    with _Running(log):
        await_published(log, 2)
    fill(log, 1, 10)
    log.storage.close()
    late = make_log(config, clock=lambda: NOW + timedelta(days=8 + config.retention.days_after_expiry))
    assert keep_house(late) == 2
    assert all(late.storage.entries.find(sealed(late, serial).id) is None for serial in (1, 2, 10))
    assert published(late).size == 2
    late.storage.close()


# The database below


@pytest.mark.peer
def test_a_lost_connection_is_made_again(request: pytest.FixtureRequest) -> None:
    """After a restart of PostgreSQL a statement outside a transaction is run again; inside one, it is told."""
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_database()
    storage = Storage.open(url)
    storage.migrate()
    state = storage.trees.ensure("a", "log.example/a")
    server.cut_connections()
    assert storage.trees.state("a") == state

    def cut_inside() -> None:
        with storage.transaction():
            storage.trees.swap(state, 1, b"r" * 32)
            server.cut_connections()
            storage.trees.all()

    with pytest.raises(StorageError):
        cut_inside()
    assert storage.trees.state("a") == state
    with storage.transaction():
        assert storage.trees.swap(state, 1, b"r" * 32)
    storage.close()
    server.drop(url)


def test_transactions_do_not_nest(tmp_path: Path) -> None:
    """A second transaction in a thread is refused, and the first undone."""
    database = Database.at(f"sqlite:///{tmp_path / 'a.db'}")
    database.run("CREATE TABLE a (b INTEGER)")

    def nest() -> None:
        with database.transaction():
            database.run("INSERT INTO a VALUES (1)")
            with database.transaction():
                pass

    with pytest.raises(StorageError, match="open in this thread"):
        nest()
    assert database.rows("SELECT * FROM a") == []
    database.close()
    assert database.rows("SELECT * FROM a") == []
    database.close()


def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A file in a folder that is not there, and a server that is not there, are told as such."""
    with pytest.raises(StorageError, match="make its folder"):
        Database.at(f"sqlite:///{tmp_path / 'missing' / 'a.db'}").rows("SELECT 1")
    with pytest.raises(StorageError, match="cannot be opened"):
        Database.at(f"postgresql://nobody@/x?host={tmp_path}").rows("SELECT 1")


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """A database with steps that this version does not know is not touched."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    storage = Storage.open(url)
    storage.migrate()
    database = Database.at(url)
    columns = [row[1] for row in database.rows("PRAGMA table_info(log_migrations)")]
    row = dict(zip(columns, database.rows("SELECT * FROM log_migrations")[0], strict=True))
    row |= {"name": "9999_future", "id": 99}
    names = [name for name in columns if name in row]
    marks = ", ".join("?" for _ in names)
    sql = f"INSERT INTO log_migrations ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of columns
    database.run(sql, *(row[name] for name in names))
    with pytest.raises(StorageError, match="newer version"):
        storage.migrate()
    storage.close()
    database.close()
