"""Records as they were signed, and moves, one for each number and app."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from number_directory.server.storage.statements import Frames, KeptStatement
from serving.database import Database, Row, Value, some_at_a_time
from serving.times import from_column, to_column
from stir.telephone_number import TelephoneNumber

MOVE: Final = ""
"""In the place of an app: the entry is the move of the number to another directory."""

_COLUMNS = (
    "number, app, seq, statement, media, content, leaf, ends_at, state, authority, serial, accepted_at, forget_at"
)
_PUT = f"""
    INSERT INTO directory_entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (number, app) DO UPDATE SET
        seq = excluded.seq, statement = excluded.statement, media = excluded.media, content = excluded.content,
        leaf = excluded.leaf, ends_at = excluded.ends_at, state = excluded.state, authority = excluded.authority,
        serial = excluded.serial, accepted_at = excluded.accepted_at,
        forget_at = CASE WHEN directory_entries.forget_at > excluded.forget_at
            THEN directory_entries.forget_at ELSE excluded.forget_at END
    WHERE directory_entries.seq < excluded.seq
"""
_IN_FORCE = "state IN ('live', 'withdrawn')"
_END = "UPDATE directory_entries SET state = ?, ends_at = ? WHERE number = ? AND app = ? AND seq = ?"
_CHANGE = "UPDATE directory_entries SET state = ? WHERE number = ? AND app = ? AND seq = ?"


class EntryState(StrEnum):
    """Whether an entry is shown, or why no more. One that is `LIVE` still ends at its time."""

    LIVE = "live"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    MOVED = "moved"
    UNADMITTED = "unadmitted"
    """Its authority is no longer admitted. The only one that ends: once the authority is admitted again."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """A record, or a move, as it is kept. It holds a number: it prints none.

    `statement` is what the owner signed, and `media` the part that is shown by a permission of its own. `content` is
    the hash of what it states, `leaf` that of the whole for the record log. `authority` and `serial` name its
    certificate.
    """

    number: TelephoneNumber
    app: str
    seq: int
    statement: KeptStatement
    media: str | None
    content: bytes
    leaf: bytes
    ends_at: datetime
    state: EntryState
    authority: bytes
    serial: bytes
    accepted_at: datetime
    forget_at: datetime

    def is_shown(self, now: datetime) -> bool:
        """Whether anybody may see it at a time, if its owner allows that."""
        return self.state is EntryState.LIVE and self.ends_at > now


@dataclass(frozen=True, slots=True)
class Entries:
    """All entries."""

    database: Database
    frames: Frames

    def of_number(self, number: TelephoneNumber) -> list[Entry]:
        """Return all entries of a number, those that ended too, in the order of their apps."""
        return self.of_numbers([number])[number]

    def of_numbers(self, numbers: Sequence[TelephoneNumber]) -> dict[TelephoneNumber, list[Entry]]:
        """Return all entries of each of these numbers; see `of_number`."""
        found: dict[TelephoneNumber, list[Entry]] = {number: [] for number in numbers}
        for some in some_at_a_time(numbers):
            places = ", ".join("?" * len(some))
            rows = self.database.rows(
                f"SELECT {_COLUMNS} FROM directory_entries WHERE number IN ({places}) ORDER BY number, app",
                *(int(number.digits) for number in some),
            )
            for entry in map(self._entry, rows):
                found[entry.number].append(entry)
        return found

    def put(self, entries: Sequence[Entry]) -> None:
        """Put entries one after the other in the places of those of lower `seq`, in the caller's transaction."""
        self.frames.ensure(entry.statement for entry in entries)
        self.database.run_many(_PUT, [_row(entry) for entry in entries])

    def end(self, entry: Entry, state: EntryState, now: datetime) -> None:
        """End an entry for a reason, unless another has taken its place."""
        ends_at = min(to_column(now), to_column(entry.ends_at))
        self.database.run(_END, state.value, ends_at, int(entry.number.digits), entry.app, entry.seq)

    def drop(self, entry: Entry) -> None:
        """Forget an entry and its `seq`: no certificate that could bring it back counts any more."""
        self.database.run(
            "DELETE FROM directory_entries WHERE number = ? AND app = ?", int(entry.number.digits), entry.app
        )

    def rest_on(self, entry: Entry, authority: bytes, serial: bytes) -> None:
        """Note that an entry stands by another of its certificates, unless another has taken its place."""
        self.database.run(
            "UPDATE directory_entries SET authority = ?, serial = ? WHERE number = ? AND app = ? AND seq = ?",
            authority,
            serial,
            int(entry.number.digits),
            entry.app,
            entry.seq,
        )

    def of_certificates(self, authority: bytes, serials: Sequence[bytes]) -> list[Entry]:
        """Return the live entries whose certificates have these serial numbers, and withdrawn ones."""
        places = ", ".join("?" * len(serials))
        rows = self.database.rows(
            f"SELECT {_COLUMNS} FROM directory_entries WHERE authority = ? AND serial IN ({places}) AND {_IN_FORCE}",
            authority,
            *serials,
        )
        return [self._entry(row) for row in rows]

    def hide(self, entry: Entry) -> None:
        """Show an entry no more, and keep its time, unless another has taken its place."""
        self._change(entry, EntryState.UNADMITTED)

    def show_again(self, entry: Entry) -> None:
        """Show an entry that was hidden, unless another has taken its place."""
        self._change(entry, EntryState.LIVE)

    def _change(self, entry: Entry, state: EntryState) -> None:
        self.database.run(_CHANGE, state.value, int(entry.number.digits), entry.app, entry.seq)

    def records_of_authority(self, authority: bytes, after: bytes, limit: int, *, hidden: bool) -> list[Entry]:
        """Return some live or hidden records whose certificates an authority issued, in the order of their serials.

        `after` is the last serial that was dealt with. More records of one certificate than `limit` has room for come
        the next time.
        """
        state = EntryState.UNADMITTED if hidden else EntryState.LIVE
        rows = self.database.rows(
            f"SELECT {_COLUMNS} FROM directory_entries WHERE authority = ? AND state = '{state.value}' AND app <> ''"
            " AND serial > ? ORDER BY serial LIMIT ?",
            authority,
            after,
            limit,
        )
        return [self._entry(row) for row in rows]

    def of_authority(self, authority: bytes, limit: int) -> list[Entry]:
        """Return some live entries whose certificates an authority issued, and withdrawn ones."""
        rows = self.database.rows(
            f"SELECT {_COLUMNS} FROM directory_entries WHERE authority = ? AND {_IN_FORCE} LIMIT ?", authority, limit
        )
        return [self._entry(row) for row in rows]

    def ended_numbers(self, now: datetime, limit: int) -> list[TelephoneNumber]:
        """Return numbers that have something to forget, of the `limit` entries that have waited longest."""
        rows = self.database.rows(
            "SELECT number FROM directory_entries WHERE forget_at < ? ORDER BY forget_at LIMIT ?", to_column(now), limit
        )
        return [TelephoneNumber(str(number)) for number in dict.fromkeys(number for (number,) in rows)]

    def forget(self, number: TelephoneNumber, now: datetime) -> int:
        """Forget what is no longer needed of a number, and return how many entries that were."""
        return self.database.run(
            "DELETE FROM directory_entries WHERE number = ? AND forget_at < ?", int(number.digits), to_column(now)
        )

    def _entry(self, row: Row) -> Entry:
        number, app, seq, statement, media, content, leaf, ends_at, state, authority, serial, accepted_at, forget_at = (
            row
        )
        return Entry(
            number=TelephoneNumber(str(number)),
            app=app,
            seq=seq,
            statement=self.frames.read(statement),
            media=media,
            content=bytes(content),
            leaf=bytes(leaf),
            ends_at=from_column(ends_at),
            state=EntryState(state),
            authority=bytes(authority),
            serial=bytes(serial),
            accepted_at=from_column(accepted_at),
            forget_at=from_column(forget_at),
        )


def _row(entry: Entry) -> tuple[Value, ...]:
    return (
        int(entry.number.digits),
        entry.app,
        entry.seq,
        entry.statement.data,
        entry.media,
        entry.content,
        entry.leaf,
        to_column(entry.ends_at),
        entry.state.value,
        entry.authority,
        entry.serial,
        to_column(entry.accepted_at),
        to_column(entry.forget_at),
    )
