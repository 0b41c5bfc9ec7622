from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from ca_server.orders import Challenge, Delivery, Status
from ca_server.sms.gateway import DeliveryReceipt
from ca_server.sms.worker import ClaimedSms, SmsQueue
from ca_server.storage import Storage
from ca_server.storage.messages import EARLY_RECEIPT_LIFE
from policies.issuance import IssuancePolicy
from stir.telephone_number import TelephoneNumber
from tests.fakes.issuing_authority import Client, IssuingAuthority

LEASE = timedelta(minutes=1)
TIMEOUT = 60


class Asked:
    """An authority where one SMS was asked for."""

    def __init__(self, storage: Storage, policy: IssuancePolicy | None = None) -> None:
        """Ask for an SMS."""
        self.authority = IssuingAuthority(storage, policy)
        self.clock = self.authority.clock
        self.queue: SmsQueue = storage.sms
        self.client = self.authority.client()
        self.order = self.authority.order(self.client)
        self.ask()

    def ask(self) -> None:
        """Ask for an SMS."""
        self.authority.ask(self.client, self.challenge)

    @property
    def challenge(self) -> Challenge:
        """The challenge as it is now."""
        return self.authority.challenge(self.client, self.order)

    def claim(self) -> ClaimedSms:
        """Take the message that waits longest."""
        claim = self.queue.claim(self.clock(), LEASE)
        assert claim is not None
        return claim

    def nothing_waits(self) -> bool:
        """Tell whether there is nothing to send now."""
        return self.queue.claim(self.clock(), LEASE) is None

    def receipt(self, delivery: Delivery, message_id: str = "id-1") -> None:
        """Say what the gateway says of a message."""
        self.queue.receipt(DeliveryReceipt("one", message_id, delivery, self.clock()))

    def kept_text(self) -> list[str | None]:
        """Return what is in the database of the messages' texts."""
        rows = self.authority.storage._database.rows("SELECT text FROM messages ORDER BY ask, route")
        return [text for (text,) in rows]


@pytest.fixture
def asked(storage: Storage) -> Iterator[Asked]:
    """Return an authority where one SMS was asked for, on each database."""
    return Asked(storage)


def test_a_claimed_message_is_what_was_asked_for(asked: Asked) -> None:
    """The first claim hands out the message, counted as the first transmission."""
    claim = asked.claim()
    assert claim.sms.to == TelephoneNumber("12025550123")
    assert claim.sms.text.endswith(f"@ca.example #{claim.sms.text[:8]}")
    assert claim.sms.expires_at == asked.challenge.answerable_until
    assert (claim.route, claim.transmission, claim.queued_at) == (0, 1, asked.clock())
    assert (claim.avoid_gateways, claim.repeated) == ((), False)
    assert [message.transmissions for message in asked.challenge.messages] == [1]
    assert asked.challenge.sends_used == 1
    assert "2025550123" not in repr(claim)


def test_a_claimed_message_is_nobody_elses_until_its_lease_is_over(asked: Asked) -> None:
    """While a worker holds a message, no other gets it."""
    asked.claim()
    asked.clock.advance(seconds=59)
    assert asked.nothing_waits()


def test_the_message_that_waits_longest_is_taken_first(asked: Asked) -> None:
    """Messages leave in the order in which they were asked for."""
    other = asked.authority.client()
    asked.clock.advance(seconds=1)
    order = asked.authority.order(other, TelephoneNumber("12025550188"))
    asked.authority.ask(other, asked.authority.challenge(other, order))
    assert asked.claim().sms.to.digits == "12025550123"
    assert asked.claim().sms.to.digits == "12025550188"
    assert asked.nothing_waits()


def test_a_message_of_a_dead_worker_is_sent_again_and_counted(asked: Asked) -> None:
    """After the lease the message is claimed again, as one more transmission and one more send."""
    asked.claim()
    asked.clock.advance(minutes=1)
    again = asked.claim()
    assert (again.transmission, again.repeated) == (2, True)
    assert asked.challenge.sends_used == 2
    assert asked.challenge.sends_remaining == 3


