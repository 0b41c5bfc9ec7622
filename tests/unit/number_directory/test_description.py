from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from number_directory.description import LARGEST_DESCRIPTION, DirectoryDescription, Limits
from number_directory.errors import DescriptionError
from tests.fakes.directory_statements import dumps
from tests.fakes.record_log import DIRECTORY
from tests.unit.number_directory.strategies import json_values, urls

HIDDEN = replace(DIRECTORY, hidden_key=bytes(range(32)))
DOCUMENT = json.loads(HIDDEN.to_json())


@given(urls, st.none() | st.binary(min_size=32, max_size=32), st.integers(1, 100), st.integers(1, 32))
def test_a_description_survives_its_file(url: str, hidden_key: bytes | None, numbers: int, apps: int) -> None:
    """What is handed out is read back, and is the same bytes each time."""
    described = replace(DIRECTORY, url=url, hidden_key=hidden_key, limits=Limits(numbers, apps))
    assert DirectoryDescription.from_json(described.to_json()) == described
    assert DirectoryDescription.from_json(described.to_json()).to_json() == described.to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": " Example"},
        {"operator": "a" * 101},
        {"operator": "\x1b[2J"},
        {"url": "https://rs.example/"},
        {"hidden_key": b"short"},
    ],
)
def test_a_description_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """A value of DirectoryDescription is one that can be handed out."""
    with pytest.raises(DescriptionError):
        replace(DIRECTORY, **change)


@pytest.mark.parametrize("limits", [(0, 1, 1, 0), (101, 1, 1, 0), (1, 33, 1, 0), (1, 1, 0, 0), (1, 1, 1, -1)])
def test_limits_are_within_those_of_the_formats(limits: tuple[int, int, int, int]) -> None:
    """A program may rely on them."""
    with pytest.raises(DescriptionError):
        Limits(*limits)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"more": 1},
        {"record_log": "x"},
        {"hidden_key": "AA"},
        {"hidden_key": DOCUMENT["hidden_key"][:-2] + "9="},
        {"hidden_key": "é"},
        {"limits": {"numbers": 1}},
        {"limits": DOCUMENT["limits"] | {"apps": 0}},
        {"\x1b": 1},
    ],
)
def test_a_file_outside_the_format_is_refused(change: dict[str, object]) -> None:
    """Unknown members are refused: they may be what matters."""
    with pytest.raises(DescriptionError) as caught:
        DirectoryDescription.from_json(dumps(DOCUMENT | change))
    assert str(caught.value).isprintable()


@given(st.binary())
@example(b" " * (LARGEST_DESCRIPTION + 1))
def test_any_bytes_give_this_rooms_error(data: bytes) -> None:
    """No file makes the reader raise anything else."""
    with pytest.raises(DescriptionError):
        DirectoryDescription.from_json(data)


@given(st.dictionaries(st.sampled_from([*DOCUMENT, "x"]), json_values, max_size=3))
def test_any_members_give_a_description_or_this_rooms_error(change: dict[str, object]) -> None:
    """Whatever stands in a member, it is read or refused."""
    with contextlib.suppress(DescriptionError):
        assert DirectoryDescription.from_json(dumps(DOCUMENT | change))
