from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.log_world import Authority, make_config, make_log
from transparency.server.config import LogConfig
from transparency.server.log import Log
from transparency.server.storage import Storage


@pytest.fixture
def storage(database_url: str) -> Iterator[Storage]:
    """Return an empty storage on each database."""
    opened = Storage.open(database_url)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Return an authority that the log admits."""
    return Authority.make()


@pytest.fixture
def config(tmp_path: Path, authority: Authority) -> LogConfig:
    """Return the settings of a log in a folder of its own."""
    return make_config(tmp_path / "log", authority)


@pytest.fixture
def log(config: LogConfig) -> Iterator[Log]:
    """Return a log on SQLite and files."""
    opened = make_log(config)
    yield opened
    opened.storage.close()
