from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bench import authority, issuance, processes, start_up
from bench.table import Row, heading, line


@pytest.mark.slow
@pytest.mark.parametrize("clients", [1, 2])
def test_the_bench_gets_certificates_from_our_authority(clients: int) -> None:
    """The client that measures goes the whole way at an authority made and served by its own commands."""
    serving = partial(authority.serving, workers=1, threads=2)
    cost = issuance.measure(serving, authority.subjects, clients, certificates=4)
    assert cost.certificates == 4
    assert cost.cpu_ms > 0


def test_the_time_of_every_process_of_a_server_counts(tmp_path: Path) -> None:
    """The CPU time of a child is the server's, too."""
    port = processes.free_port()
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    script = (
        "import http.server, subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {burn!r}], check=True)\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    with processes.running([sys.executable, "-c", script], port, tmp_path, {}) as server:
        assert server.cpu_seconds() >= 0.25


def test_a_server_that_does_not_start_is_shown(tmp_path: Path) -> None:
    """Where the server ends early, its last words are in the error."""
    command = [sys.executable, "-c", "import sys; sys.exit('no key')"]
    with (
        pytest.raises(processes.ServerError, match="no key"),
        processes.running(command, processes.free_port(), tmp_path, {}),
    ):
        pass


def test_our_command_is_measured_beside_others() -> None:
    """Each command is run, ours first."""
    ours, *others = start_up.measure(rounds=1)
    assert ours.name == "answerback --help"
    assert others
    assert all(one.milliseconds > 0 for one in (ours, *others))


def test_a_row_says_the_ratio() -> None:
    """The table names what was measured, the target, what stands beside it, and how often ours fits into that."""
    row = Row("signing", "ms", ours=2.0, target=3.0, beside="other", theirs=5.0)
    assert line(row).split() == ["signing", "2", "ms", "<=", "3", "ms", "other:", "5", "ms", "2.50"]
    assert heading().split()[-1] == "ratio"


def test_the_bench_explains_itself() -> None:
    """`python -m bench --help` says what it needs."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--help"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "--peer" in done.stdout
