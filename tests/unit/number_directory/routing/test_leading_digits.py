from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given

from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import ROOTS, SCALE, LeadingDigits, require_partition
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.unit.number_directory.routing.strategies import numbers, prefixes


@given(numbers, prefixes)
def test_a_number_is_within_exactly_the_leads_that_it_begins_with(
    number: TelephoneNumber, prefix: NumberPrefix
) -> None:
    """Aligned, and as an integer of its length, a number lies within a lead where its digits begin with it."""
    lead, length, value = LeadingDigits(prefix.digits), len(number.digits), int(number.digits)
    if len(prefix.digits) <= length:
        first, end = lead.values(length)
        assert (lead.low <= value * SCALE[length] < lead.high) == (first <= value < end) == prefix.covers(number)


@given(prefixes)
def test_children_make_up_their_parent(prefix: NumberPrefix) -> None:
    """The ten parts with one more digit are all of the part, each number once."""
    lead = LeadingDigits(prefix.digits[:14])
    children = lead.children()
    assert children[0].low == lead.low
    assert children[-1].high == lead.high
    assert all(one.high == other.low for one, other in pairwise(children))
    assert all(lead.covers(child) and not child.covers(lead) for child in children)


@pytest.mark.parametrize("digits", ["", "0", "01", "+1", "1" * 16, "٣"])
def test_what_no_number_begins_with_is_no_lead(digits: str) -> None:
    """Leading digits are 1 to 15, the first of which is not 0."""
    with pytest.raises(MapFormatError, match="begin with 1 to 15 digits"):
        LeadingDigits(digits)


def test_the_chunks_of_a_map_make_up_all_numbers() -> None:
    """Nine parts do, and so do their children; a gap, a repetition and a missing end do not."""
    require_partition(ROOTS)
    require_partition([*ROOTS[0].children(), *ROOTS[1:]])
    for wrong in (ROOTS[1:], ROOTS[:-1], [ROOTS[0], *ROOTS], [*ROOTS[0].children(), *ROOTS], []):
        with pytest.raises(MapFormatError):
            require_partition(wrong)
