from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.addresses import AuthorityAddress
from acme_client.keys import new_key
from acme_client.store import Store
from ca_server.signing.issuer import Issuer
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import make_issuer


@pytest.fixture
def number() -> TelephoneNumber:
    """Return a number from the range that is kept free for examples."""
    return TelephoneNumber.parse("+12025550123")


@pytest.fixture
def address() -> AuthorityAddress:
    """Return an authority's address."""
    return AuthorityAddress.parse("ca.example")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return a store in a folder of its own."""
    return Store(tmp_path / "home")


@pytest.fixture
def key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return new_key()


@pytest.fixture
def issuer() -> Issuer:
    """Return an authority that signs."""
    return make_issuer()
