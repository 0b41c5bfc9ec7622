"""From a file of settings to one program's: its own file, or that of a resolution service which has the program in it.

A command so takes either, and needs the other programs installed only where the file is a service's.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ca_server.config import Config
    from number_directory.server.config import DirectoryConfig
    from transparency.server.config import LogConfig

_MARK = "directory"
"""The table that only a service's settings have."""


def load_authority(path: Path) -> Config:
    """Return the settings of an authority; raise ConfigurationError."""
    if _is_service(path):
        from answerback.rs.loading import load_settings

        return load_settings(path).authority
    from ca_server.loading import load_config

    return load_config(path)


def load_directory(path: Path) -> DirectoryConfig:
    """Return the settings of a directory; raise ConfigurationError."""
    if _is_service(path):
        from answerback.rs.loading import load_settings

        return load_settings(path).directory
    from number_directory.server.loading import load_config

    return load_config(path)


def load_log(path: Path) -> LogConfig:
    """Return the settings of a log; raise ConfigurationError."""
    if _is_service(path):
        from answerback.rs.loading import load_settings
        from serving.errors import ConfigurationError

        found = load_settings(path).log
        if found is None:
            msg = f"{path}: there is no certificate_log: this service has no log"
            raise ConfigurationError(msg)
        return found
    from transparency.server.loading import load_config

    return load_config(path)


def _is_service(path: Path) -> bool:
    """Tell whether a file of settings is a service's; one that cannot be read is not."""
    try:
        return _MARK in tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
