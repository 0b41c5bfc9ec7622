from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import small_pki
from tests.fakes.small_pki import Authority, Held
from trust_store import TrustHome, TrustStore


@pytest.fixture
def home(tmp_path: Path) -> TrustHome:
    """Return the place of a store that has no files yet."""
    return TrustHome.beside(tmp_path / "trust" / "trust.toml")


@pytest.fixture(scope="session")
def root() -> Authority:
    """Return an authority for all numbers that certifies itself."""
    return small_pki.root()


@pytest.fixture(scope="session")
def issuing(root: Authority) -> Authority:
    """Return the authority below the root that certifies numbers."""
    return root.authority("Example Issuing")


@pytest.fixture(scope="session")
def held(issuing: Authority) -> Held:
    """Return the caller's certificate and key."""
    return issuing.number()


@pytest.fixture
def store(root: Authority) -> TrustStore:
    """Return a store that believes the root without limits."""
    return TrustStore([root.anchor()])
