from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stir.errors import TnAuthListError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import NumberEntry, RangeEntry, ServiceProviderCode, TnAuthList
from tests.unit.stir.strategies import numbers, prefixes, tn_auth_lists

NUMBER = TelephoneNumber("12025550123")


def test_the_identifier_is_the_example_of_the_protocol() -> None:
    """RFC 9448 §3: base64url of the DER, without padding."""
    assert TnAuthList.for_number(TelephoneNumber.parse("+12015550100")).identifier == "MA-iDRYLMTIwMTU1NTAxMDA"


@given(tn_auth_lists)
def test_a_list_survives_its_der_and_its_identifier(names: TnAuthList) -> None:
    """What is written is read back, entry by entry and in order."""
    assert TnAuthList.from_der(names.to_der()) == names
    assert TnAuthList.from_identifier(names.identifier) == names


@given(st.binary(max_size=300))
def test_any_bytes_give_a_list_or_this_rooms_error(der: bytes) -> None:
    """No bytes make the reader raise anything else, and what it reads has one encoding only."""
    try:
        names = TnAuthList.from_der(der)
    except TnAuthListError:
        return
    assert names.to_der() == der


@given(tn_auth_lists, st.data())
def test_a_damaged_list_gives_another_list_or_this_rooms_error(names: TnAuthList, data: st.DataObject) -> None:
    """A changed byte is read as what it now says, or refused."""
    der = bytearray(names.to_der())
    der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = TnAuthList.from_der(bytes(der))
    except TnAuthListError:
        return
    assert read.to_der() == bytes(der)


@given(st.text())
@example("A")
@example("MA-iDRYLMTIwMTU1NTAxMDA\n")
def test_any_text_gives_a_list_or_this_rooms_error(text: str) -> None:
    """No text makes the reader of identifiers raise anything else."""
    try:
        names = TnAuthList.from_identifier(text)
    except TnAuthListError:
        return
    assert names.identifier == text