def test_a_repeat_is_sent_though_no_send_remains(storage: Storage) -> None:
    """An SMS that was promised leaves, also where its repeat is one more than the client may ask for."""
    asked = Asked(storage, IssuancePolicy(countries=("US",), sends=1))
    asked.claim()
    asked.clock.advance(minutes=1)
    assert asked.claim().repeated
    assert (asked.challenge.sends_used, asked.challenge.sends_remaining) == (2, 0)


def test_a_sent_message_is_done(asked: Asked) -> None:
    """Once a gateway took it, the message is `sent`, its text is gone, and nobody claims it again."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    assert asked.challenge.delivery is Delivery.SENT
    assert asked.challenge.messages[0].gateway == "one"
    assert asked.kept_text() == [None]
    asked.clock.advance(minutes=5)
    assert asked.nothing_waits()


def test_a_message_that_was_not_taken_waits_uncounted(asked: Asked) -> None:
    """A retry takes its transmission back and is due again at the time it names."""
    asked.queue.retry(asked.claim(), asked.clock() + timedelta(seconds=5))
    assert asked.nothing_waits()
    assert asked.challenge.delivery is Delivery.QUEUED
    asked.clock.advance(seconds=5)
    claim = asked.claim()
    assert (claim.transmission, claim.repeated) == (1, False)
    assert asked.challenge.sends_used == 1


def test_a_repeat_that_was_not_taken_takes_back_its_send(asked: Asked) -> None:
    """A retry of a repeat takes back both counts, and the next claim is a repeat again."""
    asked.claim()
    asked.clock.advance(minutes=1)
    asked.queue.retry(asked.claim(), asked.clock())
    assert asked.challenge.sends_used == 1
    claim = asked.claim()
    assert (claim.transmission, claim.repeated, asked.challenge.sends_used) == (2, True, 2)


def test_an_uncertain_message_is_repeated_by_another_gateway(asked: Asked) -> None:
    """A message that a gateway may have taken is claimed as repeated, with that gateway to avoid."""
    asked.queue.uncertain(asked.claim(), "one", asked.clock() + timedelta(seconds=5))
    assert asked.nothing_waits()
    asked.clock.advance(seconds=5)
    claim = asked.claim()
    assert (claim.transmission, claim.repeated, claim.avoid_gateways) == (2, True, ("one",))
    assert asked.challenge.sends_used == 2


def test_a_failed_message_is_done(asked: Asked) -> None:
    """A message that no gateway takes is `failed`, its text is gone, and the client may ask again in time."""
    asked.queue.failed(asked.claim(), asked.clock())
    assert asked.challenge.delivery is Delivery.FAILED
    assert asked.kept_text() == [None]
    asked.clock.advance(minutes=1)
    assert asked.nothing_waits()
    asked.ask()
    assert asked.challenge.delivery is Delivery.QUEUED


def test_a_message_that_expired_is_failed_and_not_sent(asked: Asked) -> None:
    """Nobody is sent a code that is dead."""
    asked.clock.advance(minutes=10)
    assert asked.nothing_waits()
    assert asked.challenge.delivery is Delivery.FAILED
    assert asked.kept_text() == [None]


def test_a_message_nobody_claims_is_erased_when_it_expired(asked: Asked) -> None:
    """Also without a worker, a dead code does not stay in the database."""
    asked.authority.storage.forget(asked.clock())
    assert asked.kept_text() != [None]
    asked.clock.advance(minutes=10)
    asked.authority.storage.forget(asked.clock())
    assert asked.kept_text() == [None]
    assert asked.authority.storage._database.rows("SELECT * FROM codes") == []


@pytest.mark.parametrize("step", ["retry", "uncertain", "failed"])
def test_a_claim_that_was_claimed_since_changes_nothing(asked: Asked, step: str) -> None:
    """A worker that comes too late with bad news does not disturb the one that has the message now."""
    late = asked.claim()
    asked.clock.advance(minutes=1)
    asked.claim()
    if step == "retry":
        asked.queue.retry(late, asked.clock())
    elif step == "uncertain":
        asked.queue.uncertain(late, "one", asked.clock())
    else:
        asked.queue.failed(late, asked.clock())
    assert asked.nothing_waits()
    assert asked.challenge.delivery is Delivery.QUEUED
    assert (asked.challenge.sends_used, asked.challenge.messages[0].transmissions) == (2, 2)


def test_a_late_worker_that_did_send_is_believed(asked: Asked) -> None:
    """The phone got that message: it is `sent`, its receipt finds it, and what the second worker says is no news."""
    late = asked.claim()
    asked.clock.advance(minutes=1)
    second = asked.claim()
    asked.queue.sent(late, "one", "id-1", asked.clock())
    asked.queue.failed(second, asked.clock())
    asked.queue.retry(second, asked.clock())
    assert asked.challenge.delivery is Delivery.SENT
    asked.receipt(Delivery.DELIVERED)
    assert asked.challenge.delivery is Delivery.DELIVERED
    assert asked.nothing_waits()


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.FAILED])
def test_a_receipt_is_applied(asked: Asked, delivery: Delivery) -> None:
    """What the gateway says of a message is what the client sees, however often it says so."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    asked.receipt(delivery)
    asked.receipt(delivery)
    assert asked.challenge.delivery is delivery


