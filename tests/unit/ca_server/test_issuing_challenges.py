from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from ca_server import issuing
from ca_server.errors import Refusal, RefusalKind
from ca_server.orders import Authorization, Challenge, ChallengeType, Delivery, Order, Status
from ca_server.storage import Storage
from policies.issuance import Cap, IssuancePolicy, SmsCaps
from stir.key_authorization import digest
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from tests.fakes.issuing_authority import (
    ADDRESS,
    NUMBER,
    OTHER_NUMBER,
    Client,
    IssuingAuthority,
    challenge_of,
    thumbprint,
)

TIMEOUT = 60
NO_CAPS = SmsCaps(account=None, address=None, prefix=None, country=None, everything=None)
ONE = Cap(burst=1, refill_seconds=3600)


@pytest.fixture
def authority(storage: Storage) -> IssuingAuthority:
    """Return an authority on each database."""
    return IssuingAuthority(storage)


@pytest.fixture
def client(authority: IssuingAuthority) -> Client:
    """Return an account."""
    return authority.client()


@pytest.fixture
def order(authority: IssuingAuthority, client: Client) -> Order:
    """Return a new order."""
    return authority.order(client)


@pytest.fixture
def challenge(authority: IssuingAuthority, client: Client, order: Order) -> Challenge:
    """Return the order's `sms-code-00` challenge."""
    return authority.challenge(client, order)


def refused(
    authority: IssuingAuthority, client: Client, challenge: Challenge, address: str = ADDRESS
) -> tuple[RefusalKind, timedelta | None]:
    """Return why an ask is refused, and the wait that the client is told."""
    with pytest.raises(Refusal) as caught:
        authority.ask(client, challenge, address)
    return caught.value.kind, caught.value.retry_after


def kept_codes(authority: IssuingAuthority) -> list[object]:
    """Return the codes that are in the database."""
    return list(authority.storage._database.rows("SELECT part1 FROM codes"))


