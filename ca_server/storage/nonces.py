"""Spent nonces in the database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from serving.database import Database
from serving.times import to_column

LONGEST_NONCE_LIFE = timedelta(days=1)
"""No nonce may live longer: a spent one is forgotten once another is spent that expires this much later."""

_SPENDS_BETWEEN_CLEANINGS = 1000
_SPEND = "INSERT INTO nonces (expires_at, id) VALUES (?, ?) ON CONFLICT (expires_at, id) DO NOTHING"


@dataclass(frozen=True, slots=True)
class Nonces:
    """Nonces that were used, of all front ends."""

    database: Database
    _spends: Iterator[int] = field(default_factory=lambda: itertools.count(1), repr=False)

    def spend(self, nonce_id: str, expires_at: datetime) -> bool:
        """Use a nonce; False where it was used before. Its id tells when it expires: one has no two ends.

        In a transaction, it is used if that is kept, and whoever uses it at the same moment waits to be told.
        """
        if next(self._spends) % _SPENDS_BETWEEN_CLEANINGS == 0:
            self.forget(expires_at - LONGEST_NONCE_LIFE)
        run = self.database.run if self.database.is_in_transaction else self.database.run_soon_durable
        return run(_SPEND, to_column(expires_at), nonce_id) == 1

    def forget(self, before: datetime) -> int:
        """Forget the nonces that expired before this time, and return how many."""
        return self.database.run("DELETE FROM nonces WHERE expires_at < ?", to_column(before))
