"""How this room says what went wrong, and what to do about it.

AcmeClientError
├── AddressError           no address of an authority, or one that would send secrets in the clear
├── Unreachable            the authority did not answer
├── Misbehaved             the authority answered outside the protocol
│   └── NotAsOrdered       its certificate is not the one that was ordered
├── Refused                the authority refused, with an ACME problem
│   └── RateLimited        for now; it says when to come back
├── TermsNotAgreed         the authority's terms of service were not agreed to
├── EnrolmentError         the number was not proved
│   ├── NotProved          no tries or messages are left, or the authority gave up
│   ├── CodeNotGiven       the source of codes gave none
│   ├── UnusableCode       what it gave can be no code; no try was spent on it
│   ├── SmsNotDelivered    the message did not reach the phone
│   └── ForeignCode        the message holds a code for another authority
├── TookTooLong            the authority is still at it after the time that was allowed
└── StoreError             the store of keys and certificates cannot be used
    ├── StoreBusy          another process is at work on the same thing
    └── NotHeld            what was asked for is not in the store

No message holds a code, a token, a key or a whole telephone number.
"""

from __future__ import annotations

from datetime import datetime


class AcmeClientError(Exception):
    """The base of this room's errors. The message is one line that says what to do."""


class AddressError(AcmeClientError):
    """A text that is no address of an authority, or one that would send secrets in the clear."""


class Unreachable(AcmeClientError):
    """The authority did not answer, or its TLS certificate is not believed."""


class Misbehaved(AcmeClientError):
    """The authority answered with something that the protocol does not allow."""


class NotAsOrdered(Misbehaved):
    """The certificate is not for the number, key or time that was ordered, or its chain does not hold."""


class Refused(AcmeClientError):
    """The authority refused a request with a problem document (RFC 8555 §6.7).

    `kind` is the problem's type: the last word of a registered one (`rejectedIdentifier`), otherwise the whole URI.
    `status` is the HTTP status where there was one.
    """

    def __init__(self, message: str, *, kind: str, status: int | None = None) -> None:
        """Remember the kind of problem."""
        super().__init__(message)
        self.kind = kind
        self.status = status


class RateLimited(Refused):
    """The authority refuses for now. `retry_at` is when it may agree, where it said so; aware, in this clock's time."""

    def __init__(self, message: str, *, kind: str, status: int | None = None, retry_at: datetime | None = None) -> None:
        """Remember when to come back."""
        super().__init__(message, kind=kind, status=status)
        self.retry_at = retry_at


class TermsNotAgreed(AcmeClientError):
    """An account needs agreement to the authority's terms of service, which stand at `url`."""

    def __init__(self, url: str) -> None:
        """Remember where the terms stand."""
        super().__init__(f"the authority asks for agreement to its terms of service: read {url} and agree to them")
        self.url = url


class EnrolmentError(AcmeClientError):
    """The number was not proved to the authority."""


class NotProved(EnrolmentError):
    """No tries or messages are left, or the authority gave the number up."""


class CodeNotGiven(EnrolmentError):
    """The source of codes gave no code. The order is kept, so that the next run goes on from there."""


class UnusableCode(EnrolmentError):
    """A text that can be no code of this challenge. It was not sent, so it cost no try."""


class SmsNotDelivered(EnrolmentError):
    """The authority says that its message did not reach the phone."""


class ForeignCode(EnrolmentError):
    """The message holds a code for another authority than the one that is being answered."""


class TookTooLong(AcmeClientError):
    """The authority was still at work when the time allowed was over. The order is kept."""


class StoreError(AcmeClientError):
    """The store of keys and certificates cannot be used as it is."""


class StoreBusy(StoreError):
    """Another process holds the lock."""


class NotHeld(StoreError):
    """The store holds no such account or certificate."""
