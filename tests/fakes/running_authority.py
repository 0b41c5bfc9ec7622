"""A whole authority made and served by the commands that an operator types, in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ANSWERBACK = (sys.executable, "-m", "answerback")
PATIENCE = 60.0
"""In seconds; how long anything here may take on a machine that is busy with other tests."""


@dataclass
class RunningAuthority:
    """An authority that listens at `url`. Its standard output and error are kept, line by line."""

    folder: Path
    url: str
    process: subprocess.Popen[str]
    output: list[str]
    log: list[str]

    @property
    def index_url(self) -> str:
        """The URL of its ACME index."""
        return f"{self.url}/acme/index"

    @property
    def config(self) -> Path:
        """The file of its settings."""
        return self.folder / "ca.toml"

    def sms(self) -> list[str]:
        """Return the messages that its outbox holds, oldest first."""
        files = sorted((self.folder / "outbox-development").glob("*.txt"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_text(encoding="utf-8") for path in files]

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of its log, each of which must be a JSON object."""
        return [json.loads(line) for line in self.log]


def run(*arguments: str | Path, code: int = 0, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `answerback` with these arguments, and check its exit code."""
    done = subprocess.run(
        [*ANSWERBACK, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env=env,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def free_port() -> int:
    """Return a port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def make_authority(folder: Path, url: str, *more: str) -> Path:
    """Make an authority without real SMS and without encryption, and return the file of its settings."""
    names = ("--name", "Example CA", "--operator", "Example Ltd", "--public-url", url, "--country", "US")
    run("ca", "init", folder, *names, "--gateway", "outbox", "--unencrypted-keys", *more)
    return folder / "ca.toml"


@contextlib.contextmanager
def serving(folder: Path, url: str, *arguments: str) -> Iterator[RunningAuthority]:
    """Serve the authority in `folder` until the block is left, and see that nothing of it is left running."""
    process = subprocess.Popen(
        [*ANSWERBACK, "ca", "serve", "--config", str(folder / "ca.toml"), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    authority = RunningAuthority(folder, url, process, [], [])
    readers = [
        threading.Thread(target=_keep, args=(stream, lines), daemon=True)
        for stream, lines in ((process.stdout, authority.output), (process.stderr, authority.log))
        if stream is not None
    ]
    for reader in readers:
        reader.start()
    try:
        await_that(lambda: authority.output or process.poll() is not None, "the authority listens or ends")
        yield authority
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for reader in readers:
            reader.join(PATIENCE)


def await_that(holds: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; fail where it never does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"in {PATIENCE} s it did not come true that {what}"
        time.sleep(0.02)


def processes_of(session: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def _keep(stream: IO[str], lines: list[str]) -> None:
    with stream:
        lines.extend(line.rstrip("\n") for line in iter(stream.readline, ""))
