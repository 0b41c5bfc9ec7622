"""What can happen to a number: it goes to another provider, or to somebody else, or to nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from stir.telephone_number import TelephoneNumber


class EventKind(StrEnum):
    """What happened to a number."""

    PORTED = "ported"
    REASSIGNED = "reassigned"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True, slots=True)
class NumberEvent:
    """Something that happened to a number, and when."""

    number: TelephoneNumber
    kind: EventKind
    at: datetime
