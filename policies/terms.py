"""What a user says: settings, denies, and terms for anchors. Each value knows where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from policies.errors import PolicyError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.validation_method import ValidationMethod


class Purpose(StrEnum):
    """What a number's certificate is used for."""

    CALL = "call"
    MESSAGE = "message"
    RECORD = "record"
    """An entry in a number directory: in which apps, and where, the number is reached."""


class KeyType(StrEnum):
    """The kinds of key that an authority may have (RFC 5480 §2.1.1.1)."""

    P256 = "p256"
    P384 = "p384"


class RevocationMode(StrEnum):
    """What to do where no usable revocation list is at hand."""

    REQUIRED = "required"
    """Refuse."""
    WHEN_AVAILABLE = "when-available"
    """Believe: certificates live for days only."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How strictly the user looks at time, revocation and logs. `sources` says where each value stands."""

    revocation: RevocationMode = RevocationMode.WHEN_AVAILABLE
    call_seconds: int = 60
    """How old a call's token may be (RFC 8224 §6.2.1 recommends sixty seconds)."""
    message_seconds: int = 24 * 60 * 60
    """How old a message's token may be. Within this time the same message is believed once."""
    skew_seconds: int = 10
    """How far the caller's clock, or a log's, may run ahead."""
    scts: int = 0
    """Of how many operators' logs a certificate must carry a timestamp, where the anchor's terms do not say."""
    proofs: int = 0
    """Of how many operators' logs a proof must come with a call that the log shows the certificate's entry."""
    witnesses: int = 0
    """How many operators' witnesses must have cosigned what such a proof leads to."""
    sources: Mapping[str, str] = field(default_factory=dict)

    def longest_age(self, purpose: Purpose) -> int:
        """Return how old a token may be, in seconds."""
        return self.call_seconds if purpose is Purpose.CALL else self.message_seconds


@dataclass(frozen=True, slots=True)
class Deny:
    """Something that the user never believes: exactly one of a number, a prefix or a certificate.

    `certificate` is the SHA-256, in hexadecimal, of a certificate or of its public key (SubjectPublicKeyInfo).
    """

    source: str
    number: TelephoneNumber | None = None
    prefix: NumberPrefix | None = None
    certificate: str | None = None
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse a deny of nothing, and one of several things."""
        if [self.number, self.prefix, self.certificate].count(None) != 2:  # noqa: PLR2004  # all but one
            msg = "a deny names exactly one of a number, a prefix or a certificate"
            raise PolicyError(msg)

    def forbids_number(self, number: TelephoneNumber) -> bool:
        """Tell whether the number is one that the user never believes."""
        return number == self.number or (self.prefix is not None and self.prefix.covers(number))


@dataclass(frozen=True, slots=True)
class Standing:
    """How long the word of a curated list holds that an anchor stands on.

    Until `fresh_until` the curator has said that the list is the newest. From then on it is stale, and from `ends` on
    its anchors count no more. `note` is what else the user is to know of this anchor. `source` is where the user
    subscribed.
    """

    name: str
    fresh_until: datetime
    ends: datetime
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms the user believes an anchor. A constraint that is None limits nothing, an empty one everything.

    `prefixes` are the numbers and `purposes` the uses that it is believed for. The dates are whole days in UTC, and the
    last one counts: `issued_not_after` is held against a certificate's notBefore and the logs' timestamps and never
    against the clock, `until` against the time of the call. `methods` are the ways in which the number may have been
    proved, `longest_life` what may lie between notBefore and notAfter, `authority_keys` the kinds of key that the
    authorities of the path may have. `scts` is what it is in the settings, None to take that one. `logs` names the only
    logs, and `log_operators` the only operators of logs, whose timestamps and proofs count for this anchor. `standing`
    is that of the list without which there would be no such anchor, None where the user or an app names it. `sources`
    says where each constraint stands, `source` where the anchor does.
    """

    name: str
    operator: str
    source: str
    prefixes: tuple[NumberPrefix, ...] | None = None
    purposes: tuple[Purpose, ...] | None = None
    issued_not_after: date | None = None
    until: date | None = None
    methods: tuple[ValidationMethod, ...] | None = None
    longest_life: timedelta | None = None
    authority_keys: tuple[KeyType, ...] | None = None
    scts: int | None = None
    logs: tuple[str, ...] | None = None
    log_operators: tuple[str, ...] | None = None
    standing: Standing | None = None
    sources: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, constraint: str) -> str:
        """Return the line at which a constraint stands."""
        return self.sources.get(constraint, self.source)

    def counts(self, log: str, operator: str) -> bool:
        """Tell whether a log's word counts for this anchor."""
        return (self.logs is None or log in self.logs) and (
            self.log_operators is None or operator in self.log_operators
        )
