from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from bench import __main__ as program
from bench import integration, million, plot, sealed, waiting
from bench.table import Row, line


@pytest.mark.slow
def test_the_bench_integrates_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pool is sequenced with all its syncs, and stands in the table beside the disk alone."""
    monkeypatch.setattr(integration, "ROUNDS", 1)
    rows = list(integration.measure())
    assert [row.what for row in rows] == [f"entry integrated, pool of {pool}" for pool in integration.POOLS]
    assert all(row.ours > 0 and line(row) for row in rows)


def test_the_bench_makes_the_proofs_that_a_stranger_makes() -> None:
    """Ours and tlog-scales read the same files; the same hashes come out, and each cost is measured."""
    cost = sealed.proof_cost(70_000, proofs=3)
    assert min(cost.kept, cost.new, cost.peer_kept, cost.peer_new, cost.checked) > 0
    assert next(row.what for row in sealed.proof_rows(cost)) == "proof among 70,000 leaves"


def test_the_bench_updates_an_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small index is updated in files until its buckets are split, and lookups in it count every byte they fetch."""
    monkeypatch.setattr(sealed, "NEW_LABELS", 50)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    *updates, mean, largest = sealed.index_rows(1700)
    assert [row.what.partition(": ")[2] for row in updates] == [
        "50 more, median",
        "50 more, longest of 5",
        "50 more, of that CPU",
        "50 more, all buckets split",
        "restart",
    ]
    assert all(row.ours > 0 for row in updates)
    assert 500 < mean.ours <= largest.ours <= sealed.LOOKUP_TARGET_BYTES


@pytest.mark.slow
def test_the_bench_grows_a_log_and_opens_it_again() -> None:
    """A small log grows in a process of its own, and another finds all of it."""
    rows = {row.what: row for row in million.measure(400)}
    assert all(row.ours > 0 for row in rows.values())
    assert rows["400 entries: tiles, each"].ours > 137


@pytest.mark.slow
def test_the_bench_waits_for_timestamps() -> None:
    """Clients submit to a log that its own commands made and serve, and every SCT is checked."""
    median, slowest = waiting.measure(submissions=6)
    assert 0 < median.ours <= slowest.ours


def test_the_plot_has_every_point() -> None:
    """The plot is XML with a point for each size and curve, and a name for each curve."""
    costs = [sealed.ProofCost(leaves, 0.2, 0.4, 1.1, 1.2, 0.01) for leaves in sealed.MORE_LEAVES]
    svg = ET.fromstring(plot.proof_costs(costs))  # noqa: S314  # it was written here
    space = "{http://www.w3.org/2000/svg}"
    assert len(svg.findall(f"{space}circle")) == 15
    assert {"ours", "tlog-scales"} <= {text.text for text in svg.findall(f"{space}text")}


def test_long_measurements_need_no_peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`--long` measures large logs only and writes the plot; without it the peer must be given."""

    def rows() -> Iterator[Row]:
        yield Row("a million", "s", 1.0, None, "another", 2.0)

    monkeypatch.setattr(sealed, "MORE_LEAVES", (300, 600))
    monkeypatch.setattr(sealed, "LABELS", 1000)
    monkeypatch.setattr(sealed, "PROOFS", 2)
    monkeypatch.setattr(million, "measure", rows)
    done = CliRunner().invoke(program.main, ["--long", "--plot", str(tmp_path / "plot.svg")])
    assert done.exit_code == 0, done.output
    assert "proof among 600 leaves" in done.output
    assert "a million" in done.output
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    assert "--peer" in CliRunner().invoke(program.main, []).output
