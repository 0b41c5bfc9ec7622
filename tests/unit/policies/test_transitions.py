from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from policies.facts import CertificateFacts, LoggingFacts, TimestampFacts
from policies.transitions import Transition, TransitionKind, Transitions
from policies.verdicts import Outcome, Rule
from stir.telephone_number import TelephoneNumber

CHANGED = datetime(2026, 5, 2, tzinfo=UTC)
NUMBER, OTHER = TelephoneNumber.parse("+12025550123"), TelephoneNumber.parse("+12025550199")
PORT = Transition(NUMBER, CHANGED, TransitionKind.PORT, "trust.toml:9")
MINUTE = timedelta(minutes=1)


def issued(at: datetime) -> CertificateFacts:
    """Return a certificate that begins at a time."""
    return CertificateFacts("the number's certificate", at, at + timedelta(days=7), None)


def taken(*at: datetime) -> LoggingFacts:
    """Return what logs say of when they took a certificate."""
    return LoggingFacts(tuple(TimestampFacts("log", "L", one) for one in at))


@pytest.mark.parametrize(
    ("begins", "timestamps", "believed"),
    [
        (CHANGED - MINUTE, (), False),
        (CHANGED, (), True),
        (CHANGED + MINUTE, (), True),
        (CHANGED + MINUTE, (CHANGED + MINUTE,), True),
        (CHANGED + MINUTE, (CHANGED + MINUTE, CHANGED - MINUTE), False),
    ],
)
def test_a_certificate_of_the_time_before_is_refused(
    begins: datetime, timestamps: tuple[datetime, ...], believed: bool
) -> None:
    """By its notBefore, or by when a log took it: an authority may date ahead, a log does not."""
    found = Transitions.of([PORT]).judge(NUMBER, issued(begins), taken(*timestamps))
    assert (found.passed, found.rule, found.source) == (believed, Rule.TRANSITION, "trust.toml:9")


def test_what_happened_is_told() -> None:
    """In words, with both times."""
    found = Transitions.of([PORT]).judge(NUMBER, issued(CHANGED - MINUTE), taken())
    assert found.outcome is Outcome.REFUSED
    assert found.reason == (
        "the number moved to another carrier by 2026-05-02 00:00 UTC, and the certificate was issued before, "
        "at 2026-05-01 23:59 UTC"
    )
    given = Transition(NUMBER, CHANGED, TransitionKind.REASSIGNMENT, "ports.csv:1")
    assert "given to somebody else" in Transitions.of([given]).judge(NUMBER, issued(CHANGED), taken()).reason


def test_another_number_is_not_touched() -> None:
    """A number that nobody reported is as it was."""
    found = Transitions.of([PORT]).judge(OTHER, issued(CHANGED - MINUTE), taken())
    assert (found.passed, found.source) == (True, None)


def test_the_last_change_counts_in_whatever_order_they_come() -> None:
    """A number may change hands several times."""
    later = Transition(NUMBER, CHANGED + timedelta(days=9), TransitionKind.REASSIGNMENT, "later:1")
    for changes in ([PORT, later], [later, PORT]):
        assert Transitions.of(changes).last == {NUMBER.digits: later}


def test_a_time_in_another_zone_is_told_in_utc() -> None:
    """The reason compares two times, so both are in one zone."""
    there = timezone(timedelta(hours=-5))
    moved = Transition(NUMBER, CHANGED.astimezone(there), TransitionKind.PORT, "app.toml:1")
    assert "by 2026-05-02 00:00 UTC" in Transitions.of([moved]).judge(NUMBER, issued(CHANGED), taken()).reason
