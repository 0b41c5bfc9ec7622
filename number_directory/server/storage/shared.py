"""What front ends share about callers: secrets, quotas, and the requests that were answered."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from number_directory.server.quotas import Kept
from serving.database import Database
from serving.times import from_column, to_column

_SECRET_BYTES = 32
_FASTEST = 1
_HOLD_QUOTA = "SELECT seen, full_at FROM directory_quotas WHERE key = ? FOR UPDATE"
_BEGIN_QUOTA = "INSERT INTO directory_quotas (seen, full_at, key) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING"
_CHANGE_QUOTA = "UPDATE directory_quotas SET seen = ?, full_at = ? WHERE key = ?"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Random secrets, made when first asked for."""

    database: Database

    def get(self, name: str) -> bytes:
        """Return the 32 random bytes of this name, the same for every front end and for good."""
        row = self.database.row("SELECT value FROM directory_secrets WHERE name = ?", name)
        if row is None:
            self.database.run(
                "INSERT INTO directory_secrets (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
                name,
                secrets.token_bytes(_SECRET_BYTES),
            )
            row = self.database.rows("SELECT value FROM directory_secrets WHERE name = ?", name)[0]
        return bytes(row[0])


@dataclass(frozen=True, slots=True)
class SharedQuotas:
    """All callers' quotas. Nobody was promised them: a lost power supply may give some back."""

    database: Database

    def change(self, key: bytes, change: Callable[[Kept], Kept]) -> None:
        """Change what is kept of a caller; see `number_directory.server.quotas.SharedQuotas`."""
        with self.database.transaction(synced=False):
            while not self._change(key, change):
                pass  # another front end was the first to keep something of the caller

    def _change(self, key: bytes, change: Callable[[Kept], Kept]) -> bool:
        held = self.database.row(_HOLD_QUOTA, key)
        kept = change(Kept() if held is None else Kept(zlib.decompress(held[0]), from_column(held[1])))
        seen = zlib.compress(kept.seen, _FASTEST)  # of most callers nearly all of it is empty
        statement = _BEGIN_QUOTA if held is None else _CHANGE_QUOTA
        return self.database.run(statement, seen, to_column(kept.full_at) or 0, key) > 0

    def forget(self, full_before: datetime) -> int:
        """Forget the callers whose buckets have been full since a time."""
        return self.database.run("DELETE FROM directory_quotas WHERE full_at < ?", to_column(full_before))


@dataclass(frozen=True, slots=True)
class SharedReplays:
    """The requests that were answered, for front ends on several hosts; see `number_directory.server.replays`."""

    database: Database

    def spend(self, key: bytes, expires_at: datetime, now: datetime) -> bool:  # noqa: ARG002 - the Protocol's
        """Note a request; return False where it was before."""
        return (
            self.database.run_soon_durable(
                "INSERT INTO directory_replays (key, expires_at) VALUES (?, ?) ON CONFLICT (key) DO NOTHING",
                key,
                to_column(expires_at),
            )
            == 1
        )

    def forget(self, now: datetime) -> int:
        """Forget the requests that are no longer fresh."""
        return self.database.run("DELETE FROM directory_replays WHERE expires_at < ?", to_column(now))
