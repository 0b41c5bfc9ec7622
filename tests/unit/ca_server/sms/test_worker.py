from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from ca_server.errors import SmsRejected, SmsUnavailable, SmsUncertain, StorageError
from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms
from ca_server.sms.routing import Routes
from ca_server.sms.worker import LEASE, MOST_TRANSMISSIONS, Worker
from tests.fakes.scripted_gateway import ScriptedGateway
from tests.fakes.sms_queue import NOON, Clock, MemorySmsQueue, an_sms
from tests.fakes.smsc import eventually


class House:
    """A queue, a clock, gateways, and the worker between them."""

    def __init__(self, *gateways: ScriptedGateway, min_routes: int = 1) -> None:
        """Start a worker with these gateways."""
        self.clock = Clock()
        self.queue = MemorySmsQueue()
        routes = Routes.from_config([gateway.settings for gateway in gateways], min_routes)
        self.worker = Worker(self.queue, routes, gateways, clock=self.clock)
        self.worker.start()

    def step_after(self, seconds: float) -> bool:
        """Let time pass, and let the worker work once."""
        self.clock.advance(seconds)
        return self.worker.step()


def test_a_message_goes_to_the_first_gateway() -> None:
    """A queued message is handed over, and known as sent."""
    gateway, other = ScriptedGateway("a"), ScriptedGateway("b")
    house = House(gateway, other)
    message = house.queue.put(an_sms(), NOON)
    assert house.worker.step()
    assert (gateway.taken, other.taken) == ([message.claim.sms], [])
    assert (message.delivery, message.sends_counted) == (Delivery.SENT, 1)


def test_an_empty_queue_gives_nothing_to_do() -> None:
    """A step without a message says so."""
    assert not House(ScriptedGateway("a")).worker.step()


def test_receipts_of_every_gateway_reach_the_queue() -> None:
    """Once started, a gateway reports to the queue."""
    gateway = ScriptedGateway("a")
    house = House(gateway)
    message = house.queue.put(an_sms(), NOON)
    assert gateway.on_receipt is not None
    gateway.on_receipt(DeliveryReceipt("a", "a-1", Delivery.DELIVERED, NOON))
    house.worker.step()
    assert message.delivery is Delivery.DELIVERED


@pytest.mark.parametrize("error", [SmsUnavailable("down"), SmsRejected("no route to that country")])
def test_the_next_gateway_takes_what_one_does_not(error: Exception) -> None:
    """A gateway that is away or refuses is passed over in the same step, and nothing is counted twice."""
    house = House(ScriptedGateway("a", answers=[error]), second := ScriptedGateway("b"))
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert len(second.taken) == 1
    assert message.sends_counted == 1


def test_a_message_that_every_gateway_rejects_has_failed() -> None:
    """The client sees `failed`, and may ask for another."""
    house = House(*(ScriptedGateway(name, answers=[SmsRejected("no")]) for name in "ab"))
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert message.delivery is Delivery.FAILED
    assert not house.step_after(60)


def test_a_message_that_no_gateway_takes_now_is_tried_again_and_counted_once() -> None:
    """What certainly no gateway took is sent later, as the first transmission."""
    house = House(gateway := ScriptedGateway("a", answers=[SmsUnavailable("down")] * 3))
    message = house.queue.put(an_sms(), NOON)
    steps = sum(house.step_after(seconds) for seconds in (0, 2, 4, 8))
    assert steps == 4
    assert len(gateway.taken) == 1
    assert (message.sends_counted, message.claim.transmission, message.claim.repeated) == (1, 1, False)


def test_tries_grow_apart() -> None:
    """The pause is half the message's age, from one second to fifteen."""
    house = House(ScriptedGateway("a", answers=[SmsUnavailable("down")] * 100))
    message = house.queue.put(an_sms(), NOON)
    pauses = []
    while message.waits:
        house.clock.now = message.due_at
        house.worker.step()
        pauses.append((message.due_at - house.clock.now).total_seconds())
    assert pauses[0] == 1
    assert max(pauses) == 15
    assert pauses[:-1] == sorted(pauses[:-1])
    assert message.delivery is Delivery.FAILED


