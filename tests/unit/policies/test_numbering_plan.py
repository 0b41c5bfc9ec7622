from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.numbering_plan import PlanEntry, country_of, has_plan, is_in_plan, look_up, parse_strictly
from stir.errors import TelephoneNumberError
from stir.telephone_number import TelephoneNumber


@pytest.mark.parametrize(
    ("digits", "country"),
    [
        ("12025550123", "US"),
        ("14165550123", "CA"),
        ("4915112345678", "DE"),
        ("390612345678", "IT"),
        ("80012345678", None),
        ("8816123456789", None),
        ("9991234567", None),
        ("4407700900123", None),
    ],
)
def test_a_numbers_country_is_that_of_its_plan(digits: str, country: str | None) -> None:
    """The country is by ISO 3166, also where several share a code; what belongs to none has None."""
    assert country_of(TelephoneNumber(digits)) == country


@pytest.mark.parametrize("digits", ["12025550123", "4915112345678", "390612345678", "80012345678"])
def test_a_number_that_subscribers_have_is_in_plan(digits: str) -> None:
    """Numbers of a plan's ranges and lengths are in it."""
    assert is_in_plan(TelephoneNumber(digits))


@pytest.mark.parametrize("digits", ["1202555012", "12025550123000", "9991234567", "4407700900123", "1234567"])
def test_other_digits_are_in_no_plan(digits: str) -> None:
    """Wrong lengths, unknown country codes and a stray trunk 0 are in no plan."""
    assert not is_in_plan(TelephoneNumber(digits))


@pytest.mark.parametrize(
    ("digits", "premium"),
    [("19005550123", True), ("12025550123", False), ("9991234567", False), ("498001234567", False)],
)
def test_numbers_that_cost_their_caller_more_are_known(digits: str, premium: bool) -> None:
    """Premium-rate ranges are told from others."""
    assert look_up(TelephoneNumber(digits)).premium is premium


def test_all_that_the_plans_say_comes_in_one_look() -> None:
    """Country, validity and cost of a number are one value."""
    assert look_up(TelephoneNumber("12025550123")) == PlanEntry(country="US", in_plan=True, premium=False)
    assert look_up(TelephoneNumber("9991234567")) == PlanEntry(country=None, in_plan=False, premium=False)


def test_a_strict_number_is_returned() -> None:
    """A number that everybody reads alike is read."""
    assert parse_strictly("+12025550123") == TelephoneNumber("12025550123")


@pytest.mark.parametrize(
    "text",
    [
        "12025550123",
        "+1 202 555 0123",
        "+1-202-555-0123",
        "+12025550123;ext=5",
        "+12025550123 x5",
        "+4407700900123",
        "+٤٩١٥١١٢٣٤٥٦٧٨",
        "+" + "".join(chr(0xFF10 + int(digit)) for digit in "12025550123"),
        "+9991234567",
        "",
        "+",
    ],
)
def test_whatever_needs_a_guess_is_refused(text: str) -> None:
    """Spaces, extensions, other scripts' digits, a trunk 0 and unknown codes raise TelephoneNumberError."""
    with pytest.raises(TelephoneNumberError):
        parse_strictly(text)


@pytest.mark.parametrize(
    ("code", "has_one"), [("US", True), ("GB", True), ("UK", False), ("001", False), ("us", False)]
)
def test_a_country_is_known_by_its_code(code: str, has_one: bool) -> None:
    """Only ISO 3166 codes in capitals name a country with numbers."""
    assert has_plan(code) is has_one


@given(st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"))
def test_what_is_read_is_written_back_the_same(text: str) -> None:
    """Reading strictly either refuses, or gives a number that is written as it was read."""
    try:
        number = parse_strictly(text)
    except TelephoneNumberError:
        return
    assert number.e164 == text


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No other exception ever comes out."""
    try:
        parse_strictly(text)
    except TelephoneNumberError:
        return
