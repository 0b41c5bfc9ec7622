"""Fixtures that run a test on each database. Import them in the nearest conftest.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ca_server.storage import Storage
from tests.fakes.postgresql import PostgresqlServer

DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.peer))


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_database()
    yield url
    server.drop(url)


@pytest.fixture(params=DATABASES)
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a database that has our tables and is otherwise empty: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ca.db'}"
        storage = Storage.open(url)
        storage.migrate()
        storage.close()
        yield url
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_storage()
    yield url
    server.drop(url)


@pytest.fixture
def storage(storage_url: str) -> Iterator[Storage]:
    """Return an empty storage on each database."""
    opened = Storage.open(storage_url)
    yield opened
    opened.close()
