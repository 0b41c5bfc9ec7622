from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from serving.errors import ConfigurationError, ServingError
from serving.processes import Child, Helper, in_child, supervise

TIMEOUT = 60
STOPPED_WHILE_THE_EVENT_IS_LOCKED = """
import os, signal, threading, time
from serving.processes import until_stopped

def run(stop: threading.Event) -> None:
    with stop._cond:  # as in the middle of `stop.wait()`
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
    assert stop.wait(30)
    print("stopped")

until_stopped(run)
"""

RUNS_ANOTHER = """
import os, signal, subprocess, sys, threading
from serving.processes import until_stopped

def run(stop: threading.Event) -> None:
    ask = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGTERM).name)"
    subprocess.run([sys.executable, "-c", ask], check=True)
    reader, writer = os.pipe()
    if not (child := os.fork()):
        os.write(writer, b"x")  # what comes before a copy runs is lost to it: Python forgets it
        threading.Event().wait(30)
        os._exit(0)
    os.read(reader, 1)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), stop.is_set())

before = signal.getsignal(signal.SIGTERM)
until_stopped(run)
print(signal.getsignal(signal.SIGTERM) == before)
"""


def test_a_task_in_a_child_tells_its_error() -> None:
    """What was refused in the child is refused here, in the same words."""

    def refuse() -> NoReturn:
        msg = "the token is locked"
        raise ConfigurationError(msg)

    def crash() -> NoReturn:
        msg = "secret"
        raise ZeroDivisionError(msg)

    in_child(lambda: None)
    with pytest.raises(ServingError, match=r"^the token is locked$"):
        in_child(refuse)
    with pytest.raises(ServingError, match=r"^the start failed with ZeroDivisionError"):
        in_child(crash)


def _crash() -> int:
    raise ZeroDivisionError


def _be_killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@pytest.mark.parametrize(("run", "code"), [(lambda: 0, 0), (lambda: 7, 7), (_crash, 1), (_be_killed, -9)])
def test_a_child_returns_its_exit_code(run: Callable[[], int], code: int) -> None:
    """The function's result is the exit code; a crash is 1; a signal is its number, negative."""
    child = Child("one", run)
    child.start()
    while child.is_running:
        child.reap()
    assert child.exit_code == code


def test_a_signal_stops_whoever_is_about_to_wait_for_it() -> None:
    """SIGTERM, also several at once, ends a run that holds the event's own lock when it comes."""
    command = [sys.executable, "-c", STOPPED_WHILE_THE_EVENT_IS_LOCKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


def test_what_is_run_meanwhile_can_be_stopped() -> None:
    """A program that is run until a signal comes keeps none from those it starts: SIGTERM ends them, and not it."""
    done = subprocess.run(
        [sys.executable, "-c", RUNS_ANOTHER], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (done.returncode, done.stdout) == (0, "set() SIG_DFL\n-15 False\nTrue\n"), done.stderr


def test_helpers_are_started_again_and_end_with_their_leader(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each helper that ends, of itself or by an error, is replaced; all are stopped once the leader has ended.

    The log says what ended, and how: nobody else does where a process was killed.
    """
    tries, quiet = tmp_path / "tries", tmp_path / "quiet"

    def fail(_: threading.Event) -> NoReturn:
        with tries.open("a") as file:
            file.write("x")
        msg = "the database is away"
        raise ConfigurationError(msg)

    def wait(stop: threading.Event) -> None:
        stop.wait(TIMEOUT)
        quiet.write_text("stopped")

    def lead() -> int:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end and not (tries.exists() and len(tries.read_text()) > 1):
            time.sleep(0.01)
        return 7

    helpers = [Child.helping(Helper("failing", fail)), Child.helping(Helper("waiting", wait))]
    started: list[bool] = []
    code = supervise(Child("web", lead), helpers, on_start=lambda: started.append(True))
    assert (code, started) == (7, [True])
    assert len(tries.read_text()) > 1
    assert quiet.read_text() == "stopped"
    ended = [record.__dict__["facts"] for record in caplog.records if record.msg == "leader_ended"]
    assert ended == [{"process": "web", "exit_code": 7}]
    assert [helper.is_running for helper in helpers] == [False, False]
