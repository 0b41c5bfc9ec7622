from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.list_world import ListWorld, list_world
from tests.fakes.small_pki import Authority


@pytest.fixture
def world(tmp_path: Path, root: Authority) -> Iterator[ListWorld]:
    """Return a curator who signs alone, and whose first list, with the root in it, is published."""
    with list_world(tmp_path) as world:
        world.publish(example_ca=root)
        yield world
