"""SMS over SMPP 3.4: bound to the SMSC as transceiver, reconnecting, with delivery receipts."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import structlog

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError, SmsError, SmsRejected, SmsUnavailable
from ca_server.orders import Delivery
from ca_server.sms import alphabet, smpp_pdu
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms, ReceiptHandler
from ca_server.sms.options import read_options
from ca_server.sms.smpp_link import Connection, Credentials, Endpoint, SmppLink, Timers
from ca_server.sms.smpp_pdu import Address, Pdu, Submission
from ca_server.sms.smpp_receipt import IdForm, MessageIds, read_receipt

_log = structlog.stdlib.get_logger(__name__)

Octet = Annotated[int, msgspec.Meta(ge=0, le=255)]

INTERNATIONAL, NETWORK_SPECIFIC, ALPHANUMERIC = 1, 3, 5
"""Types of number (SMPP 3.4 §5.2.5)."""
UNKNOWN_PLAN, E164_PLAN = 0, 1
"""Numbering plans (SMPP 3.4 §5.2.6)."""
LONGEST_ALPHANUMERIC_SENDER = 11
SHORTEST_INTERNATIONAL_SENDER = 9
"""A sender of digits only that is shorter is a short code."""

_UCS2_CODING = 8
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0

_TRY_LATER = {
    0x04: timedelta(seconds=1),  # ESME_RINVBNDSTS: we are not bound any more
    0x08: timedelta(seconds=5),  # ESME_RSYSERR
    0x14: timedelta(seconds=5),  # ESME_RMSGQFUL
    0x45: timedelta(seconds=5),  # ESME_RSUBMITFAIL
    0x58: timedelta(seconds=2),  # ESME_RTHROTTLED
    0x64: timedelta(seconds=5),  # ESME_RX_T_APPN
    0xFF: timedelta(seconds=5),  # ESME_RUNKNOWNERR
}
"""Statuses that say nothing against the message itself, and when to try it again (SMPP 3.4 §5.1.3)."""


class SmppOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of an `smpp` gateway: docs/how-to/sms-gateway.md.

    The password stands in `password_file`, or in the environment variable that `password_variable` names; never here.
    """

    host: str
    system_id: Annotated[str, msgspec.Meta(max_length=smpp_pdu.LONGEST_SYSTEM_ID)]
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 2775
    password_file: Path | None = None
    password_variable: str | None = None
    system_type: Annotated[str, msgspec.Meta(max_length=smpp_pdu.LONGEST_SYSTEM_TYPE)] = ""
    service_type: Annotated[str, msgspec.Meta(max_length=smpp_pdu.LONGEST_SERVICE_TYPE)] = ""
    tls: bool = False
    tls_ca_file: Path | None = None
    """Whose certificates to believe, instead of the system's."""
    alphabet: Literal["gsm-7", "ascii", "latin-1"] = "gsm-7"
    """How the SMSC wants texts that need no UCS-2."""
    data_coding: Octet | None = None
    """The coding to name for those texts, where the provider wants another than the specification says."""
    source_ton: Octet | None = None
    source_npi: Octet | None = None
    receipts: bool = True
    validity_period: bool = True
    """Whether to tell the SMSC when the code expires; a few refuse it."""
    response_ids: IdForm = IdForm.TEXT
    receipt_ids: IdForm = IdForm.TEXT
    window: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 10
    """How many submissions may wait for their response at once."""
    connect_seconds: Annotated[float, msgspec.Meta(gt=0, le=5)] = 5.0
    response_seconds: Annotated[float, msgspec.Meta(gt=0, le=10)] = 10.0
    """With the wait for a connection, and for room in the window, a send takes 20 seconds at most."""
    enquire_link_seconds: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0


class _State(Enum):
    """How the connection stands."""

    CONNECTING = "connecting"
    BOUND = "bound"
    WAITING = "waiting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class _Request:
    """A message on its way to the thread that owns the link."""

    submission: Submission
    answer: Future[Pdu]


