from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.directory_world import DirectoryWorld
from tests.fakes.postgresql import PostgresqlServer
from tests.fakes.storages import DATABASES, postgresql_server  # noqa: F401 - a fixture


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'directory.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_database()
    yield url
    server.drop(url)


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[DirectoryWorld]:
    """Return a directory on each database."""
    made = DirectoryWorld.make(tmp_path / "directory", database_url)
    yield made
    made.close()


@pytest.fixture
def small_world(tmp_path: Path) -> Iterator[DirectoryWorld]:
    """Return a directory on SQLite alone, for what does not depend on the database."""
    made = DirectoryWorld.make(tmp_path / "directory")
    yield made
    made.close()
