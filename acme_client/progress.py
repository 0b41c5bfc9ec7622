"""What an enrolment is doing, for whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Step(StrEnum):
    """The steps of an enrolment, in the order in which they come. `RESUMING` stands in for `ORDERING`."""

    CONNECTING = "connecting"
    REGISTERING = "registering"
    ORDERING = "ordering"
    RESUMING = "resuming"
    ASKING = "asking"
    SENDING = "sending"
    WAITING_TO_RESEND = "waiting-to-resend"
    ANSWERING = "answering"
    FINALIZING = "finalizing"
    FETCHING = "fetching"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """One step begun at one authority. `text` says it in words; `wait` is how long it lasts, where that is known."""

    step: Step
    authority: str
    text: str
    wait: timedelta | None = None


Watcher = Callable[[Progress], None]
"""Is called as each step begins. What it raises ends the enrolment; the order is kept."""


def unwatched(_: Progress) -> None:
    """Watch nothing."""