class SmppGateway:
    """An SMSC reached by SMPP. A thread of its own holds the connection, and opens it again when it is lost.

    Several threads may `send` at once. Every request handed to the link's thread is settled by it: by the response, by
    SmsUncertain where it may have been read, by SmsUnavailable where it was never written.
    """

    def __init__(self, settings: Gateway, base: Path, *, clock: Callable[[], datetime] | None = None) -> None:
        """Read the options and the password; nothing is connected before `start`. Raises ConfigurationError."""
        self._settings = settings
        self._options = read_options(settings, SmppOptions)
        self._credentials = Credentials(
            self._options.system_id, _password(settings, self._options, base), self._options.system_type
        )
        self._endpoint = Endpoint(self._options.host, self._options.port, _tls_context(settings, self._options, base))
        self._timers = Timers(
            self._options.connect_seconds, self._options.response_seconds, self._options.enquire_link_seconds
        )
        self._source = _source_address(settings, self._options)
        self._ids = MessageIds(self._options.response_ids, self._options.receipt_ids)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._window = threading.BoundedSemaphore(self._options.window)
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._state = _State.CLOSED
        self._state_changed = threading.Condition()
        self._stopping = threading.Event()
        self._on_receipt: ReceiptHandler | None = None
        self._thread: threading.Thread | None = None
        self._wake_reader: socket.socket
        self._wake_writer: socket.socket

    @property
    def name(self) -> str:
        """The gateway's name in the configuration."""
        return self._settings.name

    @property
    def operator(self) -> str:
        """Who runs the SMSC."""
        return self._settings.operator

    @property
    def sender(self) -> str:
        """The address that the phone shows."""
        return self._settings.sender

    def start(self, on_receipt: ReceiptHandler) -> None:
        """Begin to connect, and return at once; `send` waits for the first attempt."""
        self._on_receipt = on_receipt
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.settimeout(0)
        self._wake_writer.settimeout(0)
        self._state = _State.CONNECTING
        self._thread = threading.Thread(target=self._run, name=f"smpp {self.name}", daemon=True)
        self._thread.start()

    def send(self, sms: OutgoingSms) -> str:
        """Submit the message and return the SMSC's id for it, in canonical form."""
        submission = self._submission(sms)
        if not self._window.acquire(timeout=self._timers.connect):
            msg = f"gateway {self.name!r} has {self._options.window} messages under way and answers none"
            raise SmsUnavailable(msg)
        try:
            answer = self._hand_over(submission).result()
        finally:
            self._window.release()
        return self._accepted_id(answer, sms)

    def close(self) -> None:
        """Wait for the responses that are due, unbind, and disconnect. May be called twice."""
        if self._thread is None:
            return
        self._stopping.set()
        self._wake()
        self._thread.join()
        self._thread = None
        self._wake_reader.close()
        self._wake_writer.close()

    def _submission(self, sms: OutgoingSms) -> Submission:
        data_coding, octets = self._encode(sms.text)
        life = sms.expires_at - self._clock()
        return Submission(
            source=self._source,
            destination=Address(sms.to.digits, INTERNATIONAL, E164_PLAN),
            data_coding=data_coding,
            short_message=octets,
            validity_period=smpp_pdu.relative_time(life) if self._options.validity_period else "",
            registered_delivery=self._options.receipts,
            service_type=self._options.service_type,
        )

    def _encode(self, text: str) -> tuple[int, bytes]:
        """Return the text and its coding. Raises SmsRejected where the network would cut it in two."""
        coding, encode = _ALPHABETS[self._options.alphabet]
        octets = encode(text)
        if octets is not None and self._options.data_coding is not None:
            coding = self._options.data_coding
        if octets is None:
            coding, octets = _UCS2_CODING, text.encode("utf-16-be")
        if not alphabet.fits_one_segment(text) or (coding == _UCS2_CODING and len(octets) > alphabet.OCTETS_OF_UCS2):
            msg = "the message is longer than one SMS; shorten the authority's name or host in it"
            raise SmsRejected(msg)
        return coding, octets

    def _hand_over(self, submission: Submission) -> Future[Pdu]:
        """Queue the message for the link's thread, which settles the future; refuse it where there is no link."""
        answer: Future[Pdu] = Future()
        with self._state_changed:
            self._state_changed.wait_for(lambda: self._state is not _State.CONNECTING, self._timers.connect)
            if self._state is not _State.BOUND:
                msg = f"gateway {self.name!r} is not connected"
                raise SmsUnavailable(msg)
            self._requests.put(_Request(submission, answer))
        self._wake()
        return answer

    def _accepted_id(self, answer: Pdu, sms: OutgoingSms) -> str:
        if answer.status in _TRY_LATER:
            raise SmsUnavailable(smpp_pdu.describe(answer.status), retry_after=_TRY_LATER[answer.status])
        if answer.status != smpp_pdu.OK:
            raise SmsRejected(smpp_pdu.describe(answer.status))
        # Without an id no receipt will ever find the message; our own keeps it apart from others.
        return self._ids.of_response(answer.message_id) if answer.message_id else f"none-{sms.id}"

    def _wake(self) -> None:
        """Let the link's thread look at its queue: where the pipe is full it will, where it is closed it has ended."""
        with contextlib.suppress(OSError):
            self._wake_writer.send(b"\0")

    def _run(self) -> None:
        """Keep a link open until `close`, whatever happens to it. Only this thread touches it."""
        wait = 0.0
        while not self._stopping.wait(wait):
            began = time.monotonic()
            self._set_state(_State.CONNECTING)
            try:
                self._serve(self._open_link())
            except Exception as error:  # noqa: BLE001  # a thread that ended would leave the gateway mute
                reason = str(error) if isinstance(error, SmsError) else type(error).__name__
                _log.warning("sms_gateway_down", gateway=self.name, reason=reason)
            finally:
                self._set_state(_State.WAITING)
                self._refuse_queued()
            lasted = time.monotonic() - began
            wait = 0.0 if lasted > _LONGEST_WAIT else min(max(_FIRST_WAIT, wait * 2), _LONGEST_WAIT)
        self._set_state(_State.CLOSED)

    def _open_link(self) -> SmppLink:
        link = SmppLink(Connection.open(self._endpoint, self._timers), self._timers, self._take_message)
        try:
            link.bind(self._credentials)
        except BaseException:
            link.abandon()
            raise
        return link

    def _serve(self, link: SmppLink) -> None:
        """Submit and receive until the gateway closes. Raises SmsUnavailable once the link is lost."""
        try:
            _log.info("sms_gateway_bound", gateway=self.name)
            self._set_state(_State.BOUND)
            while not self._is_stopping():
                self._submit_queued(link)
                link.exchange(self._wake_reader)
            self._set_state(_State.CLOSED)
            self._submit_queued(link)
            self._await_responses(link)
            link.close()
        finally:
            link.abandon()

    def _is_stopping(self) -> bool:
        """Tell whether to stop. What woke the thread is forgotten first: whatever it was about is looked at after."""
        with contextlib.suppress(BlockingIOError):
            while self._wake_reader.recv(1024):
                pass
        return self._stopping.is_set()

    def _submit_queued(self, link: SmppLink) -> None:
        while not self._requests.empty():
            request = self._requests.get_nowait()
            link.submit(request.submission, request.answer)

    def _await_responses(self, link: SmppLink) -> None:
        deadline = time.monotonic() + self._timers.response
        while link.is_waiting and time.monotonic() < deadline:
            link.exchange(self._wake_reader, longest=0.1)

    def _refuse_queued(self) -> None:
        while not self._requests.empty():
            msg = f"gateway {self.name!r} lost its connection before the message was written"
            self._requests.get_nowait().answer.set_exception(SmsUnavailable(msg))

    def _set_state(self, state: _State) -> None:
        with self._state_changed:
            self._state = state
            self._state_changed.notify_all()

    def _take_message(self, pdu: Pdu) -> int:
        """Pass on a receipt, and acknowledge it once it is kept; anything else that comes in is ignored."""
        receipt = read_receipt(pdu, self._ids) if pdu.is_receipt else None
        if receipt is None:
            _log.info("sms_incoming_ignored", gateway=self.name)
            return smpp_pdu.OK
        # The operator compares these ids with those of `sms_sent` to find out how the SMSC writes them.
        _log.info("sms_receipt", gateway=self.name, message_id=receipt.message_id, delivery=receipt.delivery)
        return smpp_pdu.OK if receipt.delivery is None else self._pass_on(receipt.message_id, receipt.delivery)

    def _pass_on(self, message_id: str, delivery: Delivery) -> int:
        try:
            if self._on_receipt is not None:
                self._on_receipt(DeliveryReceipt(self.name, message_id, delivery, self._clock()))
        except Exception as error:  # noqa: BLE001  # the handler is the queue's, and the SMSC must then repeat
            _log.error("sms_receipt_not_kept", gateway=self.name, error=type(error).__name__)
            return smpp_pdu.TEMPORARY_APPLICATION_ERROR
        return smpp_pdu.OK


