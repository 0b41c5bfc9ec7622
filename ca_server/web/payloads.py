"""What clients may say in the payload of each request (RFC 8555 §7). Unknown members are ignored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from ca_server.errors import Refusal, RefusalKind

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)",
    re.ASCII,
)


class NewAccount(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of newAccount (RFC 8555 §7.3)."""

    contact: tuple[str, ...] | None = None
    terms_of_service_agreed: bool | None = None
    only_return_existing: bool | None = None


class AccountUpdate(msgspec.Struct, frozen=True):
    """The payload of an account update (RFC 8555 §7.3.2, §7.3.6)."""

    contact: tuple[str, ...] | None = None
    status: str | None = None


class KeyChange(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of keyChange's inner JWS (RFC 8555 §7.3.5)."""

    account: str
    old_key: dict[str, Any]


class Identifier(msgspec.Struct, frozen=True):
    """What a certificate is asked for (RFC 8555 §7.1.4)."""

    type: str
    value: str


class NewOrder(msgspec.Struct, frozen=True, rename="camel"):
    """The payload of newOrder (RFC 8555 §7.4)."""

    identifiers: tuple[Identifier, ...]
    not_before: str | None = None
    not_after: str | None = None


class Finalize(msgspec.Struct, frozen=True):
    """The payload of finalize (RFC 8555 §7.4)."""

    csr: str


class Deactivation(msgspec.Struct, frozen=True):
    """The payload that deactivates an authorization (RFC 8555 §7.5.2)."""

    status: Literal["deactivated"]


class ChallengeResponse(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of an SMS challenge: empty to ask for an SMS, a digest to answer (docs/reference/challenges.md).

    A digest of null is neither: it is an answer whose digest went missing, and must not cost an SMS.
    """

    digest: str | msgspec.UnsetType = msgspec.UNSET


class Revocation(msgspec.Struct, frozen=True):
    """The payload of revokeCert (RFC 8555 §7.6)."""

    certificate: str
    reason: int | None = None


def read_time(text: str | None, what: str) -> datetime | None:
    """Return an RFC 3339 time in UTC; refuse other forms as malformed."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.upper() if _RFC3339.fullmatch(text) else "").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(RefusalKind.MALFORMED, f"{what} is not a time such as 2030-01-31T12:00:00Z") from error
