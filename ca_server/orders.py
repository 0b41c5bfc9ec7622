"""What the authority keeps: accounts, orders, authorizations, challenges, messages, certificates (RFC 8555 §7.1).

All values are frozen and all times are aware, in UTC. A status is never kept: it follows from what happened and from
the time, so that no two columns can contradict each other (RFC 8555 §7.1.6 draws the states).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ca_server.errors import RefusalKind
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod


class Status(StrEnum):
    """The states of RFC 8555 §7.1.6; each object uses those that the RFC gives it."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ChallengeType(StrEnum):
    """The ways in which a number can be proved (docs/reference/challenges.md)."""

    SMS_REPLY = "sms-reply-00"
    SMS_CODE = "sms-code-00"


class Delivery(StrEnum):
    """How far an SMS has come."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a challenge or an order failed, kept for the client to read."""

    kind: RefusalKind
    detail: str


@dataclass(frozen=True, slots=True)
class Account:
    """An ACME account. `jwk` is the canonical JSON of its public key, `thumbprint` that key's SHA-256 (RFC 7638)."""

    id: str
    jwk: str
    thumbprint: bytes
    contacts: tuple[str, ...]
    terms_agreed: bool
    created_at: datetime
    deactivated_at: datetime | None = None

    @property
    def status(self) -> Status:
        """Valid, or deactivated by its owner."""
        return Status.VALID if self.deactivated_at is None else Status.DEACTIVATED


@dataclass(frozen=True, slots=True)
class SmsMessage:
    """One SMS of one ask, over one route. Its text is not part of the value: only the worker sees it."""

    id: str
    challenge_id: str
    ask: int
    route: int
    delivery: Delivery
    transmissions: int
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A way to prove the number of one authorization, and how far the client has come with it.

    `token` is part 2. `asks` counts the SMS that the client asked for, `sends_used` those and every repeat, so that a
    message which a killed worker may have sent twice counts twice. `answerable_until` is the end of the youngest code's
    life; None before the first ask. `messages` are those of the latest ask, one for each route. `validation` is how the
    number was proved, once it was.
    """

    id: str
    authorization_id: str
    type: ChallengeType
    token: str
    attempts_allowed: int
    attempts_used: int
    sends_allowed: int
    sends_used: int
    next_send_at: datetime | None
    answerable_until: datetime | None
    validated_at: datetime | None
    failed_at: datetime | None
    error: Problem | None
    messages: tuple[SmsMessage, ...] = ()
    asks: int = 0
    validation: ValidationMethod | None = None

    @property
    def status(self) -> Status:
        """Pending until asked, processing until answered, then valid or invalid (RFC 8555 §7.1.6)."""
        if self.validated_at is not None:
            return Status.VALID
        if self.failed_at is not None:
            return Status.INVALID
        return Status.PENDING if self.answerable_until is None else Status.PROCESSING

    @property
    def attempts_remaining(self) -> int:
        """How many more wrong answers are forgiven; never reset by a resend."""
        return max(0, self.attempts_allowed - self.attempts_used)

    @property
    def sends_remaining(self) -> int:
        """How many more messages may be asked for."""
        return max(0, self.sends_allowed - self.sends_used)

    @property
    def delivery(self) -> Delivery | None:
        """How far the latest ask has come: as far as its slowest message, failed if any of them failed."""
        if not self.messages:
            return None
        latest = max(message.ask for message in self.messages)
        reached = {message.delivery for message in self.messages if message.ask == latest}
        order = (Delivery.FAILED, Delivery.QUEUED, Delivery.SENT, Delivery.DELIVERED)
        return next(step for step in order if step in reached)


@dataclass(frozen=True, slots=True)
class Authorization:
    """An account's claim to a number, and the challenges that can prove it."""

    id: str
    account_id: str
    numbers: TnAuthList
    created_at: datetime
    expires_at: datetime
    deactivated_at: datetime | None
    revoked_at: datetime | None
    challenges: tuple[Challenge, ...]

    def status(self, now: datetime) -> Status:
        """Derive the state of RFC 8555 §7.1.6 at the time `now`."""
        if self.deactivated_at is not None:
            return Status.DEACTIVATED
        if self.revoked_at is not None:
            return Status.REVOKED
        proved = any(challenge.validated_at is not None for challenge in self.challenges)
        if not proved and any(challenge.failed_at is not None for challenge in self.challenges):
            return Status.INVALID
        if now >= self.expires_at:
            return Status.EXPIRED if proved else Status.INVALID
        return Status.VALID if proved else Status.PENDING

    @property
    def validated_by(self) -> Challenge | None:
        """The challenge that proved the number, once one has."""
        return next((challenge for challenge in self.challenges if challenge.validated_at is not None), None)


@dataclass(frozen=True, slots=True)
class Issuance:
    """What a certificate will say, fixed and kept before it is signed, so that signing can be done again after a crash.

    The serial, the times and the shard never change for one order: a repeated signature is over the same bytes.
    `sct_list` is the SignedCertificateTimestampList that the certificate carries: empty where policy asked for none,
    None while the logs have not given enough. Once fixed, it never changes either, and `logged_digest` tells what its
    timestamps are of.
    """

    serial: int
    csr: bytes = field(repr=False)  # spells the number
    not_before: datetime
    not_after: datetime
    shard: int
    validation: ValidationMethod
    reserved_at: datetime
    sct_list: bytes | None = b""
    logged_digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Order:
    """A request for a certificate of one TNAuthList, with the one authorization that it needs.

    While it is processing, `due_at` is when somebody may take it up who finds it without its certificate.
    """

    id: str
    account_id: str
    numbers: TnAuthList
    created_at: datetime
    expires_at: datetime
    not_before: datetime | None
    not_after: datetime | None
    authorization: Authorization
    issuance: Issuance | None
    certificate_id: str | None
    error: Problem | None
    due_at: datetime | None = None

    def status(self, now: datetime) -> Status:
        """Derive the state of RFC 8555 §7.1.6 at the time `now`."""
        if self.certificate_id is not None:
            return Status.VALID
        if self.error is not None:
            return Status.INVALID
        if self.issuance is not None:
            return Status.PROCESSING
        if now >= self.expires_at:
            return Status.INVALID
        match self.authorization.status(now):
            case Status.VALID:
                return Status.READY
            case Status.PENDING:
                return Status.PENDING
            case _:
                return Status.INVALID


@dataclass(frozen=True, slots=True)
class Certificate:
    """An issued certificate. `id` is the unguessable name in its URL; `der` the leaf, in DER."""

    id: str
    serial: int
    account_id: str
    order_id: str
    number: TelephoneNumber
    der: bytes = field(repr=False)  # spells the number
    not_before: datetime
    not_after: datetime
    shard: int
    revoked_at: datetime | None = None
    revocation_reason: int | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of a CRL (RFC 5280 §5.3). `reason` is a CRLReason's number."""

    serial: int
    revoked_at: datetime
    reason: int


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A signed CRL of one shard, in DER, with its number and times (RFC 5280 §5.1)."""

    shard: int
    number: int
    der: bytes
    this_update: datetime
    next_update: datetime


RESEND_WAITS = (
    timedelta(seconds=60),
    timedelta(seconds=120),
    timedelta(seconds=300),
    timedelta(seconds=600),
)
"""How long the client waits before its second, third, fourth and fifth message (docs/reference/challenges.md)."""
