"""What of a newer version of a list counts before the user has agreed to it: whatever narrows, and nothing that widens.

A list is somebody else's word, and a key of its curator's may be in wrong hands. So the user agrees to each authority,
as the list has it then, to each log and each witness. A newer version takes effect at once where it revokes, drops or
limits; what it adds or widens waits. A version that drops all or most of the authorities, without revoking them, waits
too: it may be a mistake, or somebody's wish that nobody be believed. Nothing here reads a file or a clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

import msgspec

from policies.precedence import widened
from trust_store.entries import DenyEntry, WitnessEntry
from trust_store.errors import LogError
from trust_store.fingerprints import all_fingerprints
from trust_store.subscriptions.list_file import (
    CuratedList,
    ListAnchorEntry,
    ListContent,
    ListLogEntry,
    certificate_of,
    log_of,
)
from trust_store.trust_file import terms_of

_Named = TypeVar("_Named", ListAnchorEntry, ListLogEntry, WitnessEntry)


class Agreed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of a list the user agreed to, as it was written then."""

    anchor: tuple[ListAnchorEntry, ...] = ()
    log: tuple[ListLogEntry, ...] = ()
    witness: tuple[WitnessEntry, ...] = ()
    deny: tuple[DenyEntry, ...] = ()

    @classmethod
    def to_all_of(cls, content: ListContent) -> Agreed:
        """Return the agreement to a whole list."""
        return cls(content.anchor, content.log, content.witness, content.deny)


class ChangeKind(StrEnum):
    """What a newer version does."""

    NEW = "new"
    """It has something that the user did not agree to."""
    WIDER = "wider"
    """It limits an authority less, or calls it or its operator something else."""
    NARROWER = "narrower"
    """It limits an authority more."""
    REVOKED = "revoked"
    """It says never to believe the authority again."""
    GONE = "gone"
    """It has something no more."""
    LIFTED = "lifted"
    """It denies something no more."""
    DENIED = "denied"
    """It denies something else."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is other in a newer version: a `kind` of change, in `what`, by its name. `waits`: for the user."""

    kind: ChangeKind
    what: str
    name: str
    detail: str = ""
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What a newer version comes to: what of the agreement is left without a word of the user's, and all changes."""

    agreed: Agreed
    changes: tuple[Change, ...]

    @property
    def waiting(self) -> tuple[Change, ...]:
        """The changes that wait for the user."""
        return tuple(change for change in self.changes if change.waits)


def reckon(agreed: Agreed, new: CuratedList, at: datetime) -> Reckoning:
    """Hold a newer version against what the user agreed to. `at` tells which shards of a log are in use still."""
    anchors, about_anchors = _anchors(agreed.anchor, new)
    logs, about_logs = _logs(agreed.log, new.content.log, at)
    witnesses, about_witnesses = _witnesses(agreed.witness, new.content.witness)
    denies, about_denies = _denies(agreed.deny, new.content.deny)
    changes = (*about_anchors, *about_logs, *about_witnesses, *about_denies)
    return Reckoning(Agreed(anchors, logs, witnesses, denies), changes)


def agree(agreed: Agreed, new: CuratedList, names: Collection[str]) -> Agreed:
    """Return the agreement to what goes by these names, too, as the newer version has it."""
    content = new.content
    return Agreed(
        _taken(agreed.anchor, content.anchor, names, "sha256"),
        _taken(agreed.log, content.log, names, "name"),
        _taken(agreed.witness, content.witness, names, "key"),
        (*content.deny, *(one for one in agreed.deny if one not in content.deny and _denied(one) not in names)),
    )


def agree_by_itself(agreed: Agreed, new: CuratedList, at: datetime) -> Agreed:
    """Return what somebody agrees to who agrees to everything beforehand: all but that most authorities go."""
    settled = reckon(agreed, new, at).agreed
    here = {entry.sha256 for entry in new.content.anchor}
    held = tuple(entry for entry in settled.anchor if entry.sha256 not in here)
    whole = Agreed.to_all_of(new.content)
    return msgspec.structs.replace(whole, anchor=(*whole.anchor, *held))


def _anchors(agreed: tuple[ListAnchorEntry, ...], new: CuratedList) -> tuple[tuple[ListAnchorEntry, ...], list[Change]]:
    by_sha256 = {entry.sha256: entry for entry in new.content.anchor}
    denied = {deny.certificate for deny in new.content.deny if deny.certificate is not None}
    gone = [entry for entry in agreed if entry.sha256 not in by_sha256]
    revoked = [entry for entry in gone if denied & _fingerprints(entry)]
    dropped = [entry for entry in gone if entry not in revoked]
    stays = tuple(entry for entry in agreed if entry.sha256 in by_sha256)
    is_held = len(dropped) > len(stays)
    changes = [Change(ChangeKind.REVOKED, "anchor", entry.name) for entry in revoked]
    changes.extend(Change(ChangeKind.GONE, "anchor", entry.name, waits=is_held) for entry in dropped)
    for entry in stays:
        changes.extend(_compared(entry, by_sha256[entry.sha256]))
    known = {entry.sha256 for entry in agreed}
    changes.extend(
        Change(ChangeKind.NEW, "anchor", entry.name, entry.operator, waits=True)
        for entry in new.content.anchor
        if entry.sha256 not in known
    )
    return (*stays, *(dropped if is_held else ())), changes


