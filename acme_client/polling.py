"""Waiting for an authority: as long as it asks, otherwise a little longer each time, and never beyond a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from acme_client.errors import TookTooLong

FIRST_WAIT = timedelta(seconds=0.1)
LONGEST_WAIT = timedelta(seconds=5)
_LONGEST_RETRY_AFTER = 10**9
"""Seconds: more than that is no wait but a refusal, and may not overflow the calendar."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time and the art of letting it pass, so that tests can do both at once. `now` is aware."""

    now: Callable[[], datetime] = _utc_now
    sleep: Callable[[float], None] = _sleep


SYSTEM_CLOCK = Clock()


@dataclass(slots=True)
class Patience:
    """The waits between looks at one thing: 0.1 s, then twice as long each time up to 5 s, or what Retry-After says.

    `until` is when patience ends: aware, in the clock's time.
    """

    clock: Clock
    until: datetime
    _wait: timedelta = field(default=FIRST_WAIT, init=False)

    def wait(self, headers: Mapping[str, str], waiting_for: str) -> None:
        """Sleep until the next look; raise TookTooLong where that would be after the deadline.

        `headers` are those of the last answer, in which Retry-After counts (RFC 8555 §7.4, RFC 9110 §10.2.3).
        """
        now = self.clock.now()
        asked = retry_after(headers, now)
        pause = max(asked or timedelta(0), self._wait if asked is None else FIRST_WAIT)
        if now + pause > self.until:
            msg = f"the authority is still busy with {waiting_for}: run the command again later to go on from here"
            raise TookTooLong(msg)
        self.clock.sleep(pause.total_seconds())
        self._wait = min(self._wait * 2, LONGEST_WAIT)


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Return how long an answer asks to wait, in seconds or until a date (RFC 9110 §10.2.3); None where it does not."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:12]), _LONGEST_RETRY_AFTER))
    date = http_date(text)
    return None if date is None else max(date - now, timedelta(0))


def http_date(text: str) -> datetime | None:
    """Read an HTTP date (RFC 9110 §5.6.7); None for anything else."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
