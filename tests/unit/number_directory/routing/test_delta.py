from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing import delta as module
from number_directory.routing.chunk import Routes
from number_directory.routing.delta import MAGIC, Delta, Patch, difference
from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import ROOTS, LeadingDigits
from number_directory.routing.manifest import ChunkEntry, Manifest
from number_directory.routing.segments import Paint, flattened
from number_directory.routing.services import ResolutionService
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.unit.number_directory.routing.strategies import (
    SERVICES,
    Listed,
    changes_of,
    find,
    listed,
    manifest_of,
    numbers,
    rules,
    services,
)

Chunks = dict[ChunkEntry, bytes]
partitions = st.lists(st.sampled_from(["1", "12", "120", "4", "44"]), unique=True)
changes = st.dictionaries(numbers, st.none() | services, max_size=20)


def leads_of(cut: list[str]) -> list[LeadingDigits]:
    """Return a partition in which these leads, where they occur, are cut into ten."""
    leads = list(ROOTS)
    for digits in sorted(cut):
        lead = LeadingDigits(digits)
        if lead in leads:
            place = leads.index(lead)
            leads[place : place + 1] = lead.children()
    return leads


def chunks_of(cut: list[str], given_rules: Mapping[NumberPrefix, int], given_numbers: Listed) -> Chunks:
    """Return all chunks of a map."""
    segments = flattened(given_rules, {"rs-0.example": 0})
    chunks = {}
    for lead in leads_of(cut):
        within = {
            number: service for number, service in given_numbers.items() if NumberPrefix(lead.digits).covers(number)
        }
        data = Routes(lead, segments.within(lead)).changed([], changes_of(within)).encode()
        chunks[ChunkEntry.of(lead, data)] = data
    return chunks


def patched(manifest: Manifest, chunks: Chunks, *deltas: Delta) -> tuple[Manifest, Chunks]:
    """Put deltas into a map."""
    patch = Patch(manifest, deltas)
    made = dict(patch.chunks(chunks.__getitem__))
    return patch.manifest, made


maps = st.builds(chunks_of, partitions, rules, listed)


@given(maps, maps)
def test_the_difference_of_two_versions_makes_the_one_the_other(old: Chunks, new: Chunks) -> None:
    """Whatever changed, and however the chunks are cut: the delta, sent and read, makes the very same bytes."""
    before, after = manifest_of(old), manifest_of(new, 2)
    found = difference(before, old.__getitem__, after, new.__getitem__)
    again = Delta.decode(found.encode())
    assert again == found
    manifest, chunks = patched(before, old, again)
    assert manifest == after
    assert chunks == new


@given(maps, changes, changes)
def test_deltas_one_after_the_other_are_put_in_at_once(
    old: Chunks, first: dict[TelephoneNumber, int | None], second: dict[TelephoneNumber, int | None]
) -> None:
    """Several deltas come to the same at once and one by one, and each number has what the last one says."""
    before = manifest_of(old)
    one = Delta(before.hash, 1, 2, 1_800_000_100, changes=changes_of(first), paints=(Paint(2 * 10**14, 3 * 10**14, 1),))
    middle, chunks = patched(before, old, one)
    two = Delta(
        middle.hash, 2, 3, 1_800_000_200, changes=changes_of(second), paints=(Paint(25 * 10**13, 31 * 10**13, 2),)
    )
    stepwise, last = patched(middle, chunks, two)
    at_once, same = patched(before, old, one, two)
    assert at_once == stepwise
    assert same == last
    for number, service in (first | second).items():
        found = find(last, number).numbers.get(len(number.digits))
        listed_ = {} if found is None else dict(zip(found.values, found.services, strict=True))
        assert listed_.get(int(number.digits)) == service


def test_chunks_that_do_not_change_are_not_made_anew() -> None:
    """What a delta does not touch is read as it is."""
    old = chunks_of(["1"], {}, {})
    before = manifest_of(old)
    delta = Delta(before.hash, 1, 2, 1, changes=changes_of({TelephoneNumber("12025550123"): 3}))
    after, _ = patched(before, old, delta)
    assert [entry.lead.digits for entry in after.chunks if entry not in before.chunks] == ["12"]


