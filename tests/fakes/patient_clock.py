"""A clock for tests of waiting: to sleep is to move its hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from acme_client.polling import Clock


class PatientClock:
    """Shows a time that passes only when somebody sleeps; `on_sleep` is what happens meanwhile."""

    def __init__(self, now: datetime = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)) -> None:
        """Start at a time."""
        self.time = now
        self.slept: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    @property
    def clock(self) -> Clock:
        """The clock, as the client takes it."""
        return Clock(now=self.now, sleep=self.sleep)

    def now(self) -> datetime:
        """Return the time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Move the hand."""
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        self.on_sleep()
