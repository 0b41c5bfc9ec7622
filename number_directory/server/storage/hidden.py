"""The numbers of which anyone may see something, and what the hidden mode's function makes of each.

`Grants.replace` notes and forgets them, in the transaction that changes who may see what. The worker adds the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from typing import Final

from number_directory.hidden import Bucket, HiddenNumber
from serving.database import Database
from serving.times import to_column
from stir.telephone_number import TelephoneNumber

MOST_IN_A_BUCKET: Final = 1024
"""How many numbers of a bucket are looked at; 4 MiB have room for fewer."""

_WAITING = "SELECT number FROM directory_hidden WHERE place IS NULL ORDER BY number LIMIT ? FOR UPDATE SKIP LOCKED"
_FILL = "UPDATE directory_hidden SET place = ?, hidden = ? WHERE number = ?"
_ENDED = """
    SELECT h.number FROM directory_hidden h WHERE h.number > ? AND h.number <= ? AND NOT EXISTS (
        SELECT 1 FROM directory_grants g JOIN directory_entries e ON e.number = g.number AND e.app = g.app
        WHERE g.number = h.number AND g.key >= ? AND g.key < ? AND e.ends_at > ? AND e.state = 'live'
    )
"""
_ANYONE, _BEHIND_ANYONE = b"*:", b"*;"  # between which are all keys of ANYONE: `storage.grants`


@dataclass(frozen=True, slots=True)
class Layout:
    """Of which key the labels are, and how many of their leading bits name a bucket; -1 while they are being made."""

    key: bytes
    depth: int

    @property
    def is_ready(self) -> bool:
        """Whether callers may be answered by it."""
        return self.depth >= 0


NO_LAYOUT: Final = Layout(b"", -1)
"""Labels of some key may be there, and are to be forgotten."""


@dataclass(frozen=True, slots=True)
class HiddenNumbers:
    """All numbers that are open to anyone."""

    database: Database

    def in_bucket(self, bucket: Bucket, limit: int) -> list[tuple[TelephoneNumber, HiddenNumber]]:
        """Return numbers of a bucket with what the function made of them, in the order of their labels."""
        rows = self.database.rows(
            "SELECT number, hidden FROM directory_hidden WHERE place >= ? AND place < ? ORDER BY place LIMIT ?",
            bucket.places.start,
            bucket.places.stop,
            limit,
        )
        return [(TelephoneNumber(str(number)), HiddenNumber.from_bytes(bytes(hidden))) for number, hidden in rows]

    def counts(self, depth: int) -> dict[int, int]:
        """Return how many numbers are in each bucket of a depth that has any."""
        shift = Bucket(depth, 0).places.stop.bit_length() - 1
        rows = self.database.rows(
            f"SELECT place >> {shift} AS bucket, COUNT(*) FROM directory_hidden WHERE place IS NOT NULL GROUP BY 1"
        )
        return dict(starmap(_pair, rows))

    def count(self) -> int:
        """Return how many numbers are in buckets."""
        return int(self.database.rows("SELECT COUNT(*) FROM directory_hidden WHERE place IS NOT NULL")[0][0])

    # What the worker does

    def fill(self, made_of: Callable[[TelephoneNumber], HiddenNumber], limit: int) -> int:
        """Add what the function makes of numbers that wait for it; return how many those were.

        A number that somebody else is changing is passed over, so that nobody waits for anybody.
        """
        with self.database.transaction(synced=False):
            numbers = [number for (number,) in self.database.rows(_WAITING, limit)]
            made = [(number, made_of(TelephoneNumber(str(number)))) for number in numbers]
            if made:
                self.database.run_many(_FILL, [(one.place, one.to_bytes(), number) for number, one in made])
        return len(made)

    def empty(self, limit: int) -> int:
        """Forget what the function made of some numbers, since its key is another now; return how many those were."""
        return self.database.run(
            "UPDATE directory_hidden SET place = NULL, hidden = NULL WHERE number IN"
            " (SELECT number FROM directory_hidden WHERE place IS NOT NULL LIMIT ?)",
            limit,
        )

    def ended(self, after: int, limit: int, now: datetime) -> tuple[list[TelephoneNumber], int]:
        """Return those of the next numbers behind `after` of which nobody sees anything any more.

        And the last number that was looked at, 0 where there were none left.
        """
        looked_at = self.database.rows(
            "SELECT number FROM directory_hidden WHERE number > ? ORDER BY number LIMIT ?", after, limit
        )
        if not looked_at:
            return [], 0
        (last,) = looked_at[-1]
        rows = self.database.rows(_ENDED, after, last, _ANYONE, _BEHIND_ANYONE, to_column(now))
        return [TelephoneNumber(str(number)) for (number,) in rows], int(last)

    def forget(self, number: TelephoneNumber) -> None:
        """Forget a number, in a transaction that holds it."""
        self.database.run("DELETE FROM directory_hidden WHERE number = ?", int(number.digits))

    # The layout

    def layout(self) -> Layout:
        """Return the layout of the buckets."""
        row = self.database.row("SELECT key, depth FROM directory_hidden_layout")
        return NO_LAYOUT if row is None else Layout(bytes(row[0]), row[1])

    def lay_out(self, layout: Layout) -> None:
        """Put a layout in the place of the one before."""
        with self.database.transaction():
            self.database.run("DELETE FROM directory_hidden_layout")
            self.database.run(
                "INSERT INTO directory_hidden_layout (key, depth) VALUES (?, ?)", layout.key, layout.depth
            )


def _pair(bucket: int, count: int) -> tuple[int, int]:
    return int(bucket), int(count)
