from __future__ import annotations

import http.client
import multiprocessing
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from serving.deadlines import Deadlines
from serving.gunicorn import GunicornSettings
from serving.sockets import has_data
from tests.fakes.log_world import Authority, make_config
from transparency.server import serve as log_serve
from transparency.server.config import Sequencing
from transparency.witness import serve as witness_serve
from transparency.witness.config import Server, WitnessConfig
from transparency.witness.initialise import initialise

TIMEOUT = 60


@dataclass(frozen=True)
class HeldConnection:
    """What gunicorn calls a connection, as far as it matters here."""

    sock: socket.socket


def test_who_sends_half_a_request_is_cut_off() -> None:
    """A connection whose time is over reads its end, so that the thread which waits for it is free; others go on."""
    for longest, expected in ((-1.0, b""), (60.0, b"more")):
        here, there = socket.socketpair()
        deadlines = Deadlines(longest)
        with here, there, deadlines.on(HeldConnection(here)):
            deadlines.enforce()
            with suppress(BrokenPipeError):
                there.sendall(b"more")
            assert here.recv(4) == expected
        deadlines.enforce()


def test_a_request_that_follows_at_once_is_seen() -> None:
    """What a client sends next, and that it leaves, is seen within the time; silence is not taken for either."""
    here, there = socket.socketpair()
    with here:
        with there:
            assert not has_data(here, 0)
            there.sendall(b"G")
            assert has_data(here, 60_000)
            here.recv(1)
            assert not has_data(here, 1)
        assert has_data(here, 60_000)


def test_a_client_that_stays_silent_is_given_back(tmp_path: Path) -> None:
    """With more clients than threads, each of them keeping its connection, all are served, time and again."""
    made = initialise(tmp_path / "w", "witness.example/w1", None)
    config = msgspec.structs.replace(WitnessConfig.load(made.config), server=Server(bind="127.0.0.1:0", threads=2))
    fork = multiprocessing.get_context("fork")
    told, tell = fork.Pipe(duplex=False)
    server = fork.Process(target=lambda: witness_serve.serve(config, None, tell.send))
    server.start()
    try:
        assert told.poll(TIMEOUT)
        url = urlsplit(told.recv())
        clients = [http.client.HTTPConnection(str(url.hostname), url.port, timeout=TIMEOUT) for _ in range(5)]
        for client in clients * 3:
            client.request("GET", "/no-such-thing")
            with client.getresponse() as response:
                response.read()
        for client in clients:
            client.close()
    finally:
        server.terminate()
        server.join(TIMEOUT)
    assert server.exitcode == 0


def test_a_witness_cuts_off_a_slow_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a header holds no thread of a witness for longer than one request may take."""
    monkeypatch.setattr(witness_serve, "_LONGEST_REQUEST_SECONDS", 0.1)
    made = initialise(tmp_path / "w", "witness.example/w1", None)
    read = WitnessConfig.load(made.config)
    config = msgspec.structs.replace(read, server=Server(bind="127.0.0.1:0", threads=1))
    fork = multiprocessing.get_context("fork")
    told, tell = fork.Pipe(duplex=False)
    server = fork.Process(target=lambda: witness_serve.serve(config, None, tell.send))
    server.start()
    try:
        assert told.poll(TIMEOUT)
        url = urlsplit(told.recv())
        with socket.create_connection((url.hostname, url.port), timeout=TIMEOUT) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: ")
            while client.recv(4096):
                pass
    finally:
        server.terminate()
        server.join(TIMEOUT)
    assert server.exitcode == 0


def test_a_log_cuts_off_no_submission_that_waits_for_its_place(tmp_path: Path) -> None:
    """A client of a log has half a minute beyond what the log itself may take."""
    made = make_config(tmp_path / "log", Authority.make())
    config = msgspec.structs.replace(made, sequencing=Sequencing(wait_seconds=300))
    program = log_serve.web_program(config, with_sequencer=False)
    listener = socket.create_server(("127.0.0.1", 0))
    server = GunicornSettings(program, listener, print)
    os.close(server.descriptor)
    assert server.cfg.worker_class.longest_seconds == server.cfg.timeout == 330