def test_a_gateway_that_says_when_is_asked_then() -> None:
    """A gateway's own retry_after is kept; of two gateways, the sooner one counts."""
    later, sooner = (SmsUnavailable("throttled", retry_after=timedelta(seconds=wait)) for wait in (40, 20))
    house = House(ScriptedGateway("a", answers=[later]), ScriptedGateway("b", answers=[sooner]))
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert message.due_at == NOON + timedelta(seconds=20)


def test_a_message_that_cannot_be_sent_before_its_code_dies_has_failed() -> None:
    """There is no use in sending a dead code: the person can ask for another at once."""
    late = SmsUnavailable("maintenance", retry_after=timedelta(hours=1))
    house = House(ScriptedGateway("a", answers=[late]))
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert message.delivery is Delivery.FAILED


@pytest.mark.parametrize("error", [SmsUncertain("no answer"), TimeoutError("read"), KeyError("to")])
def test_a_message_that_may_be_out_is_sent_again_and_counted_again(error: Exception) -> None:
    """No answer, and any error that a gateway did not name, may mean that the phone got it."""
    house = House(gateway := ScriptedGateway("a", answers=[error]))
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert message.waits
    assert house.step_after(5)
    assert len(gateway.taken) == 1
    assert (message.sends_counted, message.claim.repeated) == (2, True)


def test_no_other_gateway_is_tried_in_the_same_step_as_an_uncertain_one() -> None:
    """Until a claim counts it, what may be out is not sent a second time."""
    house = House(ScriptedGateway("a", answers=[SmsUncertain("no answer")]), second := ScriptedGateway("b"))
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert second.taken == []
    house.step_after(5)
    assert len(second.taken) == 1
    assert message.sends_counted == 2


def test_an_uncertain_message_is_not_sent_for_ever() -> None:
    """A gateway that takes messages and never answers does not flood a phone."""
    house = House(gateway := ScriptedGateway("a", answers=[SmsUncertain("no answer")] * 100))
    message = house.queue.put(an_sms(), NOON)
    while house.step_after(15):
        pass
    assert message.delivery is Delivery.FAILED
    assert message.sends_counted == MOST_TRANSMISSIONS == 100 - len(gateway.answers)


def test_a_message_whose_workers_die_again_and_again_is_given_up() -> None:
    """A message that kills its worker is not sent by each new one."""
    house = House(gateway := ScriptedGateway("a"))
    message = house.queue.put(an_sms(), NOON)
    for _ in range(MOST_TRANSMISSIONS):
        assert house.queue.claim(house.clock.now, LEASE)
        house.clock.advance(LEASE.total_seconds())
    house.worker.step()
    assert gateway.taken == []
    assert message.delivery is Delivery.FAILED


def test_a_message_of_a_dead_worker_is_sent_and_counted_again() -> None:
    """A claim that was never settled may have been sent: after its lease it is, and the counter says so."""
    house = House(gateway := ScriptedGateway("a"))
    message = house.queue.put(an_sms(), NOON)
    house.queue.claim(NOON, LEASE)
    assert not house.step_after(LEASE.total_seconds() - 1)
    assert house.step_after(1)
    assert len(gateway.taken) == 1
    assert message.sends_counted == 2


def test_no_gateway_is_tried_when_the_lease_is_nearly_over() -> None:
    """A slow gateway does not lead to a send that another worker makes too."""
    slow, second = ScriptedGateway("a"), ScriptedGateway("b")
    house = House(slow, second)

    def fail_slowly(_: OutgoingSms) -> str:
        house.clock.advance(11)
        msg = "slow and down"
        raise SmsUnavailable(msg)

    slow.send = fail_slowly  # type: ignore[method-assign]
    message = house.queue.put(an_sms(), NOON)
    house.worker.step()
    assert second.taken == []
    assert message.waits


def test_a_resend_goes_by_another_gateway_first() -> None:
    """Where a route has two gateways, a person who got nothing by one gets the next message by the other."""
    first, second = ScriptedGateway("a"), ScriptedGateway("b")
    house = House(first, second)
    house.queue.put(an_sms(), NOON, avoid=("a",))
    house.worker.step()
    assert (len(first.taken), len(second.taken)) == (0, 1)


