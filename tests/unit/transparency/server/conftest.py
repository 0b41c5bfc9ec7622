from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.log_world import Authority, make_config, make_log
from tests.fakes.postgresql import PostgresqlServer
from tests.fakes.storages import DATABASES, postgresql_server  # noqa: F401 - a fixture
from transparency.server.config import LogConfig
from transparency.server.log import Log
from transparency.server.storage import Storage


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'log.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_database()
    yield url
    server.drop(url)


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
