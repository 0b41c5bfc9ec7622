"""An SMS gateway outside the `answerback` package: an aggregator that takes messages as JSON over HTTP.

Configure it, with this file's folder on PYTHONPATH, as `type = "http_sms_gateway:HttpSmsGateway"`. The provider is made
up, but its kind is the usual one. Copy the file, and change `_request`, `_message_id` and `_Report` to what yours
documents.
"""

# ruff: noqa: INP001  # this folder is no package: an operator's own modules stand beside answerback, not in it

from __future__ import annotations

import hmac
import json
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError, SmsRejected, SmsUnavailable, SmsUncertain
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms, ReceiptHandler
from ca_server.sms.options import read_options

CONNECT_SECONDS, ANSWER_SECONDS = 4, 10
LONGEST_ANSWER = 4096


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of this gateway. `token_file` holds the secret for both directions."""

    url: str
    token_file: Path
    receipts_port: int | None = None
    """Where the provider's receipts arrive, on this machine only: let your web server pass them on from outside."""


class _Accepted(msgspec.Struct):
    id: str


class _Report(msgspec.Struct):
    id: str
    status: str


class HttpSmsGateway:
    """Sends by `POST url`, and takes receipts as `POST /` on a port of its own."""

    def __init__(self, settings: Gateway, base: Path) -> None:
        """Read the options and the token; connect to nothing yet."""
        self._settings = settings
        self._options = read_options(settings, Options)
        self._url = urlsplit(self._options.url)
        self._token = _read_token(settings, base / self._options.token_file)
        self._server: ThreadingHTTPServer | None = None

    @property
    def name(self) -> str:
        """The gateway's name in the configuration."""
        return self._settings.name

    @property
    def operator(self) -> str:
        """Who runs the aggregator."""
        return self._settings.operator

    @property
    def sender(self) -> str:
        """The address that the phone shows."""
        return self._settings.sender

    def start(self, on_receipt: ReceiptHandler) -> None:
        """Listen for receipts, if the options say where."""
        if self._options.receipts_port is not None:
            self._server = _listen(self._options.receipts_port, self.name, self._token, on_receipt)

    def send(self, sms: OutgoingSms) -> str:
        """Hand the message over, and say exactly what is known where that fails."""
        connection = self._connect()
        try:
            with self._request(connection, sms) as answer:
                return _message_id(answer)
        except (OSError, HTTPException) as error:
            # The provider may have read the request before the connection broke, so it may have sent the SMS.
            msg = "the provider did not answer"
            raise SmsUncertain(msg) from error
        finally:
            connection.close()

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _connect(self) -> HTTPConnection:
        """Connect, before anything is sent: what fails here was certainly not taken."""
        host = self._url.netloc
        connection = (
            HTTPSConnection(host, timeout=CONNECT_SECONDS, context=ssl.create_default_context())
            if self._url.scheme == "https"
            else HTTPConnection(host, timeout=CONNECT_SECONDS)
        )
        try:
            connection.connect()
        except OSError as error:
            msg = "no connection to the provider"
            raise SmsUnavailable(msg) from error
        connection.sock.settimeout(ANSWER_SECONDS)
        return connection

    def _request(self, connection: HTTPConnection, sms: OutgoingSms) -> HTTPResponse:
        connection.request(
            "POST",
            self._url.path or "/",
            body=json.dumps({"to": sms.to.e164, "from": self.sender, "text": sms.text}),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                # The same key for each repeat lets the provider drop what it has taken already.
                "Idempotency-Key": sms.id,
            },
        )
        return connection.getresponse()


def _read_token(settings: Gateway, path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"gateway {settings.name!r}: token_file cannot be read: {error}"
        raise ConfigurationError(msg) from error


def _message_id(answer: HTTPResponse) -> str:
    """Return the id that the provider gave, or raise what its status means."""
    match answer.status:
        case HTTPStatus.OK | HTTPStatus.CREATED | HTTPStatus.ACCEPTED:
            return _read_id(answer)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            wait = answer.headers.get("Retry-After", "")
            msg = "the provider asks to come back later"
            raise SmsUnavailable(msg, retry_after=timedelta(seconds=int(wait)) if wait.isdecimal() else None)
        case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            msg = f"the provider failed with status {status}"
            raise SmsUncertain(msg)
        case status:
            msg = f"the provider refused with status {status}"
            raise SmsRejected(msg)


def _read_id(answer: HTTPResponse) -> str:
    try:
        return msgspec.json.decode(answer.read(LONGEST_ANSWER), type=_Accepted).id
    except msgspec.DecodeError as error:
        msg = "the provider's answer cannot be read"
        raise SmsUncertain(msg) from error


def _listen(port: int, gateway: str, token: str, on_receipt: ReceiptHandler) -> ThreadingHTTPServer:
    class _Receipts(BaseHTTPRequestHandler):
        """Takes `{"id": …, "status": "delivered" | "failed"}`, with the token that we send by."""

        def do_POST(self) -> None:
            """Acknowledge a receipt once it is kept: until then the provider repeats it."""
            self.send_response(self._keep())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _keep(self) -> HTTPStatus:
            said = self.headers.get("Authorization", "").encode("latin-1")
            if not hmac.compare_digest(said, f"Bearer {token}".encode("ascii")):
                return HTTPStatus.UNAUTHORIZED
            try:
                length = int(self.headers.get("Content-Length", "0"))
                report = msgspec.json.decode(self.rfile.read(max(0, min(length, LONGEST_ANSWER))), type=_Report)
            except ValueError:
                return HTTPStatus.BAD_REQUEST
            if report.status in {"delivered", "failed"}:
                on_receipt(DeliveryReceipt(gateway, report.id, Delivery(report.status), datetime.now(UTC)))
            return HTTPStatus.NO_CONTENT

        def log_message(self, *_: object) -> None:
            """Write no log of its own."""

    server = ThreadingHTTPServer(("127.0.0.1", port), _Receipts)
    threading.Thread(target=server.serve_forever, name=f"receipts of {gateway}", daemon=True).start()
    return server