@pytest.mark.parametrize("delivery", [Delivery.DELIVERED, Delivery.FAILED])
def test_a_receipt_that_comes_before_the_answer_waits_for_it(asked: Asked, delivery: Delivery) -> None:
    """A receipt for an id that nobody knows yet is applied once `sent` names it."""
    claim = asked.claim()
    asked.receipt(delivery)
    assert asked.challenge.delivery is Delivery.QUEUED
    asked.queue.sent(claim, "one", "id-1", asked.clock())
    assert asked.challenge.delivery is delivery


def test_what_was_delivered_stays_delivered(asked: Asked) -> None:
    """No later receipt and no later `sent` takes a delivery back."""
    claim = asked.claim()
    asked.queue.sent(claim, "one", "id-1", asked.clock())
    asked.receipt(Delivery.DELIVERED)
    asked.receipt(Delivery.FAILED)
    asked.queue.sent(claim, "one", "id-1", asked.clock())
    asked.queue.sent(claim, "one", "id-2", asked.clock())
    assert asked.challenge.delivery is Delivery.DELIVERED


def test_early_receipts_contradict_each_other_in_favour_of_delivery(asked: Asked) -> None:
    """Of early receipts too, a delivery is the last word."""
    claim = asked.claim()
    asked.receipt(Delivery.DELIVERED)
    asked.receipt(Delivery.FAILED)
    asked.queue.sent(claim, "one", "id-1", asked.clock())
    assert asked.challenge.delivery is Delivery.DELIVERED


def test_a_receipt_that_says_nothing_final_is_ignored(asked: Asked) -> None:
    """A gateway's word that a message is on its way changes nothing."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    asked.receipt(Delivery.QUEUED)
    asked.receipt(Delivery.SENT)
    assert asked.challenge.delivery is Delivery.SENT


def test_receipts_of_other_gateways_and_messages_are_others(asked: Asked) -> None:
    """An id is one gateway's: the same id of another says nothing of this message."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    asked.queue.receipt(DeliveryReceipt("two", "id-1", Delivery.DELIVERED, asked.clock()))
    asked.receipt(Delivery.DELIVERED, "id-2")
    assert asked.challenge.delivery is Delivery.SENT


def test_a_gateway_may_use_its_ids_again(asked: Asked) -> None:
    """An SMSC that counts from 1 again after a restart does not hand an old receipt to a new message."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    asked.receipt(Delivery.DELIVERED)
    asked.receipt(Delivery.FAILED, "id-2")
    asked.clock.now += EARLY_RECEIPT_LIFE + timedelta(seconds=1)
    for message_id in ("id-1", "id-2"):
        client = asked.authority.client()
        order = asked.authority.order(client)
        asked.authority.ask(client, asked.authority.challenge(client, order))
        asked.queue.sent(asked.claim(), "one", message_id, asked.clock())
        assert asked.authority.challenge(client, order).delivery is Delivery.SENT
    assert asked.challenge.delivery is Delivery.DELIVERED


def test_old_names_of_gateways_are_forgotten(asked: Asked) -> None:
    """After two days nobody waits for a receipt, and its row goes."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    asked.clock.advance(days=2, seconds=1)
    asked.authority.storage.forget(asked.clock())
    assert asked.authority.storage._database.rows("SELECT * FROM handovers") == []