@pytest.mark.parametrize("length", [1, 127, 128, 255, 256, 65535, 65536])
def test_lists_of_any_length_have_one_encoding(length: int) -> None:
    """DER's length octets are right on both sides of each of their limits (X.690 §8.1.3)."""
    count = max(1, length // 11)
    names = TnAuthList(tuple(NumberEntry(f"{number:07}") for number in range(count)))
    assert TnAuthList.from_der(names.to_der()) == names
    assert TnAuthList((ServiceProviderCode("x" * min(length, 255)),)).to_der()[0] == 0x30


@pytest.mark.parametrize("code", ["", " ", "a b", "é", "x" * 256, "a\n"])
def test_a_provider_code_has_visible_ascii_characters(code: str) -> None:
    """RFC 8226 §9: an IA5String; registries hand out no blanks."""
    with pytest.raises(TnAuthListError):
        ServiceProviderCode(code)


@pytest.mark.parametrize(("start", "count"), [("10", 1), ("10", 0), ("10", 91), ("*67", 2), ("", 2), ("1" * 16, 2)])
def test_a_range_that_rfc_8226_does_not_allow_cannot_exist(start: str, count: int) -> None:
    """RFC 8226 §9: a count of 2 or more, which does not make the number longer."""
    with pytest.raises(TnAuthListError):
        RangeEntry(start, count)


@pytest.mark.parametrize("number", ["", "+12025550123", "1" * 16, "12a", "1 2", "١٢"])
def test_a_number_entry_has_the_alphabet_of_the_format(number: str) -> None:
    """RFC 8226 §9: 1 to 15 of 0123456789#*."""
    with pytest.raises(TnAuthListError):
        NumberEntry(number)


def test_an_empty_list_cannot_exist() -> None:
    """RFC 8226 §9: SIZE (1..MAX)."""
    with pytest.raises(TnAuthListError):
        TnAuthList(())
    with pytest.raises(TnAuthListError):
        TnAuthList.for_prefixes([])


def test_entries_hide_their_numbers() -> None:
    """No repr carries a number into a log."""
    names = TnAuthList((NumberEntry("12025550123"), RangeEntry("12025550100", 2)))
    assert repr(names) == "TnAuthList(entries=(NumberEntry(<11 digits>), RangeEntry(<2 numbers of 11 digits>)))"


def test_a_single_number_is_told() -> None:
    """Only a list of one entry that is an E.164 number is a list of one number."""
    assert TnAuthList.for_number(NUMBER).single_number == NUMBER
    assert TnAuthList((NumberEntry("*67"),)).single_number is None
    assert TnAuthList((NumberEntry("12025550123"), NumberEntry("12025550124"))).single_number is None
    assert TnAuthList((RangeEntry("12025550123", 2),)).single_number is None


@given(prefixes, numbers)
def test_the_list_of_a_prefix_covers_its_numbers(prefix: NumberPrefix, number: TelephoneNumber) -> None:
    """The list holds a number just where the number begins with the prefix."""
    assert TnAuthList.for_prefixes([prefix]).covers_number(number) == prefix.covers(number)


def test_intervals_that_touch_are_one() -> None:
    """Entries of one length are merged, those of another stay apart."""
    names = TnAuthList(
        (
            RangeEntry("20", 5),
            NumberEntry("25"),
            RangeEntry("22", 2),
            RangeEntry("30", 2),
            NumberEntry("026"),
            NumberEntry("#1"),
        )
    )
    assert [(interval.start, interval.count) for interval in names.intervals] == [("20", 6), ("30", 2), ("026", 1)]


def test_a_range_is_covered_by_two_that_touch() -> None:
    """RFC 9060 §4.1: encompassed is a matter of numbers, not of entries."""
    halves = TnAuthList((RangeEntry("12025550000", 5000), RangeEntry("12025555000", 5000)))
    assert halves.covers(TnAuthList((RangeEntry("12025554999", 2),)))
    assert not halves.covers(TnAuthList((RangeEntry("12025559999", 2),)))


def test_codes_are_covered_by_their_equals_only() -> None:
    """Neither a provider code nor a service code is in a range."""
    codes = TnAuthList((ServiceProviderCode("709J"), NumberEntry("*67"), NumberEntry("12025550123")))
    assert codes.covers(TnAuthList((NumberEntry("*67"),)))
    assert codes.covers(TnAuthList((ServiceProviderCode("709J"),)))
    assert not codes.covers(TnAuthList((ServiceProviderCode("709K"),)))
    assert not codes.covers(TnAuthList((NumberEntry("#67"),)))
    assert not TnAuthList((ServiceProviderCode("709J"),)).covers_number(NUMBER)


_SMALL = ["0", "1", "00", "01", "10", "11", "*", "0*"]


@given(*[st.lists(st.sampled_from(_SMALL), min_size=1, max_size=6, unique=True)] * 2)
def test_covering_is_what_sets_say(one: list[str], other: list[str]) -> None:
    """A list covers another just where it has every number of it."""
    lists = (TnAuthList(tuple(NumberEntry(number) for number in found)) for found in (one, other))
    assert next(lists).covers(next(lists)) == (set(other) <= set(one))


@given(tn_auth_lists, tn_auth_lists)
def test_a_list_covers_itself_and_its_parts(one: TnAuthList, other: TnAuthList) -> None:
    """Covering is reflexive, and a union covers both."""
    assert one.covers(one)
    both = TnAuthList(tuple(itertools.chain(one.entries, other.entries)))
    assert both.covers(one)
    assert both.covers(other)


@pytest.mark.parametrize("count", [2**31, 2**63, 2**64, 2**500])
def test_a_count_beyond_all_numbers_is_refused(count: int) -> None:
    """A count that no machine word holds is refused as any other that leaves its length."""
    octets = count.to_bytes(count.bit_length() // 8 + 1, "big")
    der = b"\x16\x0210" + bytes((0x02, len(octets))) + octets
    for tag in (0x30, 0xA1, 0x30):
        der = bytes((tag, len(der))) + der
    with pytest.raises(TnAuthListError, match=r"stays within its number of digits|not the DER"):
        TnAuthList.from_der(der)
