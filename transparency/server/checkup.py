"""What an operator looks at before serving: whether everything that the log needs is there and fits together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from serving.errors import ServingError
from transparency.errors import LogDescriptionError
from transparency.log_description import LogDescription
from transparency.server.app import open_storage
from transparency.server.config import LogConfig
from transparency.server.errors import ConfigurationError
from transparency.server.initialise import DESCRIPTION_NAME, describe


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it will do, and what to say of it."""

    name: str
    is_ok: bool
    detail: str


def examine(config: LogConfig, now: datetime) -> list[Finding]:
    """Look at everything, and return what was found; nothing is changed but the database brought to this version."""
    looks: list[tuple[str, Callable[[], str]]] = [
        ("keys", lambda: _keys(config)),
        ("shards", lambda: _shards(config, now)),
        ("database", lambda: _database(config)),
    ]
    return [_finding(name, look) for name, look in looks]


def _finding(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, is_ok=True, detail=look())
    except ServingError as error:
        return Finding(name, is_ok=False, detail=str(error))


def _keys(config: LogConfig) -> str:
    described = describe(config)
    file = config.folder / DESCRIPTION_NAME
    try:
        told = LogDescription.from_json(file.read_bytes())
    except FileNotFoundError:
        return f"open; there is no {file} to compare them with"
    except (OSError, LogDescriptionError) as error:
        msg = f"{file} cannot be read: {error}"
        raise ConfigurationError(msg) from error
    if told.to_json() != described.to_json():
        msg = f"{file} tells of another log than this: hand out what `answerback log describe` prints"
        raise ConfigurationError(msg)
    return f"open, as {DESCRIPTION_NAME} tells them"


def _shards(config: LogConfig, now: datetime) -> str:
    last = max(shard.not_after_limit for shard in config.shards)
    if not any(shard.not_after_start <= now < shard.not_after_limit for shard in config.shards):
        msg = f"no shard takes a certificate that ends now; they reach until {last:%Y-%m-%d}: begin the next one"
        raise ConfigurationError(msg)
    return f"take certificates that end before {last:%Y-%m-%d}"


def _database(config: LogConfig) -> str:
    storage = open_storage(config)
    try:
        count = sum(state.size for state in storage.trees.all())
    finally:
        storage.close()
    return f"answers, and has {count} entries"
