"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import ca_server.loading
import number_directory.server.loading
import transparency.server.loading
from answerback.rs.config import DirectoryPart, LogPart, RsConfig, directory_of, log_of
from number_directory.server.config import DirectoryConfig
from serving.errors import ConfigurationError
from serving.loading import load
from transparency.server.config import LogConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """The settings of each program, paths absolute and everything checked; `log` is None where there is none."""

    authority: RsConfig
    directory: DirectoryConfig
    log: LogConfig | None


def load_settings(path: Path) -> Settings:
    """Read and check the settings of a resolution service.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    config = load(path, lambda path: ca_server.loading.load_as(path, RsConfig), (_check_directory, _check_log))
    return Settings(config, _directory(config), _log(config))


def _check_directory(config: RsConfig) -> None:
    _directory(config)


def _check_log(config: RsConfig) -> None:
    _log(config)


def _directory(config: RsConfig) -> DirectoryConfig:
    settle = number_directory.server.loading.settle
    return _named("directory", DirectoryPart, lambda: settle(directory_of(config), config.folder))


def _log(config: RsConfig) -> LogConfig | None:
    part = config.certificate_log
    if part is None:
        return None
    settle = transparency.server.loading.settle
    return _named("certificate_log", LogPart, lambda: settle(log_of(config, part), config.folder))


def _named(table: str, part: type[DirectoryPart | LogPart], settle: Callable[[], T]) -> T:
    """Have errors name a key as it stands in the service's file."""
    try:
        return settle()
    except ConfigurationError as error:
        key = str(error).partition(":")[0].partition(".")[0].partition("[")[0]
        msg = f"{table}.{error}" if key in part.__struct_fields__ else str(error)
        raise ConfigurationError(msg) from error
