"""Where the user's trust store stands on the disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import platformdirs

HOME_VARIABLE = "ANSWERBACK_HOME"
"""The environment variable that names another folder than the user's own for all that Answerback keeps."""
FILE_NAME = "trust.toml"


@dataclass(frozen=True, slots=True)
class TrustHome:
    """The files of one trust store. None of them needs to exist: a store without files is empty."""

    trust_file: Path
    """The user's own file, which only the user's commands write."""
    anchors: Path
    """The folder of the anchors' certificates, `<sha256>.pem`."""
    logs: Path
    """The folder of the logs' descriptions, `<sha256>.json`."""
    lists: Path
    """The folder of the curated lists, each in a folder by its name."""
    revocation_lists: Path
    """The folder of fetched revocation lists: a cache."""
    seen_messages: Path
    """The memory of messages that were believed."""

    @classmethod
    def beside(cls, trust_file: Path) -> Self:
        """Return the files of a store that lives in one folder with its `trust.toml`."""
        folder = trust_file.parent
        return cls(
            trust_file,
            folder / "anchors",
            folder / "logs",
            folder / "lists",
            folder / "revocation-lists",
            folder / "seen-messages.sqlite3",
        )

    @classmethod
    def of_user(cls) -> Self:
        """Return the files in `$ANSWERBACK_HOME`, or in the user's own configuration, cache and state folders."""
        named = os.environ.get(HOME_VARIABLE)
        if named:
            return cls.beside(Path(named) / FILE_NAME)
        folders = platformdirs.PlatformDirs("answerback", appauthor=False)
        return cls(
            folders.user_config_path / FILE_NAME,
            folders.user_config_path / "anchors",
            folders.user_config_path / "logs",
            folders.user_config_path / "lists",
            folders.user_cache_path / "revocation-lists",
            folders.user_state_path / "seen-messages.sqlite3",
        )
