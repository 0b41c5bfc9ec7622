from __future__ import annotations

import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing import columns
from number_directory.routing.columns import (
    U16,
    U32,
    U64,
    from_file,
    low_halves,
    to_file,
    translated,
    view,
    with_low_halves,
)

values = st.lists(st.integers(0, 2**64 - 1), max_size=20)


@given(values)
def test_columns_are_little_endian_in_files(numbers: list[int]) -> None:
    """A column is written as its values, the lowest byte first, and read back."""
    column = array(U64, numbers)
    data = to_file(column)
    assert data == b"".join(number.to_bytes(8, "little") for number in numbers)
    assert from_file(data, U64) == column
    assert list(view(memoryview(data), U64)) == numbers


@given(values)
def test_values_are_cut_and_put_together(numbers: list[int]) -> None:
    """The lowest 16 bits of each value can be taken away, and put in again."""
    column = array(U64, numbers)
    low = low_halves(column)
    assert list(from_file(low, U16)) == [number & 0xFFFF for number in numbers]
    high = to_file(array(U64, [number & ~0xFFFF for number in numbers]))
    assert with_low_halves(high, low) == column


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=256), st.data())
def test_indices_are_translated(table: list[int], data: st.DataObject) -> None:
    """Each index becomes the table's value."""
    indices = bytes(data.draw(st.lists(st.integers(0, len(table) - 1), max_size=20)))
    assert list(translated(indices, array(U16, table))) == [table[index] for index in indices]


def test_a_machine_whose_integers_are_the_other_way_round_writes_the_same_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such a machine swaps the bytes on the way in and out, and copies what it would else only look at."""
    assert (sys.byteorder == "big") == columns.SWAPPED
    here = array(U32, [1, 0x01020304])
    monkeypatch.setattr(columns, "SWAPPED", not columns.SWAPPED)
    there = array(U32, here)
    there.byteswap()
    data = there.tobytes()
    assert to_file(here) == data
    assert from_file(data, U32) == here
    assert view(memoryview(data), U32) == here
    assert here[0] == 1
