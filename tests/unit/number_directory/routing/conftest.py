from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes.routing_world import RoutingWorld, make_world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RoutingWorld:
    """Return a publisher that signs alone, and whose first map is published."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # what the disk does is not what these tests are about
    world = make_world(tmp_path)
    world.build()
    return world
