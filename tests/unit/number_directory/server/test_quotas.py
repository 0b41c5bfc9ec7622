from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.server.errors import Refusal
from number_directory.server.quotas import Kept, Quotas, Rate, Seen
from tests.fakes.small_pki import NOW

MARKS = st.integers(0, 2**32 - 1)


class SharedInMemory:
    """What all front ends know, in memory."""

    def __init__(self) -> None:
        """Know nothing."""
        self.kept: dict[bytes, Kept] = {}
        self.turns = 0

    def change(self, key: bytes, change: Callable[[Kept], Kept]) -> None:
        """Change what is kept."""
        self.turns += 1
        self.kept[key] = change(self.kept.get(key, Kept()))


@given(st.lists(MARKS, max_size=200))
def test_what_was_seen_survives_its_bytes(marks: list[int]) -> None:
    """A memory is the same after it was written and read, and always as large."""
    seen = Seen()
    for mark in marks:
        seen.add(mark)
    data = seen.to_bytes()
    assert len(data) == 2048
    assert Seen(data).new_among(marks) == seen.new_among(marks)


@given(st.lists(MARKS, min_size=1, max_size=4, unique=True))
def test_the_latest_four_of_a_set_are_known(marks: list[int]) -> None:
    """As many as a set has room for are known, even where all fall into one."""
    seen = Seen()
    in_one_set = [mark & ~0xFF for mark in marks]
    for mark in in_one_set:
        seen.add(mark)
    assert seen.new_among(in_one_set) == []


def test_an_address_book_is_remembered() -> None:
    """Of 500 numbers that were asked for, nearly all are free the next time; few others are."""
    random = Random(7)  # noqa: S311 - the same numbers each time
    book = [random.getrandbits(32) for _ in range(500)]
    others = [random.getrandbits(32) for _ in range(10_000)]
    seen = Seen()
    for mark in book:
        seen.add(mark)
    assert len(seen.new_among(book)) < 25
    assert len(seen.new_among(others)) > 9_980


def quotas(shared: SharedInMemory) -> Quotas:
    """Return a front end's quotas."""
    return Quotas(shared, bytes(32))


def test_front_ends_never_give_out_more_than_the_bucket_had() -> None:
    """Four front ends together charge at most burst and what came back, whatever each takes in advance."""
    shared, rate = SharedInMemory(), Rate(burst=100, per_day=240)
    front_ends = [quotas(shared) for _ in range(4)]
    random, paid = Random(3), 0  # noqa: S311 - as above
    for minute in range(24 * 60):
        try:
            marks = [random.getrandbits(32)]
            paid += random.choice(front_ends).charge(b"caller", marks, rate, NOW + timedelta(minutes=minute))
        except Refusal:
            continue
    assert 320 <= paid <= 340


def test_most_charges_ask_nobody() -> None:
    """Tokens are taken some at a time, so that a lookup rarely writes."""
    shared = SharedInMemory()
    front_end = quotas(shared)
    for mark in range(1000):
        front_end.charge(b"caller", [mark * 7919], Rate(2000, 2000), NOW)
    assert shared.turns <= 1000 // 60 + 2


def test_a_number_paid_for_at_one_front_end_is_known_to_the_next() -> None:
    """When a front end asks the shared memory, it learns what others were paid for."""
    shared, rate = SharedInMemory(), Rate(burst=16, per_day=16)
    one, other = quotas(shared), quotas(shared)
    assert one.charge(b"caller", [1], rate, NOW) == 1
    assert one.charge(b"caller", [2 << 8], rate, NOW) == 1
    assert other.charge(b"caller", [1], rate, NOW) == 0


def test_a_question_is_paid_for_wholly_or_not_at_all() -> None:
    """Where the tokens do not suffice, nothing is taken, and the wait is told until they do."""
    front_end, rate = quotas(SharedInMemory()), Rate(burst=10, per_day=24)
    front_end.charge(b"caller", range(0, 8 << 8, 1 << 8), rate, NOW)
    with pytest.raises(Refusal) as caught:
        front_end.charge(b"caller", range(100 << 8, 105 << 8, 1 << 8), rate, NOW)
    wait = caught.value.retry_after
    assert wait == timedelta(hours=3)
    assert front_end.charge(b"caller", range(100 << 8, 105 << 8, 1 << 8), rate, NOW + wait) == 5


def test_more_than_a_burst_is_refused_for_good() -> None:
    """A question that no bucket could pay for is told so."""
    with pytest.raises(Refusal, match="at most 3 numbers"):
        quotas(SharedInMemory()).charge(b"caller", range(0, 4 << 8, 1 << 8), Rate(3, 3), NOW)


def test_the_memory_of_a_front_end_is_bounded() -> None:
    """Of more callers than there is room for, the least lately seen are left to the shared memory."""
    front_end = Quotas(SharedInMemory(), bytes(32), callers=10)
    for caller in range(100):
        front_end.charge(caller.to_bytes(4, "big"), [caller << 8], Rate(10, 10), NOW)
    assert len(front_end._accounts) == 10


def test_callers_and_numbers_are_kept_as_keyed_hashes() -> None:
    """Another secret gives other keys and marks: neither is a list of numbers."""
    one, other = quotas(SharedInMemory()), Quotas(SharedInMemory(), bytes([1]) * 32)
    assert one.key("caller", "12025550123") != other.key("caller", "12025550123")
    assert one.marks(["12025550123"]) != other.marks(["12025550123"])
    assert one.key("caller", "12025550123") != one.key("address", "12025550123")
