"""A new log from nothing: keys, first shards, settings, database and description, all of them or none."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from serving.initialising import (
    filled,
    passphrase_settings,
    proxy_setting,
    quoted,
    staged,
    write_synced,
)
from stir.certificate import AuthorityCertificate
from stir.certificate_chain import read_pem_chain, write_pem_chain
from stir.errors import CertificateProfileError
from transparency.errors import LogDescriptionError
from transparency.log_description import LogDescription
from transparency.server.app import open_shards
from transparency.server.config import CONFIG_NAME, PASSPHRASE_VARIABLE, LogConfig, Shard
from transparency.server.errors import ConfigurationError
from transparency.server.keys import KeyStore, open_key_store
from transparency.server.loading import load_config
from transparency.server.storage import Storage

DESCRIPTION_NAME = "log.json"
_ADMITTED = "admitted"
_HALVES = {1: (1, 7), 2: (7, 1)}
_SHARD = re.compile(r"(?P<year>20[0-9]{2})h(?P<half>[12])", re.ASCII)


@dataclass(frozen=True)
class NewLog:
    """What the operator decides. Without a passphrase the keys stand open, which the operator must have asked for.

    `admit` are files with one authority's certificate each; `passphrase_file` is where the server will find the
    passphrase, without it in the environment.
    """

    name: str
    operator: str
    url: str
    admit: tuple[Path, ...]
    passphrase: bytes | None
    passphrase_file: Path | None = None
    bind: str = "127.0.0.1:14100"


@dataclass(frozen=True)
class Initialised:
    """What was made: the file of settings, and the file that describes the log to everybody else."""

    config: Path
    description_file: Path
    description: LogDescription


def initialise(folder: Path, new: NewLog, now: datetime) -> Initialised:
    """Make a log in `folder`, which must not exist or be empty, with shards for the coming 12 months.

    An interruption leaves no half-made log behind. Raises a ServingError that says what to do.
    """
    folder = folder.absolute()
    with staged(folder, last=CONFIG_NAME) as draft:
        admitted = _copy_admitted(draft, new.admit)
        shards = halves_of_year_from(now)
        (draft / CONFIG_NAME).write_text(settings(new, admitted, shards), encoding="utf-8")
        description = furnish(load_config(draft / CONFIG_NAME), new.passphrase)
    return Initialised(folder / CONFIG_NAME, folder / DESCRIPTION_NAME, description)


def furnish(config: LogConfig, passphrase: bytes | None) -> LogDescription:
    """Make what settings lack: the shards' keys, description and tables. Raises a ServingError."""
    store = KeyStore(config.keys.directory, passphrase)
    for shard in config.shards:
        store.create(shard.name, config.origin(shard))
    description = _describe(config, store)
    write_synced(config.folder / DESCRIPTION_NAME, description.to_json())
    storage = Storage.open(config.database)
    storage.migrate()
    storage.close()
    return description


def add_shard(
    path: Path, name: str, read: Callable[[Path], LogConfig] = load_config, table: str = "shards"
) -> LogDescription:
    """Begin the shard of a half-year such as `2028h1`: make its keys, and write it into settings and description.

    `read` reads the settings at `path`, where shards stand in `[[table]]`. Returns the new description. Raises a
    ServingError; an interruption leaves at most keys that nothing names.
    """
    config, shard = read(path), half_year(name)
    if config.shards and shard.not_after_start < config.shards[-1].not_after_limit:
        msg = f"shard {name} would begin before the end of {config.shards[-1].name}, the last"
        raise ConfigurationError(msg)
    open_key_store(config.keys).create(name, config.origin(shard))
    text = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" + shard_settings(shard, table)
    write_synced(path, text.encode())
    description = describe(read(path))
    write_synced(path.parent / DESCRIPTION_NAME, description.to_json())
    return description


def describe(config: LogConfig) -> LogDescription:
    """Return what others are told about a log; raise a ServingError where its keys do not open."""
    return _describe(config, open_key_store(config.keys))


def half_year(name: str) -> Shard:
    """Return the shard `2027h1`: from January to June; raise ConfigurationError for a name of another form."""
    match = _SHARD.fullmatch(name)
    if match is None:
        msg = f"a shard is named after a half-year, such as 2027h1 or 2027h2, not {name!r}"
        raise ConfigurationError(msg)
    year, half = int(match["year"]), int(match["half"])
    first, after = _HALVES[half]
    return Shard(name, datetime(year, first, 1, tzinfo=UTC), datetime(year + (after == 1), after, 1, tzinfo=UTC))


def halves_of_year_from(now: datetime) -> tuple[Shard, ...]:
    """Return the half-years that the 12 months from now on touch: three."""
    first = now.year * 2 + (now.month > 6)  # noqa: PLR2004 - the second half of the year begins in July
    return tuple(half_year(f"{half // 2}h{half % 2 + 1}") for half in range(first, first + 3))


def settings(new: NewLog, admitted: tuple[str, ...], shards: tuple[Shard, ...]) -> str:
    """Return the commented settings of a new log, in TOML."""
    parts = {
        "name": quoted(new.name),
        "operator": quoted(new.operator),
        "url": quoted(new.url),
        "admit": f"[{', '.join(map(quoted, admitted))}]",
        "bind": quoted(new.bind),
        "trusted_proxies": proxy_setting(new.url),
        "passphrase": passphrase_settings(
            new.passphrase,
            new.passphrase_file,
            variable=PASSPHRASE_VARIABLE,
            warning="can speak for the log, and find its numbers",
        ),
        "shards": "\n".join(map(shard_settings, shards)).rstrip("\n"),
    }
    return filled("transparency.server", CONFIG_NAME, parts)


def _describe(config: LogConfig, store: KeyStore) -> LogDescription:
    shards = open_shards(config, store)
    try:
        return LogDescription(
            name=config.name,
            operator=config.operator,
            submission_url=config.url,
            monitoring_url=config.read_url,
            shards=tuple(shard.describe() for shard in shards.values()),
        )
    except LogDescriptionError as error:
        raise ConfigurationError(str(error)) from error


def shard_settings(shard: Shard, table: str = "shards") -> str:
    """Return the settings of a shard, in TOML."""
    start, limit = (f"{date:%Y-%m-%dT%H:%M:%SZ}" for date in (shard.not_after_start, shard.not_after_limit))
    return f"[[{table}]]\nname = {quoted(shard.name)}\nnot_after_start = {start}\nnot_after_limit = {limit}\n"


def _copy_admitted(draft: Path, files: tuple[Path, ...]) -> tuple[str, ...]:
    """Copy the certificates of the authorities into the log's folder, and return where they are in it."""
    (draft / _ADMITTED).mkdir()
    names = []
    for file in files:
        try:
            (certificate,) = read_pem_chain(file.read_bytes())
            authority = AuthorityCertificate.read(certificate)
        except OSError as error:
            msg = f"{file} cannot be read: {error.strerror}"
            raise ConfigurationError(msg) from error
        except (CertificateProfileError, ValueError) as error:
            msg = f"{file} does not hold just the certificate of one authority, in PEM: {error}"
            raise ConfigurationError(msg) from error
        name = f"{_ADMITTED}/{authority.fingerprint.hex()[:16]}.pem"
        (draft / name).write_bytes(write_pem_chain((certificate,)))
        names.append(name)
    return tuple(dict.fromkeys(names))
