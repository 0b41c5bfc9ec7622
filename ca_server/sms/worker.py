"""The queue of messages as the worker sees it, and the worker that empties it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms


@dataclass(frozen=True, slots=True)
class ClaimedSms:
    """A message that is this worker's to send until its lease runs out.

    `transmission` is 1 for the first and counts every time that the message may have left the house; a `retry` takes
    its count back. `repeated` tells that an earlier transmission may have reached the phone: the worker that began it
    died, or its gateway never answered. `avoid_gateways` names the gateways to try last: those that carried an earlier
    ask of the same challenge over the same route, and those that may have taken this message already.
    """

    sms: OutgoingSms
    route: int
    transmission: int
    queued_at: datetime
    avoid_gateways: tuple[str, ...] = ()
    repeated: bool = False


class SmsQueue(Protocol):
    """The messages that were asked for and not yet handed over. Several workers on several hosts may share one.

    Each method is one durable transaction, safe to call from any thread. A `retry`, `uncertain` or `failed` by the
    holder of a claim that was since claimed again (a later `transmission`) changes nothing; its `sent` is still kept,
    for the phone did get that message and its receipt must find it.
    """

    def claim(self, now: datetime, lease: timedelta) -> ClaimedSms | None:
        """Take the message that waits longest, or return None.

        The transmission is counted, durably, before it is returned: on the message, and as one more send of the
        challenge where an earlier transmission may have reached the phone. A message whose lease ran out is claimed
        again so. One that expired before anybody could send it is marked failed and not returned.
        """

    def sent(self, claim: ClaimedSms, gateway: str, message_id: str, now: datetime) -> None:
        """Note that `gateway` took the message as `message_id`, and apply a receipt that came earlier."""

    def retry(self, claim: ClaimedSms, at: datetime) -> None:
        """Put back, from `at` on, a message that certainly no gateway took: this transmission does not count."""

    def uncertain(self, claim: ClaimedSms, gateway: str, at: datetime) -> None:
        """Put back, from `at` on, a message that `gateway` may have taken: the next claim counts it as repeated."""

    def failed(self, claim: ClaimedSms, now: datetime) -> None:
        """Note that no gateway will take the message: the client sees delivery `failed`."""

    def receipt(self, receipt: DeliveryReceipt) -> None:
        """Apply what a gateway says of a message; keep it for `sent` where its id is not known yet.

        The same receipt may come twice, and a message that was delivered stays delivered whatever comes after it.
        """
