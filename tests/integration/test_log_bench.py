from __future__ import annotations

import pytest

from bench import integration
from bench.table import line


@pytest.mark.slow
def test_the_bench_integrates_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pool is sequenced with all its syncs, and stands in the table beside the disk alone."""
    monkeypatch.setattr(integration, "ROUNDS", 1)
    rows = list(integration.measure())
    assert [row.what for row in rows] == [f"entry integrated, pool of {pool}" for pool in integration.POOLS]
    assert all(row.ours > 0 and line(row) for row in rows)
