"""One bound connection to an SMSC. A single thread uses it, so nothing in it is locked."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

import structlog

from ca_server.errors import SmsUnavailable, SmsUncertain
from ca_server.sms import smpp_pdu
from ca_server.sms.smpp_pdu import Pdu, PduError, Submission

_HIGHEST_SEQUENCE = 0x7FFFFFFF  # SMPP 3.4 §3.2
_CHUNK = 64 * 1024
_FAREWELL = 2.0
"""Seconds in which the SMSC may answer an unbind: nothing depends on it, and whoever stops a worker waits."""
_log = structlog.stdlib.get_logger(__name__)

MessageHandler = Callable[[Pdu], int]
"""Takes a `deliver_sm` and returns the status to answer it with."""


class LinkLost(SmsUnavailable):
    """The connection is gone, or was never there. The message says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the SMSC listens. With `tls`, its certificate must name `host`."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Who binds; the password is never printed."""

    system_id: str
    password: str
    system_type: str = ""


@dataclass(frozen=True, slots=True)
class Timers:
    """How long to wait, in seconds: for a connection, for a response, and idle before asking whether the peer lives."""

    connect: float = 5.0
    response: float = 10.0
    enquire_link: float = 30.0


@dataclass(slots=True)
class _Pending:
    """A submission that was written and not yet answered. `deadline` is on the monotonic clock."""

    answer: Future[Pdu]
    deadline: float


class Connection:
    """A socket that gives and takes whole PDUs."""

    def __init__(self, sock: socket.socket) -> None:
        """Take over the socket."""
        self._socket = sock
        self._arrived = bytearray()

    @classmethod
    def open(cls, endpoint: Endpoint, timers: Timers) -> Self:
        """Connect, with TLS where the endpoint has it. Raises LinkLost."""
        try:
            sock = socket.create_connection((endpoint.host, endpoint.port), timeout=timers.connect)
        except OSError as error:
            msg = f"cannot connect to {endpoint.host}:{endpoint.port}: {error}"
            raise LinkLost(msg) from error
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.tls is not None:
                sock = endpoint.tls.wrap_socket(sock, server_hostname=endpoint.host)
            sock.settimeout(timers.response)
        except OSError as error:
            sock.close()
            msg = f"no TLS with {endpoint.host}:{endpoint.port}: {error}"
            raise LinkLost(msg) from error
        return cls(sock)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def send(self, octets: bytes) -> None:
        """Write a PDU. Raises LinkLost, after which some of it may have been read."""
        try:
            self._socket.sendall(octets)
        except OSError as error:
            msg = f"the connection to the SMSC broke: {error}"
            raise LinkLost(msg) from error

    def receive(self) -> Iterator[bytes]:
        """Read what has arrived, once the descriptor is readable, and yield the PDUs that are whole.

        Raises LinkLost at the end of the stream, PduError where it is out of step.
        """
        self._read_socket()
        while (length := smpp_pdu.pdu_length(self._arrived)) is not None and len(self._arrived) >= length:
            octets = bytes(self._arrived[:length])
            del self._arrived[:length]
            yield octets

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _read_socket(self) -> None:
        try:
            octets = self._socket.recv(_CHUNK)
            # What TLS has decrypted already makes no descriptor readable again.
            while octets and isinstance(self._socket, ssl.SSLSocket) and (rest := self._socket.pending()):
                octets += self._socket.recv(rest)
        except OSError as error:
            msg = f"the connection to the SMSC broke: {error}"
            raise LinkLost(msg) from error
        if not octets:
            msg = "the SMSC closed the connection"
            raise LinkLost(msg)
        self._arrived += octets


def _readable(seconds: float, *sources: Connection | socket.socket) -> set[int]:
    """Wait until one of the sources can be read, and return the descriptors of those that can."""
    poll = select.poll()
    for source in sources:
        poll.register(source, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(seconds * 1000)}


