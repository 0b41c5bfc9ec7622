"""Statements that contradict accepted ones of the same `seq`: somebody else has the owner's key, or the owner errs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from serving.database import Database
from serving.times import from_column, to_column
from stir.telephone_number import TelephoneNumber

_MOST = 32
_ADD = """
    INSERT INTO directory_conflicts (number, app, seq, kept, refused, noticed_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (number, app, seq, refused) DO NOTHING
"""
_DROP_OLD = """
    DELETE FROM directory_conflicts WHERE number = ? AND noticed_at < (
        SELECT MIN(noticed_at) FROM (
            SELECT noticed_at FROM directory_conflicts WHERE number = ? ORDER BY noticed_at DESC LIMIT ?
        ) AS latest
    )
"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A refused statement and the accepted one, by the hashes of both. `app` is empty where they are access lists."""

    app: str
    seq: int
    kept: bytes
    refused: bytes
    noticed_at: datetime


@dataclass(frozen=True, slots=True)
class Conflicts:
    """The latest conflicts of each number."""

    database: Database

    def add(self, number: TelephoneNumber, conflict: Conflict) -> None:
        """Keep a conflict, once, and drop the oldest of more than 32."""
        value = int(number.digits)
        self.database.run(
            _ADD, value, conflict.app, conflict.seq, conflict.kept, conflict.refused, to_column(conflict.noticed_at)
        )
        self.database.run(_DROP_OLD, value, value, _MOST)

    def of_number(self, number: TelephoneNumber) -> list[Conflict]:
        """Return the conflicts of a number, the latest first."""
        rows = self.database.rows(
            "SELECT app, seq, kept, refused, noticed_at FROM directory_conflicts WHERE number = ?"
            " ORDER BY noticed_at DESC, app",
            int(number.digits),
        )
        return [
            Conflict(app, seq, bytes(kept), bytes(refused), from_column(at)) for app, seq, kept, refused, at in rows
        ]

    def drop(self, number: TelephoneNumber, app: str) -> None:
        """Forget the conflicts of an app of a number."""
        self.database.run("DELETE FROM directory_conflicts WHERE number = ? AND app = ?", int(number.digits), app)

    def forget(self, noticed_before: datetime) -> int:
        """Forget old conflicts."""
        return self.database.run("DELETE FROM directory_conflicts WHERE noticed_at < ?", to_column(noticed_before))
