"""What logs gave for the authority's precertificates, in the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ca_server.logs.known_log import Timestamp
from serving.database import Database
from serving.times import from_column, to_column

_OF = "SELECT log, log_id, leaf_index, sct FROM timestamps WHERE order_id = ? AND digest = ? ORDER BY kept_at, log_id"
_ADD = """
    INSERT INTO timestamps (order_id, log_id, digest, log, leaf_index, sct, kept_at) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING
"""
_AT_INDEX = "SELECT digest, sct FROM timestamps WHERE log_id = ? AND leaf_index = ?"
_COUNTS = "SELECT log_id, COUNT(*), MAX(kept_at) FROM timestamps GROUP BY log_id"


@dataclass(frozen=True, slots=True)
class KeptTimestamp:
    """A timestamp to keep: for which order, and the digest of what it is of."""

    order_id: str
    digest: bytes
    timestamp: Timestamp = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timestamps:
    """The timestamps that were checked. None is ever deleted: each holds its leaf index against all that come later."""

    database: Database

    def of(self, order_id: str, digest: bytes) -> list[Timestamp]:
        """Return those of an order's precertificate, oldest first; those of an earlier form of it are left out."""
        rows = self.database.rows(_OF, order_id, digest)
        return [Timestamp(log, bytes(log_id), index, bytes(sct)) for log, log_id, index, sct in rows]

    def keep(self, kept: KeptTimestamp, at: datetime) -> bytes | None:
        """Keep a timestamp, or return the one of another precertificate that has its leaf index already.

        Of two that a log gave for one precertificate the first stays.
        """
        timestamp = kept.timestamp
        added = self.database.run(
            _ADD,
            kept.order_id,
            timestamp.log_id,
            kept.digest,
            timestamp.log,
            timestamp.leaf_index,
            timestamp.sct,
            to_column(at),
        )
        if added:
            return None
        row = self.database.row(_AT_INDEX, timestamp.log_id, timestamp.leaf_index)
        return None if row is None or bytes(row[0]) == kept.digest else bytes(row[1])

    def counts(self) -> dict[bytes, tuple[int, datetime]]:
        """Return how many timestamps there are of each log's shard, by its identifier, and when the last was kept."""
        return {bytes(log_id): (count, from_column(last)) for log_id, count, last in self.database.rows(_COUNTS)}
