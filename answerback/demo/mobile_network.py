"""A mobile network on loopback: a real SMSC that speaks SMPP, and the phones behind it.

The SMSC is the server of the `smpp34` package, which this project did not write. Only what lies behind it is played:
the radio, and the person who reads the screen.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import socket
import threading
from datetime import UTC, datetime
from typing import Self

import smpp34

from answerback.demo.errors import DemoError
from ca_server.sms.alphabet import decode_gsm7
from stir.telephone_number import TelephoneNumber

HOST = "127.0.0.1"
_STARTED_WITHIN = 10.0
_STOPPED_WITHIN = 5.0
_PORTS_TO_TRY = 5
_LAST_WORDS = 0.1
"""Seconds in which the threads of smpp34 let go of the interpreter. One that ends before, in one run of 30, crashes."""
_RECEIPT = 0x04  # esm_class of a delivery receipt (SMPP 3.4 §5.2.12)
_CODECS = {3: "latin-1", 8: "utf-16-be"}


class Phone:
    """A phone with an inbox, which a person reads one message after the other."""

    def __init__(self, number: TelephoneNumber) -> None:
        """Switch on, with nothing received yet."""
        self.number = number
        self._inbox: queue.SimpleQueue[str] = queue.SimpleQueue()

    def deliver(self, text: str) -> None:
        """Take a message from the network."""
        self._inbox.put(text)

    def wait_for_sms(self, timeout: float = 10.0) -> str:
        """Return the next message that nobody has read yet, waiting `timeout` seconds for it; else raise DemoError."""
        try:
            return self._inbox.get(timeout=timeout)
        except queue.Empty:
            msg = f"no SMS reached the phone {self.number.masked} within {timeout:g} seconds"
            raise DemoError(msg) from None


class MobileNetwork:
    """An SMSC and its phones; `with` runs it in a thread of its own.

    It lets anybody bind, and every number has a phone, which keeps its messages until somebody looks at it.
    `receipts=False` plays a network that reports nothing.
    """

    def __init__(self, *, receipts: bool = True) -> None:
        """Prepare a network; nothing listens before `with`."""
        self.port = 0
        self._receipts = receipts
        self._phones: dict[str, Phone] = {}
        self._reroutes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._sessions: dict[str, smpp34.Esme] = {}
        self._thread = threading.Thread(target=self._run, name="mobile network", daemon=True)
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        """Listen on a free port of the loopback address, and return once the network does."""
        self._thread.start()
        if not self._started.wait(_STARTED_WITHIN) or self._failure is not None:
            msg = f"the mobile network did not start: {self._failure or 'no answer'}"
            raise DemoError(msg)
        return self

    def __exit__(self, *_: object) -> None:
        """End all sessions and stop listening."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOPPED_WITHIN)

    def phone(self, number: TelephoneNumber) -> Phone:
        """Return the phone that has this number."""
        with self._lock:
            return self._phone(number.digits)

    def reroute(self, number: TelephoneNumber, to: TelephoneNumber | None) -> None:
        """Send what is meant for `number` to the phone of `to`, as somebody in the network can; None ends it."""
        with self._lock:
            if to is None:
                self._reroutes.pop(number.digits, None)
            else:
                self._reroutes[number.digits] = to.digits

    async def answer(self, session: smpp34.Esme, event: smpp34.SubmitSmEvent) -> None:
        """Take a message: deliver it, accept it, and report on it. Override to play another SMSC."""
        self.deliver(event)
        message_id = self.next_message_id()
        event.accept(message_id)
        if self._receipts and event.registered_delivery & 1:
            await self.report(session, event, receipt_text(message_id))

    def next_message_id(self) -> str:
        """Return an id that no message had before."""
        return f"{next(self._ids):010}"

    def deliver(self, event: smpp34.SubmitSmEvent) -> None:
        """Show the message on the phone it is for, or on the one it was rerouted to."""
        number = event.destination_addr
        with self._lock:
            phone = self._phone(self._reroutes.get(number, number))
        phone.deliver(_decode(event.data_coding, event.short_message))

    async def report(self, session: smpp34.Esme, event: smpp34.SubmitSmEvent, text: str) -> None:
        """Send a delivery receipt."""
        await session.deliver_sm(
            event.source_addr, text.encode("ascii"), source_addr=event.destination_addr, esm_class=_RECEIPT
        )

    def _phone(self, digits: str) -> Phone:
        return self._phones.setdefault(digits, Phone(TelephoneNumber(digits)))

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001  # reported by the thread that waits for the start
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server, self.port = await _listen()
        self._started.set()
        events = asyncio.create_task(self._take_events(server))
        await self._stop.wait()
        events.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await events
        for session in self._sessions.values():
            with contextlib.suppress(smpp34.SmppError, TimeoutError):
                await asyncio.wait_for(session.unbind(), 1.0)
        await server.stop()
        await asyncio.sleep(_LAST_WORDS)

    async def _take_events(self, server: smpp34.Server) -> None:
        async with asyncio.TaskGroup() as answers:
            while True:
                event = await server.next()
                if isinstance(event, smpp34.Esme):
                    self._sessions[event.session_id] = event
                elif isinstance(event, smpp34.SubmitSmEvent):
                    answers.create_task(self._answer(event))
                else:
                    self._sessions.pop(event.session_id, None)

    async def _answer(self, event: smpp34.SubmitSmEvent) -> None:
        session = self._sessions.get(event.session_id)
        if session is not None:
            with contextlib.suppress(smpp34.SmppError):  # who sent the message has gone
                await self.answer(session, event)


def receipt_text(message_id: str, *, delivered: bool = True, date: str = "%y%m%d%H%M", text: str = "") -> str:
    """Return a delivery receipt in the words of SMPP 3.4 Appendix B, dated now in the `strftime` format `date`."""
    now = datetime.now(UTC).strftime(date)
    state, error, count = ("DELIVRD", "000", "001") if delivered else ("UNDELIV", "001", "000")
    return (
        f"id:{message_id} sub:001 dlvrd:{count} submit date:{now} done date:{now} stat:{state} err:{error} text:{text}"
    )


async def _listen() -> tuple[smpp34.Server, int]:
    """Start a server on a port that is free; another program may take it first, so try a few."""
    failure: smpp34.SmppError | None = None
    for _ in range(_PORTS_TO_TRY):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        server = smpp34.Server(HOST, port, system_id="mobile-network")
        try:
            await server.start()
        except smpp34.SmppError as error:
            failure = error
        else:
            return server, port
    msg = f"no port is free: {failure}"
    raise DemoError(msg)


def _decode(data_coding: int, octets: bytes) -> str:
    codec = _CODECS.get(data_coding)
    return octets.decode(codec, "replace") if codec else decode_gsm7(octets)
