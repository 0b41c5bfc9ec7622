"""What a `trust.toml` may say, entry by entry, as it is written."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from policies.terms import KeyType, Purpose, RevocationMode
from policies.transitions import TransitionKind
from stir.validation_method import ValidationMethod

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, extra_json_schema={"examples": ["example-ca"]})]
Operator = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Note = Annotated[str, msgspec.Meta(max_length=500)]
Sha256 = Annotated[
    str, msgspec.Meta(pattern="^[0-9a-f]{64}$", extra_json_schema={"examples": ["64 hexadecimal digits, lower case"]})
]
Number = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{6,14}$", extra_json_schema={"examples": ["+12025550123"]})]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{0,14}$", extra_json_schema={"examples": ["+1202"]})]
Prefixes = Annotated[tuple[Prefix, ...], msgspec.Meta(min_length=1, extra_json_schema={"examples": [["+1202"]]})]
Seconds = Annotated[int, msgspec.Meta(ge=1, le=31 * 24 * 60 * 60)]
Skew = Annotated[int, msgspec.Meta(ge=0, le=600)]
Count = Annotated[int, msgspec.Meta(ge=0, le=16)]
Names = Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, extra_json_schema={"examples": [["example-log"]]})]
WitnessKey = Annotated[
    str, msgspec.Meta(max_length=4096, extra_json_schema={"examples": ["witness.example+0a1b2c3d+B…"]})
]
AuditorUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]+)?$",
        max_length=1000,
        extra_json_schema={"examples": ["https://auditor.example/audited"]},
    ),
]
Day = Annotated[date, msgspec.Meta(extra_json_schema={"examples": ["2027-06-30"]})]
Purposes = Annotated[tuple[Purpose, ...], msgspec.Meta(min_length=1)]
Methods = Annotated[tuple[ValidationMethod, ...], msgspec.Meta(min_length=1)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=10 * 366 * 24)]
Need = Annotated[int, msgspec.Meta(ge=1, le=64)] | Literal["all", "any"]
Members = Annotated[
    tuple[Name, ...],
    msgspec.Meta(min_length=1, max_length=64, extra_json_schema={"examples": [["our-street", "next-street"]]}),
]
Apps = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=253)], ...],
    msgspec.Meta(min_length=1, extra_json_schema={"examples": [["chat.example"]]}),
]
KeyTypes = Annotated[tuple[KeyType, ...], msgspec.Meta(min_length=1)]
Operators = Annotated[
    tuple[Operator, ...], msgspec.Meta(min_length=1, extra_json_schema={"examples": [["North Watch"]]})
]


ListUrl = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]+)?$",
        max_length=1000,
        extra_json_schema={"examples": ["https://curator.example/list"]},
    ),
]
GraceDays = Annotated[int, msgspec.Meta(ge=0, le=366)]


class ConstrainedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an `[[anchor]]` and a `[[limit]]` have in common: the certificate, and how far it is believed."""

    sha256: Sha256
    prefixes: Prefixes | None = None
    purposes: Purposes | None = None
    issued_not_after: Day | None = None
    until: Day | None = None
    methods: Methods | None = None
    longest_life_hours: Hours | None = None
    authority_keys: KeyTypes | None = None
    scts: Count | None = None
    logs: Names | None = None
    log_operators: Operators | None = None


class AnchorEntry(ConstrainedEntry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An `[[anchor]]`: an authority that the user believes, and on which terms."""

    name: Name
    operator: Operator


class LimitEntry(ConstrainedEntry, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A `[[limit]]`: how far to believe an anchor that a list or an app brings."""


class TransitionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[transition]]`: that a number changed hands."""

    number: Number
    date: Day
    kind: TransitionKind


class FeedEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[feed]]`: a file that says of many numbers when they changed hands."""

    file: Path


class GroupEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[group]]`: some anchors or groups, and how many of them are needed."""

    name: Name
    need: Need
    members: Members


class QuorumEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[quorum]]`: which group must have certified a number's key, and in which cases."""

    group: Name
    prefixes: Prefixes | None = None
    purposes: Purposes | None = None
    apps: Apps | None = None


class SubscriptionEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A `[[subscription]]`: a curated list, where it is to be had, and by which root it is known."""

    name: Name
    url: ListUrl
    root: Sha256
    auto_accept: bool = False
    grace_days: GraceDays = 14


class DenyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[deny]]`: something that the user never believes."""

    number: Number | None = None
    prefix: Prefix | None = None
    certificate: Sha256 | None = None
    note: Note = ""


class LogEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[log]]`: a transparency log whose word counts."""

    name: Name
    operator: Operator
    sha256: Sha256


class WitnessEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[witness]]`: somebody who watches that logs only grow, and whose cosignature counts."""

    name: Name
    operator: Operator
    key: WitnessKey


class AuditorEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An `[[auditor]]`: somebody who reads whole logs, and confirms that their indices leave nothing out."""

    name: Name
    operator: Operator
    key: WitnessKey
    url: AuditorUrl
    logs: Names | None = None


class SettingsEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The `[settings]`: how strictly to look at time, revocation and logs."""

    revocation: RevocationMode | None = None
    call_seconds: Seconds | None = None
    message_seconds: Seconds | None = None
    skew_seconds: Skew | None = None
    scts: Count | None = None
    proofs: Count | None = None
    witnesses: Count | None = None
    app_defaults: bool = True


class TrustFileContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a `trust.toml` may say."""

    settings: SettingsEntry = SettingsEntry()
    anchor: tuple[AnchorEntry, ...] = ()
    limit: tuple[LimitEntry, ...] = ()
    group: tuple[GroupEntry, ...] = ()
    quorum: tuple[QuorumEntry, ...] = ()
    deny: tuple[DenyEntry, ...] = ()
    transition: tuple[TransitionEntry, ...] = ()
    feed: tuple[FeedEntry, ...] = ()
    log: tuple[LogEntry, ...] = ()
    witness: tuple[WitnessEntry, ...] = ()
    auditor: tuple[AuditorEntry, ...] = ()
    subscription: tuple[SubscriptionEntry, ...] = ()
