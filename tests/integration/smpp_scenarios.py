"""What our SMPP gateway and worker must get right with any SMSC; each SMSC has a test module that runs all of it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ca_server.config import Gateway
from ca_server.errors import SmsRejected, SmsUnavailable, SmsUncertain
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms
from ca_server.sms.routing import Routes
from ca_server.sms.smpp_gateway import SmppGateway
from ca_server.sms.worker import Worker
from stir.telephone_number import TelephoneNumber
from tests.fakes.sms_queue import MemorySmsQueue, QueuedSms
from tests.fakes.smsc import Manners, Smsc, eventually

NUMBER = TelephoneNumber.parse("+12025550123")
TEXT = "12345678 is your Example CA code to certify this number. Do not share it.\n\n@ca.example #12345678"
UCS2_TEXT = "12345678 — код для Example CA\n\n@ca.example #12345678"


def now() -> datetime:
    """Tell the time, as the programs do."""
    return datetime.now(UTC)


def an_sms(sms_id: str = "sms-1", text: str = TEXT) -> OutgoingSms:
    """Return a message that lives for ten minutes from now."""
    return OutgoingSms(sms_id, NUMBER, text, now() + timedelta(minutes=10))


def refuse_receipt(_: DeliveryReceipt) -> None:
    """Stand for a database that is away."""
    raise OSError


class Site:
    """An SMSC, and what our side needs to send by it."""

    def __init__(self, smsc: Smsc, folder: Path) -> None:
        """Keep the password beside."""
        self.smsc = smsc
        self.queue = MemorySmsQueue()
        self._folder = folder
        (folder / "password").write_text("secret\n")

    def gateway(self, **options: object) -> SmppGateway:
        """Return a gateway to the SMSC that was not started yet."""
        every = {"host": "127.0.0.1", "port": self.smsc.port, "system_id": "answerback", "password_file": "password"}
        return SmppGateway(Gateway("smsc", "smpp", "Test Operator", "Example CA", every | options), self._folder)

    @contextmanager
    def started(self, **options: object) -> Iterator[SmppGateway]:
        """Run a gateway whose receipts go to the queue."""
        gateway = self.gateway(**options)
        gateway.start(self.queue.receipt)
        try:
            yield gateway
        finally:
            gateway.close()

    @contextmanager
    def working(self, **options: object) -> Iterator[None]:
        """Run a worker that empties the queue by the SMSC."""
        gateway = self.gateway(**options)
        routes = Routes.from_config([Gateway("smsc", "smpp", "Test Operator", "Example CA")])
        stop = threading.Event()
        thread = threading.Thread(target=Worker(self.queue, routes, [gateway], clock=now).run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def ask(self, sms_id: str = "sms-1") -> QueuedSms:
        """Queue a message."""
        return self.queue.put(an_sms(sms_id), now())


Visit = Callable[..., Site]


class SmppScenarios(ABC):
    """The scenarios. A subclass named Test… says which SMSC."""

    @abstractmethod
    def smsc(self, manners: Manners) -> Smsc:
        """Return an SMSC with these manners, not listening yet."""

    @pytest.fixture
    def visit(self, tmp_path: Path) -> Iterator[Visit]:
        """Start an SMSC with the manners that are given by name."""
        with ExitStack() as stack:
            yield lambda **manners: Site(stack.enter_context(self.smsc(Manners(**manners))), tmp_path)

    @pytest.mark.parametrize(("text", "coding"), [(TEXT, 0), (UCS2_TEXT, 8)])
    def test_a_message_arrives_as_it_was_written(self, visit: Visit, text: str, coding: int) -> None:
        """The SMSC reads the number, the sender and every letter as they were meant."""
        site = visit()
        with site.started() as gateway:
            gateway.send(an_sms(text=text))
        (taken,) = site.smsc.taken
        assert (taken.to, taken.sender, taken.text) == (NUMBER.digits, "Example CA", text)
        assert (taken.data_coding, taken.destination_ton, taken.source_ton) == (coding, 1, 5)
        assert taken.registered_delivery == 1

    @pytest.mark.parametrize(
        ("manners", "options"),
        [
            pytest.param({}, {}, id="after the response"),
            pytest.param({"receipts": "before"}, {}, id="before the response"),
            pytest.param(
                {"response_ids": "hex"},
                {"response_ids": "hex", "receipt_ids": "decimal"},
                id="id hexadecimal in the response and decimal in the receipt",
            ),
            pytest.param(
                {"receipt_ids": "hex", "receipts": "before"},
                {"response_ids": "decimal", "receipt_ids": "hex"},
                id="id decimal in the response and hexadecimal in an early receipt",
            ),
            pytest.param({"zeros": 6}, {}, id="id with leading zeros"),
            pytest.param({"long_dates": True}, {}, id="dates of 12 digits"),
            pytest.param({"receipts_in_options": True}, {}, id="id and state in optional parameters"),
            pytest.param({"receipt_copies": 3}, {}, id="three times the same"),
        ],
    )
    def test_a_receipt_finds_its_message(self, visit: Visit, manners: dict[str, Any], options: dict[str, Any]) -> None:
        """A message is known to be delivered, however the SMSC writes its receipt, and each receipt is acknowledged."""
        site = visit(**manners)
        site.ask()
        with site.working(**options):
            site.queue.wait_for("sms-1", Delivery.DELIVERED)
            copies = manners.get("receipt_copies", 1)
            eventually(lambda: site.smsc.receipts_acknowledged == copies, "every receipt is acknowledged")
        assert len(site.smsc.taken) == 1

    def test_an_undeliverable_message_is_known_to_have_failed(self, visit: Visit) -> None:
        """A receipt that says UNDELIV makes the message failed."""
        site = visit(undeliverable=True)
        site.ask()
        with site.working():
            site.queue.wait_for("sms-1", Delivery.FAILED)

    def test_a_throttled_message_is_sent_later_and_counted_once(self, visit: Visit) -> None:
        """A submission that the SMSC refuses as one too many never reached anybody: its repeat is the first send."""
        site = visit(throttled=1)
        message = site.ask()
        with site.working():
            site.queue.wait_for("sms-1", Delivery.DELIVERED)
        assert (site.smsc.refused, len(site.smsc.taken)) == (1, 1)
        assert message.sends_counted == 1

    def test_a_message_whose_answer_was_lost_with_the_connection_is_sent_and_counted_again(self, visit: Visit) -> None:
        """The SMSC took the message and the connection broke: the repeat is one more send, in the counters too."""
        site = visit(drops=1)
        message = site.ask()
        with site.working():
            site.queue.wait_for("sms-1", Delivery.DELIVERED)
        assert len(site.smsc.taken) == message.sends_counted == 2

    def test_a_dropped_connection_loses_no_message(self, visit: Visit) -> None:
        """Messages asked for while the connection is cut over and over all arrive, and none more often than counted."""
        site = visit()
        asked = [site.ask(f"sms-{number}") for number in range(10)]
        with site.working():
            for message in asked:
                # A receipt that was on its way is lost with the connection: these SMSCs do not keep it.
                site.queue.wait_for(message.claim.sms.id, Delivery.SENT, Delivery.DELIVERED)
                if message in asked[::3]:
                    site.smsc.cut()
        assert 10 <= len(site.smsc.taken) <= sum(message.sends_counted for message in asked)

    def test_an_idle_connection_that_is_cut_is_opened_again(self, visit: Visit) -> None:
        """The gateway notices a cut without sending anything, and the next message goes out uncounted twice."""
        site = visit()
        with site.working():
            site.ask("sms-1")
            site.queue.wait_for("sms-1", Delivery.DELIVERED)
            site.smsc.cut()
            message = site.ask("sms-2")
            site.queue.wait_for("sms-2", Delivery.DELIVERED)
        assert len(site.smsc.taken) == 1 + message.sends_counted

    def test_a_response_that_never_comes_is_uncertain(self, visit: Visit) -> None:
        """An SMSC that takes a message and says nothing leaves the gateway unsure, and usable."""
        site = visit(silences=1)
        with site.started(response_seconds=0.2) as gateway:
            with pytest.raises(SmsUncertain):
                gateway.send(an_sms())
            assert gateway.send(an_sms("sms-2"))

    def test_a_refused_message_is_rejected_for_good(self, visit: Visit) -> None:
        """An invalid destination is no matter of time."""
        site = visit(refusal=0x0B)
        with site.started() as gateway, pytest.raises(SmsRejected, match="0x0000000b"):
            gateway.send(an_sms())

    @pytest.mark.parametrize("status", [0x08, 0x14, 0x58])
    def test_a_full_or_failing_smsc_is_asked_again_later(self, visit: Visit, status: int) -> None:
        """A system error, a full queue and throttling say when to come back."""
        site = visit(refusal=status)
        with site.started() as gateway, pytest.raises(SmsUnavailable) as raised:
            gateway.send(an_sms())
        assert raised.value.retry_after is not None

    def test_a_receipt_that_cannot_be_kept_is_not_acknowledged(self, visit: Visit) -> None:
        """While the queue cannot store a receipt the SMSC is told so, and keeps it for later."""
        site = visit(receipts="before")
        gateway = site.gateway()
        gateway.start(refuse_receipt)
        gateway.send(an_sms())
        gateway.close()
        assert site.smsc.receipts_acknowledged == 0

    def test_a_phone_cannot_forge_a_receipt(self, visit: Visit) -> None:
        """A text that looks like a receipt is acknowledged as a message, and changes nothing."""
        site = visit(receipts="none")
        with site.started() as gateway:
            message_id = gateway.send(an_sms())
            assert site.smsc.text_in(f"id:{message_id} sub:001 dlvrd:001 stat:DELIVRD err:000 text:")
        assert not site.queue.early_receipts

    def test_many_messages_share_the_connection(self, visit: Visit) -> None:
        """Messages of several threads are under way at once, and each gets its own id."""
        site = visit(receipts="none")
        with site.started(window=4) as gateway:
            ids: list[str] = []
            threads = [
                threading.Thread(target=lambda number=number: ids.append(gateway.send(an_sms(f"sms-{number}"))))
                for number in range(12)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(set(ids)) == 12
