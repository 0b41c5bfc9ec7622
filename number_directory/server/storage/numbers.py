"""What a directory keeps of a number as a whole, and who holds a number while something of it changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from serving.database import Database, Row
from serving.times import from_column, to_column
from stir.telephone_number import TelephoneNumber

_COLUMNS = "access_list, access_seq, certified_after, event"
_HOLD = f"""
    INSERT INTO directory_numbers (number) VALUES (?)
    ON CONFLICT (number) DO UPDATE SET number = excluded.number
    RETURNING {_COLUMNS}
"""
_SET_ACCESS = """
    UPDATE directory_numbers
    SET access_list = ?, access_seq = ?, forget_at = CASE WHEN forget_at > ? THEN forget_at ELSE ? END
    WHERE number = ?
"""
_NOTE_EVENT = """
    UPDATE directory_numbers
    SET certified_after = ?, event = ?, access_list = ?,
        forget_at = CASE WHEN forget_at > ? THEN forget_at ELSE ? END
    WHERE number = ?
"""


@dataclass(frozen=True, slots=True)
class KeptNumber:
    """What is known of a number. `access_list` is the newest one as it was signed, None where there is none."""

    number: TelephoneNumber
    access_list: str | None
    access_seq: int
    certified_after: datetime
    event: str | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """All numbers that ever had something here."""

    database: Database

    def hold(self, number: TelephoneNumber) -> KeptNumber:
        """Return what is known of a number, and let nobody else change anything of it until this transaction ends."""
        return _kept(number, self.database.rows(_HOLD, int(number.digits))[0])

    def find(self, number: TelephoneNumber) -> KeptNumber | None:
        """Return what is known of a number."""
        row = self.database.row(f"SELECT {_COLUMNS} FROM directory_numbers WHERE number = ?", int(number.digits))
        return None if row is None else _kept(number, row)

    def set_access_list(self, number: TelephoneNumber, statement: str, seq: int, forget_at: datetime) -> None:
        """Put an access list in the place of the one before."""
        until = to_column(forget_at)
        self.database.run(_SET_ACCESS, statement, seq, until, until, int(number.digits))

    def note_event(
        self, number: TelephoneNumber, event: str, at: datetime, access_list: str | None, forget_at: datetime
    ) -> None:
        """Note that certificates from before a time say nothing more about a number, and which access list is left."""
        until = to_column(forget_at)
        self.database.run(_NOTE_EVENT, to_column(at), event, access_list, until, until, int(number.digits))

    def forget(self, now: datetime) -> int:
        """Forget the numbers that have nothing here any more, and return how many."""
        return self.database.run(
            "DELETE FROM directory_numbers WHERE forget_at < ? AND NOT EXISTS (SELECT 1 FROM directory_entries"
            " WHERE directory_entries.number = directory_numbers.number)",
            to_column(now),
        )


def _kept(number: TelephoneNumber, row: Row) -> KeptNumber:
    access_list, seq, certified_after, event = row
    return KeptNumber(number, access_list, seq, from_column(certified_after), event)
