"""The only wiring: from settings to a log, to its web application, and to its sequencer.

Nothing here is global: two logs with two databases live in one process without touching.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime

from transparency.client import WitnessClient
from transparency.server.admission import Admission
from transparency.server.config import LogConfig, Publishing
from transparency.server.errors import ConfigurationError
from transparency.server.keys import KeyStore, open_key_store
from transparency.server.loading import read_admitted, read_witness_keys
from transparency.server.log import Clock, Log, LogShard, RandomBytes
from transparency.server.publishing import FilePublisher, Publisher
from transparency.server.revocation import RevocationSource, revocation_lists
from transparency.server.storage import Storage
from transparency.server.tree_files import TreeFiles
from transparency.server.web import WebApp, build_web
from transparency.server.witnesses import LogWitness, Witnesses
from transparency.transport import HttpTransport, Transport


def system_clock() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def create_app(
    config: LogConfig,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
    storage: Storage | None = None,
    publisher: Publisher | None = None,
) -> WebApp:
    """Return the web application of the log that the settings describe. Call it after a fork.

    Raises a ServingError that says what to mend.
    """
    return build_web(create_log(config, clock=clock, random_bytes=random_bytes, storage=storage, publisher=publisher))


def create_log(
    config: LogConfig,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
    storage: Storage | None = None,
    publisher: Publisher | None = None,
    transport: Transport | None = None,
    revocation: RevocationSource | None = None,
) -> Log:
    """Return the log that the settings describe, its database up to date and its keys unlocked.

    `storage` and `publisher` take the place of what the settings name, `transport` that of the network to witnesses,
    and `revocation` that of the authorities' lists. Raises a ServingError that says what to mend.
    """
    shards = open_shards(config, open_key_store(config.keys))
    own_storage = storage or open_storage(config)
    return Log(
        config=config,
        storage=own_storage,
        publisher=publisher or open_publisher(config.publishing),
        admission=Admission(read_admitted(config)),
        shards=shards,
        clock=clock,
        random_bytes=random_bytes,
        revocation=revocation or revocation_lists(config),
        witnesses=open_witnesses(config, transport or HttpTransport()),
    )


def open_witnesses(config: LogConfig, transport: Transport) -> Witnesses:
    """Return the log's witnesses, whom nobody has asked yet; raise ConfigurationError."""
    settings = config.witnessing
    return Witnesses(
        tuple(_witness(index, config, transport) for index in range(len(config.witnesses))),
        settings.quorum,
        settings.deadline_seconds,
    )


def _witness(index: int, config: LogConfig, transport: Transport) -> LogWitness:
    settings = config.witnesses[index]
    key, *others = read_witness_keys(f"witnesses[{index}].keys", settings)
    patience = config.witnessing.deadline_seconds
    return LogWitness(WitnessClient(settings.url, key, transport, tuple(others), patience), settings.operator)


def open_shards(config: LogConfig, keys: KeyStore) -> dict[str, LogShard]:
    """Return the shards of a log by name, their keys unlocked; raise KeyStoreError."""
    shards = {}
    for settings in config.shards:
        origin = config.origin(settings)
        opened = keys.open(settings.name, origin)
        shards[settings.name] = LogShard(settings, origin, opened, TreeFiles(settings.name))
    return shards


def open_storage(config: LogConfig) -> Storage:
    """Return the database that the settings name, brought to this version; raise StorageError."""
    storage = Storage.open(config.database)
    storage.migrate()
    return storage


def open_publisher(settings: Publishing) -> Publisher:
    """Return where the log's files go; raise ConfigurationError where that needs what is not installed."""
    if settings.type == "files":
        return FilePublisher(settings.directory, settings.staging)
    try:
        from transparency.server.publishing.s3_publisher import S3Publisher  # noqa: PLC0415 - needs the extra `s3`
    except ImportError as error:
        msg = "publishing.type: S3 needs boto3: pip install 'answerback[s3]'"
        raise ConfigurationError(msg) from error
    return S3Publisher(settings)
