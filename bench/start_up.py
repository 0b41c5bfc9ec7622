"""How long commands take to say what they can do."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TARGET_MS = 150.0
ROUNDS = 15


@dataclass(frozen=True)
class StartUp:
    """A command, and the median of its run times."""

    name: str
    milliseconds: float


def measure(rounds: int = ROUNDS) -> list[StartUp]:
    """Run each command in turn, round after round, so that a busy moment hits all alike; ours comes first."""
    commands = _commands()
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(_milliseconds(command))
    return [StartUp(name, statistics.median(samples)) for name, samples in times.items()]


def _commands() -> dict[str, Sequence[str]]:
    ours = Path(sys.executable).with_name("answerback")
    commands: dict[str, Sequence[str]] = {
        "answerback --help": (str(ours), "--help"),
        "python -c 'import click'": (sys.executable, "-c", "import click"),
    }
    certbot = shutil.which("certbot")
    return commands | ({"certbot --help": (certbot, "--help")} if certbot else {})


def _milliseconds(command: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return 1000 * (time.perf_counter() - begun)
