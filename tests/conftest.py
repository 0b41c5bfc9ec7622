from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from stir import encrypted_key

if TYPE_CHECKING:
    from tests.fakes.postgresql import PostgresqlServer

# A slow machine fails no property; in CI the same examples are tried every time.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")


@pytest.fixture(scope="session", autouse=True)
def home_of_nobody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test out of the keys, certificates and trust store of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANSWERBACK_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("ANSWERBACK_DEBUG", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def cheap_passphrases() -> Iterator[int]:
    """Let key files be opened and closed quickly in the tests' own process; return what it costs elsewhere.

    The cost stands in each file, and whoever reads one takes it from there. Programs that tests start pay in full.
    """
    full = encrypted_key._COST
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encrypted_key, "_COST", 2**4)
        yield full


@pytest.fixture
def full_cost(cheap_passphrases: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close key files as slowly as the programs do."""
    monkeypatch.setattr(encrypted_key, "_COST", cheap_passphrases)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """Return a PostgreSQL server that lives as long as the tests: one, which is why it stands here alone."""
    from tests.fakes.postgresql import PostgresqlServer  # noqa: PLC0415  # most tests need no driver

    with PostgresqlServer() as server:
        yield server
