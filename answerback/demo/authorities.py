"""Certificate authorities of the demo: made and served by the same commands that an operator types."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from answerback.demo.errors import DemoError

READY_WITHIN = 20.0
STOPPED_WITHIN = 10.0
_READY_WORDS = "listening on"
_PASSWORD_VARIABLE = "ANSWERBACK_SMPP_PASSWORD"  # noqa: S105  # the name of a variable


@dataclass(frozen=True, slots=True)
class AuthoritySettings:
    """What the demo tells `answerback ca init` about one authority."""

    name: str
    operator: str
    url: str
    smsc_port: int
    prefixes: tuple[str, ...] = ()


class Authority:
    """One authority in a folder of its own; `with` serves it in processes of its own and stops them at the end."""

    def __init__(self, folder: Path, settings: AuthoritySettings) -> None:
        """Make the authority's keys, certificates, configuration and database in `folder`."""
        self.folder = folder
        self.settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        _run_answerback(
            "ca",
            "init",
            str(folder),
            *("--name", settings.name),
            *("--operator", settings.operator),
            *("--public-url", settings.url),
            *("--country", "US"),
            *(argument for prefix in settings.prefixes for argument in ("--number-prefix", prefix)),
            *("--gateway", "smpp"),
            "--unencrypted-keys",
        )
        _fill_in(self._config, settings)

    @property
    def index_url(self) -> str:
        """The URL of the ACME index."""
        return f"{self.settings.url}/acme/index"

    @property
    def anchor(self) -> Path:
        """The certificate that a user adds to a trust store."""
        return self.folder / "root.pem"

    @property
    def _config(self) -> Path:
        return self.folder / "ca.toml"

    def __enter__(self) -> Self:
        """Serve, and return once the authority listens."""
        self._process = subprocess.Popen(  # noqa: S603  # our own command, with arguments from the demo
            _answerback("ca", "serve", "--config", str(self._config), "--with-worker"),
            env=os.environ | {_PASSWORD_VARIABLE: "demo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read_lines, daemon=True).start()
        self._await_ready()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the authority and everything it started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait()

    def _read_lines(self) -> None:
        """Keep the pipe empty, so that the authority never waits for its reader."""
        if self._process is not None and self._process.stdout is not None:
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

    def _await_ready(self) -> None:
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
        self.__exit__()
        msg = f"{self.settings.name} did not start: {''.join(heard[-5:]).strip() or 'it said nothing'}"
        raise DemoError(msg)


def _fill_in(config: Path, settings: AuthoritySettings) -> None:
    """Put the SMPP account into the settings, as an operator does after `ca init`."""
    text = config.read_text(encoding="utf-8")
    for placeholder, value in (
        ('"the SMS provider\'s name"', '"the mobile network"'),
        ('host = "smsc.provider.example"', 'host = "127.0.0.1"'),
        ("port = 2775", f"port = {settings.smsc_port}"),
        ('system_id = "your-system-id"', f'system_id = "{settings.name.lower()}"'),
    ):
        if placeholder not in text:
            msg = f"the new settings have no line {placeholder} to fill in"
            raise DemoError(msg)
        text = text.replace(placeholder, value)
    config.write_text(text, encoding="utf-8")


def _answerback(*arguments: str) -> Sequence[str]:
    return [sys.executable, "-m", "answerback", *arguments]


def _run_answerback(*arguments: str) -> None:
    done = subprocess.run(_answerback(*arguments), capture_output=True, text=True, check=False)  # noqa: S603  # as above
    if done.returncode != 0:
        msg = f"answerback {' '.join(arguments[:2])} failed: {done.stderr.strip()}"
        raise DemoError(msg)
