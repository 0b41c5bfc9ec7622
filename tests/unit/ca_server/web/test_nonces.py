from __future__ import annotations

import base64
import contextlib
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.errors import Refusal, RefusalKind
from ca_server.web.nonces import CLOCK_SKEW, LIFETIME, Nonces
from tests.fakes.acme_requests import base64url

START = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)
KEY = bytes(range(32))


class SpentNonces:
    """Remembers in memory."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self.spent: dict[str, datetime] = {}

    def spend(self, nonce_id: str, expires_at: datetime) -> bool:
        """Remember the nonce; True the first time."""
        if nonce_id in self.spent:
            return False
        self.spent[nonce_id] = expires_at
        return True


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        """Start at noon."""
        self.now = START

    def __call__(self) -> datetime:
        """Return the time that was set."""
        return self.now


def nonces(clock: Clock, *, key: bytes = KEY, store: SpentNonces | None = None, reject_good: float = 0) -> Nonces:
    """Return a front end's nonces."""
    return Nonces(key, store or SpentNonces(), clock=clock, random_bytes=os.urandom, reject_good=reject_good)


def refusal_of(nonces: Nonces, text: str) -> Refusal:
    """Return why the nonce is refused."""
    with pytest.raises(Refusal) as refused:
        nonces.spend(nonces.recognise(text))
    return refused.value


def test_a_nonce_is_good_once() -> None:
    """A fresh nonce is taken, and refused as badNonce when it comes again."""
    ours = nonces(Clock())
    text = ours.issue()
    ours.spend(ours.recognise(text))
    assert refusal_of(ours, text).kind == RefusalKind.BAD_NONCE


def test_any_front_end_knows_the_nonces_of_another() -> None:
    """Two front ends share a key and a store, and nothing else; a nonce is good once in both."""
    clock, store = Clock(), SpentNonces()
    one, other = nonces(clock, store=store), nonces(clock, store=store)
    text = one.issue()
    other.spend(other.recognise(text))
    assert refusal_of(one, text).kind == RefusalKind.BAD_NONCE


def test_giving_a_nonce_writes_nothing() -> None:
    """Only spending remembers, and only until the nonce would have expired."""
    clock, store = Clock(), SpentNonces()
    ours = nonces(clock, store=store)
    text = ours.issue()
    assert not store.spent
    clock.now += timedelta(minutes=10)
    ours.spend(ours.recognise(text))
    assert list(store.spent.values()) == [START + LIFETIME]


def test_a_nonce_of_another_key_is_bad() -> None:
    """What was made with another key is not ours."""
    assert refusal_of(nonces(Clock()), nonces(Clock(), key=bytes(32)).issue()).kind == RefusalKind.BAD_NONCE


@pytest.mark.parametrize(
    ("passed", "good"),
    [
        (LIFETIME - timedelta(seconds=1), True),
        (LIFETIME, False),
        (-CLOCK_SKEW, True),
        (-CLOCK_SKEW - timedelta(seconds=1), False),
    ],
)
def test_a_nonce_lives_an_hour(passed: timedelta, good: bool) -> None:
    """A nonce is good for its life, by clocks that differ by minutes at most."""
    clock = Clock()
    ours = nonces(clock)
    text = ours.issue()
    clock.now += passed
    if good:
        ours.spend(ours.recognise(text))
    else:
        assert refusal_of(ours, text).kind == RefusalKind.BAD_NONCE


def test_a_second_spelling_of_a_nonce_is_malformed() -> None:
    """RFC 8555 §6.5.2: the nonce is base64url; a spelling that decodes to the same bytes is not a second nonce."""
    ours = nonces(Clock())
    text = ours.issue()
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(text[-1])
    twin = text[:-1] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last | 1]
    assert refusal_of(ours, twin).kind == RefusalKind.MALFORMED
    assert refusal_of(ours, text + "=").kind == RefusalKind.MALFORMED


@given(st.binary(max_size=40).map(base64url) | st.text(max_size=50))
def test_no_made_up_nonce_is_good(text: str) -> None:
    """Whatever a client makes up is badNonce, or malformed where it is not base64url."""
    assert refusal_of(nonces(Clock()), text).kind in {RefusalKind.BAD_NONCE, RefusalKind.MALFORMED}


@given(st.integers(min_value=0, max_value=31), st.integers(min_value=1, max_value=255))
def test_a_changed_nonce_is_bad(index: int, change: int) -> None:
    """A nonce with any byte changed is refused, the time in it too."""
    ours = nonces(Clock())
    data = bytearray(Nonces(KEY, SpentNonces(), clock=Clock(), random_bytes=bytes).issue().encode())
    whole = bytearray(base64.urlsafe_b64decode(bytes(data) + b"="))
    whole[index] ^= change
    assert refusal_of(ours, base64url(bytes(whole))).kind == RefusalKind.BAD_NONCE


def test_a_share_of_good_nonces_is_refused_on_request() -> None:
    """A test server refuses some good nonces, and all of them if told to, without using them up."""
    store = SpentNonces()
    never = nonces(Clock(), store=store, reject_good=1)
    assert refusal_of(never, never.issue()).kind == RefusalKind.BAD_NONCE
    sometimes = nonces(Clock(), store=store, reject_good=0.5)
    taken = 0
    for _ in range(200):
        with contextlib.suppress(Refusal):
            sometimes.spend(sometimes.recognise(sometimes.issue()))
            taken += 1
    assert 0 < taken < 200
    assert len(store.spent) == taken
