"""A whole directory, made and served by the commands that an operator types, with its worker, in one process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509

from stir.certificate import write_pem_chain
from tests.fakes.running_log import PATIENCE, unused_port

_COMMAND = (sys.executable, "-c", "from answerback.commands.directory import directory; directory()")
_ROOT = Path(__file__).parents[2]


def run(*arguments: str | Path) -> dict[str, Any]:
    """Run `answerback directory` with these arguments and --json, and return what it prints."""
    command = [*_COMMAND, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@contextmanager
def running_directory(folder: Path, name: str, admits: Sequence[x509.Certificate]) -> Iterator[str]:
    """Make a directory that admits these authorities, serve it until the block is left, and yield its URL."""
    url = f"http://127.0.0.1:{unused_port()}"
    admitted = []
    for number, certificate in enumerate(admits):
        file = folder / f"{name}-{number}.pem"
        file.write_bytes(write_pem_chain([certificate]))
        admitted += ["--admit", file]
    place = folder / name
    run(
        "init",
        place,
        "--name",
        name,
        "--operator",
        f"Operator of {name}",
        "--url",
        url,
        "--unencrypted-keys",
        *admitted,
    )
    with (folder / f"{name}.log").open("wb") as errors:
        command = [*_COMMAND, "serve", "--config", str(place / "directory.toml"), "--with-worker", "--json"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=_ROOT)
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        assert "listening" in line, (folder / f"{name}.log").read_text()
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(PATIENCE)
        finally:
            server.kill()
            server.stdout.close()
            server.wait(PATIENCE)
