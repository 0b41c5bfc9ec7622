from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing import building
from number_directory.routing.building import MapBuilder
from number_directory.routing.entries import Entry
from number_directory.routing.errors import BuildError
from number_directory.routing.leading_digits import require_partition
from stir.telephone_number import NumberPrefix, TelephoneNumber
from tests.unit.number_directory.routing.strategies import Listed, find, listed, rules

DEFAULTS = {"rs-5.example": 5}


def entries_of(given_rules: dict[NumberPrefix, int], given_numbers: Listed) -> list[Entry]:
    """Return what a file would say."""
    return [*given_rules.items(), *((int(number.digits), service) for number, service in given_numbers.items())]


@given(rules, listed, st.randoms(use_true_random=False), st.integers(1, 10))
def test_entries_in_any_order_make_the_same_map(
    tmp_path_factory: pytest.TempPathFactory,
    given_rules: dict[NumberPrefix, int],
    given_numbers: Listed,
    random: object,
    run_size: int,
) -> None:
    """Whatever the order, the repetitions, and how many are sorted at once, the same chunks come out."""
    entries = entries_of(given_rules, given_numbers)
    builder = MapBuilder(tmp_path_factory.mktemp("one"), DEFAULTS)
    builder.add(entries)
    chunks = dict(builder.chunks())
    shuffled = [*entries, *entries[:5]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = MapBuilder(tmp_path_factory.mktemp("other"), DEFAULTS, run_size)
    other.add(shuffled)
    assert dict(other.chunks()) == chunks
    for number, service in given_numbers.items():
        found = find(chunks, number).numbers[len(number.digits)]
        assert dict(zip(found.values, found.services, strict=True))[int(number.digits)] == service


def test_chunks_are_cut_where_they_would_be_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No chunk is larger than the limit; what is too large is cut by one more digit."""
    monkeypatch.setattr(building, "LARGEST_CHUNK", 400)
    builder = MapBuilder(tmp_path, DEFAULTS)
    numbers = {12_025_550_000 + 7 * place: place % 3 for place in range(500)}
    builder.add((value, service) for value, service in numbers.items())
    chunks = dict(builder.chunks())
    leads = [entry.lead for entry in chunks]
    require_partition(leads)
    assert max(entry.size for entry in chunks) <= 400
    assert max(len(lead.digits) for lead in leads) >= 9
    assert sum(len(find(chunks, TelephoneNumber(str(value)))) > 0 for value in numbers) == len(numbers)


def test_many_prefixes_cut_chunks_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk that is too large for its segments is cut as well."""
    monkeypatch.setattr(building, "LARGEST_CHUNK", 300)
    builder = MapBuilder(tmp_path, DEFAULTS)
    builder.add((NumberPrefix(f"1{place:03}"), place % 2) for place in range(1000))
    chunks = dict(builder.chunks())
    assert max(entry.size for entry in chunks) <= 300


def test_a_number_of_two_services_is_refused_masked(tmp_path: Path) -> None:
    """Two lines that contradict one another are an error, whose number is masked."""
    builder = MapBuilder(tmp_path, DEFAULTS, run_size=1)
    builder.add([(12025550123, 1), (12025550123, 2)])
    with pytest.raises(BuildError, match=r"\+120\*\*\*\*\*\*23 is given to two services"):
        list(builder.chunks())


def test_a_prefix_of_two_services_is_refused(tmp_path: Path) -> None:
    """A prefix may be said twice, but not with two services."""
    builder = MapBuilder(tmp_path, DEFAULTS)
    builder.add([(NumberPrefix("1202"), 1), (NumberPrefix("1202"), 1)])
    with pytest.raises(BuildError, match=r"prefix \+1202 is given to two"):
        builder.add([(NumberPrefix("1202"), 2)])


def test_a_map_is_built_of_what_is_there(tmp_path: Path) -> None:
    """An entry that takes a number away has no place where all is built anew."""
    with pytest.raises(BuildError, match="what goes is for changes"):
        MapBuilder(tmp_path, DEFAULTS).add([(12025550123, None)])
