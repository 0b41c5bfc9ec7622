"""A clock that moves when it is told to."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.fakes.authority import NOW


class HandClock:
    """Shows the same time until its hand is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        """Start at a moment."""
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def advance(self, **duration: float) -> None:
        """Move on by `seconds=…`, `minutes=…` and so on."""
        self.now += timedelta(**duration)
