"""Times in the database: whole microseconds since 1970 in UTC, which compare and sort alike everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_column(time: datetime) -> int:
    """Return what is stored for an aware time."""
    return (time - _EPOCH) // _MICROSECOND


def from_column(value: int) -> datetime:
    """Return the aware time, in UTC, that was stored."""
    return _EPOCH + value * _MICROSECOND
