"""The client against an authority that answers with too much, or never to the end: over real sockets."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from pathlib import Path

import pytest

from acme_client import network
from acme_client.errors import Misbehaved, Unreachable
from acme_client.network import Connection
from tests.fakes.enrolment_world import EnrolmentWorld

Answer = Callable[[BaseHTTPRequestHandler], Iterator[bytes]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[EnrolmentWorld]:
    """Return a world, for its client."""
    built = EnrolmentWorld(tmp_path)
    yield built
    built.close()


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve on loopback what `answer` yields, piece by piece; yield the authority's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # the client hangs up
                for piece in answer(self):
                    self.wfile.write(piece)
                    self.wfile.flush()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/acme/index"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.parametrize(("status", "headers"), [(200, b""), (500, b""), (302, b"Location: https://a.example/\r\n")])
def test_an_answer_without_end_is_not_read(world: EnrolmentWorld, status: int, headers: bytes) -> None:
    """A lying authority fills no memory: neither with an answer, nor with an error, nor on its way elsewhere."""

    def endless(_: BaseHTTPRequestHandler) -> Iterator[bytes]:
        yield b"HTTP/1.1 %d Lie\r\n%s\r\n" % (status, headers)
        yield from repeat(b"x" * 65536)

    with serving(endless) as address, pytest.raises(Misbehaved, match="sent more than 1024 KiB"):
        world.enrolled(ca=address, connection=Connection(timeout=20))


@pytest.mark.parametrize("begun", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nLong: "])
def test_an_answer_that_drips_is_given_up(world: EnrolmentWorld, begun: bytes) -> None:
    """The patience is for the whole of an answer, not for each byte, be it of the body or of a header."""
    done = threading.Event()

    def drip(_: BaseHTTPRequestHandler) -> Iterator[bytes]:
        yield begun
        while not done.wait(0.02):
            yield b"x"

    with serving(drip) as address:
        with pytest.raises(Unreachable, match="did not answer within 1 seconds: try again later"):
            world.enrolled(ca=address, connection=Connection(timeout=1))
        done.set()


def test_an_answer_that_comes_too_late_is_none(world: EnrolmentWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read when the patience ended is not taken for the whole."""
    times = iter([0.0, 21.0])
    monkeypatch.setattr(network, "_monotonic", lambda: next(times))
    with (
        serving(lambda _: iter([b"HTTP/1.1 200 OK\r\n\r\n{}"])) as address,
        pytest.raises(Unreachable, match="did not answer within 20 seconds"),
    ):
        world.enrolled(ca=address, connection=Connection(timeout=20))
