"""The smallest deployment: everything by one command, over one file of settings and one SQLite file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.running_log import unused_port

COMMAND = (sys.executable, "-m", "answerback")
PATIENCE = 60.0
ALICE, BOB, MALLORY = "+12025550123", "+12025550187", "+12025550142"
APP, URI = "video.example", "https://video.example/alice"


class Service:
    """A resolution service that was made by `answerback rs init`, in processes that can be killed."""

    def __init__(self, folder: Path, *options: str) -> None:
        """Make it."""
        self.folder = folder
        self.url = f"http://127.0.0.1:{unused_port()}"
        self.environment = os.environ | {"ANSWERBACK_HOME": str(folder.parent / "home")}
        self.process: subprocess.Popen[str] | None = None
        self.made = self.run(
            *(
                "rs",
                "init",
                str(folder),
                "--name",
                f"Example {folder.name}",
                "--operator",
                "Example Ltd",
                "--public-url",
                self.url,
            ),
            *("--country", "US", "--gateway", "outbox", "--unencrypted-keys", *options),
        )

    @property
    def config(self) -> str:
        """The one file of settings."""
        return str(self.folder / "rs.toml")

    @property
    def directory(self) -> str:
        """The directory's URL."""
        return f"{self.url}/directory"

    def start(self, *options: str) -> None:
        """Serve, in a process group of its own."""
        with (self.folder / "stderr").open("ab") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "rs", "serve", "--config", self.config, "--json", *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self.environment,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, (self.folder / "stderr").read_text()
        assert json.loads(line) == {"listening": self.url}

    def end(self, number: signal.Signals) -> int:
        """Send a signal to all its processes, and return its exit code once they have all ended."""
        assert self.process is not None
        assert self.process.stdout is not None
        group = self.process.pid
        os.killpg(group, number)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process = None
        deadline = time.monotonic() + PATIENCE
        while is_running(group):
            assert time.monotonic() < deadline, "a process of the service is still running"
            time.sleep(0.02)
        return code

    def run(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Run a command with --json, and return what it prints."""
        done = subprocess.run(
            [*COMMAND, *arguments, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == code, done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def enrol(self, number: str) -> None:
        """Certify a number, whose code is read from the file that the outbox writes instead of an SMS."""
        outbox = self.folder / "outbox-development"
        seen = set(outbox.glob("*.txt")) if outbox.exists() else set()
        known = " ".join(f"! -name {path.name}" for path in seen)
        latest = f"find {outbox} -name '*.txt' {known} -exec cat {{}} +"
        script = f"until {latest} 2>/dev/null | grep .; do sleep 0.1; done"
        self.run("enrol", number, "--ca", self.url, "--code-command", f'sh -c "{script}"')

    def publish(self, app: str, uri: str) -> dict[str, Any]:
        """Have Alice publish where she is reached."""
        return self.run(
            *("directory", "publish", "--from", ALICE, "--directory", self.directory),
            *("--app", app, "--uri", uri, "--medium", "video"),
        )

    def found(self, caller: str, *others: str, code: int = 0) -> dict[str, Any]:
        """Return what a caller finds of Alice, here and at other directories."""
        places = (option for place in (self.directory, *others) for option in ("--directory", place))
        (found,) = self.run("directory", "lookup", ALICE, "--from", caller, *places, code=code)["numbers"]
        return dict(found)

    def believe(self, other: Service, home: Path | None = None) -> None:
        """Add the other's anchor to a trust store: the user's, unless another home is named."""
        anchor = other.made["anchor"]
        before = self.environment
        self.environment = before if home is None else before | {"ANSWERBACK_HOME": str(home)}
        self.run("trust", "add", anchor["file"], "--sha256", anchor["sha256"])
        self.environment = before


def is_running(group: int) -> bool:
    """Tell whether a process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Return what makes services, which end with the test."""
    made: list[Service] = []

    def make(name: str, *options: str) -> Service:
        made.append(Service(tmp_path / name, *options))
        return made[-1]

    yield make
    for service in made:
        if service.process is not None:
            service.end(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--one-process",)], ids=["several processes", "one process"])
def test_one_command_certifies_a_number_and_has_it_found_and_loses_nothing_when_killed(
    make: Callable[..., Service], options: tuple[str, ...]
) -> None:
    """Enrol, publish and look up at one server; after `kill -9` all that was acknowledged is there, and goes on."""
    service = make("rs", "--with-log")
    service.start(*options)
    for number in (ALICE, BOB, MALLORY):
        service.enrol(number)
    service.believe(service)
    assert service.publish(APP, URI)["record_log_size"] == 1
    service.run(
        *("directory", "acl", "--from", ALICE, "--directory", service.directory, "--allow", BOB, "--from-scratch"),
    )
    assert [(one["app"], one["uris"], one["verdict"]) for one in service.found(BOB)["records"]] == [
        (APP, [URI], "verified")
    ]
    assert service.found(MALLORY, code=3)["records"] == []

    service.end(signal.SIGKILL)
    service.start(*options)
    assert [(one["app"], one["verdict"]) for one in service.found(BOB)["records"]] == [(APP, "verified")]
    assert service.publish(APP, URI + "/again")["record_log_size"] == 3
    checks = service.run("directory", "records", "--from", ALICE, "--directory", service.directory, "--verify")[
        "checks"
    ]
    assert all(check["good"] for check in checks)
    assert service.end(signal.SIGTERM) == 0
    certified = service.run("ca", "certificates", "--config", service.config)["certificates"]
    assert [one["status"] for one in certified] == ["valid"] * 3
    assert sum(shard["size"] for shard in service.run("log", "status", "--config", service.config)["shards"]) == 3


@pytest.mark.slow
def test_two_vendors_are_asked_side_by_side(make: Callable[..., Service]) -> None:
    """R10: without a map, an app asks two vendors at once; what they show is merged, and one that is down is told."""
    one, two = make("one"), make("two")
    for service, other in ((one, two), (two, one)):
        service.believe(other, home=service.folder / "admission")
        one.believe(service)
        service.start()
        service.enrol(ALICE)
    two.enrol(BOB)
    one.publish("chat.example", "https://chat.example/alice")
    for service in (one, two):
        service.publish(APP, f"{URI}/{service.folder.name}")
        service.run("directory", "acl", "--from", ALICE, "--directory", service.directory, "--allow", BOB)

    found = one.found(BOB, two.directory)
    assert found["asked"] == [one.directory, two.directory]
    assert [(record["app"], record["uris"], record["verdict"]) for record in found["records"]] == [
        ("chat.example", ["https://chat.example/alice"], "verified"),
        (APP, [f"{URI}/two"], "verified"),
    ]
    assert f"chat.example: {two.directory} shows none" in found["told"]
    assert any(words.startswith(f"{APP}: {one.directory} shows an older record") for words in found["told"])

    assert one.end(signal.SIGTERM) == 0
    found = one.found(BOB, two.directory)
    assert found["asked"] == [two.directory]
    assert [(record["app"], record["verdict"]) for record in found["records"]] == [(APP, "verified")]
    assert any(one.directory in words for words in found["told"])
