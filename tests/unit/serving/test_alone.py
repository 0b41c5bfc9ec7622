from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from serving import alone
from serving.alone import Companion, serve_alone
from serving.errors import ConfigurationError, ServingError, StorageError
from serving.gunicorn import WebProgram
from serving.processes import Helper
from serving.settings import Listener, Tls

TIMEOUT = 60
A_PROGRAM = """
import os, sys, threading, urllib.request
from serving.alone import serve_alone
from serving.gunicorn import WebProgram
from serving.processes import Helper
from serving.settings import Listener

def app(environ, start_response):
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]

def help(stop):
    print("helping in", os.getpid() == HERE, flush=True)
    stop.wait(60)
    print("helped", flush=True)

def listening(url):
    def ask():
        with urllib.request.urlopen(url) as answer:
            print("answered in", answer.read() == str(HERE).encode(), flush=True)
        print("ready", flush=True)
    threading.Thread(target=ask).start()

HERE = os.getpid()
print(serve_alone(WebProgram("p", Listener("127.0.0.1:0"), lambda: app, helpers=(Helper("one", help),)), listening))
"""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start helpers again at once."""
    monkeypatch.setattr(alone, "SHORTEST_PAUSE", 0.001)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_of_it_is_one_process_that_a_signal_ends(number: signal.Signals) -> None:
    """It answers and helps under one process number, and its helpers finish what is under way before it ends."""
    with subprocess.Popen([sys.executable, "-c", A_PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        while not said or said[-1] != "ready\n":
            said.append(process.stdout.readline())
            assert said[-1]
        process.send_signal(number)
        rest, _ = process.communicate(timeout=TIMEOUT)
    assert sorted(said) == ["answered in True\n", "helping in True\n", "ready\n"]
    assert (process.returncode, rest) == (0, "helped\n0\n")


def test_a_helper_that_ends_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """Also after an error, a crash, or when it set its own event, as some do; each time it is told."""
    tries: list[int] = []
    works = threading.Event()

    def run(stop: threading.Event) -> None:
        tries.append(len(tries))
        if tries[-1] == 0:
            msg = "the database is away"
            raise StorageError(msg)
        if tries[-1] == 1:
            raise ZeroDivisionError
        if tries[-1] == 2:
            stop.set()
            return
        works.set()
        assert stop.wait(TIMEOUT)

    companion = Companion(Helper("one", run))
    companion.start()
    assert works.wait(TIMEOUT)
    companion.stop()
    companion.join(TIMEOUT)
    assert not companion.is_alive()
    assert tries == [0, 1, 2, 3]
    assert [record.msg for record in caplog.records] == ["helper_failed", "process_failed", "helper_ended"]
    assert caplog.records[0].__dict__["facts"] == {"helper": "one", "reason": "the database is away"}


def test_a_helper_that_is_stopped_first_does_not_run() -> None:
    """A start that fails halfway leaves nothing behind."""
    companion = Companion(Helper("one", lambda _: pytest.fail("it must not run")))
    companion.stop()
    companion.start()
    companion.join(TIMEOUT)
    assert not companion.is_alive()


def test_nothing_is_served_where_the_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS files and an application that are of no use are told before anybody could connect."""

    def away() -> NoReturn:
        msg = "the database is away"
        raise StorageError(msg)

    monkeypatch.setattr(alone, "listen", lambda _server: pytest.fail("it must not listen"))
    with pytest.raises(ServingError, match=r"^the database is away$"):
        serve_alone(WebProgram("p", Listener(), away), print)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        serve_alone(WebProgram("p", Listener(tls=Tls(tmp_path / "a", tmp_path / "b")), object), print)
