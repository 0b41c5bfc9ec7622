from __future__ import annotations

import http.client
import math
import multiprocessing
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from serving import turns
from serving.gunicorn import WebProgram, serve
from serving.settings import Listener
from serving.turn_worker import TurnWorker
from serving.turns import Turns, step_aside

TIMEOUT = 60
LARGE = 16 * 1024 * 1024
"""Bytes of an answer that the kernel does not take over at once."""

Start = Callable[[str, list[tuple[str, str]]], object]
Address = tuple[str, int]


class Application:
    """Answers by path; `/wait` and `/stall` wait until somebody asks for `/go`."""

    def __init__(self, file: Path) -> None:
        """Take the file of `/file`."""
        self._gone = threading.Event()
        self._file = file

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        path = environ["PATH_INFO"]
        if path == "/fail":
            raise RuntimeError
        if path == "/large":
            return self._answer(start, b"0" * LARGE)
        if path == "/echo":
            return self._answer(start, environ["wsgi.input"].read())
        if path == "/file":
            start("200 OK", [("Content-Length", str(self._file.stat().st_size))])
            return environ["wsgi.file_wrapper"](self._file.open("rb"))  # type: ignore[no-any-return]
        if path == "/wait":
            step_aside()
        if path in {"/wait", "/stall"}:
            assert self._gone.wait(TIMEOUT)
        if path == "/go":
            self._gone.set()
        return self._answer(start, path.encode())

    def _answer(self, start: Start, data: bytes) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", str(len(data)))])
        return [data]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make nobody step aside who does not do so by himself."""
    monkeypatch.setattr(turns, "_LONGEST_SECONDS", 3600.0)


@contextmanager
def serving(tmp_path: Path, *, threads: int = 2, longest: float = 30.0) -> Iterator[Address]:
    """Serve in turns while the block lasts; a stop must be clean."""
    (tmp_path / "file").write_bytes(b"1" * LARGE)
    listener = Listener(bind="127.0.0.1:0", threads=threads)
    program = WebProgram(
        "p", listener, lambda: Application(tmp_path / "file"), longest_seconds=longest, takes_turns=True
    )
    fork = multiprocessing.get_context("fork")
    told, tell = fork.Pipe(duplex=False)
    server = fork.Process(target=lambda: serve(program, tell.send))
    server.start()
    try:
        assert told.poll(TIMEOUT)
        url = urlsplit(told.recv())
        yield str(url.hostname), int(url.port or 0)
    finally:
        server.terminate()
        server.join(TIMEOUT)
    assert server.exitcode == 0


class Client(http.client.HTTPConnection):
    """A client that keeps its connection."""

    def __init__(self, address: Address) -> None:
        """Connect when first used."""
        super().__init__(*address, timeout=TIMEOUT)

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> bytes:
        """Ask, and return the answer."""
        self.request("GET" if body is None else "POST", path, body, headers)
        with self.getresponse() as response:
            return response.read()


def test_more_clients_than_threads_are_served_on_connections_that_stay(tmp_path: Path) -> None:
    """Each client keeps its connection, and all are answered time and again, by one thread too."""
    for threads in (1, 2):
        with serving(tmp_path, threads=threads) as address:
            clients = [Client(address) for _ in range(5)]
            for client in clients * 3:
                assert client.ask("/hello") == b"/hello"
            for client in clients:
                client.close()


@pytest.mark.usefixtures("patience")
def test_a_client_that_sends_half_a_request_keeps_nobody_waiting(tmp_path: Path) -> None:
    """Half a header and half a body leave the turn to others; the rest is answered when it comes."""
    with serving(tmp_path, threads=3) as address:
        halves = (
            (b"GET /hello HTTP/1.1\r\nHost: ", b"x\r\n\r\n", b"/hello"),
            (b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf", b"rest", b"halfrest"),
        )
        slow = [socket.create_connection(address, timeout=TIMEOUT) for _ in halves]
        quick = Client(address)
        assert quick.ask("/hello") == b"/hello"  # and waits from now on: nobody steps aside for nobody
        for client, (half, _, _) in zip(slow, halves, strict=True):
            client.sendall(half)
        for _ in range(3):
            assert quick.ask("/hello") == b"/hello"
        for client, (_, rest, expected) in zip(slow, halves, strict=True):
            client.sendall(rest)
            received = b""
            while not received.endswith(expected):
                received += client.recv(4096)
            client.close()
        quick.close()


@pytest.mark.usefixtures("patience")
def test_a_client_that_reads_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    """An answer that does not fit waits for its client beside the others' turns, and arrives whole."""
    with serving(tmp_path) as address:
        slow, quick = Client(address), Client(address)
        assert quick.ask("/hello") == b"/hello"  # as above
        for path in ("/large", "/file"):
            slow.request("GET", path)
            assert quick.ask("/hello") == b"/hello"
            with slow.getresponse() as response:
                assert len(response.read()) == LARGE
        slow.close()
        quick.close()


