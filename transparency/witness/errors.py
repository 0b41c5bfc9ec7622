"""How a witness says no.

ServingError                  of all that serves (serving.errors)
├── WitnessError
│   ├── Refusal               a checkpoint that is not cosigned, for a reason that the feeder is told
│   └── StateError            the memory of what was cosigned is lost, another witness's, or cannot be used now
├── ConfigurationError        settings or an address that the operator must mend
└── KeyStoreError             a key cannot be opened or made
"""

from __future__ import annotations

from enum import StrEnum

from serving.errors import ConfigurationError, KeyStoreError, ServingError

__all__ = [
    "ConfigurationError",
    "KeyStoreError",
    "Refusal",
    "RefusalKind",
    "StateError",
    "WitnessError",
]


class WitnessError(ServingError):
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


class StateError(WitnessError):
    """The memory of what was cosigned cannot be used: going on without it could cosign two histories."""
