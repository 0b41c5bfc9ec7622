"""Times in the database: whole microseconds since 1970 in UTC, which compare and sort alike everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@overload
def to_column(time: datetime) -> int: ...
@overload
def to_column(time: None) -> None: ...
@overload
def to_column(time: datetime | None) -> int | None: ...
def to_column(time: datetime | None) -> int | None:
    """Return what is stored for an aware time."""
    return None if time is None else (time - _EPOCH) // _MICROSECOND


@overload
def from_column(value: int) -> datetime: ...
@overload
def from_column(value: None) -> None: ...
@overload
def from_column(value: int | None) -> datetime | None: ...
def from_column(value: int | None) -> datetime | None:
    """Return the aware time, in UTC, that was stored."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)
