"""What an SMS gateway is to the authority. Implement `SmsGateway` to plug in your own: docs/how-to/sms-gateway.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ca_server.orders import Delivery
from stir.telephone_number import TelephoneNumber


@dataclass(frozen=True, slots=True, repr=False)
class OutgoingSms:
    """A message to hand to a gateway. `id` names it across retries; `text` holds a code, so the value prints none."""

    id: str
    to: TelephoneNumber
    text: str
    expires_at: datetime

    def __repr__(self) -> str:
        """Hide the text and the number."""
        return f"OutgoingSms(id={self.id!r}, to={self.to.masked!r})"


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What a gateway says of a message it took. `message_id` is what `send` returned for it, normalised."""

    gateway: str
    message_id: str
    delivery: Delivery
    at: datetime


ReceiptHandler = Callable[[DeliveryReceipt], None]


class SmsGateway(Protocol):
    """A way to send an SMS: a connection to an SMSC, or an aggregator's API.

    Several threads may call `send` at once, and the gateway may call the receipt handler from a thread of its own.
    Exceptions and log lines never hold the number or the text.
    """

    @property
    def name(self) -> str:
        """The gateway's name in the configuration, unique in it."""

    @property
    def operator(self) -> str:
        """Who runs the gateway; two routes are distinct only if their operators are."""

    @property
    def sender(self) -> str:
        """The address that the phone shows: what the client is told to look for."""

    def start(self, on_receipt: ReceiptHandler) -> None:
        """Open what is needed to send, and pass each delivery receipt to `on_receipt` from now on."""

    def send(self, sms: OutgoingSms) -> str:
        """Hand over the message, within 20 seconds, and return the gateway's own id for it.

        Raises SmsRejected where the gateway refuses this message for good, SmsUnavailable where it certainly did not
        take it and may do so later, SmsUncertain where it may have taken it. Any other exception is uncertain too.
        """

    def close(self) -> None:
        """Finish what is under way and let go of all connections."""
