"""How servers are asked: bounded in size and time, and nowhere but where was said."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from transparency.transport import HttpTransport, Question, Unreachable


class _Server(http.server.BaseHTTPRequestHandler):
    """Answers by the path that is asked for."""

    protocol_version = "HTTP/1.1"
    stop = threading.Event()

    def do_GET(self) -> None:  # the library's name
        """Answer well, with too much, with a redirect, or a byte now and then."""
        match self.path:
            case "/much":
                self._send(200, bytes(3000))
            case "/elsewhere":
                self._send(302, b"", ("Location", "/good"))
            case "/much-elsewhere":
                self.send_response(302)
                self.send_header("Location", "/good")
                self.end_headers()
                with contextlib.suppress(OSError):  # the client hangs up
                    while not self.stop.is_set():
                        self.wfile.write(bytes(65536))
            case "/password":
                self._send(200, self.headers.get("Authorization", "none").encode())
            case "/part":
                self._send(206, self.headers["Range"].encode())
            case "/slow":
                self.send_response(200)
                self.end_headers()
                while not self.stop.wait(0.02):
                    self.wfile.write(b".")
                    self.wfile.flush()
            case _:
                told = ("X-From", self.client_address[0]), ("X-Path", self.path)
                self._send(200, b"good", ("Content-Type", "text/plain; charset=utf-8"), *told)

    def do_POST(self) -> None:  # as above
        """Send back what came."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._send(200, body, ("Content-Type", self.headers["Content-Type"]))

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def url() -> Iterator[str]:
    """Serve on loopback."""
    _Server.stop.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    _Server.stop.set()
    server.shutdown()
    server.server_close()


def test_an_answer_has_status_body_and_type(url: str) -> None:
    """What a server says arrives whole."""
    answer = HttpTransport().ask(Question(f"{url}/good"))
    assert (answer.is_ok, answer.body, answer.media_type) == (True, b"good", "text/plain")


def test_a_question_can_come_from_another_address(url: str) -> None:
    """Whoever wants to see what others are shown asks from elsewhere: an address of its own, or a proxy."""
    assert HttpTransport().ask(Question(f"{url}/good")).headers["x-from"] == "127.0.0.1"
    assert HttpTransport(via="127.0.0.9").ask(Question(f"{url}/good")).headers["x-from"] == "127.0.0.9"
    answer = HttpTransport(via=url).ask(Question("http://log.localhost/checkpoint"))
    assert answer.headers["x-path"] == "http://log.localhost/checkpoint"
    with pytest.raises(Unreachable):
        HttpTransport(via="192.0.2.1").ask(Question(f"{url}/good"))


def test_a_body_makes_a_post(url: str) -> None:
    """A question with a body is posted under its media type."""
    answer = HttpTransport().ask(Question(f"{url}/", b"asked", "application/jose"))
    assert (answer.body, answer.media_type) == (b"asked", "application/jose")


def test_an_answer_that_is_too_large_is_none(url: str) -> None:
    """No more is read than the question allows."""
    with pytest.raises(Unreachable, match="sent more than 2 KiB"):
        HttpTransport().ask(Question(f"{url}/much", largest=2048))


def test_a_part_of_a_file_is_asked_for(url: str) -> None:
    """First and last byte are named, both of the part (RFC 9110 §14.1.2)."""
    answer = HttpTransport().ask(Question(f"{url}/part", part=(100, 768)))
    assert (answer.is_ok, answer.body) == (True, b"bytes=100-867")


def test_a_server_that_sends_the_whole_file_instead_is_told_of(url: str) -> None:
    """A server that knows no ranges cannot show a log's index, and nobody downloads all of it."""
    with pytest.raises(Unreachable, match="does not answer requests for a part"):
        HttpTransport().ask(Question(f"{url}/good", part=(0, 2)))


def test_a_redirect_is_not_followed(url: str) -> None:
    """A redirect is an answer like any other."""
    assert HttpTransport().ask(Question(f"{url}/elsewhere")).status == 302


def test_the_body_of_a_redirect_is_bounded_too(url: str) -> None:
    """A lying log fills no memory on its way elsewhere."""
    with pytest.raises(Unreachable, match="sent more than 2 KiB"):
        HttpTransport().ask(Question(f"{url}/much-elsewhere", largest=2048))


def test_the_environment_says_neither_the_way_nor_the_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password comes from .netrc, and no question goes to a proxy that nobody chose."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login alice password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert HttpTransport().ask(Question(f"{url}/password")).body == b"none"


def test_a_server_that_trickles_is_left_behind(url: str) -> None:
    """A byte now and then does not keep the caller waiting beyond its patience."""
    with pytest.raises(Unreachable, match="did not answer within"):
        HttpTransport().ask(Question(f"{url}/slow", patience=0.2))


def test_nobody_there_is_unreachable(url: str) -> None:
    """A closed port is told with the host's name."""
    del url
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1 could not be asked"):
        HttpTransport().ask(Question("http://127.0.0.1:9/"))


@pytest.mark.parametrize(
    "url", ["http://log.example/", "ftp://log.example/", "log.example", "http://[::1", "http://192.0.2.1"]
)
def test_other_hosts_are_asked_over_https_only(url: str) -> None:
    """Plain http is for this machine."""
    with pytest.raises(Unreachable):
        HttpTransport().ask(Question(url))
