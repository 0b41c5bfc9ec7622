"""The servers of the demo, made and served by the same commands that an operator types.

Authorities and logs, directories, and the map of which directory has a number.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from answerback.demo.errors import DemoError

READY_WITHIN = 20.0
STOPPED_WITHIN = 10.0
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_767
_PORTS_TO_TRY = 200
_ports = iter(random.SystemRandom().sample(range(_LOWEST_PORT, _HIGHEST_PORT + 1), _PORTS_TO_TRY))
"""Ports that connections on their way out do not get, unlike most that are free; none comes twice."""
_READY_WORDS = "listening on"
_PASSWORD_VARIABLE = "ANSWERBACK_SMPP_PASSWORD"  # noqa: S105  # the name of a variable


@dataclass(frozen=True, slots=True)
class Operator:
    """Who runs a server: the server's name, and a free address on this machine for it."""

    name: str
    url: str

    @classmethod
    def of(cls, name: str) -> Self:
        """Return an operator with a free port of the loopback address; raise DemoError where there is none."""
        return cls(name, f"http://127.0.0.1:{_free_port()}")

    @property
    def company(self) -> str:
        """The operator's own name, as it stands in certificates."""
        return f"{self.name} Cooperative"


def _free_port() -> int:
    """Return a port that nobody listens on."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    msg = f"no port from {_LOWEST_PORT} to {_HIGHEST_PORT} is free on this machine"
    raise DemoError(msg)


class Server:
    """A server in processes of its own: `with` starts it, and ends it with everything that it started.

    Several can start at once: each listens when its `wait_until_ready` returns.
    """

    def __init__(self, operator: Operator, *command: str) -> None:
        """Prepare to run an `answerback` command that says where it listens."""
        self.operator = operator
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        """Start."""
        self._process = subprocess.Popen(  # noqa: S603  # our own command, with arguments from the demo
            _answerback(*self._command),
            env=os.environ | {_PASSWORD_VARIABLE: "demo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read_lines, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def stop(self) -> None:
        """End what runs, if it does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def _read_lines(self) -> None:
        """Keep the pipe empty, so that the server never waits for its reader."""
        if self._process is not None and self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def wait_until_ready(self) -> None:
        """Return once the server listens; raise DemoError, with its last words, where it does not."""
        heard: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=READY_WITHIN)
            except queue.Empty:
                break
            if line is None:
                break
            if _READY_WORDS in line:
                return
            heard.append(line)
        msg = f"{self.operator.name} did not start: {''.join(heard[-5:]).strip() or 'it said nothing'}"
        raise DemoError(msg)


class Authority(Server):
    """A certificate authority, with its keys, settings and database in a folder of its own."""

    def __init__(self, folder: Path, operator: Operator, smsc_port: int, prefixes: Sequence[str] = ()) -> None:
        """Make it in `folder`, connected to an SMSC on this machine; with `prefixes`, for those numbers only."""
        super().__init__(operator, "ca", "serve", "--config", str(folder / "ca.toml"), "--with-worker")
        self.folder = folder
        _run(
            *("ca", "init", str(folder)),
            *("--name", operator.name),
            *("--operator", operator.company),
            *("--public-url", operator.url),
            *("--country", "US"),
            *(argument for prefix in prefixes for argument in ("--number-prefix", prefix)),
            *("--gateway", "smpp"),
            "--unencrypted-keys",
        )
        account = {
            '"the SMS provider\'s name"': '"the mobile network"',
            'host = "smsc.provider.example"': 'host = "127.0.0.1"',
            "port = 2775": f"port = {smsc_port}",
            'system_id = "your-system-id"': f'system_id = "{operator.name.lower()}"',
        }
        _fill_in(folder / "ca.toml", account)

    @property
    def index_url(self) -> str:
        """The URL of the ACME index."""
        return f"{self.operator.url}/acme/index"

    @property
    def anchor(self) -> Path:
        """The certificate that a user adds to a trust store."""
        return self.folder / "root.pem"

    @property
    def issuing(self) -> Path:
        """The certificate that a log admits."""
        return self.folder / "issuing.pem"

    def log_to(self, logs: Sequence[Log]) -> None:
        """Have each certificate shown to all of these logs before it is issued."""
        config = self.folder / "ca.toml"
        _fill_in(config, {"#scts = 0": f"scts = {len(logs)}"})
        entries = (
            f'\n[[logs]]\ndescription = "{log.description}"\noperator = "{log.operator.company}"\n' for log in logs
        )
        config.write_text(config.read_text(encoding="utf-8") + "".join(entries), encoding="utf-8")


