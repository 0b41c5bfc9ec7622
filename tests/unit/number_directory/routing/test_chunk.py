from __future__ import annotations

import struct
from array import array
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing.chunk import Chunk, Numbers, Routes
from number_directory.routing.columns import U16, U64
from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import SCALE, LeadingDigits
from number_directory.routing.segments import Segments, flattened
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.unit.number_directory.routing.strategies import (
    Listed,
    changes_of,
    listed,
    numbers,
    prefixes,
    rules,
    services,
)

DEFAULTS = {"rs-5.example": 5}


def routes_of(lead: LeadingDigits, given_rules: dict[NumberPrefix, int], given_numbers: Listed) -> Routes:
    """Return the chunk of some leading digits."""
    segments = flattened(given_rules, DEFAULTS).within(lead)
    prefix = NumberPrefix(lead.digits)
    within = {number: service for number, service in given_numbers.items() if prefix.covers(number)}
    return Routes(lead, segments).changed([], changes_of(within))


def service_of(chunk: Chunk, number: TelephoneNumber) -> int:
    """Ask a chunk for a number."""
    length, value = len(number.digits), int(number.digits)
    return chunk.find(length, value, value * SCALE[length])


@given(prefixes, rules, listed, numbers)
def test_a_chunk_answers_for_every_number(
    prefix: NumberPrefix, given_rules: dict[NumberPrefix, int], given_numbers: Listed, other: TelephoneNumber
) -> None:
    """A number that is listed has its service; any other that of the segment it is in; unpacked, all is the same."""
    lead = LeadingDigits(prefix.digits)
    routes = routes_of(lead, given_rules, given_numbers)
    data = routes.encode()
    chunk = Chunk(data)
    assert Routes.decode(data) == routes
    assert (chunk.lead, chunk.count) == (lead, len(routes))
    everything = flattened(given_rules, DEFAULTS)
    for number in (*given_numbers, other):
        if prefix.covers(number):
            aligned = int(number.digits) * SCALE[len(number.digits)]
            by_segment = max(
                zip(everything.starts, everything.services, strict=True), key=lambda pair: (pair[0] <= aligned, pair[0])
            )
            assert service_of(chunk, number) == given_numbers.get(number, by_segment[1])


@given(prefixes, rules, listed)
def test_cutting_and_joining_loses_nothing(
    prefix: NumberPrefix, given_rules: dict[NumberPrefix, int], given_numbers: Listed
) -> None:
    """A chunk cut into ten and joined again is the same chunk."""
    lead = LeadingDigits(prefix.digits[:2])
    routes = routes_of(lead, given_rules, given_numbers)
    parts = [routes.cut(child) for child in lead.children()]
    assert Routes.joined(lead, parts) == routes
    assert [Routes.decode(part.encode()) for part in parts] == parts


@given(
    st.dictionaries(st.integers(10**6, 10**6 + 400), services),
    st.dictionaries(st.integers(10**6, 10**6 + 400), services),
)
def test_changes_make_one_the_other(before: dict[int, int], after: dict[int, int]) -> None:
    """What two columns differ in, put into the one, makes the other, and is no more than that."""
    ours, theirs = (_numbers(found) for found in (before, after))
    changes = list(ours.changes_to(theirs))
    assert ours.changed(changes) == theirs
    assert len(changes) == sum(before.get(value) != after.get(value) for value in before.keys() | after.keys())


def test_many_numbers_are_compared_by_halves() -> None:
    """Where few of many differ, the differences are found, each once."""
    before = _numbers({value: value % 7 for value in range(10**6, 10**6 + 5000)})
    changes = [(10**6, None), (10**6 + 1234, 9), (10**6 + 9000, 3)]
    after = before.changed(changes)
    assert list(before.changes_to(after)) == changes
    assert len(after) == len(before)
    assert not list(_numbers({}).changes_to(_numbers({})))


def test_what_is_not_there_can_be_taken_away() -> None:
    """Deltas that are merged may take away a number that never was."""
    assert _numbers({10**6: 1}).changed([(10**6 + 1, None)]) == _numbers({10**6: 1})


@pytest.mark.parametrize("used", [1, 256, 257, 300])
@pytest.mark.parametrize("first", [0, 200, 16000])
def test_more_services_than_a_byte_tells_apart_take_two(used: int, first: int) -> None:
    """Up to 256 services in a chunk take one byte for each number, more take two; whatever their numbers are."""
    lead = LeadingDigits("1")
    found = dict(
        zip(range(12_025_550_000, 12_025_551_000), [first + place % used for place in range(1000)], strict=True)
    )
    numbers_ = Numbers(array(U64, found), array(U16, found.values()))
    routes = Routes(lead, Segments(array(U64, [lead.low]), array(U16, [first])), {11: numbers_})
    data = routes.encode()
    assert Routes.decode(data) == routes
    assert len(data) < 1000 * (3 if used <= 256 else 4) + 2 * used + 100
    assert all(service_of(Chunk(data), TelephoneNumber(str(value))) == service for value, service in found.items())


HEADER = struct.Struct("<4sBBHQIIIB3x")
EXAMPLE = routes_of(
    LeadingDigits("1"),
    {NumberPrefix("12"): 1, NumberPrefix("13"): 2},
    {TelephoneNumber("12025550123"): 3, TelephoneNumber("12025559999"): 1, TelephoneNumber("12025550123456"): 2},
).encode()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    """Whatever comes, it is a chunk or MapFormatError."""
    for given_bytes in (data, EXAMPLE[:4] + data, EXAMPLE[: HEADER.size] + data):
        with pytest.raises(MapFormatError):
            Routes.decode(given_bytes)


