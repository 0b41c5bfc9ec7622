"""How a program that serves says no.

ServingError              the base of this room's errors, and of those of every program that stands on it
├── Refusal               a request that is refused, for a reason that the client is told
├── ConfigurationError    settings that the operator must mend
├── KeyStoreError         a key cannot be opened, made or used
└── StorageError          the database cannot be used as it is
    └── Conflict          a row that must be the only one of its kind is there already

Each program's own base derives from ServingError, so that whoever runs programs catches one. The messages are for their
operator, and hold neither secrets nor rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any


class ServingError(Exception):
    """The base of the errors of all that serves."""


class CommonKind(StrEnum):
    """Why any program refuses a request.

    A program has a StrEnum of its own with all that it refuses for, these values among them: equal values are equal.
    """

    MALFORMED = "malformed"
    METHOD_NOT_ALLOWED = "methodNotAllowed"
    NOT_FOUND = "notFound"
    REQUEST_TOO_LARGE = "requestTooLarge"
    SERVER_INTERNAL = "serverInternal"
    UNAUTHORIZED = "unauthorized"


class Refusal(ServingError):
    """A request that is refused.

    `detail` is a sentence that says what to do, `retry_after` the wait after which the same request may succeed,
    `location` the URL of what already exists, where that is the reason, and `members` is what else the problem document
    tells. None of them holds a secret.
    """

    def __init__(
        self,
        kind: StrEnum,
        detail: str,
        *,
        retry_after: timedelta | None = None,
        location: str | None = None,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        """Remember why."""
        super().__init__(f"{kind.value}: {detail}")
        self.kind = kind
        self.detail = detail
        self.retry_after = retry_after
        self.location = location
        self.members = dict(members or {})


class ConfigurationError(ServingError):
    """Settings that the operator must mend; the message names the file, the key and the allowed values."""


class KeyStoreError(ServingError):
    """A key cannot be opened, made or used."""


class StorageError(ServingError):
    """The database cannot be used as it is."""


class Conflict(StorageError):
    """A row that must be the only one of its kind is there already."""
