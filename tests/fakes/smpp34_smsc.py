"""The SMSC of the `smpp34` package, with manners."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

import smpp34

from answerback.demo.mobile_network import MobileNetwork, receipt_text
from ca_server.sms.alphabet import decode_gsm7
from tests.fakes.smsc import Manners, Taken
from tests.fakes.tcp_relay import TcpRelay

_RECEIPT = 0x04
_DELIVERED, _UNDELIVERABLE = 2, 5


class Smpp34Smsc(MobileNetwork):
    """A mobile network that may be rude; a relay in front of it cuts connections."""

    def __init__(self, manners: Manners) -> None:
        """Prepare a network that behaves so."""
        super().__init__()
        self.taken: list[Taken] = []
        self.refused = 0
        self.receipts_acknowledged = 0
        self._manners = manners
        self._relays = contextlib.ExitStack()
        self._relay: TcpRelay

    def __enter__(self) -> Self:
        """Listen, and let `port` be the relay's."""
        super().__enter__()
        self._relay = self._relays.enter_context(TcpRelay(self.port))
        self.port = self._relay.port
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        self._relays.close()
        super().__exit__()

    def cut(self) -> None:
        """Cut all connections without a word."""
        self._relay.cut()

    def text_in(self, text: str) -> bool:
        """Pass on a message from a phone."""
        assert self._loop is not None

        async def deliver() -> bool:
            session = list(self._sessions.values())[-1]
            response = await session.deliver_sm("12025550100", text.encode(), source_addr="12025550123")
            return response.is_success

        return asyncio.run_coroutine_threadsafe(deliver(), self._loop).result(10)

    async def answer(self, session: smpp34.Esme, event: smpp34.SubmitSmEvent) -> None:
        """Take or refuse a message as the manners say."""
        manners = self._manners
        if manners.refusal or self.refused < manners.throttled:
            self.refused += 1
            event.reject(manners.refusal or smpp34.ESME_RTHROTTLED)
            return
        self.taken.append(_taken(event))
        number = int(self.next_message_id()) + 0xA0
        if len(self.taken) <= manners.drops:
            self.cut()
        elif len(self.taken) <= manners.silences:
            await asyncio.sleep(3600)
        elif manners.receipts == "before":
            await self._report(session, event, number)
            event.accept(_written(number, manners.response_ids))
        else:
            event.accept(_written(number, manners.response_ids))
            if manners.receipts == "after":
                await self._report(session, event, number)

    async def _report(self, session: smpp34.Esme, event: smpp34.SubmitSmEvent, number: int) -> None:
        manners = self._manners
        text, tlvs = "", []
        if manners.receipts_in_options:
            state = _UNDELIVERABLE if manners.undeliverable else _DELIVERED
            message_id = _written(number, manners.response_ids).encode() + b"\0"
            tlvs = [
                smpp34.Tlv(smpp34.TLV_RECEIPTED_MESSAGE_ID, message_id),
                smpp34.Tlv(smpp34.TLV_MESSAGE_STATE, bytes((state,))),
                smpp34.Tlv(smpp34.TLV_MS_MSG_WAIT_FACILITIES, b"\x80"),
            ]
        else:
            message_id_text = "0" * manners.zeros + _written(number, manners.receipt_ids)
            date = "%y%m%d%H%M%S" if manners.long_dates else "%y%m%d%H%M"
            text = receipt_text(message_id_text, delivered=not manners.undeliverable, date=date)
        for _ in range(manners.receipt_copies):
            response = await session.deliver_sm(
                event.source_addr,
                text.encode(),
                source_addr=event.destination_addr,
                esm_class=_RECEIPT,
                tlvs=tlvs,
            )
            self.receipts_acknowledged += response.is_success


def _written(number: int, base: str) -> str:
    return f"{number:X}" if base == "hex" else str(number)


def _taken(event: smpp34.SubmitSmEvent) -> Taken:
    ucs2 = event.data_coding == 8
    text = event.short_message.decode("utf-16-be") if ucs2 else decode_gsm7(event.short_message)
    return Taken(
        to=event.destination_addr,
        sender=event.source_addr,
        text=text,
        data_coding=event.data_coding,
        source_ton=event.source_addr_ton,
        destination_ton=event.dest_addr_ton,
        registered_delivery=event.registered_delivery,
    )