@pytest.mark.usefixtures("patience")
def test_a_request_that_steps_aside_keeps_nobody_waiting(tmp_path: Path) -> None:
    """What steps aside before it waits lets others on, and is answered when it is done."""
    _wait_beside_others(tmp_path, "/wait")


def test_a_request_that_takes_long_keeps_nobody_waiting(tmp_path: Path) -> None:
    """What waits without stepping aside is made to."""
    _wait_beside_others(tmp_path, "/stall")


def _wait_beside_others(tmp_path: Path, path: str) -> None:
    with serving(tmp_path) as address:
        first, second = Client(address), Client(address)
        assert second.ask("/hello") == b"/hello"  # as above
        first.request("GET", path)
        assert second.ask("/go") == b"/go"
        with first.getresponse() as response:
            assert response.read() == path.encode()
        assert first.ask("/hello") == second.ask("/hello") == b"/hello"
        first.close()
        second.close()


def test_requests_that_come_together_are_answered_in_order(tmp_path: Path) -> None:
    """A client need not wait for an answer before it asks again, and may ask to be left after the last."""
    last = b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with serving(tmp_path) as address, socket.create_connection(address, timeout=TIMEOUT) as client:
        client.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" + last)
        received = b""
        while some := client.recv(4096):
            received += some
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.index(b"\r\n\r\n/a") < received.index(b"\r\n\r\n/b")


def test_a_client_that_asks_first_whether_to_send_its_body_is_told(tmp_path: Path) -> None:
    """`Expect: 100-continue` is answered before the body is waited for (RFC 9110 §10.1.1)."""
    with serving(tmp_path) as address, socket.create_connection(address, timeout=TIMEOUT) as client:
        client.sendall(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"body")
        received = b""
        while not received.endswith(b"body"):
            received += client.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 ")


def test_what_fails_for_one_client_fails_for_no_other(tmp_path: Path) -> None:
    """An application that raises, a request that is none, and clients that leave in the middle end with themselves."""
    with serving(tmp_path, threads=1) as address:
        for sent in (b"GET /fail HTTP/1.1\r\nHost: x\r\n\r\n", b"nonsense\r\n\r\n"):
            with socket.create_connection(address, timeout=TIMEOUT) as client:
                client.sendall(sent)
                assert client.recv(4096).startswith((b"HTTP/1.1 500 ", b"HTTP/1.1 400 "))
        for sent in (b"", b"GET / HT", b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"):
            with socket.create_connection(address, timeout=TIMEOUT) as client:
                client.sendall(sent)
        last = Client(address)
        assert last.ask("/hello") == b"/hello"
        last.close()


def test_who_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    """Half a header holds no thread for longer than one request may take."""
    with (
        serving(tmp_path, threads=1, longest=0.1) as address,
        socket.create_connection(address, timeout=TIMEOUT) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\nHost: ")
        while client.recv(4096):
            pass


def test_a_client_that_stays_silent_is_left_when_the_server_stops(tmp_path: Path) -> None:
    """A stop ends connections on which nobody asks, in good time, and answers a request that is under way."""
    with serving(tmp_path) as address:
        silent, waiting = Client(address), Client(address)
        assert silent.ask("/hello") == b"/hello"
        waiting.request("GET", "/wait")
        going = Client(address)
        assert going.ask("/hello") == b"/hello"
        going.request("GET", "/go")
    with waiting.getresponse() as response:
        assert response.read() == b"/wait"
    assert silent.sock is not None
    assert silent.sock.recv(1) == b""
    for client in (silent, waiting, going):
        client.close()


@pytest.mark.parametrize(("alive", "seconds"), [(True, 15.0), (False, 2.0)])
def test_a_connection_that_comes_to_wait_while_the_server_stops_has_little_time(*, alive: bool, seconds: float) -> None:
    """It comes after the others were given less time, and gets no more than they."""
    worker = object.__new__(TurnWorker)
    worker.turns = Turns()
    began = time.monotonic()
    if not alive:
        worker._cap_keepalive(time.monotonic() + 2.0)
    client, server = socket.socketpair()
    with client, server:
        connection = SimpleNamespace(sock=server, timeout=math.inf)
        connection.set_timeout = lambda: setattr(connection, "timeout", time.monotonic() + 15.0)
        worker._wait_for(connection)
    assert began + seconds <= connection.timeout <= time.monotonic() + seconds
