from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust_store.errors import FetchError
from trust_store.fetching import _require_safe, fetch, is_loopback

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve on loopback, and yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/0.crl"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def answering(body: bytes, status: int = 200, **headers: str) -> Answer:
    """Answer every request alike."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.mark.parametrize("body", [b"", b"a list", b"x" * 100_000])
def test_a_document_is_fetched(body: bytes) -> None:
    """All of it, however it was cut on the way."""
    with serving(answering(body)) as url:
        assert fetch(url) == body


def test_a_document_that_was_packed_is_unpacked() -> None:
    """Servers and proxies may compress."""
    with serving(answering(gzip.compress(b"a list"), Content_Encoding="gzip")) as url:
        assert fetch(url) == b"a list"


def test_a_document_is_bounded() -> None:
    """What is larger than anybody needs is not read to its end."""
    with serving(answering(b"x" * 2048)) as url:
        assert len(fetch(url, largest=2048)) == 2048
        with pytest.raises(FetchError, match="more than 1 KiB"):
            fetch(url, largest=1024)


def test_a_document_is_bounded_after_it_is_unpacked() -> None:
    """A small answer cannot swell."""
    with (
        serving(answering(gzip.compress(b"x" * 1_000_000), Content_Encoding="gzip")) as url,
        pytest.raises(FetchError, match="more than 64 KiB"),
    ):
        fetch(url, largest=64 * 1024)


def test_a_redirect_is_not_followed() -> None:
    """The place that it leads to was not checked; the person is told."""
    with (
        serving(answering(b"", 302, Location="https://elsewhere.example/")) as url,
        pytest.raises(FetchError, match="points elsewhere: https://elsewhere"),
    ):
        fetch(url)


def test_the_body_of_a_redirect_is_not_read() -> None:
    """One without an end fills no memory."""

    def endless(handler: BaseHTTPRequestHandler) -> None:
        answering(b"", 302, Location="https://elsewhere.example/")(handler)
        with suppress(OSError):  # the client hangs up
            while True:
                handler.wfile.write(b"x" * 65536)

    with serving(endless) as url, pytest.raises(FetchError, match="points elsewhere"):
        fetch(url)


def test_what_a_server_says_of_itself_is_not_obeyed_by_the_terminal() -> None:
    """Escape sequences in a Location are not shown, and no more of it than a line or two."""
    location = "https://elsewhere.example/\x1b]0;owned\x07\xc2\x9b2J" + "x" * 1000
    with serving(answering(b"", 302, Location=location)) as url, pytest.raises(FetchError) as caught:
        fetch(url)
    assert "points elsewhere: https://elsewhere.example/ ]0;owned 2J" in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_host_in_a_message_is_not_obeyed_by_the_terminal() -> None:
    """A certificate's URL is its author's text."""
    with pytest.raises(FetchError, match="use https") as caught:
        fetch("http://ca\x1bc.example/0.crl")
    assert str(caught.value).isprintable()


def test_the_environment_says_neither_the_way_nor_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL out of a certificate gets no password from .netrc, and is not told to a proxy."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login alice password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    sent: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        sent.append(handler.headers["Authorization"])
        answering(b"a list")(handler)

    with serving(answer) as url:
        assert fetch(url) == b"a list"
    assert sent == [None]


@pytest.mark.parametrize("status", [204, 404, 500])
def test_another_answer_than_the_document_is_an_error(status: int) -> None:
    """The status is told."""
    with serving(answering(b"sorry", status)) as url, pytest.raises(FetchError, match=str(status)):
        fetch(url)


def test_a_server_that_trickles_is_given_up() -> None:
    """The patience is for the whole document, not for each byte."""
    done = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not done.wait(0.02):
            try:
                handler.wfile.write(b"x")
                handler.wfile.flush()
            except OSError:
                return

    with serving(trickle) as url:
        with pytest.raises(FetchError, match=r"did not answer within 0\.3 seconds"):
            fetch(url, patience=0.3)
        done.set()


def test_a_document_that_comes_too_late_is_none() -> None:
    """What was read when the patience ended is not taken for the whole."""
    times = iter([0.0, 1.0])
    with serving(answering(b"half of a list")) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr("trust_store.fetching._now", lambda: next(times))
        with pytest.raises(FetchError, match=r"did not answer within 0\.5 seconds"):
            fetch(url, patience=0.5)


def test_a_document_that_breaks_off_is_none() -> None:
    """Half a list is no list."""
    with serving(answering(b"half", Content_Length="8")) as url, pytest.raises(FetchError, match="ChunkedEncoding"):
        fetch(url)


def test_a_server_that_is_not_there_is_told() -> None:
    """By its host's name, without the library's long words."""
    with serving(answering(b"")) as url:
        gone = url
    with pytest.raises(FetchError, match=r"127\.0\.0\.1 could not be asked: ConnectionError"):
        fetch(gone)


@pytest.mark.parametrize(
    "url",
    [
        "http://ca.example/0.crl",
        "http://127.0.0.1.example/0.crl",
        "http://10.0.0.1/",
        "ftp://ca.example/0.crl",
        "file:///etc/passwd",
        "ldap://127.0.0.1/",
        "ca.example",
        "",
        "http://[::1",
    ],
)
def test_a_url_that_is_not_safe_is_not_asked(url: str) -> None:
    """Https, or this very machine."""
    with pytest.raises(FetchError):
        fetch(url)


def test_any_http_is_for_those_who_know_the_hash() -> None:
    """A fingerprint makes the way irrelevant, but not the kind of URL."""
    _require_safe("http://ca.example/root.pem", any_http=True)
    with pytest.raises(FetchError, match="use https"):
        _require_safe("file:///etc/passwd", any_http=True)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("ca.localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104  # no address to bind
        ("", False),
    ],
)
def test_loopback_is_this_machine_by_name_or_address(host: str, loopback: bool) -> None:
    """RFC 6761 §6.3, RFC 1122 §3.2.1.3, RFC 4291 §2.5.3."""
    assert is_loopback(host) is loopback


@given(st.text(max_size=60).filter(lambda text: "://" not in text))
def test_any_text_is_refused_unless_it_is_a_url(text: str) -> None:
    """What a certificate holds in the place of a URL makes no other error."""
    with pytest.raises(FetchError):
        fetch(text)
