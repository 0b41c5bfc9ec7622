from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from ca_server.errors import RefusalKind
from ca_server.orders import (
    Account,
    Authorization,
    Certificate,
    Challenge,
    ChallengeType,
    Delivery,
    Order,
    Problem,
    SmsMessage,
    Status,
)
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod
from tests.fakes.authority import NOW, make_issuance

NUMBERS = TnAuthList.for_number(TelephoneNumber("12025550123"))
LATER = NOW + timedelta(hours=1)
CHALLENGE = Challenge(
    id="c",
    authorization_id="a",
    type=ChallengeType.SMS_CODE,
    token="t" * 22,
    attempts_allowed=5,
    attempts_used=0,
    sends_allowed=5,
    sends_used=0,
    next_send_at=None,
    answerable_until=None,
    validated_at=None,
    failed_at=None,
    error=None,
)
ASKED = dataclasses.replace(CHALLENGE, answerable_until=LATER, asks=1)
PROVED = dataclasses.replace(ASKED, validated_at=NOW, validation=ValidationMethod.SMS_CODE)
FAILED = dataclasses.replace(ASKED, failed_at=NOW)
AUTHORIZATION = Authorization("a", "account", NUMBERS, NOW, LATER, None, None, (CHALLENGE,))
ORDER = Order("o", "account", NUMBERS, NOW, LATER, None, None, AUTHORIZATION, None, None, None)


def authorization(*challenges: Challenge, **changes: object) -> Authorization:
    """Return an authorization with these challenges."""
    return dataclasses.replace(AUTHORIZATION, challenges=challenges, **changes)  # type: ignore[arg-type]


def message(delivery: Delivery, ask: int = 1, route: int = 0) -> SmsMessage:
    """Return a message that has come so far."""
    return SmsMessage(f"{ask}-{route}", "c", ask, route, delivery, 1)


def test_an_account_is_valid_until_deactivated() -> None:
    """An account's status follows from its deactivation (RFC 8555 §7.1.6)."""
    account = Account("a", "{}", b"t" * 32, (), True, NOW)
    assert account.status is Status.VALID
    assert dataclasses.replace(account, deactivated_at=NOW).status is Status.DEACTIVATED


@pytest.mark.parametrize(
    ("challenge", "status"),
    [(CHALLENGE, Status.PENDING), (ASKED, Status.PROCESSING), (PROVED, Status.VALID), (FAILED, Status.INVALID)],
)
def test_a_challenge_is_pending_then_processing_then_settled(challenge: Challenge, status: Status) -> None:
    """A challenge's status follows from what happened to it (RFC 8555 §7.1.6)."""
    assert challenge.status is status


def test_what_remains_is_never_less_than_nothing() -> None:
    """A repeat may use more sends than are allowed; the remainder is then none."""
    challenge = dataclasses.replace(CHALLENGE, attempts_used=7, sends_used=6)
    assert (challenge.attempts_remaining, challenge.sends_remaining) == (0, 0)


@pytest.mark.parametrize(
    ("messages", "delivery"),
    [
        ((), None),
        ((message(Delivery.QUEUED),), Delivery.QUEUED),
        ((message(Delivery.SENT), message(Delivery.DELIVERED, route=1)), Delivery.SENT),
        ((message(Delivery.DELIVERED), message(Delivery.FAILED, route=1)), Delivery.FAILED),
        ((message(Delivery.FAILED), message(Delivery.DELIVERED, ask=2)), Delivery.DELIVERED),
    ],
)
def test_delivery_is_that_of_the_latest_asks_slowest_message(
    messages: tuple[SmsMessage, ...], delivery: Delivery | None
) -> None:
    """A failure of any part is a failure; else the part that lags behind tells."""
    assert dataclasses.replace(ASKED, messages=messages).delivery is delivery


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (authorization(CHALLENGE, ASKED), Status.PENDING),
        (authorization(CHALLENGE, PROVED), Status.VALID),
        (authorization(CHALLENGE, FAILED), Status.INVALID),
        (authorization(PROVED, FAILED), Status.VALID),
        (authorization(CHALLENGE, expires_at=NOW), Status.INVALID),
        (authorization(PROVED, expires_at=NOW), Status.EXPIRED),
        (authorization(PROVED, deactivated_at=NOW), Status.DEACTIVATED),
        (authorization(PROVED, revoked_at=NOW), Status.REVOKED),
    ],
)
def test_an_authorizations_status_follows_from_its_challenges_and_the_time(
    found: Authorization, status: Status
) -> None:
    """All states of RFC 8555 §7.1.6 are derived, at any time."""
    assert found.status(NOW) is status


def test_the_challenge_that_proved_a_number_is_named() -> None:
    """`validated_by` is the challenge that was answered, None before."""
    assert authorization(CHALLENGE, PROVED).validated_by is PROVED
    assert authorization(CHALLENGE).validated_by is None


@pytest.mark.parametrize(
    ("order", "status"),
    [
        (ORDER, Status.PENDING),
        (dataclasses.replace(ORDER, authorization=authorization(PROVED)), Status.READY),
        (dataclasses.replace(ORDER, authorization=authorization(FAILED)), Status.INVALID),
        (dataclasses.replace(ORDER, authorization=authorization(PROVED), expires_at=NOW), Status.INVALID),
        (dataclasses.replace(ORDER, issuance=make_issuance(), expires_at=NOW), Status.PROCESSING),
        (dataclasses.replace(ORDER, issuance=make_issuance(), certificate_id="x"), Status.VALID),
        (dataclasses.replace(ORDER, error=Problem(RefusalKind.SERVER_INTERNAL, "no")), Status.INVALID),
    ],
)
def test_an_orders_status_follows_from_its_authorization_and_certificate(order: Order, status: Status) -> None:
    """All states of RFC 8555 §7.1.6 are derived; an order whose certificate is fixed does not expire."""
    assert order.status(NOW) is status


def test_no_value_prints_a_number() -> None:
    """The repr of orders, authorizations and certificates spells no number, not even inside DER."""
    certificate = Certificate("i", 1, "a", "o", TelephoneNumber("12025550123"), b"tel:+12025550123", NOW, LATER, 0)
    issuance = dataclasses.replace(make_issuance(), csr=b"tel:+12025550123")
    assert "2025550123" not in f"{certificate!r} {ORDER!r} {issuance!r}"
