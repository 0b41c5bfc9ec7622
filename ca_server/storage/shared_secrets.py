"""Secrets that all front ends share, in the database."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from serving.database import Database

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Secrets:
    """Random secrets that all front ends share, made when first asked for."""

    database: Database
    _known: dict[str, bytes] = field(default_factory=dict, repr=False)

    def get(self, name: str) -> bytes:
        """Return the 32 random bytes of this name, the same in every process and for good."""
        known = self._known.get(name)
        if known is None:
            known = self._read(name)
            if not self.database.is_in_transaction:  # else it may be undone, and another process make another
                self._known[name] = known
        return known

    def _read(self, name: str) -> bytes:
        self.database.run(
            "INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
            name,
            secrets.token_bytes(_SECRET_BYTES),
        )
        return bytes(self.database.rows("SELECT value FROM secrets WHERE name = ?", name)[0][0])