class Log(Server):
    """A transparency log, with its keys, tiles and database in a folder of its own."""

    def __init__(self, folder: Path, operator: Operator, admitted: Sequence[Authority]) -> None:
        """Make it in `folder`, for the certificates of some authorities."""
        super().__init__(operator, "log", "serve", "--config", str(folder / "log.toml"), "--with-sequencer")
        self.folder = folder
        _run(
            *("log", "init", str(folder)),
            *("--name", operator.name),
            *("--operator", operator.company),
            *("--public-url", operator.url),
            *(argument for authority in admitted for argument in ("--admit", str(authority.issuing))),
            "--unencrypted-keys",
        )
        _fill_in(folder / "log.toml", {"#index_seconds = 10": "index_seconds = 1"})

    @property
    def description(self) -> Path:
        """What authorities, trust stores and monitors are given about the log."""
        return self.folder / "log.json"

    @property
    def public(self) -> Path:
        """The folder of everything that the log shows to everybody."""
        return self.folder / "public"


class Directory(Server):
    """A directory of where numbers are reached, with its key, admission list and database in a folder of its own."""

    def __init__(self, folder: Path, operator: Operator, admitted: Sequence[Authority]) -> None:
        """Make it in `folder`, for what the numbers of some authorities sign."""
        super().__init__(operator, "directory", "serve", "--config", str(folder / "directory.toml"), "--with-worker")
        self.folder = folder
        _run(
            *("directory", "init", str(folder)),
            *("--name", operator.name),
            *("--operator", operator.company),
            *("--public-url", operator.url),
            *(argument for authority in admitted for argument in ("--admit", str(authority.anchor))),
            "--unencrypted-keys",
        )

    @property
    def service(self) -> str:
        """The name under which the map knows it."""
        return self.operator.name.lower()

    @property
    def description(self) -> bytes:
        """What owners, callers and whoever makes the map are given about the directory."""
        return (self.folder / "directory.json").read_bytes()


class NumberMap(Server):
    """The publisher of the signed map that says which directory has a number."""

    def __init__(
        self, folder: Path, operator: Operator, directories: Sequence[Directory], entries: Mapping[str, Directory]
    ) -> None:
        """Make it in `folder`, of numbers and prefixes; the first directory has all others."""
        super().__init__(operator, "directory", "map", "serve", str(folder))
        self.folder = folder
        bind = operator.url.removeprefix("http://")
        _run(
            *("directory", "map", "init", str(folder)),
            *("--name", operator.name),
            *("--bind", bind),
            "--unencrypted-keys",
        )
        _fill_in(folder / "map.toml", {"defaults = []": f'defaults = ["{directories[0].service}"]'})
        config = folder / "map.toml"
        config.write_text(config.read_text(encoding="utf-8") + "".join(map(_service, directories)), encoding="utf-8")
        lines = folder / "numbers.csv"
        lines.write_text("".join(f"{key},{one.service}\n" for key, one in entries.items()), encoding="ascii")
        _run("directory", "map", "build", str(folder), str(lines))

    @property
    def root(self) -> bytes:
        """Whom to believe about the map: what comes with an app."""
        return (self.folder / "public" / "metadata" / "1.root.json").read_bytes()


def _service(directory: Directory) -> str:
    """Return the table of a directory in the settings of a map."""
    operator = directory.operator
    return (
        f'\n[[services]]\nname = "{directory.service}"\noperator = "{operator.company}"\nurl = "{operator.url}"\n'
        f'description_sha256 = "{hashlib.sha256(directory.description).hexdigest()}"\n'
    )


def _fill_in(config: Path, values: Mapping[str, str]) -> None:
    """Put values in the place of what a command wrote into new settings, as an operator does with an editor."""
    text = config.read_text(encoding="utf-8")
    for written, value in values.items():
        if written not in text:
            msg = f"{config.name} has no {written} to fill in"
            raise DemoError(msg)
        text = text.replace(written, value)
    config.write_text(text, encoding="utf-8")


def _answerback(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "answerback", *arguments]


def _run(*arguments: str) -> None:
    done = subprocess.run(_answerback(*arguments), capture_output=True, text=True, check=False)  # noqa: S603  # as above
    if done.returncode != 0:
        msg = f"answerback {' '.join(arguments[:2])} failed: {done.stderr.strip()}"
        raise DemoError(msg)
