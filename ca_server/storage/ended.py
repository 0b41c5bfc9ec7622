"""Orders and authorizations that ended long ago: erased, with all that hangs on them. Certificates stay."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from serving.database import Database
from serving.times import to_column

AT_ONCE = 200
"""How many go in one transaction: others wait for that long."""

_ORDERS = """
    DELETE FROM orders WHERE id IN (
        SELECT id FROM orders
        WHERE expires_at < ? AND (certificate_id IS NOT NULL OR error_kind IS NOT NULL OR reserved_at IS NULL) LIMIT ?
    )
"""
_AUTHORIZATIONS = """
    SELECT a.id FROM authorizations a
    WHERE a.expires_at < ? AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.authorization_id = a.id) LIMIT ?
"""
_OF_THESE = (
    """
    DELETE FROM handovers WHERE sms_id IN (
        SELECT m.id FROM messages m JOIN challenges c ON c.id = m.challenge_id WHERE c.authorization_id IN {these}
    )
    """,
    "DELETE FROM messages WHERE challenge_id IN (SELECT id FROM challenges WHERE authorization_id IN {these})",
    "DELETE FROM codes WHERE challenge_id IN (SELECT id FROM challenges WHERE authorization_id IN {these})",
    "DELETE FROM challenges WHERE authorization_id IN {these}",
    "DELETE FROM authorizations WHERE id IN {these}",
)


@dataclass(frozen=True, slots=True)
class Ended:
    """What came to its end, whichever it was. An order that still waits for its certificate has not."""

    database: Database

    def forget(self, before: datetime) -> bool:
        """Erase some of what expired before this time; tell whether there may be more.

        Nobody waits for the disk: what a lost power supply brings back is erased again.
        """
        at = to_column(before)
        with self.database.transaction(synced=False):
            orders = self.database.run(_ORDERS, at, AT_ONCE)
        with self.database.transaction(synced=False):
            ended = [name for (name,) in self.database.rows(_AUTHORIZATIONS, at, AT_ONCE)]
            these = f"({', '.join('?' * len(ended))})"
            for statement in _OF_THESE if ended else ():
                self.database.run(statement.format(these=these), *ended)
        return AT_ONCE in (orders, len(ended))
