from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acme_client.errors import TookTooLong
from acme_client.polling import Patience, http_date, retry_after
from tests.fakes.patient_clock import PatientClock

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def test_without_retry_after_the_waits_grow_from_a_tenth_of_a_second() -> None:
    """Waits begin at 0.1 s and double up to 5 s: there is no fixed second."""
    hand = PatientClock(NOW)
    patience = Patience(hand.clock, NOW + timedelta(minutes=1))
    for _ in range(8):
        patience.wait({}, "this")
    assert hand.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]


def test_retry_after_is_obeyed() -> None:
    """RFC 8555 §7.4: where the authority says when to come back, that is when the client does."""
    hand = PatientClock(NOW)
    patience = Patience(hand.clock, NOW + timedelta(minutes=1))
    patience.wait({"Retry-After": "7"}, "this")
    patience.wait({"Retry-After": "Thu, 15 Jan 2026 12:00:19 GMT"}, "this")
    assert hand.slept == [7, 12]


def test_a_retry_after_of_nothing_does_not_spin() -> None:
    """An authority that says 0 seconds, or a time past, is not asked in a tight loop."""
    hand = PatientClock(NOW)
    patience = Patience(hand.clock, NOW + timedelta(minutes=1))
    patience.wait({"Retry-After": "0"}, "this")
    patience.wait({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "this")
    assert hand.slept == [0.1, 0.1]


@pytest.mark.parametrize("header", ["31", "99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_wait_beyond_the_deadline_is_not_begun(header: str) -> None:
    """What would end after the deadline raises TookTooLong at once, and says what to do."""
    hand = PatientClock(NOW)
    with pytest.raises(TookTooLong, match="run the command again later"):
        Patience(hand.clock, NOW + timedelta(seconds=30)).wait({"Retry-After": header}, "this order")
    assert hand.slept == []


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_nothing(text: str) -> None:
    """No header value raises, and no wait is negative."""
    wait = retry_after({"Retry-After": text}, NOW)
    assert wait is None or wait >= timedelta(0)


def test_http_dates_are_read_with_their_zone() -> None:
    """An HTTP date is aware, also in the obsolete form without a usable zone; other texts are none."""
    assert http_date("Sun, 06 Nov 1994 08:49:37 GMT") == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert http_date("Sun, 06 Nov 1994 08:49:37 -0000") == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert http_date("tomorrow") is None
