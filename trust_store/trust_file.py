"""The format of `trust.toml`, the user's own file: anchors, denies, logs, witnesses and settings.

docs/reference/trust-toml.md describes it for people. An unknown key is refused: to skip a limit that this version does
not know would be to believe more than the user said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography import x509

from policies.errors import PolicyError, PolicyFileError
from policies.loading import parse_toml, read_toml
from policies.quorum import Group, Quorum, Quorums
from policies.terms import Deny, KeyType, Purpose, RevocationMode, Settings, Terms
from stir.certificate import ValidationMethod, read_pem_chain
from stir.errors import StirError
from stir.telephone_number import NumberPrefix, TelephoneNumber
from transparency.cosignature import parse_cosignature_key
from transparency.errors import NoteError
from transparency.signed_note import Ed25519Verifier
from trust_store.anchors import Anchor
from trust_store.errors import AnchorError, LogError, TrustFileError
from trust_store.home import TrustHome
from trust_store.lines import Lines
from trust_store.logs import KnownLogs, TrustedAuditor, TrustedLog, TrustedWitness

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


class AnchorEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An `[[anchor]]`: an authority that the user believes, and on which terms."""

    name: Name
    operator: Operator
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

    revocation: RevocationMode = RevocationMode.WHEN_AVAILABLE
    call_seconds: Seconds = Settings().call_seconds
    message_seconds: Seconds = Settings().message_seconds
    skew_seconds: Skew = Settings().skew_seconds
    scts: Count = Settings().scts
    proofs: Count = Settings().proofs
    witnesses: Count = Settings().witnesses


class TrustFileContent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a `trust.toml` may say."""

    settings: SettingsEntry = SettingsEntry()
    anchor: tuple[AnchorEntry, ...] = ()
    group: tuple[GroupEntry, ...] = ()
    quorum: tuple[QuorumEntry, ...] = ()
    deny: tuple[DenyEntry, ...] = ()
    log: tuple[LogEntry, ...] = ()
    witness: tuple[WitnessEntry, ...] = ()
    auditor: tuple[AuditorEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What a `trust.toml` says, each value with the line at which it stands."""

    terms: tuple[tuple[str, Terms], ...] = ()
    """For each anchor, the SHA-256 of its certificate in hexadecimal, and the terms."""
    denies: tuple[Deny, ...] = ()
    settings: Settings = field(default_factory=Settings)
    logs: tuple[tuple[LogEntry, str], ...] = ()
    """Each log with its place."""
    witnesses: tuple[TrustedWitness, ...] = ()
    auditors: tuple[TrustedAuditor, ...] = ()
    quorums: Quorums = field(default_factory=Quorums)


@dataclass(frozen=True, slots=True)
class StoreParts:
    """What a store's files hold: what `trust.toml` says, with the certificates and descriptions that it names."""

    anchors: tuple[Anchor, ...]
    quorums: Quorums
    denies: tuple[Deny, ...]
    settings: Settings
    logs: KnownLogs


def load(home: TrustHome) -> StoreParts:
    """Read a store's files; a store without a `trust.toml` is empty. Raises TrustFileError."""
    beliefs = read(home.trust_file)
    anchors = tuple(Anchor(terms, _certificate(home, sha256, terms)) for sha256, terms in beliefs.terms)
    descriptions = [_log(home, entry, source) for entry, source in beliefs.logs]
    try:
        logs = KnownLogs(descriptions, beliefs.witnesses, beliefs.auditors)
    except LogError as error:
        msg = f"{home.trust_file}: {error}"
        raise TrustFileError(msg) from error
    return StoreParts(anchors, beliefs.quorums, beliefs.denies, beliefs.settings, logs)


def read(path: Path) -> Beliefs:
    """Read a `trust.toml` alone, without the certificates that it names; a missing one says nothing."""
    text = read_text(path)
    return Beliefs() if text is None else parse(text, path)


def read_text(path: Path) -> str | None:
    """Return the text of a `trust.toml`, None where there is none. Raises TrustFileError."""
    try:
        return read_toml(path)
    except PolicyFileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise TrustFileError(str(error)) from error


