"""How this room says no.

ServingError                  of all that serves (serving.errors)
├── CaServerError
│   ├── SmsError              a gateway did not take a message
│   │   ├── SmsRejected       and never will
│   │   ├── SmsUnavailable    but may later
│   │   └── SmsUncertain      or did: nobody knows
│   └── LintError             what was signed is not what was meant; it must not leave the house
├── Refusal                   a request that is refused, for a reason that the client is told
├── ConfigurationError        settings that the operator must mend
├── KeyStoreError             a key cannot be opened, made or used
└── StorageError              the database cannot be used as it is
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from serving.errors import ConfigurationError, KeyStoreError, Refusal, ServingError, StorageError

__all__ = [
    "CaServerError",
    "ConfigurationError",
    "KeyStoreError",
    "LintError",
    "Refusal",
    "RefusalKind",
    "SmsError",
    "SmsRejected",
    "SmsUnavailable",
    "SmsUncertain",
    "StorageError",
]


class CaServerError(ServingError):
    """The base of this room's errors."""


class RefusalKind(StrEnum):
    """Why a request is refused. `ca_server.web.problems` alone maps these to ACME problem documents."""

    ACCOUNT_DEACTIVATED = "accountDeactivated"
    ACCOUNT_DOES_NOT_EXIST = "accountDoesNotExist"
    ALREADY_REVOKED = "alreadyRevoked"
    BAD_CSR = "badCSR"
    BAD_NONCE = "badNonce"
    BAD_PUBLIC_KEY = "badPublicKey"
    BAD_REVOCATION_REASON = "badRevocationReason"
    BAD_SIGNATURE_ALGORITHM = "badSignatureAlgorithm"
    CONFLICT = "conflict"
    INCORRECT_RESPONSE = "incorrectResponse"
    INVALID_CONTACT = "invalidContact"
    MALFORMED = "malformed"
    METHOD_NOT_ALLOWED = "methodNotAllowed"
    NOT_FOUND = "notFound"
    ORDER_NOT_READY = "orderNotReady"
    RATE_LIMITED = "rateLimited"
    REJECTED_IDENTIFIER = "rejectedIdentifier"
    REQUEST_TOO_LARGE = "requestTooLarge"
    SERVER_INTERNAL = "serverInternal"
    SMS_NOT_DELIVERED = "smsNotDelivered"
    UNAUTHORIZED = "unauthorized"
    UNSUPPORTED_CONTACT = "unsupportedContact"
    UNSUPPORTED_IDENTIFIER = "unsupportedIdentifier"
    UNSUPPORTED_MEDIA_TYPE = "unsupportedMediaType"
    USER_ACTION_REQUIRED = "userActionRequired"


class SmsError(CaServerError):
    """A gateway did not take a message. The text never holds the number or the code."""


class SmsRejected(SmsError):
    """The gateway will not take this message, now or later."""


class SmsUnavailable(SmsError):
    """The gateway cannot take the message now. `retry_after` says when to try again, where the gateway said so."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        """Remember when to try again."""
        super().__init__(message)
        self.retry_after = retry_after


class SmsUncertain(SmsError):
    """The gateway may have taken the message: it was handed over, and no answer came. A repeat is one more send."""


class LintError(CaServerError):
    """A signed certificate or list is not what was meant, and is not released."""
