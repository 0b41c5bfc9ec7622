"""Token buckets in the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from serving.database import Database
from serving.times import from_column, to_column


@dataclass(frozen=True, slots=True)
class Buckets:
    """Token buckets, each kept as the moment from which it is full. They are counted in `policies.issuance`."""

    database: Database

    def held(self, keys: Sequence[str]) -> dict[str, datetime]:
        """Return when each bucket will be full, and let nobody else take from them until this transaction ends."""
        if self.database.is_sqlite:  # there a transaction is alone
            places = ", ".join("?" * len(keys))
            known: dict[str, int] = dict(
                self.database.rows(f"SELECT key, full_at FROM buckets WHERE key IN ({places})", *keys)
            )
            return {key: from_column(known.get(key, 0)) for key in keys}
        # In one order for everybody, so that two front ends never wait for each other.
        ordered = sorted(keys)
        places = ", ".join(["(?, 0)"] * len(ordered))
        rows = self.database.rows(
            f"INSERT INTO buckets (key, full_at) VALUES {places}"
            " ON CONFLICT (key) DO UPDATE SET full_at = buckets.full_at RETURNING key, full_at",
            *ordered,
        )
        return {key: from_column(full_at) for key, full_at in rows}

    def fill(self, full_at: Mapping[str, datetime]) -> None:
        """Set when buckets will be full, of those that are held."""
        values = [value for key, time in sorted(full_at.items()) for value in (key, to_column(time))]
        self.database.run(
            f"INSERT INTO buckets (key, full_at) VALUES {', '.join(['(?, ?)'] * len(full_at))}"
            " ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at",
            *values,
        )

    def forget_full(self, now: datetime) -> int:
        """Forget the buckets that are full, which is what an unknown one is, and return how many."""
        return self.database.run("DELETE FROM buckets WHERE full_at < ?", to_column(now))