def parse(text: str, path: Path) -> Beliefs:
    """Read the text of a `trust.toml`. `path` is named in errors and, its last part, in verdicts."""
    content = parse_content(text, path)
    places = _Places(path, Lines.of(text))
    _refuse_twins(content, places)
    _refuse_unknown_logs(content, places)
    terms = tuple((entry.sha256, _terms(entry, index, places)) for index, entry in enumerate(content.anchor))
    denies = tuple(_deny(entry, index, places) for index, entry in enumerate(content.deny))
    logs = tuple((entry, places.of("log", index)) for index, entry in enumerate(content.log))
    witnesses = tuple(_witness(entry, index, places) for index, entry in enumerate(content.witness))
    auditors = tuple(_auditor(entry, index, places) for index, entry in enumerate(content.auditor))
    quorums = _quorums(content, places)
    return Beliefs(terms, denies, _settings(content.settings, places), logs, witnesses, auditors, quorums)


def parse_content(text: str, path: Path) -> TrustFileContent:
    """Read the text of a `trust.toml` as it is written. Raises TrustFileError."""
    try:
        return parse_toml(text, TrustFileContent, path)
    except PolicyFileError as error:
        raise TrustFileError(str(error)) from error


@dataclass(frozen=True, slots=True)
class _Places:
    """Says where a value stands: `trust.toml:12`."""

    path: Path
    lines: Lines

    def of(self, *path: str | int) -> str:
        return f"{self.path.name}:{self.lines.line_of(*path)}"

    def given(self, entry: msgspec.Struct, *path: str | int) -> Mapping[str, str]:
        """Return the places of the values that an entry gives, leaving out those that say what is said anyway."""
        usual = dict(zip(reversed(entry.__struct_fields__), reversed(entry.__struct_defaults__), strict=False))
        keys = (key for key in entry.__struct_fields__ if getattr(entry, key) != usual.get(key))
        return {key: self.of(*path, key) for key in keys}


def _terms(entry: AnchorEntry, index: int, places: _Places) -> Terms:
    return Terms(
        name=entry.name,
        operator=entry.operator,
        source=places.of("anchor", index),
        prefixes=_prefixes(entry.prefixes),
        purposes=entry.purposes,
        issued_not_after=entry.issued_not_after,
        until=entry.until,
        methods=entry.methods,
        longest_life=None if entry.longest_life_hours is None else timedelta(hours=entry.longest_life_hours),
        authority_keys=entry.authority_keys,
        scts=entry.scts,
        logs=entry.logs,
        log_operators=entry.log_operators,
        sources=_by_constraint(places.given(entry, "anchor", index)),
    )


def _quorums(content: TrustFileContent, places: _Places) -> Quorums:
    groups = tuple(
        Group(entry.name, entry.need, entry.members, places.of("group", index))
        for index, entry in enumerate(content.group)
    )
    quorums = tuple(
        Quorum(
            group=entry.group,
            source=places.of("quorum", index),
            prefixes=_prefixes(entry.prefixes),
            purposes=entry.purposes,
            apps=entry.apps,
        )
        for index, entry in enumerate(content.quorum)
    )
    try:
        return Quorums(groups, quorums, {entry.name: entry.operator for entry in content.anchor})
    except PolicyError as error:
        msg = f"{places.path.parent / str(error)}"
        raise TrustFileError(msg) from error


def _prefixes(texts: tuple[str, ...] | None) -> tuple[NumberPrefix, ...] | None:
    return None if texts is None else tuple(NumberPrefix.parse(text) for text in texts)


def _by_constraint(places: Mapping[str, str]) -> Mapping[str, str]:
    """Return the places under the names that `Terms` has for what stands there."""
    return {key.removesuffix("_hours"): place for key, place in places.items()}


def _deny(entry: DenyEntry, index: int, places: _Places) -> Deny:
    source = places.of("deny", index)
    try:
        return Deny(
            source=source,
            number=TelephoneNumber.parse(entry.number) if entry.number is not None else None,
            prefix=NumberPrefix.parse(entry.prefix) if entry.prefix is not None else None,
            certificate=entry.certificate,
            note=entry.note,
        )
    except PolicyError as error:
        msg = f"{places.path.with_name(source)}: {error}"
        raise TrustFileError(msg) from error


def _witness(entry: WitnessEntry, index: int, places: _Places) -> TrustedWitness:
    source = places.of("witness", index)
    try:
        return TrustedWitness(entry.name, entry.operator, source, parse_cosignature_key(entry.key))
    except NoteError as error:
        msg = f"{places.path.with_name(places.of('witness', index, 'key'))}: this is no witness's key: {error}"
        raise TrustFileError(msg) from error


