"""How a witness says no.

WitnessError
├── Refusal               a checkpoint that is not cosigned, for a reason that the feeder is told
├── ConfigurationError    settings, a key or an address that the operator must mend
└── StateError            the memory of what was cosigned is lost, another witness's, or cannot be used now
"""

from __future__ import annotations

from enum import StrEnum


class WitnessError(Exception):
    """The base of a witness's errors."""


class RefusalKind(StrEnum):
    """Why a checkpoint is not cosigned. `transparency.witness.app` alone maps these to HTTP statuses."""

    MALFORMED = "malformed"
    UNKNOWN_LOG = "unknown-log"
    NOT_SIGNED = "not-signed"
    OTHER_SIZE = "other-size"
    FORK = "fork"
    UNPROVEN = "unproven"
    CLOCK = "clock"


class Refusal(WitnessError):
    """A checkpoint that is not cosigned; `size` is that of the last one that was, where the feeder began elsewhere."""

    def __init__(self, kind: RefusalKind, detail: str, *, size: int | None = None) -> None:
        """Remember why."""
        super().__init__(detail)
        self.kind = kind
        self.size = size

    @property
    def is_evidence(self) -> bool:
        """Whether the log signed something that does not fit what it signed before."""
        return self.kind in {RefusalKind.FORK, RefusalKind.UNPROVEN}


class ConfigurationError(WitnessError):
    """Settings, a key or an address that the operator must mend; the message says how."""


class StateError(WitnessError):
    """The memory of what was cosigned cannot be used: going on without it could cosign two histories."""
