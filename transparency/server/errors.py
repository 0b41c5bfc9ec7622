"""How a log server says no.

ServingError                  of all that serves (serving.errors)
├── LogServerError
│   ├── PublishingError       the log's files cannot be written or read now
│   └── HistoryError          what is kept and what was published contradict each other: a person must look
│       └── OvertakenError    another sequencer has moved the tree: this one must end
├── Refusal                   a request that is refused, for a reason that the client is told
├── ConfigurationError        settings that the operator must mend
├── KeyStoreError             a key cannot be opened, made or used
└── StorageError              the database cannot be used as it is
"""

from __future__ import annotations

from enum import StrEnum

from serving.errors import ConfigurationError, KeyStoreError, Refusal, ServingError, StorageError

__all__ = [
    "ConfigurationError",
    "HistoryError",
    "KeyStoreError",
    "LogServerError",
    "OvertakenError",
    "PublishingError",
    "Refusal",
    "RefusalKind",
    "StorageError",
]


class LogServerError(ServingError):
    """The base of the log server's errors."""


class RefusalKind(StrEnum):
    """Why a request is refused. `transparency.server.web.problems` alone maps these to problem documents."""

    CERTIFICATE_EXPIRED = "certificateExpired"
    ISSUER_NOT_ADMITTED = "issuerNotAdmitted"
    LOG_BUSY = "logBusy"
    MALFORMED = "malformed"
    METHOD_NOT_ALLOWED = "methodNotAllowed"
    NOT_FOUND = "notFound"
    OUTSIDE_PROFILE = "outsideProfile"
    OUTSIDE_SHARD = "outsideShard"
    REQUEST_TOO_LARGE = "requestTooLarge"
    SERVER_INTERNAL = "serverInternal"
    UNAUTHORIZED = "unauthorized"


class PublishingError(LogServerError):
    """The log's files cannot be written or read now; nothing was promised, and a later try may succeed."""


class HistoryError(LogServerError):
    """The database and the published files do not tell one history. Going on could show two trees of one size."""


class OvertakenError(HistoryError):
    """Another sequencer has moved the tree on: only one may work at a time, and this one is not it."""
