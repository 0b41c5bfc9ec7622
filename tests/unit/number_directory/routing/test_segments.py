from __future__ import annotations

from array import array
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing.columns import U16, U64
from number_directory.routing.errors import BuildError
from number_directory.routing.leading_digits import END, LOWEST, SCALE, LeadingDigits
from number_directory.routing.segments import Paint, Segments, flattened
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.unit.number_directory.routing.strategies import by_rule, numbers, prefixes, rules

DEFAULTS = {"rs-0.example": 0, "rs-1.example": 1}


def service_of(segments: Segments, number: TelephoneNumber) -> int:
    """Return the service of a number, found the slow way."""
    aligned = int(number.digits) * SCALE[len(number.digits)]
    return max(
        (start, service) for start, service in zip(segments.starts, segments.services, strict=True) if start <= aligned
    )[1]


@given(rules, st.lists(numbers, max_size=5))
def test_the_longest_prefix_wins(given_rules: dict[NumberPrefix, int], asked: list[TelephoneNumber]) -> None:
    """Flattened rules say of every number what the longest prefix says, or a default where there is none."""
    segments = flattened(given_rules, DEFAULTS)
    assert segments.starts[0] == LOWEST
    assert all(one != other for one, other in pairwise(segments.services))
    near = [TelephoneNumber(prefix.digits.ljust(9, "0")) for prefix in given_rules]
    for number in (*asked, *near):
        expected = by_rule(given_rules, number)
        found = service_of(segments, number)
        assert found == expected if expected is not None else found in DEFAULTS.values()


def test_a_new_default_takes_numbers_from_others_only_for_itself() -> None:
    """Numbers without a rule are given out by their first digits; most stay where they are when a service is added."""
    before, after = flattened({}, DEFAULTS), flattened({}, {**DEFAULTS, "rs-2.example": 2})
    groups = [TelephoneNumber(f"{group}0000") for group in range(100, 1000)]
    moved = [(service_of(before, number), service_of(after, number)) for number in groups]
    assert 200 < sum(one != other for one, other in moved) < 400
    assert {other for one, other in moved if one != other} == {2}


def test_numbers_without_a_service_are_an_error() -> None:
    """Where no rule covers a number and nobody takes it, no map is made, and the message says which."""
    with pytest.raises(BuildError, match=r"from \+2 on"):
        flattened({NumberPrefix("1"): 0}, {})
    everything = {NumberPrefix(str(digit)): digit % 2 for digit in range(1, 10)}
    assert list(flattened(everything, {}).services) == [1, 0, 1, 0, 1, 0, 1, 0, 1]


@given(rules, rules, prefixes)
def test_paints_make_one_the_other(
    before: dict[NumberPrefix, int], after: dict[NumberPrefix, int], prefix: NumberPrefix
) -> None:
    """What two versions differ in, painted over the one, makes the other; the same holds within any part."""
    old, new = flattened(before, DEFAULTS), flattened(after, DEFAULTS)
    assert old.painted(list(old.paints_to(new, END)), END) == new
    assert not list(old.paints_to(old, END))
    lead = LeadingDigits(prefix.digits)
    ours, theirs = old.within(lead), new.within(lead)
    paints = list(ours.paints_to(theirs, lead.high))
    assert ours.painted(paints, lead.high) == theirs
    assert all(lead.low <= paint.start < paint.end <= lead.high for paint in paints)


@given(rules, prefixes)
def test_parts_join_to_the_whole(given_rules: dict[NumberPrefix, int], prefix: NumberPrefix) -> None:
    """Cut into the parts of ten digits and joined again, segments are what they were."""
    lead = LeadingDigits(prefix.digits[:14])
    segments = flattened(given_rules, DEFAULTS).within(lead)
    assert Segments.joined(segments.within(child) for child in lead.children()) == segments


def test_neighbouring_differences_are_one_paint() -> None:
    """Segments next to one another that get the same service are painted at once."""
    old = Segments(array(U64, [0, 10, 20, 30]), array(U16, [0, 1, 0, 1]))
    new = Segments(array(U64, [0, 20, 30]), array(U16, [2, 3, 1]))
    assert list(old.paints_to(new, 40)) == [Paint(0, 20, 2), Paint(20, 30, 3)]
