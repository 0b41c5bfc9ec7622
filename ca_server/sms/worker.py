"""The queue of messages as the worker sees it, and the worker that empties it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from ca_server.errors import SmsError, SmsRejected, SmsUnavailable
from ca_server.sms.doorbell import Doorbell
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms, SmsGateway
from ca_server.sms.routing import Routes
from serving.errors import ServingError

LEASE = timedelta(seconds=30)
"""How long a claim holds: longer than a message takes to send, for after it another worker sends it again."""
LONGEST_SEND = timedelta(seconds=20)
"""What one gateway may take to answer. No other is tried once the lease has less than this left."""
LANES = 4
"""How many messages are sent at once, so that a slow gateway holds up no message of another."""
MOST_TRANSMISSIONS = 3
"""How often a message is sent of which nobody knows whether it was taken: a gateway or a worker may fail each time."""

_SHORTEST_RETRY, _LONGEST_RETRY = timedelta(seconds=1), timedelta(seconds=15)
_BUSY_WAIT, _IDLE_WAIT = 0.02, 0.05
_WAIT_AT_BELL = 0.25
_FAULT_WAIT = 1.0

_log = structlog.stdlib.get_logger(__name__)


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


class Worker:
    """Takes messages from the queue, hands each to a gateway of its route, and notes what came of it.

    `gateways` are those that `routes` names. The worker may be killed at any point: what it had claimed is claimed
    again once its lease is over, and counted as sent again.
    """

    def __init__(
        self,
        queue: SmsQueue,
        routes: Routes,
        gateways: Iterable[SmsGateway],
        *,
        clock: Callable[[], datetime],
        lanes: int = LANES,
        doorbell: Doorbell | None = None,
    ) -> None:
        """Use gateways that were not started yet. With a doorbell, those who queue messages ring."""
        self._queue = queue
        self._routes = routes
        self._gateways = {gateway.name: gateway for gateway in gateways}
        self._clock = clock
        self._lanes = lanes
        self._doorbell = doorbell

    def start(self) -> None:
        """Let the gateways connect, and keep the receipts that come from now on."""
        for gateway in self._gateways.values():
            gateway.start(self._queue.receipt)

    def close(self) -> None:
        """Let the gateways finish and disconnect."""
        for gateway in self._gateways.values():
            gateway.close()

    def run(self, stop: threading.Event) -> None:
        """Start the gateways, send until `stop` is set, finish what is under way, and close the gateways.

        The queue is looked at every 20 ms while there is work and every 50 ms while there is none: what a code waits
        here is what a person waits. With a doorbell, it is looked at when that rings, and now and then for what is to
        be tried again. A queue that fails is asked again after a second.
        """
        free = threading.Semaphore(self._lanes)
        self.start()
        try:
            with ThreadPoolExecutor(self._lanes, thread_name_prefix="sms") as lanes:
                wait = 0.0
                while not stop.is_set():
                    wait = self._feed(lanes, free, wait)
                    self._rest(stop, wait)
        finally:
            self.close()

    def _rest(self, stop: threading.Event, seconds: float) -> None:
        """Wait for the next look: at the bell, unless there is none or the queue is out of order."""
        if self._doorbell is None or not 0 < seconds <= _IDLE_WAIT:
            stop.wait(seconds)
            return
        try:
            self._doorbell.wait(_WAIT_AT_BELL)
        except OSError:
            self._doorbell = None
            _log.warning("sms_doorbell_failed", meaning="the queue is looked at every 50 ms instead")

    def step(self) -> bool:
        """Send one message, if one waits; tell whether one did. The gateways must have been started."""
        now = self._clock()
        claim = self._queue.claim(now, LEASE)
        if claim is None:
            return False
        self._send(claim, now)
        return True

    def _feed(self, lanes: ThreadPoolExecutor, free: threading.Semaphore, waited: float) -> float:
        """Give a claimed message to a free lane, and return how long to wait before the next look, in seconds."""
        if not free.acquire(timeout=_IDLE_WAIT):
            return 0.0
        claimed = False
        try:
            now = self._clock()
            claim = self._queue.claim(now, LEASE)
            if claim is None:
                return min(_IDLE_WAIT, max(_BUSY_WAIT, waited * 2))
            lanes.submit(self._send_in_lane, claim, now, free)
            claimed = True
        except ServingError as error:
            _log.error("sms_queue_failed", error=type(error).__name__)
            return _FAULT_WAIT
        finally:
            if not claimed:
                free.release()
        return 0.0

    def _send_in_lane(self, claim: ClaimedSms, now: datetime, free: threading.Semaphore) -> None:
        try:
            self._send(claim, now)
        except Exception as error:  # noqa: BLE001  # the lease runs out, and the message is sent and counted again
            _log.error("sms_queue_failed", sms=claim.sms.id, error=type(error).__name__)
        finally:
            free.release()

    def _send(self, claim: ClaimedSms, claimed_at: datetime) -> None:
        """Try the route's gateways in turn, and tell the queue how it ended."""
        if claim.transmission > MOST_TRANSMISSIONS:
            self._queue.failed(claim, claimed_at)
            return
        later: list[timedelta] = []
        for name in self._routes.names(claim.route, claim.avoid_gateways):
            if self._clock() > claimed_at + LEASE - LONGEST_SEND:
                later.append(_SHORTEST_RETRY)
                break
            try:
                message_id = self._gateways[name].send(claim.sms)
            except SmsRejected as error:
                _warn("sms_rejected", claim, name, error)
            except SmsUnavailable as error:
                _warn("sms_gateway_unavailable", claim, name, error)
                later.append(error.retry_after or timedelta())
            except Exception as error:  # noqa: BLE001  # whatever an outsider's gateway raises, the SMS may be out
                _warn("sms_uncertain", claim, name, error)
                self._put_back_uncertain(claim, name)
                return
            else:
                self._queue.sent(claim, name, message_id, self._clock())
                _log.info(
                    "sms_sent",
                    sms=claim.sms.id,
                    to=claim.sms.to.masked,
                    gateway=name,
                    message_id=message_id,
                    again=claim.repeated,
                )
                return
        self._put_back(claim, later)

    def _put_back(self, claim: ClaimedSms, later: list[timedelta]) -> None:
        """Try again when the first gateway is ready to, or give up where all refused or the code dies before that."""
        now = self._clock()
        if later and (at := now + max(min(later), _pause(claim, now))) < claim.sms.expires_at:
            self._queue.retry(claim, at)
        else:
            self._queue.failed(claim, now)

    def _put_back_uncertain(self, claim: ClaimedSms, gateway: str) -> None:
        """Send again what may be lost, but not for ever: each time, the phone may get one more."""
        now = self._clock()
        at = now + _pause(claim, now)
        if claim.transmission < MOST_TRANSMISSIONS and at < claim.sms.expires_at:
            self._queue.uncertain(claim, gateway, at)
        else:
            self._queue.failed(claim, now)


def _pause(claim: ClaimedSms, now: datetime) -> timedelta:
    """Return half the time that the message has waited, within limits: tries grow apart without a count being kept."""
    return min(_LONGEST_RETRY, max(_SHORTEST_RETRY, (now - claim.queued_at) / 2))


def _warn(event: str, claim: ClaimedSms, gateway: str, error: Exception) -> None:
    """Log without the words of an exception that is not ours: it may hold the number or the text."""
    reason = str(error) if isinstance(error, SmsError) else type(error).__name__
    _log.warning(event, sms=claim.sms.id, to=claim.sms.to.masked, gateway=gateway, reason=reason)
