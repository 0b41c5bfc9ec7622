"""The false answers of logs, in the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ca_server.logs.known_log import Lie, LieKind
from serving.database import Database
from serving.times import from_column, to_column

_COLUMNS = "order_id, log, operator, kind, detail, sct, other, precertificate, noted_at"
_ADD = f"INSERT INTO log_evidence ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_NEWEST = f"SELECT {_COLUMNS} FROM log_evidence ORDER BY noted_at DESC, order_id, log, kind LIMIT ?"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A false answer, and what it was an answer to: the `precertificate`, in DER, of an order."""

    order_id: str
    lie: Lie
    precertificate: bytes = field(repr=False)  # spells the number
    noted_at: datetime


@dataclass(frozen=True, slots=True)
class EvidenceOfLies:
    """What logs said that is false. Of one log, for one order and in one way, the first is kept."""

    database: Database

    def add(self, evidence: Evidence) -> bool:
        """Keep a false answer; False where one of its kind is kept."""
        lie = evidence.lie
        return (
            self.database.run(
                _ADD,
                evidence.order_id,
                lie.log,
                lie.operator,
                lie.kind.value,
                lie.detail,
                lie.sct,
                lie.other,
                evidence.precertificate,
                to_column(evidence.noted_at),
            )
            == 1
        )

    def newest(self, limit: int) -> list[Evidence]:
        """Return up to `limit`, newest first."""
        return [
            Evidence(
                order_id=order_id,
                lie=Lie(log, operator, LieKind(kind), detail, bytes(sct), bytes(other)),
                precertificate=bytes(precertificate),
                noted_at=from_column(noted_at),
            )
            for order_id, log, operator, kind, detail, sct, other, precertificate, noted_at in self.database.rows(
                _NEWEST, limit
            )
        ]

    def counts(self) -> dict[str, int]:
        """Return how many false answers are kept of each log, by its name."""
        return dict(self.database.rows("SELECT log, COUNT(*) FROM log_evidence GROUP BY log"))