def test_a_resend_tries_another_gateway_first(asked: Asked) -> None:
    """The gateways that carried an earlier ask over the same route come last."""
    asked.queue.sent(asked.claim(), "one", "id-1", asked.clock())
    asked.clock.advance(seconds=60)
    asked.ask()
    assert asked.claim().avoid_gateways == ("one",)
    asked.clock.advance(seconds=120)
    asked.ask()
    third = asked.claim()
    assert (third.transmission, third.avoid_gateways) == (2, ("one",))


def test_the_halves_of_a_code_are_two_messages(storage: Storage) -> None:
    """With two routes an ask queues two messages and counts one send; the challenge shows the slower one."""
    asked = Asked(storage, IssuancePolicy(countries=("US",), min_routes=2))
    first, second = asked.claim(), asked.claim()
    assert {first.route, second.route} == {0, 1}
    assert asked.challenge.sends_used == 1
    asked.queue.sent(first, "one", "id-1", asked.clock())
    assert asked.challenge.delivery is Delivery.QUEUED
    asked.queue.sent(second, "two", "id-1", asked.clock())
    assert asked.challenge.delivery is Delivery.SENT


def test_workers_never_claim_one_message_twice(storage: Storage) -> None:
    """Of many workers that claim at one moment, each message goes to exactly one."""
    authority = IssuingAuthority(storage)
    numbers = [TelephoneNumber(f"1202555{index:04}") for index in range(40)]
    client = None
    for index, number in enumerate(numbers):
        if index % 10 == 0:
            client = authority.client()
        assert isinstance(client, Client)
        challenge = authority.challenge(client, authority.order(client, number))
        authority.ask(client, challenge, address=f"192.0.2.{index}")

    def work(_: int) -> list[str]:
        claimed = []
        while (claim := storage.sms.claim(authority.clock(), LEASE)) is not None:
            claimed.append(claim.sms.to.digits)
        return claimed

    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(work, range(8), timeout=TIMEOUT))
    # A worker may find nothing while others hold what is due, so the rest is taken now.
    rest = work(0)
    everything = sorted([digits for some in claimed for digits in some] + rest)
    assert everything == sorted(number.digits for number in numbers)


def test_workers_and_clients_do_not_lock_each_other_out(storage: Storage) -> None:
    """Claims, retries, receipts and answers at one moment end without a deadlock, and the counts come out right."""
    authority = IssuingAuthority(storage)
    pairs = []
    for index in range(8):
        client = authority.client()
        order = authority.order(client, TelephoneNumber(f"120255502{index:02}"))
        challenge, _ = authority.ask(client, authority.challenge(client, order), address=f"192.0.2.{index}")
        pairs.append((client, order, challenge))

    def work(_: int) -> None:
        for _ in range(10):
            claim = storage.sms.claim(authority.clock(), timedelta())
            if claim is not None:
                storage.sms.retry(claim, authority.clock())
                storage.sms.receipt(DeliveryReceipt("one", claim.sms.id, Delivery.FAILED, authority.clock()))
                storage.sms.sent(claim, "one", claim.sms.id, authority.clock())

    def guess(index: int) -> None:
        client, _, challenge = pairs[index]
        for _ in range(6):
            authority.answer(client, challenge, "00000000")

    with ThreadPoolExecutor(12) as pool:
        done = [pool.submit(work, 0) for _ in range(4)] + [pool.submit(guess, index) for index in range(8)]
        for one in done:
            one.result(TIMEOUT)
    for client, order, _ in pairs:
        challenge = authority.challenge(client, order)
        assert (challenge.attempts_used, challenge.status) == (5, Status.INVALID)
        assert challenge.delivery is not Delivery.QUEUED