def _encode_latin1(text: str) -> bytes | None:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return None


def _encode_ascii(text: str) -> bytes | None:
    return text.encode("ascii") if text.isascii() else None


_ALPHABETS: dict[str, tuple[int, Callable[[str], bytes | None]]] = {
    "gsm-7": (0, alphabet.encode_gsm7),
    "ascii": (1, _encode_ascii),
    "latin-1": (3, _encode_latin1),
}
"""The `data_coding` that names an alphabet (SMPP 3.4 §5.2.19), and how to write it."""


def _password(settings: Gateway, options: SmppOptions, base: Path) -> str:
    """Return the password from the file or the variable that the options name."""
    if (options.password_file is None) == (options.password_variable is None):
        msg = f"gateway {settings.name!r}: options need either password_file or password_variable"
        raise ConfigurationError(msg)
    password = _read_password(settings, options, base)
    if not password or len(password) > smpp_pdu.LONGEST_PASSWORD or not password.isascii():
        msg = f"gateway {settings.name!r}: an SMPP password has 1 to {smpp_pdu.LONGEST_PASSWORD} ASCII characters"
        raise ConfigurationError(msg)
    return password


def _read_password(settings: Gateway, options: SmppOptions, base: Path) -> str:
    if options.password_file is None:
        variable = options.password_variable or ""
        if variable not in os.environ:
            msg = f"gateway {settings.name!r}: the environment variable {variable} with the password is not set"
            raise ConfigurationError(msg)
        return os.environ[variable]
    path = base / options.password_file
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"gateway {settings.name!r}: the password file {path} cannot be read: {error}"
        raise ConfigurationError(msg) from error