def _auditor(entry: AuditorEntry, index: int, places: _Places) -> TrustedAuditor:
    source = places.of("auditor", index)
    try:
        key = Ed25519Verifier.parse(entry.key)
    except NoteError as error:
        msg = f"{places.path.with_name(places.of('auditor', index, 'key'))}: this is no auditor's key: {error}"
        raise TrustFileError(msg) from error
    return TrustedAuditor(entry.name, entry.operator, source, key, entry.url.rstrip("/"), entry.logs)


def _settings(entry: SettingsEntry, places: _Places) -> Settings:
    return Settings(
        revocation=entry.revocation,
        call_seconds=entry.call_seconds,
        message_seconds=entry.message_seconds,
        skew_seconds=entry.skew_seconds,
        scts=entry.scts,
        proofs=entry.proofs,
        witnesses=entry.witnesses,
        sources=places.given(entry, "settings"),
    )


def _refuse_twins(content: TrustFileContent, places: _Places) -> None:
    """Refuse two entries of one name or of one key, as nobody could say whose terms count."""
    kinds: tuple[tuple[str, Sequence[msgspec.Struct], tuple[str, str]], ...] = (
        ("anchor", content.anchor, ("name", "sha256")),
        ("log", content.log, ("name", "sha256")),
        ("witness", content.witness, ("name", "key")),
        ("auditor", content.auditor, ("name", "key")),
    )
    for kind, entries, keys in kinds:
        for key in keys:
            for index in _second_ones([getattr(entry, key) for entry in entries]):
                place = places.path.with_name(places.of(kind, index, key))
                msg = f"{place}: another {kind} has the same {key}; keep one of the two"
                raise TrustFileError(msg)


def _refuse_unknown_logs(content: TrustFileContent, places: _Places) -> None:
    """Refuse a limit to logs that are not there: a name that is misspelled would shut out everybody."""
    known = {entry.name for entry in content.log}
    limited = [("anchor", index, entry.logs) for index, entry in enumerate(content.anchor)]
    limited += [("auditor", index, entry.logs) for index, entry in enumerate(content.auditor)]
    for kind, index, names in limited:
        for name in names or ():
            if name not in known:
                place = places.path.with_name(places.of(kind, index, "logs"))
                msg = f"{place}: there is no [[log]] of the name {name!r}; `answerback trust log add` adds one"
                raise TrustFileError(msg)


def _second_ones(values: list[str]) -> Iterator[int]:
    return (index for index, value in enumerate(values) if values.index(value) != index)


def _certificate(home: TrustHome, sha256: str, terms: Terms) -> x509.Certificate:
    """Read an anchor's certificate from the folder, and make sure that it is the one that the user named."""
    path = home.anchors / f"{sha256}.pem"
    place = home.trust_file.with_name(terms.source)
    try:
        (certificate,) = read_pem_chain(path.read_bytes())
        Anchor(terms, certificate).require(sha256)
    except FileNotFoundError as error:
        msg = f"{place}: the certificate of {terms.name} is missing: {path}; add the anchor again, or remove it"
        raise TrustFileError(msg) from error
    except OSError as error:
        msg = f"{place}: the certificate of {terms.name} cannot be read: {path}: {error.strerror}"
        raise TrustFileError(msg) from error
    except (StirError, AnchorError, ValueError) as error:
        msg = f"{place}: {path} is not the certificate of {terms.name}: {error}"
        raise TrustFileError(msg) from error
    return certificate


def _log(home: TrustHome, entry: LogEntry, source: str) -> TrustedLog:
    """Read a log's description from the folder, and make sure that it is the one that the user named."""
    path = home.logs / f"{entry.sha256}.json"
    place = home.trust_file.with_name(source)
    try:
        log = TrustedLog(entry.name, entry.operator, source, path.read_bytes())
        log.require(entry.sha256)
    except FileNotFoundError as error:
        msg = f"{place}: the description of {entry.name} is missing: {path}; add the log again, or remove it"
        raise TrustFileError(msg) from error
    except OSError as error:
        msg = f"{place}: the description of {entry.name} cannot be read: {path}: {error.strerror}"
        raise TrustFileError(msg) from error
    except LogError as error:
        msg = f"{place}: {path} is not the description of {entry.name}: {error}"
        raise TrustFileError(msg) from error
    return log
