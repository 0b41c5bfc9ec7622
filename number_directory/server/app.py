"""The only wiring: from settings to a directory, and to its web application.

Nothing here is global: two directories with two databases live in one process without touching.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from number_directory.hidden import HiddenKey
from number_directory.server.admission import Admission
from number_directory.server.config import DirectoryConfig
from number_directory.server.directory import Clock, Directory, RandomBytes
from number_directory.server.metrics import FOLDER, Metrics
from number_directory.server.quotas import Quotas
from number_directory.server.record_log import published_size
from number_directory.server.releases import Releases
from number_directory.server.replays import Replays, ReplayTable
from number_directory.server.storage import Storage
from number_directory.server.web import WebApp, build_web
from serving.key_files import KeyFiles, passphrase_of
from transparency.signed_note import Ed25519Signer

KEY_NAME = "record-log"
HIDDEN_KEY_NAME = "hidden-numbers"
_REPLAYS_SUFFIX = ".replays"
_LOST_HIDDEN = "restore it from your backup, make a new one with `answerback directory hidden-key`, or offer none"
_LOST = "restore it from your backup: the record log cannot go on without its key"


def system_clock() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def create_app(
    config: DirectoryConfig,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
    storage: Storage | None = None,
) -> WebApp:
    """Return the web application of the directory that the settings describe. Call it after a fork.

    Raises a ServingError that says what to mend.
    """
    return build_web(create_directory(config, clock=clock, random_bytes=random_bytes, storage=storage))


def create_directory(
    config: DirectoryConfig,
    *,
    clock: Clock = system_clock,
    random_bytes: RandomBytes = os.urandom,
    storage: Storage | None = None,
) -> Directory:
    """Return the directory that the settings describe, its database up to date and its key unlocked.

    `storage` takes the place of what the settings name. Raises a ServingError that says what to mend.
    """
    signer = open_signer(config)
    own_storage = storage or open_storage(config)
    return Directory(
        config=config,
        storage=own_storage,
        admission=Admission.of_file(config.admission, clock()),
        quotas=Quotas(own_storage.quotas, own_storage.secret("quotas")),
        replays=_open_replays(own_storage),
        releases=Releases(lambda: published_size(own_storage, signer.name)),
        metrics=Metrics(config.folder / FOLDER),
        signer=signer,
        hidden=open_hidden(config),
        clock=clock,
        random_bytes=random_bytes,
    )


def key_files(config: DirectoryConfig, lost: str = _LOST) -> KeyFiles:
    """Return where the directory's keys are; raise KeyStoreError where their passphrase is missing."""
    return KeyFiles(config.keys.directory, passphrase_of(config.keys), lost)


def open_signer(config: DirectoryConfig) -> Ed25519Signer:
    """Return the record log's key; raise KeyStoreError."""
    return Ed25519Signer(config.origin, key_files(config).ed25519(KEY_NAME))


def open_hidden(config: DirectoryConfig) -> HiddenKey | None:
    """Return the key of hidden numbers, None where they are not offered; raise KeyStoreError."""
    return hidden_in(config, key_files(config, _LOST_HIDDEN))


def hidden_in(config: DirectoryConfig, keys: KeyFiles) -> HiddenKey | None:
    """Return the key of hidden numbers in a folder, None where they are not offered; raise KeyStoreError.

    Its file holds the 32 random bytes of an Ed25519 key, which signs nothing: so it is kept as other keys are.
    """
    if not config.hidden.offered:
        return None
    return HiddenKey(keys.ed25519(HIDDEN_KEY_NAME).private_bytes_raw(), config.url)


def open_storage(config: DirectoryConfig) -> Storage:
    """Return the database that the settings name, brought to this version; raise StorageError."""
    storage = Storage.open(config.database)
    storage.migrate()
    return storage


def _open_replays(storage: Storage) -> Replays:
    """Share answered requests in a file where the database is one, else in the database."""
    if storage.file is None:
        return storage.replays
    return ReplayTable(Path(f"{storage.file}{_REPLAYS_SUFFIX}"))