def _tls_context(settings: Gateway, options: SmppOptions, base: Path) -> ssl.SSLContext | None:
    if not options.tls:
        if options.tls_ca_file is not None:
            msg = f"gateway {settings.name!r}: tls_ca_file is of use with tls = true only"
            raise ConfigurationError(msg)
        return None
    try:
        return ssl.create_default_context(cafile=base / options.tls_ca_file if options.tls_ca_file else None)
    except OSError as error:
        msg = f"gateway {settings.name!r}: tls_ca_file cannot be read: {error}"
        raise ConfigurationError(msg) from error


def _source_address(settings: Gateway, options: SmppOptions) -> Address:
    """Return the sender as SMPP writes it: international, a short code, or letters (SMPP 3.4 §5.2.5)."""
    sender = settings.sender
    digits = sender.removeprefix("+")
    if digits.isascii() and digits.isdigit():
        is_international = sender != digits or len(digits) >= SHORTEST_INTERNATIONAL_SENDER
        ton, npi = (INTERNATIONAL, E164_PLAN) if is_international else (NETWORK_SPECIFIC, UNKNOWN_PLAN)
        sender = digits
    elif _is_alphanumeric(sender):
        ton, npi = ALPHANUMERIC, UNKNOWN_PLAN
    else:
        msg = (
            f"gateway {settings.name!r}: a sender is +digits, a short code, or at most {LONGEST_ALPHANUMERIC_SENDER} "
            "ASCII letters, digits and spaces"
        )
        raise ConfigurationError(msg)
    return Address(
        sender,
        ton if options.source_ton is None else options.source_ton,
        npi if options.source_npi is None else options.source_npi,
    )


def _is_alphanumeric(sender: str) -> bool:
    """Tell whether a phone can show the sender by name (3GPP TS 23.040 §9.1.2.5)."""
    is_short = len(sender) <= LONGEST_ALPHANUMERIC_SENDER
    return is_short and sender.isascii() and sender.isprintable() and any(letter.isalnum() for letter in sender)
