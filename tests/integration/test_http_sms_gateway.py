from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError, SmsRejected, SmsUnavailable, SmsUncertain
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, SmsGateway
from ca_server.sms.loading import open_gateway
from tests.fakes.sms_queue import an_sms

EXAMPLES = Path(__file__).parents[2] / "examples"
Open = Callable[..., SmsGateway]


class Provider(ThreadingHTTPServer):
    """An SMS provider that answers as it is told."""

    def __init__(self) -> None:
        """Listen on a free port."""
        super().__init__(("127.0.0.1", 0), _Messages)
        self.status = 202
        self.headers: dict[str, str] = {}
        self.body = b'{"id": "m-1"}'
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []


class _Messages(BaseHTTPRequestHandler):
    """Takes messages."""

    server: Provider

    def do_POST(self) -> None:
        """Answer as told; with status 0, hang up."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((dict(self.headers), json.loads(body)))
        if self.server.status == 0:
            return
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Run a provider."""
    with Provider() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def open_example(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Open the example as an operator does, by `module:attribute`."""
    monkeypatch.syspath_prepend(EXAMPLES)
    (tmp_path / "token").write_text("t0ken\n")

    def open_it(**options: object) -> SmsGateway:
        every = {"url": f"http://127.0.0.1:{provider.server_port}/messages", "token_file": "token"} | options
        settings = Gateway("aggregator", "http_sms_gateway:HttpSmsGateway", "Aggregator Inc", "Example CA", every)
        return open_gateway(settings, tmp_path)

    return open_it


def test_a_message_is_handed_over_with_its_key(provider: Provider, open_example: Open) -> None:
    """The provider gets number, sender, text and our token, and a key by which it knows a repeat."""
    assert open_example().send(an_sms()) == "m-1"
    ((headers, body),) = provider.asked
    assert body == {"to": "+12025550123", "from": "Example CA", "text": "12345678 is your code."}
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer t0ken", "sms-1")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, SmsRejected),
        (401, SmsRejected),
        (429, SmsUnavailable),
        (503, SmsUnavailable),
        (500, SmsUncertain),
        (504, SmsUncertain),
        (0, SmsUncertain),
    ],
)
def test_each_failure_says_what_is_known(
    provider: Provider, open_example: Open, status: int, error: type[Exception]
) -> None:
    """What was refused, what may be tried later, and what may have been sent are told apart, without number or code."""
    provider.status = status
    with pytest.raises(error) as raised:
        open_example().send(an_sms())
    assert "2025550123" not in str(raised.value)
    assert "12345678" not in str(raised.value)


def test_the_providers_wait_is_kept(provider: Provider, open_example: Open) -> None:
    """Retry-After becomes retry_after."""
    provider.status, provider.headers = 429, {"Retry-After": "30"}
    with pytest.raises(SmsUnavailable) as raised:
        open_example().send(an_sms())
    assert raised.value.retry_after == timedelta(seconds=30)


def test_an_answer_that_is_no_json_is_uncertain(provider: Provider, open_example: Open) -> None:
    """A status of success with an unreadable body may well be a sent message."""
    provider.body = b"<html>"
    with pytest.raises(SmsUncertain):
        open_example().send(an_sms())


def test_a_provider_that_is_away_took_nothing(open_example: Open) -> None:
    """A refused connection is certain: nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SmsUnavailable):
        open_example(url=f"http://127.0.0.1:{port}/").send(an_sms())


def test_a_missing_token_stops_the_start(open_example: Open) -> None:
    """A wrong path is the operator's to mend."""
    with pytest.raises(ConfigurationError, match="token_file cannot be read"):
        open_example(token_file="elsewhere")


def report(port: int, body: bytes, authorization: str = "Bearer t0ken") -> int:
    """Send a receipt as the provider does, and return the status of the answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", "/", body, {"Authorization": authorization})
        with connection.getresponse() as answer:
            return answer.status


def test_receipts_are_taken_from_the_provider_only(open_example: Open) -> None:
    """A receipt with the token is passed on; one without, and one that is none, is refused."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    receipts: list[DeliveryReceipt] = []
    gateway = open_example(receipts_port=port)
    gateway.start(receipts.append)
    try:
        assert report(port, b'{"id": "m-1", "status": "delivered"}') == 204
        assert report(port, b'{"id": "m-2", "status": "on its way"}') == 204
        assert report(port, b'{"id": "m-1", "status": "failed"}', authorization="Bearer guess") == 401
        assert report(port, b"delivered!") == 400
    finally:
        gateway.close()
    (receipt,) = receipts
    assert (receipt.gateway, receipt.message_id, receipt.delivery) == ("aggregator", "m-1", Delivery.DELIVERED)
