from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stir.errors import StirError, TelephoneNumberError
from stir.telephone_number import LONGEST_NUMBER, NumberPrefix, NumberRange, TelephoneNumber, enum_domain
from tests.unit.stir.strategies import digit_strings, numbers, prefixes, ranges

NUMBER = TelephoneNumber("12025550123")


@given(numbers)
def test_a_number_survives_each_of_its_forms(number: TelephoneNumber) -> None:
    """What is written as E.164, tel URI or ENUM name is read back as the same number."""
    assert TelephoneNumber.parse(number.e164) == number
    assert TelephoneNumber.from_tel_uri(number.tel_uri) == number
    assert TelephoneNumber.from_enum_domain(number.enum_domain) == number


def test_the_forms_of_a_number_are_those_of_their_rfcs() -> None:
    """RFC 3966 §3 writes the URI, RFC 6116 §3.2 the ENUM name."""
    assert NUMBER.e164 == "+12025550123"
    assert NUMBER.tel_uri == "tel:+12025550123"
    assert NUMBER.enum_domain == "3.2.1.0.5.5.5.2.0.2.1.e164.arpa"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "12025550123",
        "+02025550123",
        "+120255",
        "+1234567890123456",
        "+1 202 555 0123",
        "+1-202-555-0123",
        "+1202555012x",
        "+12025550123;ext=1",
        "+12025550123\n",
        " +12025550123",
        "+1202555012٣",
        "+1202555012²",
        "++12025550123",
        "+1202*550123",
    ],
)
def test_whatever_is_no_e164_number_is_refused(text: str) -> None:
    """ITU-T E.164 §6: a plus, a country code, 7 to 15 digits, nothing to guess."""
    with pytest.raises(TelephoneNumberError):
        TelephoneNumber.parse(text)


@pytest.mark.parametrize(
    "uri", ["+12025550123", "sip:+12025550123", "tel:12025550123", "tel:+12025550123;ext=5", "tel"]
)
def test_a_uri_that_is_no_global_number_is_refused(uri: str) -> None:
    """RFC 3966 §5.1.4: tel:+ and digits; parameters are not part of an identity here."""
    with pytest.raises(TelephoneNumberError):
        TelephoneNumber.from_tel_uri(uri)


def test_the_scheme_of_a_uri_may_be_in_capitals() -> None:
    """RFC 3986 §3.1: schemes are case-insensitive."""
    assert TelephoneNumber.from_tel_uri("TEL:+12025550123") == NUMBER


@pytest.mark.parametrize(
    "name",
    [
        "",
        "e164.arpa",
        ".e164.arpa",
        "3.2.1.0.5.5.5.2.0.2.1.e164.arpa.",
        "3.2.1.0.5.5.5.2.0.2.1.E164.ARPA",
        "3.2.1.0.5.5.5.2.0.2.1.e164.example",
        "32.1.0.5.5.5.2.0.2.1.e164.arpa",
        "3..2.1.0.5.5.5.2.0.2.1.e164.arpa",
        "x.2.1.0.5.5.5.2.0.2.1.e164.arpa",
    ],
)
def test_a_name_outside_the_enum_tree_is_refused(name: str) -> None:
    """RFC 6116 §3.2: one digit to each label, under e164.arpa."""
    with pytest.raises(TelephoneNumberError):
        TelephoneNumber.from_enum_domain(name)


@given(st.text())
def test_any_text_gives_a_number_or_this_rooms_error(text: str) -> None:
    """No text makes a reader of numbers raise anything else."""
    for read in (
        TelephoneNumber,
        TelephoneNumber.parse,
        TelephoneNumber.from_tel_uri,
        TelephoneNumber.from_enum_domain,
        NumberPrefix,
        NumberPrefix.parse,
    ):
        try:
            value = read(text)
        except TelephoneNumberError:
            continue
        assert value.digits.isascii()
        assert value.digits.isdigit()


@given(numbers)
def test_a_number_never_prints_itself_whole(number: TelephoneNumber) -> None:
    """Its str, repr and masked form hide six digits or more, and keep its length."""
    for text in (str(number), repr(number), number.masked, f"{number}"):
        assert number.digits not in text
    assert number.masked.count("*") >= 6
    assert len(number.masked) == len(number.e164)


@pytest.mark.parametrize(
    ("digits", "masked"),
    [
        ("1234567", "+1******"),
        ("12345678", "+1******8"),
        ("12025550123", "+120******23"),
        ("123456789012345", "+123**********45"),
    ],
)
def test_a_masked_number_shows_its_country_and_its_end(digits: str, masked: str) -> None:
    """An operator can tell numbers apart in a log without reading them."""
    assert TelephoneNumber(digits).masked == masked


