"""What clients may say in the payload of each request (RFC 8555 §7). Unknown members are ignored."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from ca_server.errors import Refusal, RefusalKind

_MOST_CONTACTS = 10
_LONGEST_CONTACT = 320
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_MAILTO = re.compile(
    r"mailto:(?:[A-Za-z0-9.!#$&'*+/=^_`{|}~-]|%[0-9A-Fa-f]{2}){1,190}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{2,63}",
    re.ASCII | re.IGNORECASE,
)
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
    """The payload of an SMS challenge: empty to ask for an SMS, a digest to answer (docs/reference/challenges.md)."""

    digest: str | None = None


class Revocation(msgspec.Struct, frozen=True):
    """The payload of revokeCert (RFC 8555 §7.6)."""

    certificate: str
    reason: int | None = None


def read_contacts(contacts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the contacts; each must be a mailto URL of one address without header fields (RFC 8555 §7.3)."""
    if len(contacts) > _MOST_CONTACTS:
        raise Refusal(RefusalKind.INVALID_CONTACT, f"an account has at most {_MOST_CONTACTS} contacts")
    for contact in contacts:
        if not contact.lower().startswith("mailto:") and _SCHEME.match(contact):
            raise Refusal(RefusalKind.UNSUPPORTED_CONTACT, "a contact is a mailto: URL; no other scheme is used here")
        if len(contact) > _LONGEST_CONTACT or not _MAILTO.fullmatch(contact):
            detail = "a contact is mailto: and one e-mail address, without header fields"
            raise Refusal(RefusalKind.INVALID_CONTACT, detail)
    return contacts


def read_time(text: str | None, what: str) -> datetime | None:
    """Return an RFC 3339 time in UTC; refuse other forms as malformed."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text.upper() if _RFC3339.fullmatch(text) else "").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(RefusalKind.MALFORMED, f"{what} is not a time such as 2030-01-31T12:00:00Z") from error
