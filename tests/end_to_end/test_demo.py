"""The demo, run as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "answerback", "demo"]
PATIENCE = 120


@pytest.fixture
def scratch(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose temporary files can be counted afterwards."""
    (tmp_path / "tmp").mkdir()
    return os.environ | {
        "TMPDIR": str(tmp_path / "tmp"),
        "HOME": str(tmp_path),
        "ANSWERBACK_HOME": str(tmp_path / "home"),
    }


def test_every_step_comes_out_as_told(scratch: dict[str, str]) -> None:
    """`answerback demo --json` exits 0 and tells each step with its verdict, its deciding rule and the reason."""
    done = subprocess.run([*DEMO, "--json"], env=scratch, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["ok"]
    assert all(step["why"] for step in told["steps"])
    assert [(step["came_out"], step["rule"]) for step in told["steps"]] == [
        ("certified", "sms-code"),
        ("certified", "sms-code"),
        ("certified", "sms-code"),
        ("verified", "anchor"),
        ("unverified", "anchor"),
        ("verified", "anchor"),
        ("refused", "attempts"),
        ("refused", "certified-number"),
        ("refused", "freshness"),
        ("refused", "signature"),
        ("refused", "path"),
        ("published", "receipt"),
        ("at Rowan", "map"),
        ("verified", "anchor"),
        ("nothing", "bytes"),
        ("refused", "signature"),
        ("unverified", "anchor"),
        ("refused", "outdated"),
        ("all known", "own"),
        ("certified", "sms-code"),
        ("verified", "anchor"),
        ("alarm", "unknown-certificate"),
        ("revoked", "holder"),
        ("refused", "revocation"),
        ("found none", "traces"),
    ]
    assert_nothing_left(scratch)


def test_it_tells_the_story_in_words_and_ends_in_a_table(scratch: dict[str, str]) -> None:
    """`make demo`, which the README begins with, narrates each step, masks the numbers, and sums up in a table."""
    done = subprocess.run(
        ["make", "demo"], cwd=ROOT, env=scratch, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Alice calls Bob, who believes Alder: verified." in done.stdout
    assert "25 of 25 steps came out as told" in done.stdout
    assert "2025550123" not in done.stdout + done.stderr
    assert_nothing_left(scratch)


def test_a_demo_that_is_stopped_takes_everything_with_it(scratch: dict[str, str]) -> None:
    """SIGTERM in the middle of the story ends every process that the demo started and removes its folder."""
    demo = subprocess.Popen(DEMO, env=scratch, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    with demo.stdout:
        for line in demo.stdout:
            if "answers at" in line:
                break
        demo.send_signal(signal.SIGTERM)
        demo.stdout.read()
    assert demo.wait(PATIENCE) != 0
    assert_nothing_left(scratch)


def assert_nothing_left(scratch: dict[str, str]) -> None:
    """Look for files in the temporary folder, and for processes that were told to use it."""
    assert list(Path(scratch["TMPDIR"]).iterdir()) == []
    deadline = time.monotonic() + 10
    while processes_with(f"TMPDIR={scratch['TMPDIR']}"):
        assert time.monotonic() < deadline, "a process of the demo is still running"
        time.sleep(0.05)


def processes_with(variable: str) -> list[Path]:
    """Return the processes that have a variable in their environment."""
    return [path for path in Path("/proc").glob("[0-9]*/environ") if variable.encode() in environment_of(path)]


def environment_of(path: Path) -> bytes:
    """Return a process's environment; nothing where it ended meanwhile, or belongs to somebody else."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
