"""Clocks that move when they are told to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
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


@dataclass
class SetClock:
    """Shows the same seconds until it is set. It begins now: The Update Framework looks at the real time."""

    now: float = field(default_factory=lambda: float(int(time.time())))

    def __call__(self) -> float:
        """Return the time."""
        return self.now