def _compared(agreed: ListAnchorEntry, new: ListAnchorEntry) -> Iterator[Change]:
    """Yield what is other in an authority's entry."""
    ours, theirs = (terms_of(entry, entry.name, entry.operator, "") for entry in (agreed, new))
    wider = list(widened(theirs, ours))
    wider.extend(key for key in ("name", "operator") if getattr(new, key) != getattr(agreed, key))
    if wider:
        yield Change(ChangeKind.WIDER, "anchor", agreed.name, ", ".join(wider), waits=True)
    narrower = widened(ours, theirs)
    if narrower:
        yield Change(ChangeKind.NARROWER, "anchor", agreed.name, ", ".join(narrower))


def _logs(
    agreed: tuple[ListLogEntry, ...], new: tuple[ListLogEntry, ...], at: datetime
) -> tuple[tuple[ListLogEntry, ...], list[Change]]:
    """Take a log's later description where it leaves the shards in use as they are, as `trust log update` does."""
    by_name = {entry.name: entry for entry in new}
    left: list[ListLogEntry] = []
    changes: list[Change] = []
    for entry in agreed:
        later = by_name.get(entry.name)
        if later is None:
            changes.append(Change(ChangeKind.GONE, "log", entry.name))
        elif later.operator == entry.operator and _succeeds(entry, later, at):
            left.append(later)
        else:
            left.append(entry)
            changes.append(Change(ChangeKind.WIDER, "log", entry.name, "operator or shards in use", waits=True))
    return tuple(left), [*changes, *_new_ones("log", {entry.name for entry in agreed}, new, "name")]


def _succeeds(entry: ListLogEntry, later: ListLogEntry, at: datetime) -> bool:
    try:
        log_of(entry, "", entry.name).require_successor(log_of(later, "", later.name), at)
    except LogError:
        return False
    return True


def _witnesses(
    agreed: tuple[WitnessEntry, ...], new: tuple[WitnessEntry, ...]
) -> tuple[tuple[WitnessEntry, ...], list[Change]]:
    by_key = {entry.key: entry for entry in new}
    changes = [Change(ChangeKind.GONE, "witness", entry.name) for entry in agreed if entry.key not in by_key]
    left = tuple(entry for entry in agreed if entry.key in by_key)
    changes.extend(
        Change(ChangeKind.WIDER, "witness", entry.name, "name or operator", waits=True)
        for entry in left
        if by_key[entry.key] != entry
    )
    return left, [*changes, *_new_ones("witness", {entry.key for entry in agreed}, new, "key")]


def _denies(agreed: tuple[DenyEntry, ...], new: tuple[DenyEntry, ...]) -> tuple[tuple[DenyEntry, ...], list[Change]]:
    lifted = [deny for deny in agreed if deny not in new]
    added = [deny for deny in new if deny not in agreed]
    changes = [Change(ChangeKind.LIFTED, "deny", _denied(deny), deny.note, waits=True) for deny in lifted]
    changes.extend(Change(ChangeKind.DENIED, "deny", _denied(deny), deny.note) for deny in added)
    return (*new, *lifted), changes


def _denied(deny: DenyEntry) -> str:
    return deny.number or deny.prefix or f"{deny.certificate}"


def _new_ones(what: str, known: Collection[str], new: Iterable[_Named], key: str) -> Iterator[Change]:
    for entry in new:
        if getattr(entry, key) not in known:
            yield Change(ChangeKind.NEW, what, entry.name, entry.operator, waits=True)


def _taken(agreed: tuple[_Named, ...], new: tuple[_Named, ...], names: Collection[str], key: str) -> tuple[_Named, ...]:
    """Return the entries that were agreed to, where those of these names are as the newer version has them, or gone."""
    chosen = {getattr(entry, key) for entries in (agreed, new) for entry in entries if entry.name in names}
    kept = tuple(entry for entry in agreed if getattr(entry, key) not in chosen)
    return kept + tuple(entry for entry in new if getattr(entry, key) in chosen)


def _fingerprints(entry: ListAnchorEntry) -> frozenset[str]:
    """Return what a deny may call an authority's certificate."""
    terms = terms_of(entry, entry.name, entry.operator, "")
    return all_fingerprints(certificate_of(entry, terms, entry.name))
