"""What a directory keeps of a number as a whole, and who holds a number while something of it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from number_directory.server.storage.statements import Frames, KeptStatement
from serving.database import Database, Row, some_at_a_time
from serving.times import from_column, to_column
from stir.telephone_number import TelephoneNumber

_COLUMNS = "access_list, access_seq, certified_after, event, access_authority, access_serial, access_hidden"
_HOLD = f"""
    INSERT INTO directory_numbers (number) VALUES %s
    ON CONFLICT (number) DO UPDATE SET number = excluded.number
    RETURNING number, {_COLUMNS}
"""
_SET_ACCESS = """
    UPDATE directory_numbers
    SET access_list = ?, access_seq = ?, access_authority = ?, access_serial = ?, access_hidden = 0,
        forget_at = CASE WHEN forget_at > ? THEN forget_at ELSE ? END
    WHERE number = ?
"""
_OF_AUTHORITY = f"SELECT number, {_COLUMNS} FROM directory_numbers WHERE access_authority = ?"
_FIND_EVENT = "SELECT NULL, access_seq, certified_after, event, NULL, NULL, 0 FROM directory_numbers WHERE number = ?"
_NOTE_EVENT = """
    UPDATE directory_numbers
    SET certified_after = ?, event = ?, forget_at = CASE WHEN forget_at > ? THEN forget_at ELSE ? END
    WHERE number = ?
"""
_FORGET = """
    DELETE FROM directory_numbers WHERE number > ? AND number <= ? AND forget_at < ? AND NOT EXISTS (
        SELECT 1 FROM directory_entries WHERE directory_entries.number = directory_numbers.number
    )
"""
_DROP_ACCESS = """
    UPDATE directory_numbers
    SET access_list = NULL, access_seq = -1, access_authority = NULL, access_serial = NULL, access_hidden = 0
    WHERE number = ?