@given(st.integers(0, len(EXAMPLE) - 1), st.integers(1, 255))
def test_a_chunk_has_one_encoding(place: int, flip: int) -> None:
    """A chunk with a byte changed is refused, or is another chunk; answering from it raises nothing else."""
    data = bytearray(EXAMPLE)
    data[place] ^= flip
    try:
        chunk = Chunk(bytes(data))
        service_of(chunk, TelephoneNumber("12025550123"))
    except MapFormatError:
        pass
    try:
        routes = Routes.decode(bytes(data))
    except MapFormatError:
        return
    assert routes.encode() == data
    assert routes != Routes.decode(EXAMPLE)


def test_a_service_beyond_the_table_is_an_error() -> None:
    """A number, or a segment, whose service is not in the table is told when it is asked for, and when unpacked."""
    data = bytearray(EXAMPLE)
    for place in (len(data) - 1, len(data) - 4):
        broken = bytearray(data)
        broken[place] = 200
        with pytest.raises(MapFormatError):
            Routes.decode(bytes(broken))
    broken = bytearray(data)
    broken[-3] = 200  # of the first number
    with pytest.raises(MapFormatError, match="not in its table"):
        service_of(Chunk(bytes(broken)), TelephoneNumber("12025550123"))


def _changed_header(**changes: int | bytes) -> bytes:
    names = ("magic", "digits", "width", "services", "leading", "segments", "exceptions", "blocks", "groups")
    fields = dict(zip(names, HEADER.unpack_from(EXAMPLE), strict=True)) | changes
    return HEADER.pack(*fields.values()) + EXAMPLE[HEADER.size :]


@pytest.mark.parametrize(
    "data",
    [
        EXAMPLE[:10],
        EXAMPLE + b"\0",
        _changed_header(magic=b"tnm\x02"),
        _changed_header(digits=2),
        _changed_header(width=2),
        _changed_header(services=0),
        _changed_header(segments=0),
        _changed_header(leading=0),
        EXAMPLE[:31] + b"\1" + EXAMPLE[32:],
    ],
)
def test_a_header_that_contradicts_the_rest_is_refused(data: bytes) -> None:
    """Counts, widths and padding are what they must be."""
    with pytest.raises(MapFormatError):
        Chunk(data)


def _groups(*groups: tuple[int, int]) -> bytes:
    packed = b"".join(struct.pack("<B3xI", length, first) for length, first in groups)
    return EXAMPLE[: HEADER.size] + packed + EXAMPLE[HEADER.size + 16 :]


@pytest.mark.parametrize(
    "data",
    [
        _groups((11, 1), (14, 1)),
        _groups((11, 0), (11, 1)),
        _groups((14, 0), (11, 1)),
        _groups((6, 0), (14, 1)),
        _groups((11, 0), (14, 0)),
        _groups((11, 0), (14, 9)),
        EXAMPLE[: HEADER.size + 1] + b"\1" + EXAMPLE[HEADER.size + 2 :],
    ],
)
def test_groups_that_overlap_or_are_empty_are_refused(data: bytes) -> None:
    """The numbers of each length have blocks of their own, one length after the other."""
    with pytest.raises(MapFormatError, match="groups"):
        Chunk(data)


def test_blocks_that_lead_out_of_the_columns_are_refused() -> None:
    """Where the blocks end is where the numbers end."""
    at = HEADER.size + 16 + 8 * HEADER.unpack_from(EXAMPLE)[5] + 4 * HEADER.unpack_from(EXAMPLE)[7]
    for place in (at, at + 4, at + 8):
        broken = bytearray(EXAMPLE)
        broken[place] ^= 1
        with pytest.raises(MapFormatError):
            Chunk(bytes(broken))


def _routes(starts: list[int], used: list[int], **listed_: int) -> Routes:
    lead = LeadingDigits("1")
    values = Numbers(
        array(U64, listed_.values()), array(U16, [service for service, _ in zip(count(), listed_, strict=False)])
    )
    return Routes(lead, Segments(array(U64, starts), array(U16, used)), {11: values} if listed_ else {})


LOW = LeadingDigits("1").low


@pytest.mark.parametrize(
    "routes",
    [
        _routes([LOW + 1], [0]),
        _routes([LOW, LOW], [0, 1]),
        _routes([LOW, LOW + 5, LOW + 4], [0, 1, 0]),
        _routes([LOW, 2 * LOW], [0, 1]),
        _routes([LOW, LOW + 1], [1, 1]),
        _routes([LOW], [0], a=12_025_550_124, b=12_025_550_123),
        _routes([LOW], [0], a=12_025_550_123, b=12_025_550_123),
        _routes([LOW], [0], a=20_000_000_000),
    ],
)
def test_segments_and_numbers_are_in_order_and_none_is_needless(routes: Routes) -> None:
    """What could be written in two ways, or lies outside the chunk, is refused when it is unpacked."""
    with pytest.raises(MapFormatError, match="another way than the only one"):
        Routes.decode(routes.encode())


def _numbers(found: dict[int, int]) -> Numbers:
    return Numbers(array(U64, sorted(found)), array(U16, [found[value] for value in sorted(found)]))
