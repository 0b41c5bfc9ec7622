"""A server in processes of its own, and the CPU time that all of them have used. Linux only: read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server did not start."""


@dataclass(frozen=True)
class Server:
    """A running server: the session of its first process is that process and all it started."""

    session: int

    def cpu_seconds(self) -> float:
        """Add up the user and system time of every process of the server, and of those it has waited for."""
        return sum(_ticks(stat) for stat in _stats() if int(stat[3]) == self.session) / _TICKS


@contextlib.contextmanager
def running(command: Sequence[str], port: int, folder: Path, environment: Mapping[str, str]) -> Iterator[Server]:
    """Run a server until the block ends; the block begins when the port accepts connections."""
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _await_port(process, port, folder / "server.log")
            yield Server(process.pid)
        finally:
            _stop(process)


def free_port() -> int:
    """Find a port of the loopback interface on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    message = f"the server did not start:\n{log.read_text(errors='replace')[-2000:]}"
    raise ServerError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # The whole session is signalled: a worker must not outlive a master that was killed.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)


def _stats() -> Iterator[list[str]]:
    # proc(5): the fields after the command's name, which stands in parentheses and may hold anything.
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield path.read_text().rpartition(")")[2].split()


def _ticks(stat: Sequence[str]) -> int:
    user_system_and_children = slice(11, 15)
    return sum(int(field) for field in stat[user_system_and_children])
