"""The queue of messages, in memory: what `ca_server.storage` does in a database."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms
from ca_server.sms.worker import ClaimedSms
from stir.telephone_number import TelephoneNumber

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass
class QueuedSms:
    """A message, and what is known of it."""

    claim: ClaimedSms
    due_at: datetime
    delivery: Delivery = Delivery.QUEUED
    sends_counted: int = 1
    sent_as: set[tuple[str, str]] = field(default_factory=set)
    may_be_out: bool = False
    lease_until: datetime | None = None

    @property
    def waits(self) -> bool:
        """Whether it is still to be handed over."""
        return self.delivery is Delivery.QUEUED


class MemorySmsQueue:
    """An SmsQueue that keeps the promises of its Protocol, but not across processes."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.messages: dict[str, QueuedSms] = {}
        self.early_receipts: dict[tuple[str, str], Delivery] = {}
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def put(self, sms: OutgoingSms, at: datetime, *, route: int = 0, avoid: tuple[str, ...] = ()) -> QueuedSms:
        """Queue a message: the ask of a client, which counts one send."""
        with self._changed:
            queued = QueuedSms(ClaimedSms(sms, route, 0, at, avoid), at)
            self.messages[sms.id] = queued
            return queued

    def wait_for(self, sms_id: str, *deliveries: Delivery, timeout: float = 20.0) -> None:
        """Wait until a message has come as far as one of `deliveries`."""
        with self._changed:
            came = self._changed.wait_for(lambda: self.messages[sms_id].delivery in deliveries, timeout)
        assert came, f"{sms_id} is {self.messages[sms_id].delivery}, not {deliveries}"

    def claim(self, now: datetime, lease: timedelta) -> ClaimedSms | None:
        """Take the message that waits longest."""
        with self._transaction():
            for queued in sorted(self.messages.values(), key=lambda one: one.due_at):
                if not queued.waits or (queued.lease_until or queued.due_at) > now:
                    continue
                if queued.claim.sms.expires_at <= now:
                    queued.delivery = Delivery.FAILED
                    continue
                return self._begin(queued, now + lease)
            return None

    def sent(self, claim: ClaimedSms, gateway: str, message_id: str, now: datetime) -> None:  # noqa: ARG002
        """Note the gateway's id, and apply the receipt that came before it."""
        with self._transaction():
            queued = self.messages[claim.sms.id]
            queued.lease_until = None
            queued.sent_as.add((gateway, message_id))
            self._reach(queued, Delivery.SENT)
            early = self.early_receipts.pop((gateway, message_id), None)
            if early is not None:
                self._reach(queued, early)

    def retry(self, claim: ClaimedSms, at: datetime) -> None:
        """Put back a message that no gateway took, as if it had never been claimed."""
        with self._transaction():
            queued = self._held(claim)
            if queued is not None:
                queued.due_at, queued.lease_until = at, None
                queued.sends_counted -= queued.may_be_out
                queued.claim = dataclasses.replace(queued.claim, transmission=claim.transmission - 1)

    def uncertain(self, claim: ClaimedSms, gateway: str, at: datetime) -> None:
        """Put back a message that the gateway may have taken."""
        with self._transaction():
            queued = self._held(claim)
            if queued is not None:
                queued.due_at, queued.lease_until, queued.may_be_out = at, None, True
                avoid = (*claim.avoid_gateways, gateway)
                queued.claim = dataclasses.replace(queued.claim, avoid_gateways=avoid)

    def failed(self, claim: ClaimedSms, now: datetime) -> None:  # noqa: ARG002
        """Give a message up."""
        with self._transaction():
            queued = self._held(claim)
            if queued is not None:
                queued.delivery, queued.lease_until = Delivery.FAILED, None

    def receipt(self, receipt: DeliveryReceipt) -> None:
        """Apply a receipt, or keep it until its message is known."""
        with self._transaction():
            key = (receipt.gateway, receipt.message_id)
            for queued in self.messages.values():
                if key in queued.sent_as:
                    self._reach(queued, receipt.delivery)
                    return
            self.early_receipts[key] = receipt.delivery

    def _begin(self, queued: QueuedSms, lease_until: datetime) -> ClaimedSms:
        queued.may_be_out |= queued.lease_until is not None
        queued.sends_counted += queued.may_be_out
        queued.lease_until = lease_until
        queued.claim = dataclasses.replace(
            queued.claim, transmission=queued.claim.transmission + 1, repeated=queued.may_be_out
        )
        return queued.claim

    def _held(self, claim: ClaimedSms) -> QueuedSms | None:
        queued = self.messages[claim.sms.id]
        return queued if queued.claim.transmission == claim.transmission and queued.waits else None

    @staticmethod
    def _reach(queued: QueuedSms, delivery: Delivery) -> None:
        if queued.delivery is not Delivery.DELIVERED:
            queued.delivery = delivery

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changed.notify_all()


def an_sms(sms_id: str = "sms-1", text: str = "12345678 is your code.", number: str = "+12025550123") -> OutgoingSms:
    """Return a message that expires ten minutes after noon."""
    return OutgoingSms(sms_id, TelephoneNumber.parse(number), text, NOON + timedelta(minutes=10))
