from __future__ import annotations

import pytest

from ca_server.storage import Storage
from tests.fakes.acme_requests import AcmeRequests
from tests.fakes.storages import storage, storage_url
from tests.fakes.web_authority import WebAuthority

__all__ = ["authority", "client", "other", "storage", "storage_url"]


@pytest.fixture
def authority(storage: Storage) -> WebAuthority:
    """Build an authority that certifies numbers of the United States, on each database."""
    return WebAuthority(storage)


@pytest.fixture
def client(authority: WebAuthority) -> AcmeRequests:
    """Register a client."""
    return authority.registered()


@pytest.fixture
def other(authority: WebAuthority) -> AcmeRequests:
    """Register another client."""
    return authority.registered()
