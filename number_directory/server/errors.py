"""How a directory says no.

ServingError                  of all that serves (serving.errors)
├── DirectoryServerError
│   ├── ImportFailure         a file of statements that cannot be imported
│   ├── EventsFailure         a feed of number events that cannot be read
│   └── HistoryError          the database and the published checkpoint contradict each other: a person must look
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
    "DirectoryServerError",
    "EventsFailure",
    "HistoryError",
    "ImportFailure",
    "KeyStoreError",
    "Refusal",
    "RefusalKind",
    "ServingError",
    "StorageError",
]


class DirectoryServerError(ServingError):
    """The base of the directory's own errors."""


class RefusalKind(StrEnum):
    """Why a request is refused. `number_directory.server.web.problems` alone maps these to problem documents."""

    CERTIFICATE_ENDED = "certificateEnded"
    CONFLICT = "conflict"
    DIRECTORY_BUSY = "directoryBusy"
    MALFORMED = "malformed"
    METHOD_NOT_ALLOWED = "methodNotAllowed"
    MOVED = "moved"
    NOT_ADMITTED = "notAdmitted"
    NOT_FOUND = "notFound"
    NOT_FRESH = "notFresh"
    OUTDATED = "outdated"
    QUOTA_EXCEEDED = "quotaExceeded"
    REPLAYED = "replayed"
    REQUEST_TOO_LARGE = "requestTooLarge"
    SERVER_INTERNAL = "serverInternal"
    TOO_MANY_APPS = "tooManyApps"
    TOO_MANY_GRANTS = "tooManyGrants"
    UNAUTHORIZED = "unauthorized"
    UNSUPPORTED_MEDIA_TYPE = "unsupportedMediaType"
    WRONG_AUDIENCE = "wrongAudience"
    WRONG_SIGNATURE = "wrongSignature"


class ImportFailure(DirectoryServerError):
    """A file of statements cannot be read, or its importing was stopped."""


class EventsFailure(DirectoryServerError):
    """A feed of number events cannot be read; the message names the file and the line."""


class HistoryError(DirectoryServerError):
    """The database and the published checkpoint do not tell one history. To go on could show two trees of one size."""
