"""Columns of unsigned integers, little-endian in files and as the machine has them in memory.

A column is moved, widened and narrowed as a whole: a map of ten million numbers is rewritten in a second.
"""

from __future__ import annotations

import sys
from array import array
from typing import Final

U16: Final = "H"
U32: Final = "I"
U64: Final = "Q"

SWAPPED: bool = sys.byteorder == "big"
"""Whether this machine's integers are the other way round than those in files."""


def to_file(column: array[int]) -> bytes:
    """Return a column as files hold it."""
    if SWAPPED:
        column = column[:]
        column.byteswap()
    return column.tobytes()


def from_file(data: bytes | memoryview, code: str) -> array[int]:
    """Return a copy of a column that a file holds."""
    column = array(code)
    column.frombytes(data)
    if SWAPPED:
        column.byteswap()
    return column


def view(data: memoryview, code: str) -> memoryview | array[int]:
    """Return a column that a file holds, without copying it where this machine's integers are the file's."""
    return from_file(data, code) if SWAPPED else data.cast(code)  # type: ignore[call-overload]  # code is one of ours


def low_halves(values: array[int]) -> bytes:
    """Return the lowest 16 bits of each value of a U64 column, as a file holds them."""
    return memoryview(to_file(values)).cast(U16)[::4].tobytes()


def with_low_halves(high: bytes, low: bytes) -> array[int]:
    """Return a U64 column: `high` as a file holds it, but for the lowest 16 bits of each value, which `low` holds."""
    cells = bytearray(high)
    memoryview(cells).cast(U16)[::4] = memoryview(low).cast(U16)
    return from_file(bytes(cells), U64)


def translated(indices: bytes, table: array[int]) -> array[int]:
    """Return a U16 column: the table's value for each index, which is one byte and below the table's length."""
    low, high = bytearray(256), bytearray(256)
    for index, value in enumerate(table):
        high[index], low[index] = divmod(value, 256)
    cells = bytearray(2 * len(indices))
    cells[::2] = indices.translate(low)
    cells[1::2] = indices.translate(high)
    return from_file(bytes(cells), U16)
