from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.directory_world import DirectoryWorld


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
