"""Ports and reassignments: what a number's former holder signed ends when the number goes to somebody else.

Numbering databases tell of them in feeds. A feed is a `NumberFeed`; `JsonLinesFeed` reads a file that something else
appends to, one event a line: `{"number": "+12025550123", "event": "ported", "at": "2026-06-01T12:00:00Z"}`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import msgspec

from number_directory.access_list import SignedAccessList
from number_directory.move import SignedMove
from number_directory.record import SignedRecord
from number_directory.server.directory import Directory
from number_directory.server.errors import EventsFailure
from number_directory.server.number_event import EventKind, NumberEvent
from number_directory.server.publishing import show
from number_directory.server.storage import MOVE, Entry, KeptNumber, Storage
from number_directory.statement import SignedStatement
from stir.errors import TelephoneNumberError
from stir.telephone_number import TelephoneNumber

_READ_AT_ONCE = 4 * 1024 * 1024
_LONGEST_LIFE = timedelta(days=366)
"""How long an event is remembered at least: no number's certificate from before it lives longer."""


class NumberFeed(Protocol):
    """Somebody who tells of number events, in an order."""

    @property
    def name(self) -> str:
        """Under which name the directory remembers how far it has read."""
        ...

    def after(self, position: str) -> tuple[list[NumberEvent], str]:
        """Return events behind a position, '' for the beginning, and the position behind them.

        Raises EventsFailure.
        """
        ...


class _Line(msgspec.Struct, frozen=True):
    """An event as it stands in a line; other members are passed over."""

    number: str
    event: EventKind
    at: datetime


@dataclass(frozen=True, slots=True)
class JsonLinesFeed:
    """A file of JSON lines that only grows. A position is how many bytes were read, and of which file."""

    name: str
    path: Path

    def after(self, position: str) -> tuple[list[NumberEvent], str]:
        """Return the events of whole lines behind a position.

        A file that was replaced, or cut off as some rotate it, is read from its beginning.
        """
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = str(status.st_ino)
                former, _, offset = position.partition(":")
                start = int(offset) if former == identity and int(offset) <= status.st_size else 0
                file.seek(start)
                data = file.read(_READ_AT_ONCE)
        except FileNotFoundError:
            return [], position
        except OSError as error:
            msg = f"{self.path} cannot be read: {error.strerror}"
            raise EventsFailure(msg) from error
        whole = data[: data.rfind(b"\n") + 1]
        return list(self._events(whole)), f"{identity}:{start + len(whole)}"

    def _events(self, data: bytes) -> Iterator[NumberEvent]:
        for line in filter(bytes.strip, data.splitlines()):
            try:
                read = msgspec.json.decode(line, type=_Line)
                at = read.at if read.at.tzinfo else read.at.replace(tzinfo=UTC)
                yield NumberEvent(TelephoneNumber.parse(read.number), read.event, at)
            except (msgspec.DecodeError, UnicodeDecodeError, TelephoneNumberError) as error:
                msg = (
                    f'{self.path} has a line that is no event such as {{"number": "+12025550123", "event": "ported", '
                    '"at": "2026-06-01T12:00:00Z"}; mend or remove it'
                )
                raise EventsFailure(msg) from error


def follow(directory: Directory, feed: NumberFeed) -> int:
    """Obey what a feed tells that is new, and return how many events that were. Raises EventsFailure."""
    count = 0
    while True:
        position = directory.storage.feeds.position(feed.name)
        events, behind = feed.after(position)
        if behind == position:
            return count
        for event in events:
            obey(directory, event)
        directory.storage.feeds.advance(feed.name, behind)  # to obey again what a crash left unnoted does no harm
        count += len(events)


def obey(directory: Directory, event: NumberEvent) -> int:
    """Forget what certificates from before an event say of its number, durably; return how many records that ends.

    Nothing of it is left for the number's next holder to see, nor takes its place: none of these certificates counts
    any more, so that nothing can come back.
    """
    now, storage = directory.clock(), directory.storage
    with storage.transaction():
        kept = storage.numbers.hold(event.number)
        if event.at <= kept.certified_after:
            return 0
        entries = {entry.app: entry for entry in storage.entries.of_number(event.number)}
        gone = [entry for entry in entries.values() if _is_from_before(statement_of(entry), event)]
        until = max([now + _LONGEST_LIFE, *(entry.forget_at for entry in gone)])
        storage.numbers.note_event(event.number, event.kind, event.at, until)
        if kept.access_list is not None and _is_from_before(SignedAccessList.parse(kept.access_list.text), event):
            storage.numbers.drop_access_list(event.number)
            kept = replace(kept, access_list=None)
        for entry in gone:
            storage.entries.drop(entry)
            del entries[entry.app]
        _drop_conflicts(storage, kept, entries)
        if not (MOVE in entries and entries[MOVE].is_shown(now)):
            show(storage, kept, entries, now)
    ended = sum(entry.is_shown(now) for entry in gone)
    directory.metrics.ended(event.kind, ended)
    return ended


def _drop_conflicts(storage: Storage, kept: KeptNumber, entries: Mapping[str, Entry]) -> None:
    """Forget conflicts about what is gone."""
    left = {*entries, *(() if kept.access_list is None else (MOVE,))}
    for app in {conflict.app for conflict in storage.conflicts.of_number(kept.number)} - left:
        storage.conflicts.drop(kept.number, app)


def statement_of(entry: Entry) -> SignedRecord | SignedMove:
    """Return what an entry's owner signed."""
    if entry.app == MOVE:
        return SignedMove.parse(entry.statement.text)
    return SignedRecord.parse(entry.statement.text + (entry.media or ""))


def _is_from_before(signed: SignedStatement, event: NumberEvent) -> bool:
    return all(chain[0].not_valid_before_utc <= event.at for chain in signed.chains)
