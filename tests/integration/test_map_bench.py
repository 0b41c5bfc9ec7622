from __future__ import annotations

from pathlib import Path

import pytest

from bench import routing_map
from bench.table import line


@pytest.mark.slow
def test_the_bench_measures_a_map(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small map is built, asked and updated over HTTP, and every row has its figure."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(routing_map, "LOOKUPS", 50)
    monkeypatch.setattr(routing_map, "ROUNDS", 1)
    rows = list(routing_map.measure(exceptions=20_000, changes=100))
    assert len(rows) == 9
    assert all(row.ours > 0 and line(row) for row in rows)
