"""The settings of a resolution service: those of an authority, and beside them a directory's and a log's.

What the three share is said once: the authority's URL, name, operator, server, keys and database are everybody's. The
directory is at the path `/directory` below the URL, the log at `/log`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ca_server.config import Config
from number_directory.server import config as directory
from number_directory.server.config import DirectoryConfig, DirectoryListener
from transparency.server import config as log
from transparency.server.config import LogConfig

CONFIG_NAME = "rs.toml"
DIRECTORY_PATH = "/directory"
LOG_PATH = "/log"


class DirectoryPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a directory is told that is nobody else's: see `number_directory.server.config.DirectoryConfig`."""

    admission: Path = Path("admission/trust.toml")
    quotas: directory.Quotas = directory.Quotas()
    records: directory.Records = directory.Records()
    record_log: directory.RecordLog = directory.RecordLog()
    hidden: directory.Hidden = directory.Hidden()
    metrics: directory.Metrics = directory.Metrics()
    number_events: tuple[directory.NumberEvents, ...] = ()


class LogPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a log is told that is nobody else's: see `transparency.server.config.LogConfig`."""

    shards: tuple[log.Shard, ...]
    publishing: log.Publishing = log.Publishing()
    sequencing: log.Sequencing = log.Sequencing()
    retention: log.Retention = log.Retention()
    owner: log.Owner = log.Owner()
    witnesses: tuple[log.Witness, ...] = ()
    witnessing: log.Witnessing = log.Witnessing()


class RsConfig(Config, frozen=True, forbid_unknown_fields=True):
    """All settings of one resolution service; what an authority needs of them, it takes as its own.

    `certificate_log` None is a service without a log.
    """

    directory: DirectoryPart = DirectoryPart()
    certificate_log: LogPart | None = None


def directory_of(config: RsConfig) -> DirectoryConfig:
    """Return the settings of the directory, unchecked."""
    return DirectoryConfig(
        url=config.public_url + DIRECTORY_PATH,
        server=DirectoryListener(**msgspec.structs.asdict(config.server)),
        keys=directory.Keys(**_keys(config)),
        log=config.log,
        **_shared(config),
        **msgspec.structs.asdict(config.directory),
    )


def log_of(config: RsConfig, part: LogPart) -> LogConfig:
    """Return the settings of the log, unchecked.

    It takes what is issued under the anchor of the service's own authority, also by the next issuing certificate.
    """
    return LogConfig(
        url=config.public_url + LOG_PATH,
        admit=(config.authority.certificate, *config.authority.chain)[-1:],
        server=log.Server(**msgspec.structs.asdict(config.server)),
        keys=log.Keys(**_keys(config)),
        logging=config.log,
        **_shared(config),
        **msgspec.structs.asdict(part),
    )


def _shared(config: RsConfig) -> dict[str, Any]:
    return {
        "name": config.authority.name,
        "operator": config.authority.operator,
        "database": config.database,
        "folder": config.folder,
    }


def _keys(config: RsConfig) -> dict[str, Any]:
    """Return where keys in files are, also where the authority's own are elsewhere."""
    keys = config.keys
    return {
        "directory": keys.directory,
        "passphrase_file": keys.passphrase_file,
        "passphrase_variable": keys.passphrase_variable,
        "unencrypted": keys.unencrypted,
    }