class SmppLink:
    """A session with an SMSC: binds, submits, answers what the SMSC asks, and notices when it is gone.

    Every `submit` is settled: by the SMSC's response, or by SmsUncertain once that is late or the link is lost.
    """

    def __init__(self, connection: Connection, timers: Timers, on_message: MessageHandler) -> None:
        """Use a connection on which nothing was sent yet."""
        self._connection = connection
        self._timers = timers
        self._on_message = on_message
        self._pending: dict[int, _Pending] = {}
        self._sequence = 0
        self._awaited: dict[int, Pdu | None] = {}
        self._heard_at = time.monotonic()
        self._enquired_at: float | None = None

    def bind(self, credentials: Credentials) -> None:
        """Bind to send and receive. Raises LinkLost, also where the SMSC refuses us."""
        sequence = self._next_sequence()
        answer = self._ask(
            sequence,
            smpp_pdu.bind_transceiver(
                sequence,
                system_id=credentials.system_id,
                password=credentials.password,
                system_type=credentials.system_type,
            ),
            self._timers.response,
        )
        if answer.status != smpp_pdu.OK:
            msg = f"the SMSC refused to bind: {smpp_pdu.describe(answer.status)}"
            raise LinkLost(msg)

    def submit(self, submission: Submission, answer: Future[Pdu]) -> None:
        """Send a message; `answer` gets the response, or SmsUncertain. Raises LinkLost after having settled it."""
        sequence = self._next_sequence()
        self._pending[sequence] = _Pending(answer, time.monotonic() + self._timers.response)
        try:
            self._connection.send(smpp_pdu.submit_sm(sequence, submission))
        except LinkLost:
            self.settle_all()
            raise

    def exchange(self, wake: socket.socket, longest: float | None = None) -> None:
        """Wait until the SMSC says something, `wake` is readable or a timer runs out, and act on it.

        `longest` bounds the wait, in seconds. Raises LinkLost or PduError once the link is of no use.
        """
        now = time.monotonic()
        wait = max(0.0, self._next_timer() - now)
        if self._connection.fileno() in _readable(
            wait if longest is None else min(wait, longest), self._connection, wake
        ):
            self._receive()
        self._run_timers(time.monotonic())

    @property
    def is_waiting(self) -> bool:
        """Whether a submission has not been answered yet."""
        return bool(self._pending)

    def settle_all(self) -> None:
        """Tell whoever waits for a response that none will come."""
        for pending in self._pending.values():
            pending.answer.set_exception(SmsUncertain("the connection to the SMSC was lost before it answered"))
        self._pending.clear()

    def close(self) -> None:
        """Unbind, as far as the SMSC still listens, and let go of the connection."""
        try:
            with contextlib.suppress(SmsUnavailable):
                sequence = self._next_sequence()
                self._ask(sequence, smpp_pdu.unbind(sequence), min(_FAREWELL, self._timers.response))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of the connection without a word."""
        self.settle_all()
        self._connection.close()

    def _ask(self, sequence: int, octets: bytes, patience: float) -> Pdu:
        """Send a request of our own and wait for its response, while serving whatever else arrives."""
        self._awaited[sequence] = None
        self._connection.send(octets)
        deadline = time.monotonic() + patience
        while (answer := self._awaited[sequence]) is None:
            left = deadline - time.monotonic()
            if left <= 0 or not _readable(left, self._connection):
                msg = "the SMSC does not answer"
                raise LinkLost(msg)
            self._receive()
        del self._awaited[sequence]
        return answer

    def _receive(self) -> None:
        for octets in self._connection.receive():
            self._heard_at = time.monotonic()
            self._enquired_at = None
            try:
                self._handle(smpp_pdu.read(octets))
            except PduError as error:
                _log.warning("smpp_pdu_malformed", command=error.command)
                if not error.command.endswith("_resp"):
                    self._connection.send(smpp_pdu.response("", error.sequence, smpp_pdu.INVALID_COMMAND_LENGTH))

    def _handle(self, pdu: Pdu) -> None:
        if pdu.is_response:
            self._settle(pdu)
        elif pdu.command == "deliver_sm":
            self._reply(pdu, self._on_message(pdu))
        elif pdu.command == "enquire_link":
            self._reply(pdu, smpp_pdu.OK)
        elif pdu.command == "unbind":
            self._reply(pdu, smpp_pdu.OK)
            msg = "the SMSC ended the session"
            raise LinkLost(msg)
        elif pdu.command not in {"alert_notification", "outbind"}:  # these two have no response
            self._reply(pdu, smpp_pdu.INVALID_COMMAND_ID)

    def _settle(self, pdu: Pdu) -> None:
        if pdu.sequence in self._awaited:
            self._awaited[pdu.sequence] = pdu
        elif (pending := self._pending.pop(pdu.sequence, None)) is not None:
            pending.answer.set_result(pdu)
        elif pdu.command == "submit_sm_resp":
            _log.warning("smpp_response_too_late")

    def _reply(self, request: Pdu, status: int) -> None:
        self._connection.send(smpp_pdu.response(request.command, request.sequence, status))

    def _next_timer(self) -> float:
        """Return when, on the monotonic clock, something must be done though nothing arrived."""
        quiet = (
            self._heard_at + self._timers.enquire_link
            if self._enquired_at is None
            else self._enquired_at + self._timers.response
        )
        return min([quiet, *(pending.deadline for pending in self._pending.values())])

    def _run_timers(self, now: float) -> None:
        for sequence in [sequence for sequence, pending in self._pending.items() if pending.deadline <= now]:
            late = self._pending.pop(sequence)
            late.answer.set_exception(SmsUncertain("the SMSC did not answer in time"))
        if self._enquired_at is not None and now >= self._enquired_at + self._timers.response:
            msg = "the SMSC does not answer"
            raise LinkLost(msg)
        if self._enquired_at is None and now >= self._heard_at + self._timers.enquire_link:
            self._enquired_at = now
            self._connection.send(smpp_pdu.enquire_link(self._next_sequence()))

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % _HIGHEST_SEQUENCE + 1
        return self._sequence
