from __future__ import annotations

from pathlib import Path

import pytest

from bench import directory, importing
from bench.table import line


@pytest.mark.slow
def test_the_bench_measures_a_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small directory is filled, asked and published in over HTTP, and every row has its figure."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(directory, "CALLERS", 4)
    rows = list(directory.measure(numbers=60, lookups=40, published=10))
    assert len({row.what for row in rows}) == len(rows) == 22
    assert all(row.ours > 0 and line(row) for row in rows)


@pytest.mark.slow
def test_the_bench_measures_imports_among_many_records(tmp_path: Path) -> None:
    """Rows that are filled in are found by lookups and forgotten as those that came in by an import are."""
    rows = list(importing.measure_onto(3000, 30, tmp_path))
    assert len({row.what for row in rows}) == len(rows) == 10
    assert all(row.ours > 0 and line(row) for row in rows)
    assert rows[-1].what == "3,000 records: forgetting 3"