def test_services_come_and_go() -> None:
    """A delta says which services are new, other ones, or gone."""
    old = chunks_of([], {}, {})
    before = manifest_of(old)
    new = ResolutionService("rs-9.example", "New", "https://rs-9.example")
    after = Manifest(2, 5, {**{n: s for n, s in SERVICES.items() if n != 4}, 9: new}, before.chunks)
    delta = Delta.decode(difference(before, old.__getitem__, after, old.__getitem__).encode())
    assert (delta.services, delta.services_gone) == ({9: new}, (4,))
    assert patched(before, old, delta)[0] == after


OLD = chunks_of([], {}, {})
BEFORE = manifest_of(OLD)
EXAMPLE = Delta(
    BEFORE.hash,
    1,
    2,
    1_800_000_000,
    changes=changes_of({TelephoneNumber("12025550123"): 3, TelephoneNumber("12025550124"): None}),
    paints=(Paint(2 * 10**14, 3 * 10**14, 1),),
)


@pytest.mark.parametrize(
    "deltas",
    [
        [],
        [replace(EXAMPLE, base_version=2, version=3)],
        [replace(EXAMPLE, base="0" * 64)],
        [EXAMPLE, replace(EXAMPLE, base_version=3, version=4)],
        [replace(EXAMPLE, leads_gone=(LeadingDigits("12"),))],
        [replace(EXAMPLE, leads_gone=(LeadingDigits("1"),))],
        [replace(EXAMPLE, leads=(LeadingDigits("12"),))],
    ],
)
def test_deltas_that_do_not_fit_are_refused(deltas: list[Delta]) -> None:
    """A delta is for one version, follows the one before, and leaves a map of all numbers."""
    with pytest.raises(MapFormatError):
        Patch(BEFORE, deltas)


@given(st.binary(max_size=80))
def test_what_is_no_delta_is_refused(data: bytes) -> None:
    """Whatever comes, packed or not, it is a delta or MapFormatError."""
    body = zlib.decompress(EXAMPLE.encode())
    for given_bytes in (data, zlib.compress(data), zlib.compress(MAGIC + data), zlib.compress(body + b"\0" + data)):
        with pytest.raises(MapFormatError):
            Delta.decode(given_bytes)


@given(st.integers(4, len(zlib.decompress(EXAMPLE.encode())) - 1), st.integers(1, 255))
def test_a_changed_delta_is_another_one_or_none(place: int, flip: int) -> None:
    """A byte that is changed makes a delta that says something else, or MapFormatError."""
    body = bytearray(zlib.decompress(EXAMPLE.encode()))
    body[place] ^= flip
    try:
        found = Delta.decode(zlib.compress(bytes(body)))
    except MapFormatError:
        return
    assert found != EXAMPLE


def test_a_delta_is_whole_and_not_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut off, goes on, or unpacks to more than it may, is refused."""
    data = EXAMPLE.encode()
    for wrong in (data[:-1], data + b"\0", zlib.compress(b"tnd\x02")):
        with pytest.raises(MapFormatError, match="another format, or too large"):
            Delta.decode(wrong)
    monkeypatch.setattr(module, "_LARGEST_UNPACKED", 100)
    with pytest.raises(MapFormatError, match="too large"):
        Delta.decode(data)


def test_a_version_follows_its_base() -> None:
    """A delta leads to a later version."""
    with pytest.raises(MapFormatError, match="contradicts itself"):
        Delta.decode(replace(EXAMPLE, version=1).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {11: [(12025550124, 1), (12025550123, 1)]},
        {11: [(12025550123, 1), (12025550123, 1)]},
        {11: [(2025550123, 1)]},
        {11: [(112025550123, 1)]},
    ],
)
def test_numbers_are_in_order_and_of_their_length(wrong: dict[int, list[tuple[int, int | None]]]) -> None:
    """A list that is out of order, or has a number of another length, is refused."""
    try:
        data = replace(EXAMPLE, changes=wrong).encode()
    except (ValueError, IndexError):  # a gap that would be negative cannot even be written
        return
    with pytest.raises(MapFormatError):
        Delta.decode(data)


def test_ten_thousand_changes_are_small() -> None:
    """Numbers that moved here and there in ten thousand million take some four bytes each."""
    moved = {TelephoneNumber(str(10**10 + 1_000_003 * place)): place % 6 for place in range(9999)}
    assert len(replace(EXAMPLE, changes=changes_of(moved)).encode()) < 4.5 * len(moved)
