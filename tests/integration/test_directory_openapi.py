"""The directory's OpenAPI document against the directory itself, by a program that we did not write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.fakes.running_directory import RunningDirectory

_OPEN = "\n[quotas.address]\nburst = 1000000\nper_day = 1000000\n"


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    """Whatever is sent, each answer is one that the document announces, and none is a server's error."""
    made = RunningDirectory.make(tmp_path / "directory", settings=_OPEN)
    config = made.config
    config.write_text(config.read_text().replace("[metrics]\n", '[metrics]\naccess = "open"\n'))
    with made.running():
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"),
                "--config-file",
                Path(__file__).with_name("schemathesis.toml"),
                "run",
                f"{made.url}/openapi.json",
                "--checks=all",
                "--exclude-checks=positive_data_acceptance",  # no generator can sign
                "--max-examples=50",
                "--seed=1",
                "--generation-deterministic",
                "--no-color",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "Failures" not in done.stdout
    assert re.search(r"Tested: \d\d", done.stdout), done.stdout
    assert '"incident' not in (made.folder / "stderr").read_text()
