"""An authority and two logs of distinct operators, each in processes of its own, run by the commands one types."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stir.certificate import NumberCertificate
from stir.certificate_chain import read_pem_chain
from tests.fakes.running_authority import (
    ANSWERBACK,
    PATIENCE,
    RunningAuthority,
    await_that,
    free_port,
    make_authority,
    run,
    serving,
)
from transparency.log_description import LogDescription
from transparency.sct import SctExtensions, decode_sct_list, issuer_key_hash, tbs_of

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = "+12025550123", "+12025550124", "+12025550125"


@dataclass
class RunningLog:
    """A log in a folder, and the process that serves it, if one does."""

    folder: Path
    url: str
    process: subprocess.Popen[str] | None = None

    @property
    def description(self) -> LogDescription:
        """What its operator hands out."""
        return LogDescription.from_json((self.folder / "log.json").read_bytes())

    def start(self) -> None:
        """Serve, and wait until it listens."""
        self.process = subprocess.Popen(
            [*ANSWERBACK, "log", "serve", "--with-sequencer", "--config", str(self.folder / "log.toml")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        told: list[str] = []
        reader = threading.Thread(target=lambda stream: told.append(stream.readline()), args=(self.process.stdout,))
        reader.start()
        reader.join(PATIENCE)
        assert told == [f"listening on {self.url}\n"]

    def stop(self) -> None:
        """Stop, and leave nothing of it running."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            if self.process.stdout is not None:
                self.process.stdout.close()
            self.process = None

    def size(self) -> int:
        """Return how many entries its shards have."""
        shown = run("log", "status", "--config", self.folder / "log.toml", "--json")
        return sum(shard["size"] for shard in json.loads(shown.stdout)["shards"])


@dataclass
class World:
    """An authority that wants two timestamps, its two logs, and the folder of its clients."""

    authority: RunningAuthority
    logs: tuple[RunningLog, RunningLog]
    folder: Path

    @contextlib.contextmanager
    def enrolling(self, number: str) -> Iterator[subprocess.Popen[str]]:
        """Begin to enrol a number, and answer its SMS; the client ends by itself."""
        home = self.folder / number
        home.mkdir()
        code, before = home / "code", len(self.authority.sms())
        client = subprocess.Popen(
            [*ANSWERBACK, "enrol", number, "--ca", self.authority.index_url, "--code-file", str(code), "--json"],
            env=os.environ | {"ANSWERBACK_HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            await_that(lambda: len(self.authority.sms()) > before or client.poll() is not None, "an SMS came")
            draft = home / "draft"
            draft.write_text(self.authority.sms()[-1].rpartition("#")[2], encoding="ascii")
            draft.rename(code)
            yield client
        finally:
            if client.poll() is None:
                client.kill()
            client.wait(PATIENCE)
            for stream in (client.stdout, client.stderr):
                if stream is not None:
                    stream.close()

    def enrolled(self, number: str) -> Path:
        """Enrol a number, and return the file of its certificate's chain."""
        with self.enrolling(number) as client:
            return chain_of(client)

    def waiting(self) -> int:
        """Return how many orders wait for logs."""
        shown = run("ca", "logs", "--config", self.authority.config, "--json")
        waiting: int = json.loads(shown.stdout)["waiting"]
        return waiting


def chain_of(client: subprocess.Popen[str]) -> Path:
    """Wait for a client to end, and return the file that it wrote."""
    output, errors = client.communicate(timeout=2 * PATIENCE)
    assert client.returncode == 0, errors
    return Path(json.loads(output)["certificates"][0]["chain"])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return an authority and its logs, all running."""
    url = f"http://127.0.0.1:{free_port()}"
    folder = tmp_path / "ca"
    config = make_authority(folder, url)
    logs = make_log(tmp_path / "one", "One", folder), make_log(tmp_path / "two", "Two", folder)
    text = config.read_text(encoding="utf-8").replace("#scts = 0", "scts = 2")
    for log in logs:
        text += f'\n[[logs]]\ndescription = "{log.folder}/log.json"\noperator = "{log.folder.name}"\n'
    text += "\n[logging]\ndeadline_seconds = 2\n"  # what a killed process had taken up is free after this and 30 s
    config.write_text(text, encoding="utf-8")
    run("ca", "check", "--config", config)
    try:
        for log in logs:
            log.start()
        with serving(folder, url, "--with-worker") as authority:
            yield World(authority, logs, tmp_path)
    finally:
        for log in logs:
            log.stop()


def make_log(folder: Path, name: str, authority: Path) -> RunningLog:
    """Make a log that admits the authority in a folder."""
    url = f"http://127.0.0.1:{free_port()}"
    names = ("--name", f"Log {name}", "--operator", f"Operator {name}", "--public-url", url)
    run("log", "init", folder, *names, "--admit", authority / "root.pem", "--unencrypted-keys")
    return RunningLog(folder, url)


def check_timestamps(chain_file: Path, logs: tuple[RunningLog, ...]) -> list[int]:
    """Check that a certificate has a true timestamp of each log, and return the indices that they promise."""
    chain = read_pem_chain(chain_file.read_bytes())
    leaf = NumberCertificate.read(chain[0])
    assert leaf.sct_list is not None
    scts = {sct.log_id: sct for sct in decode_sct_list(leaf.sct_list)}
    assert len(scts) == len(logs)
    indices = []
    for log in logs:
        shard = log.description.shard_for(leaf.not_after)
        assert shard is not None
        sct = scts[shard.log_id]
        shard.check_sct(sct, leaf.number, issuer_key_hash(chain[1]), tbs_of(chain[0]))
        indices.append(SctExtensions.decode(sct.extensions).leaf_index)
    return indices


def test_a_certificate_is_in_two_logs_and_waits_for_one_that_is_away(world: World) -> None:
    """A certificate carries two timestamps that verify; with a log away it waits, and comes once the log is back."""
    one, two = world.logs
    assert check_timestamps(world.enrolled(FIRST), world.logs) == [0, 0]
    two.stop()
    with world.enrolling(SECOND) as client:
        await_that(lambda: world.waiting() == 1 or client.poll() is not None, "the order waits for its logs")
        assert client.poll() is None
        assert (one.size(), two.size()) == (2, 1)
        two.start()
        assert check_timestamps(chain_of(client), world.logs) == [1, 1]
    assert world.waiting() == 0
    assert (one.size(), two.size()) == (2, 2), "no log was shown anything twice"
    shown = json.loads(run("ca", "logs", "--config", world.authority.config, "--json").stdout)
    assert [log["timestamps"] for log in shown["logs"]] == [2, 2]
    assert shown["evidence"] == []


def test_a_killed_authority_finishes_what_it_began(world: World, tmp_path: Path) -> None:
    """With all processes of the authority killed while an order waits, the next ones finish it."""
    world.logs[1].stop()
    with world.enrolling(THIRD) as client:
        await_that(lambda: world.waiting() == 1 or client.poll() is not None, "the order waits for its logs")
        os.killpg(world.authority.process.pid, signal.SIGKILL)
        world.authority.process.wait(PATIENCE)
        client.kill()
    world.logs[1].start()
    with serving(world.authority.folder, world.authority.url, "--with-worker"):
        await_that(lambda: world.waiting() == 0, "the worker finished the order")
        (shown,) = json.loads(run("ca", "certificates", "--config", world.authority.config, "--json").stdout)[
            "certificates"
        ]
        assert shown["status"] == "valid"
    assert [log.size() for log in world.logs] == [1, 1]
    assert tmp_path == world.folder
