"""The format of `trust.toml`, the user's own file: anchors, quorums, denies, logs, witnesses and settings.

docs/reference/trust-toml.md describes it for people. An unknown key is refused: to skip a limit that this version does
not know would be to believe more than the user said. An app's defaults are written in the same format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec

from policies.errors import PolicyError, PolicyFileError
from policies.loading import parse_toml, read_toml
from policies.precedence import Layer, LayerKind, Offer
from policies.quorum import Group, Quorum, Quorums
from policies.terms import Deny, Terms
from policies.transitions import Transition
from stir.telephone_number import NumberPrefix, TelephoneNumber
from transparency.cosignature import parse_cosignature_key
from transparency.errors import NoteError
from transparency.signed_note import Ed25519Verifier
from trust_store.entries import (
    AuditorEntry,
    ConstrainedEntry,
    DenyEntry,
    LogEntry,
    SettingsEntry,
    SubscriptionEntry,
    TransitionEntry,
    TrustFileContent,
    WitnessEntry,
)
from trust_store.errors import TrustFileError
from trust_store.lines import Lines
from trust_store.logs import TrustedAuditor, TrustedWitness


@dataclass(frozen=True, slots=True)
class Beliefs:
    """What a `trust.toml` says, each value with the line at which it stands."""

    layer: Layer = field(default_factory=lambda: Layer(LayerKind.LOCAL))
    logs: tuple[tuple[LogEntry, str], ...] = ()
    """Each log with its place."""
    witnesses: tuple[TrustedWitness, ...] = ()
    auditors: tuple[TrustedAuditor, ...] = ()
    feeds: tuple[tuple[Path, str], ...] = ()
    """Each feed of transitions, with its place."""
    subscriptions: tuple[tuple[SubscriptionEntry, str], ...] = ()
    """Each curated list that the user follows, with its place."""


def read(path: Path, kind: LayerKind = LayerKind.LOCAL) -> Beliefs:
    """Read a `trust.toml` alone, without the certificates that it names; a missing one says nothing."""
    text = read_text(path)
    return Beliefs(Layer(kind, path.parent.name)) if text is None else parse(text, path, kind)


def read_text(path: Path) -> str | None:
    """Return the text of a `trust.toml`, None where there is none. Raises TrustFileError."""
    try:
        return read_toml(path)
    except PolicyFileError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise TrustFileError(str(error)) from error


def parse(text: str, path: Path, kind: LayerKind = LayerKind.LOCAL) -> Beliefs:
    """Read the text of a `trust.toml`. `path` is named in errors, and in verdicts, where the user's own is just named.

    Names of anchors in groups and quorums may be those of other layers, so `loading` holds them to all that there are.
    """
    label = path.name if kind is LayerKind.LOCAL else str(path)
    return beliefs_of(parse_content(text, path), Places(path, label, Lines.of(text)), kind)


def beliefs_of(content: TrustFileContent, places: Places, kind: LayerKind) -> Beliefs:
    """Return what a `trust.toml`, or a list in the same words, says. Raises TrustFileError."""
    _refuse_twins(content, places)
    _refuse_unknown_logs(content, places)
    return Beliefs(
        layer=_layer(content, places, kind),
        logs=tuple((entry, places.of("log", index)) for index, entry in enumerate(content.log)),
        witnesses=tuple(_witness(entry, index, places) for index, entry in enumerate(content.witness)),
        auditors=tuple(_auditor(entry, index, places) for index, entry in enumerate(content.auditor)),
        feeds=tuple(
            (places.path.parent / entry.file, places.of("feed", index)) for index, entry in enumerate(content.feed)
        ),
        subscriptions=tuple(
            (entry, places.of("subscription", index)) for index, entry in enumerate(content.subscription)
        ),
    )


def parse_content(text: str, path: Path) -> TrustFileContent:
    """Read the text of a `trust.toml` as it is written. Raises TrustFileError."""
    try:
        return parse_toml(text, TrustFileContent, path)
    except PolicyFileError as error:
        raise TrustFileError(str(error)) from error


def end_of(day: date) -> datetime:
    """Return the first moment after a day in UTC, as near as the calendar has it."""
    last = datetime.max.replace(tzinfo=UTC)
    return last if day == date.max else datetime.combine(day + timedelta(days=1), time.min, UTC)


@dataclass(frozen=True, slots=True)
class Places:
    """Says where a value stands: `trust.toml:12`."""

    path: Path
    label: str
    lines: Lines

    def of(self, *path: str | int) -> str:
        """Return how verdicts name the place."""
        return f"{self.label}:{self.lines.line_of(*path)}"

    def whole(self, *path: str | int) -> str:
        """Return how errors name the place: with the whole path of the file."""
        return f"{self.path}:{self.lines.line_of(*path)}"

    def given(self, entry: msgspec.Struct, *path: str | int) -> Mapping[str, str]:
        """Return the places of the values that an entry gives, under the names that `Terms` has for them."""
        keys = (key for key in entry.__struct_fields__ if getattr(entry, key) is not None)
        return {key.removesuffix("_hours"): self.of(*path, key) for key in keys}


def _layer(content: TrustFileContent, places: Places, kind: LayerKind) -> Layer:
    offers = tuple(
        Offer(entry.sha256, _terms(entry, entry.name, entry.operator, ("anchor", index), places))
        for index, entry in enumerate(content.anchor)
    )
    limits = tuple(
        Offer(entry.sha256, _terms(entry, "", "", ("limit", index), places))
        for index, entry in enumerate(content.limit)
    )
    groups, quorums = _quorums(content, places)
    return Layer(
        kind=kind,
        name=places.path.parent.name,
        offers=offers,
        limits=limits,
        denies=tuple(_deny(entry, index, places) for index, entry in enumerate(content.deny)),
        given=_settings(content.settings, places),
        groups=groups,
        quorums=quorums,
        transitions=tuple(_transition(entry, index, places) for index, entry in enumerate(content.transition)),
        app_defaults=content.settings.app_defaults,
    )


def _terms(entry: ConstrainedEntry, name: str, operator: str, where: tuple[str, int], places: Places) -> Terms:
    return terms_of(entry, name, operator, places.of(*where), places.given(entry, *where))


def terms_of(
    entry: ConstrainedEntry, name: str, operator: str, source: str, sources: Mapping[str, str] | None = None
) -> Terms:
    """Return the terms that an entry says, with the place of the entry and of each constraint."""
    return Terms(
        name=name,
        operator=operator,
        source=source,
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
        sources=sources or {},
    )


def _quorums(content: TrustFileContent, places: Places) -> tuple[tuple[Group, ...], tuple[Quorum, ...]]:
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
        Quorums(groups, quorums, {entry.name: entry.operator for entry in content.anchor}, may_be_missing=True)
    except PolicyError as error:
        msg = f"{places.path.parent / str(error)}"
        raise TrustFileError(msg) from error
    return groups, quorums


def _prefixes(texts: tuple[str, ...] | None) -> tuple[NumberPrefix, ...] | None:
    return None if texts is None else tuple(NumberPrefix.parse(text) for text in texts)


def _transition(entry: TransitionEntry, index: int, places: Places) -> Transition:
    return Transition(
        TelephoneNumber.parse(entry.number), end_of(entry.date), entry.kind, places.of("transition", index)
    )


def _deny(entry: DenyEntry, index: int, places: Places) -> Deny:
    try:
        return deny_of(entry, places.of("deny", index))
    except PolicyError as error:
        msg = f"{places.whole('deny', index)}: {error}"
        raise TrustFileError(msg) from error


def deny_of(entry: DenyEntry, source: str) -> Deny:
    """Return what an entry denies; raise PolicyError where that is not one thing."""
    return Deny(
        source=source,
        number=TelephoneNumber.parse(entry.number) if entry.number is not None else None,
        prefix=NumberPrefix.parse(entry.prefix) if entry.prefix is not None else None,
        certificate=entry.certificate,
        note=entry.note,
    )


def _witness(entry: WitnessEntry, index: int, places: Places) -> TrustedWitness:
    try:
        return witness_of(entry, places.of("witness", index))
    except NoteError as error:
        msg = f"{places.whole('witness', index, 'key')}: this is no witness's key: {error}"
        raise TrustFileError(msg) from error


def witness_of(entry: WitnessEntry, source: str) -> TrustedWitness:
    """Return the witness of an entry; raise NoteError where its key is none."""
    return TrustedWitness(entry.name, entry.operator, source, parse_cosignature_key(entry.key))


def _auditor(entry: AuditorEntry, index: int, places: Places) -> TrustedAuditor:
    source = places.of("auditor", index)
    try:
        key = Ed25519Verifier.parse(entry.key)
    except NoteError as error:
        msg = f"{places.whole('auditor', index, 'key')}: this is no auditor's key: {error}"
        raise TrustFileError(msg) from error
    return TrustedAuditor(entry.name, entry.operator, source, key, entry.url.rstrip("/"), entry.logs)


def _settings(entry: SettingsEntry, places: Places) -> Mapping[str, tuple[Any, str]]:
    """Return the settings that are given, each with its place."""
    keys = (key for key in entry.__struct_fields__ if key != "app_defaults" and getattr(entry, key) is not None)
    return {key: (getattr(entry, key), places.of("settings", key)) for key in keys}


def _refuse_twins(content: TrustFileContent, places: Places) -> None:
    """Refuse two entries of one name or of one key, as nobody could say whose terms count."""
    kinds: tuple[tuple[str, Sequence[msgspec.Struct], tuple[str, str]], ...] = (
        ("anchor", content.anchor, ("name", "sha256")),
        ("log", content.log, ("name", "sha256")),
        ("witness", content.witness, ("name", "key")),
        ("auditor", content.auditor, ("name", "key")),
        ("subscription", content.subscription, ("name", "root")),
    )
    for kind, entries, keys in kinds:
        for key in keys:
            for index in _second_ones([getattr(entry, key) for entry in entries]):
                msg = f"{places.whole(kind, index, key)}: another {kind} has the same {key}; keep one of the two"
                raise TrustFileError(msg)


def _refuse_unknown_logs(content: TrustFileContent, places: Places) -> None:
    """Refuse a limit to logs that are not there: a name that is misspelled would shut out everybody."""
    known = {entry.name for entry in content.log}
    limited = [("anchor", index, entry.logs) for index, entry in enumerate(content.anchor)]
    limited += [("limit", index, entry.logs) for index, entry in enumerate(content.limit)]
    limited += [("auditor", index, entry.logs) for index, entry in enumerate(content.auditor)]
    for kind, index, names in limited:
        for name in names or ():
            if name not in known:
                place = places.whole(kind, index, "logs")
                msg = f"{place}: there is no [[log]] of the name {name!r}; `answerback trust log add` adds one"
                raise TrustFileError(msg)


def _second_ones(values: list[str]) -> Iterator[int]:
    return (index for index, value in enumerate(values) if values.index(value) != index)
