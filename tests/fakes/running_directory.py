"""A whole directory, made and served by the commands that an operator types, in processes that can be killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from number_directory.description import DirectoryDescription
from number_directory.statement import statement_body
from stir.certificate_chain import write_pem_chain
from stir.telephone_number import TelephoneNumber
from tests.fakes.running_log import unused_port
from tests.fakes.small_pki import Authority, Held, root

PATIENCE = 60.0
"""Seconds that anything here may take on a machine that is busy with other tests."""
_COMMAND = (sys.executable, "-m", "answerback", "directory")
_ROOT = Path(__file__).parents[2]


@dataclass
class RunningDirectory:
    """A directory that listens, whose files lie in `folder`."""

    folder: Path
    url: str
    authority: Authority
    process: subprocess.Popen[str] | None = None

    @classmethod
    def make(
        cls,
        folder: Path,
        *,
        database: str | None = None,
        settings: str = "",
        record_log: str = "",
        admits: Sequence[x509.Certificate] = (),
    ) -> RunningDirectory:
        """Make a directory that admits its own authority, or `admits` in place of that.

        `settings` and those of the record log are added to its file.
        """
        authority = root()
        url = f"http://127.0.0.1:{unused_port()}"
        admitted: list[str | Path] = []
        for number, certificate in enumerate(admits or [authority.certificate]):
            file = folder.with_name(f"{folder.name}-{number}.pem")
            file.write_bytes(write_pem_chain([certificate]))
            admitted += ["--admit", file]
        names = ("--name", "Example", "--operator", "Example", "--public-url", url)
        run("init", folder, *names, "--unencrypted-keys", *admitted)
        config = folder / "directory.toml"
        text = config.read_text().replace("[record_log]\n", f"[record_log]\n{record_log}\n") + settings
        if database is not None:
            text = text.replace("sqlite:///directory.db", database)
        config.write_text(text)
        return cls(folder, url, authority)

    @property
    def config(self) -> Path:
        """The file of its settings."""
        return self.folder / "directory.toml"

    @property
    def description(self) -> DirectoryDescription:
        """What everybody is given."""
        return DirectoryDescription.from_json((self.folder / "directory.json").read_bytes())

    def start(self, *, with_worker: bool = True) -> None:
        """Serve, with the worker or without, in a process group of its own."""
        helpers = ("--with-worker",) if with_worker else ()
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [*_COMMAND, "serve", *helpers, "--config", str(self.config), "--json"],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=_ROOT,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "stderr").read_text()
        assert json.loads(line) == {"listening": self.url}

    def kill(self) -> None:
        """Kill all its processes at once, wherever they are."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        """Ask it to end, if it runs."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self._reap()

    def _reap(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process.stdout.close()
            self.process = None
        self._wait_for_port()

    def _wait_for_port(self) -> None:
        """Wait until nobody listens: a child of a killed parent may take a moment to die."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.get("/health")
            except OSError:
                return
            time.sleep(0.01)
        raise AssertionError

    @contextmanager
    def running(self, *, with_worker: bool = True) -> Iterator[RunningDirectory]:
        """Serve while the block lasts."""
        self.start(with_worker=with_worker)
        try:
            yield self
        finally:
            self.stop()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Run the worker alone while the block lasts."""
        command = [*_COMMAND, "worker", "--config", str(self.config)]
        with (
            (self.folder / "stderr").open("ab") as errors,
            subprocess.Popen(command, stdout=errors, stderr=errors, cwd=_ROOT) as worker,
        ):
            try:
                yield
            finally:
                worker.terminate()
                worker.wait(PATIENCE)

    def held(self, number: TelephoneNumber, *, serial: int) -> Held:
        """Certify a number for the coming days."""
        now = datetime.now(UTC).replace(microsecond=0)
        start, end = now - timedelta(hours=1), now + timedelta(days=6)
        return self.authority.number(number, not_before=start, not_after=end, serial=serial)

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and content."""
        return self._ask("GET", path, None)

    def post(self, path: str, token: str) -> tuple[int, bytes]:
        """Send a statement; return status and content."""
        return self._ask("POST", path, statement_body(token))

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError from error
        finally:
            connection.close()


def run(*arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """Run `answerback directory` with these arguments and --json, and return what it prints."""
    command = [*_COMMAND, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=_ROOT, timeout=PATIENCE)
    assert done.returncode == code, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
