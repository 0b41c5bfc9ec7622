"""What hypothesis makes of a map's parts: numbers that lie close together, far apart, and of several lengths."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from hypothesis import strategies as st

from number_directory.routing.chunk import LARGEST_CHUNK, Change, Routes
from number_directory.routing.manifest import ChunkEntry, Manifest
from number_directory.routing.services import ResolutionService
from stir.telephone_number import NumberPrefix, TelephoneNumber

SERVICES = {
    number: ResolutionService(f"rs-{number}.example", "Operator", f"https://rs-{number}.example") for number in range(6)
}

numbers = st.one_of(
    st.from_regex(r"\A1202555[0-9]{4}\Z"),
    st.from_regex(r"\A44[0-9]{6,10}\Z"),
    st.from_regex(r"\A[1-9][0-9]{6,14}\Z"),
).map(TelephoneNumber)
prefixes = st.one_of(st.from_regex(r"\A12[0-9]{0,3}\Z"), st.from_regex(r"\A[1-9][0-9]{0,14}\Z")).map(NumberPrefix)
services = st.sampled_from(sorted(SERVICES))

Listed = Mapping[TelephoneNumber, int]
listed = st.dictionaries(numbers, services, max_size=30)
rules = st.dictionaries(prefixes, services, max_size=12)


def by_rule(rules_: Mapping[NumberPrefix, int], number: TelephoneNumber) -> int | None:
    """Return what the longest prefix says, found the slow way."""
    covering = [prefix for prefix in rules_ if prefix.covers(number)]
    return rules_[max(covering, key=lambda prefix: len(prefix.digits))] if covering else None


def changes_of(found: Mapping[TelephoneNumber, int | None]) -> dict[int, list[Change]]:
    """Return changes as a delta has them."""
    sorted_: dict[int, list[Change]] = {}
    for number in sorted(found, key=lambda number: int(number.digits)):
        sorted_.setdefault(len(number.digits), []).append((int(number.digits), found[number]))
    return sorted_


def manifest_of(chunks: Mapping[ChunkEntry, bytes], version: int = 1) -> Manifest:
    """Return the manifest of a version with these chunks."""
    assert all(sha256(data).hexdigest() == entry.hash for entry, data in chunks.items())
    assert all(entry.size <= LARGEST_CHUNK for entry in chunks)
    return Manifest(version, 1_800_000_000, SERVICES, tuple(chunks))


def find(routes: Mapping[ChunkEntry, bytes], number: TelephoneNumber) -> Routes:
    """Return the chunk of a number."""
    entry = next(entry for entry in routes if NumberPrefix(entry.lead.digits).covers(number))
    return Routes.decode(routes[entry])
