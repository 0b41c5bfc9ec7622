from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.postgresql import PostgresqlServer
from tests.fakes.storages import DATABASES, postgresql_server

__all__ = ["postgresql_server"]


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of an empty database: SQLite, then PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'a.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    url = server.fresh_database()
    yield url
    server.drop(url)