def test_an_ask_queues_an_sms_and_shows_what_comes(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """After POST {} the challenge is processing and tells sends, the next send, expiry and delivery (protocol §2)."""
    asked, authorization = authority.ask(client, challenge)
    assert asked.status is Status.PROCESSING
    assert (asked.asks, asked.sends_used, asked.sends_remaining) == (1, 1, 4)
    assert asked.next_send_at == authority.clock() + timedelta(seconds=60)
    assert asked.answerable_until == authority.clock() + timedelta(minutes=10)
    assert asked.delivery is Delivery.QUEUED
    assert authorization.status(authority.clock()) is Status.PENDING
    other = challenge_of(authorization, ChallengeType.SMS_REPLY)
    assert other.status is Status.PENDING
    assert len(authority.received()) == 8


def test_a_right_answer_proves_the_number(
    authority: IssuingAuthority, client: Client, order: Order, challenge: Challenge
) -> None:
    """The right digest makes the challenge valid, the authorization valid for 30 days, and the order ready."""
    authority.ask(client, challenge)
    answered, authorization = authority.answer(client, challenge, authority.received())
    assert answered.status is Status.VALID
    assert answered.validated_at == authority.clock()
    assert answered.validation is ValidationMethod.SMS_CODE
    assert answered.error is None
    assert authorization.status(authority.clock()) is Status.VALID
    assert authorization.expires_at == authority.clock() + timedelta(days=30)
    assert issuing.order(authority.ca, client.account, order.id).status(authority.clock()) is Status.READY


def test_the_other_challenge_stays_pending(authority: IssuingAuthority, client: Client, order: Order) -> None:
    """One challenge proves the number; nothing becomes of the other, and it can no longer be asked."""
    authorization = authority.prove(client, order, ChallengeType.SMS_REPLY)
    other = challenge_of(authorization, ChallengeType.SMS_CODE)
    assert other.status is Status.PENDING
    with pytest.raises(Refusal, match="is valid") as caught:
        authority.ask(client, other)
    assert caught.value.kind is RefusalKind.MALFORMED


def test_a_program_reads_128_bits(authority: IssuingAuthority, client: Client, order: Order) -> None:
    """In `sms-reply-00` the SMS carries 22 base64url characters, and the proof is A.1.1."""
    challenge = authority.challenge(client, order, ChallengeType.SMS_REPLY)
    authority.ask(client, challenge)
    code = authority.received()
    assert len(code) == 22
    answered, _ = authority.answer(client, challenge, code)
    assert answered.validation is ValidationMethod.SMS_REPLY


def test_a_code_in_two_halves_proves_two_routes(storage: Storage) -> None:
    """With two routes both halves in order are the code; neither alone is, and the proof is A.1.4."""
    authority = IssuingAuthority(storage, IssuancePolicy(countries=("US",), min_routes=2))
    client = authority.client()
    challenge = authority.challenge(client, authority.order(client))
    authority.ask(client, challenge)
    code = authority.received()
    assert len(code) == 8
    assert authority.answer(client, challenge, code[4:] + code[:4])[0].status is Status.PROCESSING
    assert authority.answer(client, challenge, code)[0].validation is ValidationMethod.SMS_ROUTES


def test_the_proof_is_by_as_many_routes_as_the_code_took(storage: Storage) -> None:
    """A code asked for under one route proves one route, also if the policy was changed before the answer."""
    strict = IssuingAuthority(storage, IssuancePolicy(countries=("US",), min_routes=2))
    plain = IssuingAuthority(storage)
    client = plain.client()
    challenge = plain.challenge(client, plain.order(client))
    plain.ask(client, challenge)
    assert strict.answer(client, challenge, plain.received())[0].validation is ValidationMethod.SMS_CODE


def test_a_wrong_answer_costs_an_attempt_and_says_so(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """Wrong: still processing, with incorrectResponse and one attempt less; then the right code still counts."""
    authority.ask(client, challenge)
    code = authority.received()
    answered, authorization = authority.answer(client, challenge, wrong(code))
    assert answered.status is Status.PROCESSING
    assert answered.error is not None
    assert answered.error.kind is RefusalKind.INCORRECT_RESPONSE
    assert answered.attempts_remaining == 4
    assert authorization.status(authority.clock()) is Status.PENDING
    assert authority.answer(client, challenge, code)[0].status is Status.VALID


def test_the_last_wrong_answer_ends_the_challenge(
    authority: IssuingAuthority, client: Client, order: Order, challenge: Challenge
) -> None:
    """With no attempt left the challenge, authorization and order are invalid, and the right code comes too late."""
    authority.ask(client, challenge)
    code = authority.received()
    for _ in range(5):
        answered, authorization = authority.answer(client, challenge, wrong(code))
    assert answered.status is Status.INVALID
    assert answered.error is not None
    assert "new order" in answered.error.detail
    assert authorization.status(authority.clock()) is Status.INVALID
    assert issuing.order(authority.ca, client.account, order.id).status(authority.clock()) is Status.INVALID
    assert authority.answer(client, challenge, code) == (answered, authorization)
    assert kept_codes(authority) == []


def test_a_resend_gives_no_attempt_back(authority: IssuingAuthority, client: Client, challenge: Challenge) -> None:
    """Attempts are counted for the challenge; only the shown error goes with a new SMS."""
    authority.ask(client, challenge)
    authority.answer(client, challenge, wrong(authority.received()))
    authority.clock.advance(seconds=60)
    asked, _ = authority.ask(client, challenge)
    assert asked.attempts_remaining == 4
    assert asked.error is None


def test_every_code_that_lives_is_accepted(authority: IssuingAuthority, client: Client, challenge: Challenge) -> None:
    """A second SMS does not kill the first one's code (docs/decisions/0007)."""
    authority.ask(client, challenge)
    first = authority.received()
    authority.clock.advance(seconds=60)
    authority.ask(client, challenge)
    second = authority.received()
    assert first != second
    assert authority.answer(client, challenge, first)[0].status is Status.VALID


def test_an_old_code_is_wrong_while_a_younger_lives(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """After its ten minutes a code is as wrong as any other, and costs an attempt."""
    authority.ask(client, challenge)
    first = authority.received()
    authority.clock.advance(minutes=9)
    authority.ask(client, challenge)
    second = authority.received()
    authority.clock.advance(minutes=1)
    answered, _ = authority.answer(client, challenge, first)
    assert (answered.status, answered.attempts_remaining) == (Status.PROCESSING, 4)
    assert authority.answer(client, challenge, second)[0].status is Status.VALID


def test_with_no_code_alive_no_answer_costs_an_attempt(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """Once all codes have expired, right and wrong digests get the same words: ask for a new SMS."""
    authority.ask(client, challenge)
    code = authority.received()
    authority.clock.advance(minutes=10)
    late, _ = authority.answer(client, challenge, code)
    assert (late.status, late.attempts_remaining) == (Status.PROCESSING, 5)
    assert late.error is not None
    assert late.error.kind is RefusalKind.INCORRECT_RESPONSE
    assert "ask for a new SMS" in late.error.detail
    assert authority.answer(client, challenge, wrong(code))[0] == late


@pytest.mark.parametrize("is_proved", [True, False])
def test_what_a_client_is_told_is_what_was_kept(
    authority: IssuingAuthority, client: Client, challenge: Challenge, *, is_proved: bool
) -> None:
    """Asked, answered wrongly, too late, and rightly or wrongly for good: whoever looks next sees the same."""

    def is_kept(told: tuple[Challenge, Authorization]) -> bool:
        return told == issuing.challenge(authority.ca, client.account, challenge.id)

    assert is_kept(authority.ask(client, challenge))
    assert is_kept(authority.answer(client, challenge, wrong(authority.received())))
    authority.clock.advance(minutes=10)
    assert is_kept(authority.answer(client, challenge, "00000000"))
    assert is_kept(authority.ask(client, challenge))
    code = authority.received()
    while (told := authority.answer(client, challenge, code if is_proved else wrong(code)))[0].attempts_remaining:
        assert is_kept(told)
        if is_proved:
            break
    assert is_kept(told)
    assert told[0].status is (Status.VALID if is_proved else Status.INVALID)


def test_a_settled_challenge_may_be_answered_and_asked_again(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """A client that lost the response to its right answer repeats it, and nothing changes."""
    authority.ask(client, challenge)
    valid = authority.answer(client, challenge, authority.received())
    assert authority.answer(client, challenge, "00000000") == valid
    assert authority.ask(client, challenge) == valid
    assert authority.received() == ""


def test_an_answer_before_any_sms_is_malformed(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """Who answers first is told to ask first, at no cost."""
    with pytest.raises(Refusal, match="no SMS was asked for") as caught:
        authority.answer(client, challenge, "00000000")
    assert caught.value.kind is RefusalKind.MALFORMED
    assert issuing.challenge(authority.ca, client.account, challenge.id)[0] == challenge


@pytest.mark.parametrize("text", ["", "A" * 42, "A" * 44, "A" * 42 + "=", "é" * 43, "A" * 42 + "\n"])
def test_what_is_no_digest_is_malformed_and_costs_nothing(
    authority: IssuingAuthority, client: Client, challenge: Challenge, text: str
) -> None:
    """A digest is 43 base64url characters; anything else is malformed and takes no attempt."""
    asked, _ = authority.ask(client, challenge)
    with pytest.raises(Refusal) as caught:
        issuing.answer(authority.ca, client.account, challenge.id, text)
    assert caught.value.kind is RefusalKind.MALFORMED
    assert issuing.challenge(authority.ca, client.account, challenge.id)[0] == asked


def test_a_code_answers_only_its_own_challenge_and_account_key(
    authority: IssuingAuthority, client: Client, order: Order, challenge: Challenge
) -> None:
    """The digest binds the code to the challenge's token and the account key (RFC 8823 §3.1)."""
    authority.ask(client, challenge)
    code = authority.received()
    other = authority.challenge(client, order, ChallengeType.SMS_REPLY)
    for part2, key in ((other.token, thumbprint(client)), (challenge.token, b"x" * 32)):
        answered, _ = issuing.answer(authority.ca, client.account, challenge.id, digest(code, part2, key))
        assert answered.status is Status.PROCESSING


def test_after_a_key_change_the_new_key_answers(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """A code that was sent before a key change is answered with the key that the account has now."""
    authority.ask(client, challenge)
    code = authority.received()
    jwk = JWKEC(key=ec.generate_private_key(ec.SECP256R1()).public_key())
    changed = Client(issuing.change_key(authority.ca, client.account, jwk), jwk)
    assert authority.answer(changed, challenge, code)[0].status is Status.VALID


def test_the_waits_between_sends_grow(storage: Storage) -> None:
    """Resends after 60, 120, 300 and 600 seconds; before that rateLimited with the wait; five in all (protocol §2)."""
    policy = IssuancePolicy(countries=("US",), pending_authorization_minutes=120)
    authority = IssuingAuthority(storage, policy)
    client = authority.client()
    challenge = authority.challenge(client, authority.order(client))
    for wait in (60, 120, 300, 600):
        authority.ask(client, challenge)
        assert refused(authority, client, challenge) == (RefusalKind.RATE_LIMITED, timedelta(seconds=wait))
        authority.clock.advance(seconds=wait - 1)
        assert refused(authority, client, challenge) == (RefusalKind.RATE_LIMITED, timedelta(seconds=1))
        authority.clock.advance(seconds=1)
    last, authorization = authority.ask(client, challenge)
    assert (last.sends_remaining, last.next_send_at) == (0, None)
    kind, wait_left = refused(authority, client, challenge)
    assert kind is RefusalKind.RATE_LIMITED
    assert wait_left == authorization.expires_at - authority.clock()


def test_more_sends_than_waits_wait_as_the_last(storage: Storage) -> None:
    """Where policy allows more sends, each further one waits ten minutes."""
    policy = IssuancePolicy(
        countries=("US",), sends=7, pending_authorization_minutes=120, sms=SmsCaps(number=Cap(100, 1))
    )
    authority = IssuingAuthority(storage, policy)
    client = authority.client()
    challenge = authority.challenge(client, authority.order(client))
    for wait in (60, 120, 300, 600, 600, 600):
        asked, _ = authority.ask(client, challenge)
        assert asked.next_send_at == authority.clock() + timedelta(seconds=wait)
        authority.clock.advance(seconds=wait)


def test_a_number_is_sent_five_at_once_and_then_one_every_288_minutes(storage: Storage) -> None:
    """The bucket of a number holds across accounts and orders (protocol §2)."""
    authority = IssuingAuthority(storage, IssuancePolicy(countries=("US",), sms=NO_CAPS))
    for _ in range(5):
        client = authority.client()
        authority.ask(client, authority.challenge(client, authority.order(client)))
    client = authority.client()
    challenge = authority.challenge(client, authority.order(client))
    assert refused(authority, client, challenge) == (RefusalKind.RATE_LIMITED, timedelta(minutes=288))
    other = authority.challenge(client, authority.order(client, OTHER_NUMBER))
    authority.ask(client, other)
    authority.clock.advance(minutes=288)
    challenge = authority.challenge(client, authority.order(client))
    authority.ask(client, challenge)


@pytest.mark.parametrize(
    ("caps", "stopped"),
    [
        (SmsCaps(account=ONE), "account"),
        (SmsCaps(address=ONE), "address"),
        (SmsCaps(prefix=ONE), "prefix"),
        (SmsCaps(country=ONE), "country"),
        (SmsCaps(everything=ONE), "everything"),
    ],
)
def test_every_cap_stops_what_falls_under_it_and_nothing_else(storage: Storage, caps: SmsCaps, stopped: str) -> None:
    """A spent bucket refuses the next ask that falls into it, names itself, and lets others pass."""
    policy = IssuancePolicy(countries=("US", "DE"), sms=caps)
    authority = IssuingAuthority(storage, policy)
    first, second = authority.client(), authority.client()
    authority.ask(first, authority.challenge(first, authority.order(first)), "192.0.2.1")
    asks = {
        "account": (first, TelephoneNumber("4915112345678"), "192.0.2.2"),
        "address": (second, TelephoneNumber("4915112345678"), "192.0.2.1"),
        "prefix": (second, OTHER_NUMBER, "192.0.2.2"),
        "country": (second, TelephoneNumber("12125550123"), "192.0.2.2"),
        "everything": (second, TelephoneNumber("4915112345679"), "192.0.2.3"),
    }
    client, number, address = asks[stopped]
    with pytest.raises(Refusal, match=f"policy.sms.{stopped}") as caught:
        authority.ask(client, authority.challenge(client, authority.order(client, number)), address)
    assert caught.value.retry_after == timedelta(hours=1)
    if stopped != "everything":
        free = TelephoneNumber("4915112345677")
        authority.ask(second, authority.challenge(second, authority.order(second, free)), "192.0.2.9")


def test_a_refused_ask_takes_nothing(storage: Storage) -> None:
    """One empty bucket refuses the ask for the longest wait, and no other bucket loses a token."""
    caps = SmsCaps(number=Cap(1, 60), account=Cap(2, 7200), address=None, prefix=None, country=None, everything=None)
    authority = IssuingAuthority(storage, IssuancePolicy(countries=("US",), sms=caps))
    client, other = authority.client(), authority.client()
    authority.ask(client, authority.challenge(client, authority.order(client)))
    for _ in range(5):
        again = authority.challenge(client, authority.order(client))
        assert refused(authority, client, again)[0] is RefusalKind.RATE_LIMITED
    challenge = authority.challenge(other, authority.order(other))
    assert refused(authority, other, challenge) == (RefusalKind.RATE_LIMITED, timedelta(minutes=1))
    authority.ask(client, authority.challenge(client, authority.order(client, OTHER_NUMBER)))
    third = authority.challenge(client, authority.order(client, TelephoneNumber("12025550125")))
    assert refused(authority, client, third) == (RefusalKind.RATE_LIMITED, timedelta(hours=2))


def test_front_ends_together_do_not_overspend_a_bucket(storage: Storage) -> None:
    """Of many asks at one moment, no more are let through than the bucket holds."""
    policy = IssuancePolicy(countries=("US",), sms=SmsCaps(number=Cap(5, 3600), everything=Cap(7, 3600)))
    authority = IssuingAuthority(storage, policy)
    waiting = []
    for index in range(16):
        client = authority.client()
        number = NUMBER if index % 2 else OTHER_NUMBER
        waiting.append((client, authority.challenge(client, authority.order(client, number)), f"192.0.2.{index}"))

    def ask(one: tuple[Client, Challenge, str]) -> RefusalKind | None:
        try:
            authority.ask(*one)
        except Refusal as refusal:
            return refusal.kind
        return None

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(ask, waiting, timeout=TIMEOUT))
    assert set(outcomes) == {None, RefusalKind.RATE_LIMITED}
    assert outcomes.count(None) == 7
    assert outcomes[0::2].count(None) <= 5
    assert outcomes[1::2].count(None) <= 5
    assert authority.storage._database.rows("SELECT COUNT(*) FROM messages") == [(7,)]


def test_asks_at_one_moment_send_one_sms(authority: IssuingAuthority, client: Client, challenge: Challenge) -> None:
    """A client that asks many times at once is sent one SMS, and told to wait."""

    def ask(_: int) -> timedelta | None:
        try:
            authority.ask(client, challenge)
        except Refusal as refusal:
            return refusal.retry_after
        return None

    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(ask, range(8), timeout=TIMEOUT))
    assert sorted(waits, key=str) == [timedelta(seconds=60)] * 7 + [None]
    assert len(authority.received()) == 8


def test_guesses_at_one_moment_are_all_counted(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """However many guess at once, no more than five guesses are looked at."""
    authority.ask(client, challenge)
    code = authority.received()

    def guess(_: int) -> tuple[Challenge, Authorization]:
        return authority.answer(client, challenge, wrong(code))

    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(guess, range(24), timeout=TIMEOUT))
    assert sorted({result.attempts_used for result, _ in results}) == [1, 2, 3, 4, 5]
    assert authority.answer(client, challenge, code)[0].status is Status.INVALID


def test_a_code_is_erased_once_it_has_served(authority: IssuingAuthority, client: Client, challenge: Challenge) -> None:
    """After the right answer no code and no text of an SMS is left, and SMS that wait are called back."""
    authority.ask(client, challenge)
    first = authority.received()
    authority.clock.advance(seconds=60)
    authority.ask(client, challenge)
    authority.answer(client, challenge, first)
    assert kept_codes(authority) == []
    assert authority.storage._database.rows("SELECT COUNT(*) FROM messages WHERE text IS NOT NULL") == [(0,)]
    assert authority.received() == ""


def test_expired_codes_are_erased_with_the_next_ask(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """A dead code does not outlive the next ask, of whatever challenge."""
    authority.ask(client, challenge)
    authority.clock.advance(minutes=10)
    other = authority.client()
    authority.ask(other, authority.challenge(other, authority.order(other, OTHER_NUMBER)))
    assert len(kept_codes(authority)) == 1


def test_no_code_outlives_its_authorization(storage: Storage) -> None:
    """A code asked for near the end of the authorization ends with it."""
    authority = IssuingAuthority(storage, IssuancePolicy(countries=("US",), pending_authorization_minutes=10))
    client = authority.client()
    challenge = authority.challenge(client, authority.order(client))
    authority.clock.advance(minutes=9)
    asked, authorization = authority.ask(client, challenge)
    assert asked.answerable_until == authorization.expires_at
    authority.clock.advance(minutes=1)
    with pytest.raises(Refusal, match="is invalid"):
        authority.answer(client, challenge, authority.received() or "00000000")
    with pytest.raises(Refusal, match="make a new order"):
        authority.ask(client, challenge)


def test_a_number_that_policy_refuses_since_is_sent_nothing(storage: Storage) -> None:
    """The policy is asked again at every ask."""
    before = IssuingAuthority(storage)
    after = IssuingAuthority(storage, IssuancePolicy(countries=("DE",)))
    client = before.client()
    challenge = before.challenge(client, before.order(client))
    with pytest.raises(Refusal, match="no numbers of US") as caught:
        after.ask(client, challenge)
    assert caught.value.kind is RefusalKind.REJECTED_IDENTIFIER
    assert before.received() == ""


def test_buckets_do_not_name_numbers_or_addresses(
    authority: IssuingAuthority, client: Client, challenge: Challenge
) -> None:
    """The names of the buckets in the database tell no number, address or account."""
    authority.ask(client, challenge)
    keys = " ".join(key for (key,) in authority.storage._database.rows("SELECT key FROM buckets"))
    for told in (NUMBER.digits, "1202555", ADDRESS, client.account.id, "US "):
        assert told not in keys


def test_a_refused_ask_leaves_nothing(authority: IssuingAuthority, client: Client, order: Order) -> None:
    """An ask that breaks half way leaves no code, no message and no count."""
    challenge = authority.challenge(client, order)
    buckets = authority.storage._database.rows("SELECT key, full_at FROM buckets ORDER BY key")
    too_long = IssuingAuthority(authority.storage, public_url="https://" + "a" * 150 + ".example")
    with pytest.raises(Exception, match="public_url"):
        too_long.ask(client, challenge)
    assert authority.challenge(client, order) == challenge
    assert kept_codes(authority) == []
    assert authority.storage._database.rows("SELECT key, full_at FROM buckets ORDER BY key") == buckets


def wrong(code: str) -> str:
    """Return a code of the same form that is not this one."""
    return ("1" if code[0] == "0" else "0") + code[1:]