def test_the_halves_of_a_code_never_meet() -> None:
    """With two routes, a half waits for its own operator rather than go by the other's."""
    house = House(
        ScriptedGateway("a", answers=[SmsUnavailable("down")]), other := ScriptedGateway("b", "Two"), min_routes=2
    )
    first = house.queue.put(an_sms("half-1"), NOON, route=0)
    second = house.queue.put(an_sms("half-2"), NOON, route=1)
    while house.worker.step():
        pass
    assert [sms.id for sms in other.taken] == ["half-2"]
    assert (first.delivery, second.delivery) == (Delivery.QUEUED, Delivery.SENT)


def test_no_log_line_holds_a_code_a_number_or_the_words_of_a_foreign_error() -> None:
    """What an outsider's gateway puts in its exceptions stays out of the log."""
    told = [SmsRejected("refused"), SmsUnavailable("down"), ValueError("to=+12025550123 text=12345678")]
    house = House(*(ScriptedGateway(name, answers=[error]) for name, error in zip("abc", told, strict=True)))
    house.queue.put(an_sms(), NOON)
    with capture_logs() as logs:
        house.worker.step()
        house.step_after(5)
    assert len(logs) == 4
    assert "12345678" not in str(logs)
    assert "2025550123" not in str(logs)
    assert "+120******23" in str(logs)
    assert "ValueError" in str(logs)


def test_run_sends_until_it_is_told_to_stop_and_closes_the_gateways() -> None:
    """A running worker sends what is queued, and leaves no gateway open."""
    gateway = ScriptedGateway("a")
    house = House(gateway)
    stop = threading.Event()
    thread = threading.Thread(target=house.worker.run, args=(stop,))
    thread.start()
    for number in range(20):
        house.queue.put(an_sms(f"sms-{number}"), NOON)
    for number in range(20):
        house.queue.wait_for(f"sms-{number}", Delivery.SENT)
    assert not gateway.closed
    stop.set()
    thread.join()
    assert gateway.closed
    assert {message.sends_counted for message in house.queue.messages.values()} == {1}


def test_a_slow_gateway_holds_up_no_message_of_another() -> None:
    """Messages are sent in several lanes: one that waits for its gateway lets others pass."""
    slow, fast = ScriptedGateway("slow"), ScriptedGateway("fast", "Two")
    house = House(slow, fast, min_routes=2)
    answered = threading.Event()

    def wait_for_answer(_: OutgoingSms) -> str:
        assert answered.wait(20)
        return "slow-1"

    slow.send = wait_for_answer  # type: ignore[method-assign]
    house.queue.put(an_sms("sms-1"), NOON, route=0)
    house.queue.put(an_sms("sms-2"), NOON, route=1)
    stop = threading.Event()
    thread = threading.Thread(target=house.worker.run, args=(stop,))
    thread.start()
    house.queue.wait_for("sms-2", Delivery.SENT)
    answered.set()
    house.queue.wait_for("sms-1", Delivery.SENT)
    stop.set()
    thread.join()


class FailingQueue(MemorySmsQueue):
    """A database that is away for the first claim, and for the first note of a message sent."""

    def __init__(self) -> None:
        """Fail each method once."""
        super().__init__()
        self.failures = {"claim", "sent"}

    def claim(self, now, lease):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Fail once."""
        self._fail_once("claim")
        return super().claim(now, lease)

    def sent(self, claim, gateway, message_id, now):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Fail once."""
        self._fail_once("sent")
        super().sent(claim, gateway, message_id, now)

    def _fail_once(self, method: str) -> None:
        if method in self.failures:
            self.failures.remove(method)
            msg = "the database is away"
            raise StorageError(msg)


def test_a_worker_outlives_its_database() -> None:
    """A queue that fails is asked again, and a message whose sending could not be noted is counted as sent twice."""
    gateway = ScriptedGateway("a")
    house = House(gateway)
    house.queue = FailingQueue()
    worker = Worker(house.queue, Routes.from_config([gateway.settings]), [gateway], clock=house.clock)
    message = house.queue.put(an_sms(), NOON)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    eventually(lambda: bool(gateway.taken), "the message is handed over")
    house.clock.advance(LEASE.total_seconds())
    house.queue.wait_for("sms-1", Delivery.SENT)
    stop.set()
    thread.join()
    assert len(gateway.taken) == message.sends_counted == 2