def test_a_number_can_be_kept_in_a_set_and_pickled() -> None:
    """Numbers are values: equal ones are one."""
    assert len({NUMBER, TelephoneNumber("12025550123")}) == 1
    assert pickle.loads(pickle.dumps(NUMBER)) == NUMBER  # noqa: S301 - our own bytes
    assert TelephoneNumber("12025550124") > NUMBER


# Ranges


@given(ranges)
def test_a_range_starts_where_it_says(numbers_: NumberRange) -> None:
    """The start keeps its leading zeros, and with the count gives the range back."""
    assert NumberRange.starting_at(numbers_.start, numbers_.count) == numbers_
    assert len(numbers_.start) == numbers_.length


@pytest.mark.parametrize(
    ("start", "count"),
    [
        ("", 1),
        ("*67", 1),
        ("-1", 1),
        ("1²", 1),
        ("10", 0),
        ("10", -1),
        ("10", 91),
        ("99", 2),
        ("1" * 16, 1),
        ("1" * 5000, 1),
    ],
)
def test_a_range_that_is_empty_or_leaves_its_length_is_refused(start: str, count: int) -> None:
    """RFC 8226 §9: the last number has as many digits as the first."""
    with pytest.raises(TelephoneNumberError):
        NumberRange.starting_at(start, count)


@pytest.mark.parametrize(("length", "first", "last"), [(0, 0, 0), (16, 0, 0), (2, 5, 4), (2, 0, 100), (2, -1, 5)])
def test_a_range_of_impossible_bounds_cannot_exist(length: int, first: int, last: int) -> None:
    """Bounds run upward and fit the number of digits."""
    with pytest.raises(TelephoneNumberError):
        NumberRange(length, first, last)


def test_numbers_of_different_lengths_are_strangers() -> None:
    """`012` is not `12`, and no range covers both."""
    assert not NumberRange.starting_at("000", 1000).covers(NumberRange.starting_at("12", 1))
    assert NumberRange.starting_at("012", 1) != NumberRange.starting_at("12", 1)


@given(ranges, ranges)
def test_covering_is_what_sets_of_numbers_say(one: NumberRange, other: NumberRange) -> None:
    """A range covers another just where no number of it is missing."""
    both = (other.length, other.first), (other.length, other.last)
    inside = all(length == one.length and one.first <= number <= one.last for length, number in both)
    assert one.covers(other) == inside


def test_a_range_hides_its_numbers() -> None:
    """A range of one is somebody's number, so repr counts only."""
    assert repr(NumberRange.of(NUMBER)) == "NumberRange(<1 numbers of 11 digits>)"


# Prefixes


@given(prefixes)
def test_a_prefix_survives_its_text(prefix: NumberPrefix) -> None:
    """What is written is read back."""
    assert NumberPrefix.parse(str(prefix)) == prefix
    assert prefix.enum_domain == enum_domain(prefix.digits)


@pytest.mark.parametrize("text", ["", "+", "1202", "+0", "+1 202", "+1234567890123456", "+1202\n", "+1*"])
def test_whatever_no_number_begins_with_is_no_prefix(text: str) -> None:
    """A prefix is a plus and 1 to 15 digits."""
    with pytest.raises(TelephoneNumberError):
        NumberPrefix.parse(text)


@given(prefixes, numbers)
def test_a_prefix_and_its_ranges_agree(prefix: NumberPrefix, number: TelephoneNumber) -> None:
    """A number begins with the prefix just where one of the prefix's ranges holds it."""
    in_ranges = any(numbers_.covers(NumberRange.of(number)) for numbers_ in prefix.ranges())
    assert prefix.covers(number) == in_ranges


@given(prefixes, digit_strings)
def test_a_prefix_covers_what_follows_it(prefix: NumberPrefix, rest: str) -> None:
    """Every number made of the prefix and more digits is covered, in its name in the ENUM tree too."""
    digits = (prefix.digits + rest)[:LONGEST_NUMBER].ljust(7, "0")
    number = TelephoneNumber(digits)
    assert prefix.covers(number)
    assert f".{number.enum_domain}".endswith(f".{prefix.enum_domain}")


def test_the_errors_of_this_room_are_value_errors() -> None:
    """One except clause catches them all."""
    assert issubclass(TelephoneNumberError, StirError)
    assert issubclass(StirError, ValueError)
