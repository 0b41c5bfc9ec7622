"""How far each feed of number events was read."""

from __future__ import annotations

from dataclasses import dataclass

from serving.database import Database


@dataclass(frozen=True, slots=True)
class Feeds:
    """The positions of all feeds."""

    database: Database

    def position(self, name: str) -> str:
        """Return how far a feed was read, in the feed's own words; empty at first."""
        row = self.database.row("SELECT position FROM directory_feeds WHERE name = ?", name)
        return "" if row is None else str(row[0])

    def advance(self, name: str, position: str) -> None:
        """Note how far a feed was read, in the transaction that obeys it."""
        self.database.run(
            "INSERT INTO directory_feeds (name, position) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET position = excluded.position",
            name,
            position,
        )
