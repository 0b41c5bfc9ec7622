"""What it takes a log to give an entry its place: staged, committed, published and synced, in pools of 200 and 1000.

Beside stands the disk alone: writing as many bytes as the pool's tiles and bundles have into one file, and syncing it
as often as the order of writes asks for, which is six times.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.table import Row
from transparency.server.admission import Admission
from transparency.server.app import open_shards
from transparency.server.config import Keys, LogConfig, Publishing, Sequencing, Shard
from transparency.server.keys import KeyStore
from transparency.server.log import Clock, Log
from transparency.server.publishing import FilePublisher
from transparency.server.revocation import revocation_lists
from transparency.server.sequencer import Sequencer
from transparency.server.storage import Storage, Submission

TARGET_MS = 1.0
"""A thousand entries a second."""
POOLS = (200, 1000)
ROUNDS = 5

SHARD = Shard("2026h2", datetime(2026, 7, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
"""The one shard of a log that is measured."""
NOW = datetime(2026, 9, 1, tzinfo=UTC)
"""When everything is measured, by the log's clock."""
_SYNCS = 6
_BYTES_PER_ENTRY = 107 + 32


def measure() -> Iterator[Row]:
    """Measure the milliseconds an entry takes, with all syncs, as one sequencer does it."""
    for pool in POOLS:
        with tempfile.TemporaryDirectory() as folder:
            log = open_log(Path(folder), pool, lambda: NOW)
            ours = _sequence(log, pool)
            disk = _write(Path(folder) / "beside", pool)
        yield Row(f"entry integrated, pool of {pool}", "ms", ours, TARGET_MS, "bytes and syncs alone", disk)


def open_log(folder: Path, pool: int, clock: Clock) -> Log:
    """Return the log of one shard in a folder, which is made where there is none."""
    config = LogConfig(
        name="Bench",
        operator="Bench",
        url="http://127.0.0.1",
        admit=(),
        shards=(SHARD,),
        keys=Keys(directory=folder / "keys", unencrypted=True),
        publishing=Publishing(directory=folder / "public", staging=folder / "staging"),
        sequencing=Sequencing(largest_pool=pool),
    )
    keys = KeyStore(folder / "keys", None)
    if not (folder / "keys").exists():
        keys.create(SHARD.name, config.origin(SHARD))
    storage = Storage.open(f"sqlite:///{folder / 'log.db'}")
    storage.migrate()
    publisher = FilePublisher(config.publishing.directory, config.publishing.staging)
    return Log(
        config,
        storage,
        publisher,
        Admission(()),
        open_shards(config, keys),
        clock,
        os.urandom,
        revocation_lists(config),
    )


def _sequence(log: Log, pool: int) -> float:
    """Return the milliseconds that an entry takes."""
    sequencer = Sequencer(log, log.shards[SHARD.name])
    sequencer.recover()
    for _ in range(ROUNDS * pool):
        log.storage.entries.add(submission(), NOW)
    began = time.perf_counter()
    while sequencer.step():
        pass
    milliseconds = (time.perf_counter() - began) * 1000 / (ROUNDS * pool)
    log.storage.close()
    return milliseconds


def submission() -> Submission:
    """Return what a front end queues, for a number of its own; the certificate is noise of its usual size."""
    return Submission(
        id=os.urandom(32),
        shard=SHARD.name,
        label=os.urandom(32),
        issuer_key_hash=bytes(32),
        commitment=os.urandom(32),
        opening=os.urandom(16),
        vrf_proof=os.urandom(80),
        certificate=os.urandom(800),
        chain=(b"issuer",),
        not_after=NOW + timedelta(days=7),
    )


def _write(path: Path, pool: int) -> float:
    """Return the milliseconds that an entry's share of the bytes and syncs takes."""
    began = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(ROUNDS * _SYNCS):
            file.write(bytes(pool * _BYTES_PER_ENTRY // _SYNCS))
            file.flush()
            os.fsync(file.fileno())
    return (time.perf_counter() - began) * 1000 / (ROUNDS * pool)