"""


@dataclass(frozen=True, slots=True)
class KeptNumber:
    """What is known of a number.

    `access_list` is the newest one, None where there is none. One that is hidden shows nothing to
    anybody while its authority is not admitted.
    """

    number: TelephoneNumber
    access_list: KeptStatement | None
    access_seq: int
    certified_after: datetime
    event: str | None
    access_authority: bytes | None = None
    access_serial: bytes | None = None
    access_hidden: bool = False

    @property
    def shown_access_list(self) -> KeptStatement | None:
        """The access list that tells who sees what."""
        return None if self.access_hidden else self.access_list


@dataclass(frozen=True, slots=True)
class Numbers:
    """All numbers that ever had something here."""

    database: Database
    frames: Frames

    def hold(self, number: TelephoneNumber) -> KeptNumber:
        """Return what is known of a number, and let nobody else change anything of it until this transaction ends."""
        return self.hold_all([number])[number]

    def hold_all(self, numbers: Sequence[TelephoneNumber]) -> dict[TelephoneNumber, KeptNumber]:
        """Hold several numbers; see `hold`. Whoever does so holds them in one order, so that nobody waits for ever."""
        held: dict[TelephoneNumber, KeptNumber] = {}
        for some in some_at_a_time(sorted(numbers, key=lambda number: int(number.digits))):
            rows = self.database.rows(_HOLD % ", ".join(["(?)"] * len(some)), *(int(one.digits) for one in some))
            held |= {one.number: one for one in map(self._of_row, rows)}
        return held

    def find(self, number: TelephoneNumber) -> KeptNumber | None:
        """Return what is known of a number."""
        row = self.database.row(f"SELECT {_COLUMNS} FROM directory_numbers WHERE number = ?", int(number.digits))
        return None if row is None else self._kept(number, row)

    def find_event(self, number: TelephoneNumber) -> KeptNumber | None:
        """Return what is known of a number but its access list, which may be long."""
        row = self.database.row(_FIND_EVENT, int(number.digits))
        return None if row is None else self._kept(number, row)

    def set_access_list(self, kept: KeptNumber, forget_at: datetime) -> None:
        """Put an access list in the place of the one before."""
        until = to_column(forget_at)
        if kept.access_list is not None:
            self.frames.ensure([kept.access_list])
        self.database.run(
            _SET_ACCESS,
            None if kept.access_list is None else kept.access_list.data,
            kept.access_seq,
            kept.access_authority,
            kept.access_serial,
            until,
            until,
            int(kept.number.digits),
        )

    def rest_on(self, number: TelephoneNumber, authority: bytes, serial: bytes) -> None:
        """Note that an access list stands by another of its certificates."""
        self.database.run(
            "UPDATE directory_numbers SET access_authority = ?, access_serial = ? WHERE number = ?",
            authority,
            serial,
            int(number.digits),
        )

    def end_access_list(self, number: TelephoneNumber) -> None:
        """End an access list; its `seq` stays, so that it does not come back."""
        self.database.run(
            "UPDATE directory_numbers SET access_list = NULL, access_authority = NULL, access_serial = NULL,"
            " access_hidden = 0 WHERE number = ?",
            int(number.digits),
        )

    def drop_access_list(self, number: TelephoneNumber) -> None:
        """Forget an access list and its `seq`: no certificate that could bring it back counts any more."""
        self.database.run(_DROP_ACCESS, int(number.digits))

    def hide_access_list(self, number: TelephoneNumber, *, hidden: bool) -> None:
        """Have an access list show nothing to anybody, or count again."""
        self.database.run(
            "UPDATE directory_numbers SET access_hidden = ? WHERE number = ?", int(hidden), int(number.digits)
        )

    def of_certificates(self, authority: bytes, serials: Sequence[bytes]) -> list[KeptNumber]:
        """Return the numbers whose access lists rest on certificates of these serial numbers."""
        places = ", ".join("?" * len(serials))
        rows = self.database.rows(f"{_OF_AUTHORITY} AND access_serial IN ({places})", authority, *serials)
        return [self._of_row(row) for row in rows]

    def of_authority(self, authority: bytes, limit: int) -> list[KeptNumber]:
        """Return some numbers whose access lists rest on certificates of an authority."""
        rows = self.database.rows(f"{_OF_AUTHORITY} LIMIT ?", authority, limit)
        return [self._of_row(row) for row in rows]

    def lists_of_authority(self, authority: bytes, after: bytes, limit: int, *, hidden: bool) -> list[KeptNumber]:
        """Return some numbers whose access lists an authority certifies, counting or hidden ones, by their serials.

        `after` is the last serial that was dealt with.
        """
        rows = self.database.rows(
            f"{_OF_AUTHORITY} AND access_hidden = {int(hidden)} AND access_serial > ? ORDER BY access_serial LIMIT ?",
            authority,
            after,
            limit,
        )
        return [self._of_row(row) for row in rows]

    def note_event(self, number: TelephoneNumber, event: str, at: datetime, forget_at: datetime) -> None:
        """Note that certificates from before a time say nothing more about a number."""
        until = to_column(forget_at)
        self.database.run(_NOTE_EVENT, to_column(at), event, until, until, int(number.digits))

    def forget(self, after: int, limit: int, now: datetime) -> int:
        """Forget those of the next numbers behind `after` that have nothing here any more.

        Return the last number that was looked at, 0 where there were no more.
        """
        looked_at = self.database.rows(
            "SELECT number FROM directory_numbers WHERE number > ? ORDER BY number LIMIT ?", after, limit
        )
        if not looked_at:
            return 0
        (last,) = looked_at[-1]
        self.database.run(_FORGET, after, last, to_column(now))
        return int(last)

    def _of_row(self, row: Row) -> KeptNumber:
        number, *rest = row
        return self._kept(TelephoneNumber(str(number)), rest)

    def _kept(self, number: TelephoneNumber, row: Sequence[Any]) -> KeptNumber:
        access_list, seq, certified_after, event, authority, serial, hidden = row
        return KeptNumber(
            number=number,
            access_list=None if access_list is None else self.frames.read(access_list),
            access_seq=seq,
            certified_after=from_column(certified_after),
            event=event,
            access_authority=None if authority is None else bytes(authority),
            access_serial=None if serial is None else bytes(serial),
            access_hidden=bool(hidden),
        )
