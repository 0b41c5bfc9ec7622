"""Orders in the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ca_server.orders import Authorization, Issuance, Order, Problem
from ca_server.storage.authorizations import (
    AUTHORIZATION_COLUMNS,
    CHALLENGE_COLUMNS,
    IN_ORDER,
    LATEST_MESSAGES,
    Authorizations,
    problem,
    whole,
)
from serving.database import Database, Row
from serving.times import from_column, to_column
from stir.validation_method import ValidationMethod

SERIAL_BYTES = 20
"""A serial has at most 20 octets (RFC 5280 §4.1.2.2); all have this length in the database, so that they sort."""

_COLUMNS = f"""
    o.id, o.account_id, o.created_at, o.expires_at, o.not_before, o.not_after, o.serial, o.csr,
    o.certificate_not_before, o.certificate_not_after, o.shard, o.validation, o.reserved_at, o.sct_list,
    o.logged_digest, o.due_at, o.certificate_id, o.error_kind, o.error_detail, {AUTHORIZATION_COLUMNS}
"""
_ORDER_WIDTH = 19
_SELECT = f"SELECT {_COLUMNS} FROM orders o JOIN authorizations a ON a.id = o.authorization_id"
_WHOLE = f"""
    SELECT {_COLUMNS}, {CHALLENGE_COLUMNS} FROM orders o JOIN authorizations a ON a.id = o.authorization_id
    JOIN challenges c ON c.authorization_id = a.id {LATEST_MESSAGES} WHERE o.id = ? {IN_ORDER}
"""
_BY_SERIAL = f"{_SELECT} WHERE o.serial = ?"
_LOCKED = f"{_SELECT} WHERE o.id = ? FOR UPDATE OF o, a"
_RESERVED = f"""
    {_SELECT} WHERE o.due_at <= ? AND o.certificate_id IS NULL AND o.error_kind IS NULL
    ORDER BY o.due_at LIMIT ?
"""
_PAGE = """
    SELECT o.id FROM orders o JOIN authorizations a ON a.id = o.authorization_id
    WHERE o.account_id = ?
        AND (o.created_at, o.id) > (COALESCE((SELECT created_at FROM orders WHERE id = ? AND account_id = ?), 0), ?)
        AND o.error_kind IS NULL
        AND (o.certificate_id IS NOT NULL OR o.reserved_at IS NOT NULL OR (
            o.expires_at > ? AND a.expires_at > ? AND a.deactivated_at IS NULL AND a.revoked_at IS NULL))
    ORDER BY o.created_at, o.id LIMIT ?
"""
_ADD = """
    INSERT INTO orders (id, account_id, numbers, created_at, expires_at, not_before, not_after, authorization_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_RESERVE = """
    UPDATE orders SET serial = ?, csr = ?, certificate_not_before = ?, certificate_not_after = ?, shard = ?,
        validation = ?, reserved_at = ?, sct_list = ?, logged_digest = ?, due_at = ?, key_hash = ?
    WHERE id = ? AND reserved_at IS NULL
"""
_CLAIM = """
    UPDATE orders SET due_at = ? WHERE id = ? AND due_at <= ? AND certificate_id IS NULL AND error_kind IS NULL
"""
_POSTPONE = "UPDATE orders SET due_at = ? WHERE id = ? AND certificate_id IS NULL AND error_kind IS NULL"
_FIX = "UPDATE orders SET sct_list = ?, logged_digest = ? WHERE id = ? AND sct_list IS NULL"
_WAITING = """
    SELECT COUNT(*), MIN(reserved_at) FROM orders
    WHERE due_at IS NOT NULL AND certificate_id IS NULL AND error_kind IS NULL AND sct_list IS NULL
"""
_FAIL = "UPDATE orders SET error_kind = ?, error_detail = ? WHERE id = ? AND certificate_id IS NULL"


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders with their authorizations."""

    database: Database
    authorizations: Authorizations

    def add(self, order: Order) -> None:
        """Keep a new order, whose authorization is kept already."""
        self.database.run(
            _ADD,
            order.id,
            order.account_id,
            order.numbers.identifier,
            to_column(order.created_at),
            to_column(order.expires_at),
            to_column(order.not_before),
            to_column(order.not_after),
            order.authorization.id,
        )

    def get(self, order_id: str) -> Order | None:
        """Return the order of this id."""
        rows = self.database.rows(_WHOLE, order_id)
        authorization = whole([row[_ORDER_WIDTH:] for row in rows])
        return None if authorization is None else _order(rows[0], authorization)

    def with_serial(self, serial: int) -> Order | None:
        """Return the order whose certificate has, or will have, this serial number."""
        if not 0 < serial < 1 << (8 * SERIAL_BYTES):
            return None
        return self._order(self.database.row(_BY_SERIAL, serial.to_bytes(SERIAL_BYTES, "big")))

    def locked(self, order_id: str) -> Order | None:
        """Return the order, and let nobody else change it or its authorization until this transaction ends."""
        return self.get(order_id) if self.database.is_sqlite else self._order(self.database.row(_LOCKED, order_id))

    def page(self, account_id: str, after: str | None, limit: int, now: datetime) -> list[str]:
        """Return the ids of up to `limit` orders of an account, oldest first, those after the order `after`.

        Orders that can come to nothing any more are left out (RFC 8555 §7.1.2.1), but for those whose challenge failed
        and that have not expired yet.
        """
        at = to_column(now)
        values = (account_id, after or "", account_id, after or "", at, at, limit)
        return [order_id for (order_id,) in self.database.rows(_PAGE, *values)]

    def reserve(self, order_id: str, issuance: Issuance, key_hash: bytes, due_at: datetime) -> bool:
        """Fix what the certificate will say, until `due_at` for the caller alone; False where that is fixed already.

        `key_hash` is the SHA-256 of its key's SubjectPublicKeyInfo.
        """
        return (
            self.database.run(
                _RESERVE,
                issuance.serial.to_bytes(SERIAL_BYTES, "big"),
                issuance.csr,
                to_column(issuance.not_before),
                to_column(issuance.not_after),
                issuance.shard,
                issuance.validation.label,
                to_column(issuance.reserved_at),
                issuance.sct_list,
                issuance.logged_digest,
                to_column(due_at),
                key_hash,
                order_id,
            )
            == 1
        )

    def reserved(self, now: datetime, limit: int) -> list[Order]:
        """Return orders whose certificate is fixed, not kept yet, and due to be taken up by whoever finds it."""
        rows = self.database.rows(_RESERVED, to_column(now), limit)
        return [order for order in map(self._order, rows) if order is not None]

    def claim(self, order_id: str, now: datetime, until: datetime) -> bool:
        """Take up an order that is due, until a time for the caller alone; False where somebody else did."""
        return self.database.run(_CLAIM, to_column(until), order_id, to_column(now)) == 1

    def postpone(self, order_id: str, until: datetime) -> None:
        """Let an order wait; whoever finds it from `until` on may take it up."""
        self.database.run(_POSTPONE, to_column(until), order_id)

    def fix_timestamps(self, order_id: str, sct_list: bytes, digest: bytes) -> tuple[bytes, bytes]:
        """Fix the list of timestamps that the certificate carries, and what they are of, unless another was fixed.

        Return those that are fixed now.
        """
        self.database.run(_FIX, sct_list, digest, order_id)
        row = self.database.rows("SELECT sct_list, logged_digest FROM orders WHERE id = ?", order_id)[0]
        return bytes(row[0]), bytes(row[1])

    def waiting_for_logs(self) -> tuple[int, datetime | None]:
        """Return how many orders wait for timestamps, and since when the first of them does."""
        count, since = self.database.rows(_WAITING)[0]
        return count, from_column(since)

    def fail(self, order_id: str, problem: Problem) -> None:
        """Note why the order comes to nothing."""
        self.database.run(_FAIL, problem.kind.value, problem.detail, order_id)

    def _order(self, row: Row | None) -> Order | None:
        return None if row is None else _order(row, self.authorizations.with_challenges(row[_ORDER_WIDTH:]))


def _order(row: Row, authorization: Authorization) -> Order:
    order_id, account_id, created_at, expires_at, not_before, not_after = row[:6]
    return Order(
        id=order_id,
        account_id=account_id,
        numbers=authorization.numbers,
        created_at=from_column(created_at),
        expires_at=from_column(expires_at),
        not_before=from_column(not_before),
        not_after=from_column(not_after),
        authorization=authorization,
        issuance=_issuance(row[6:15]),
        certificate_id=row[16],
        error=problem(row[17], row[18]),
        due_at=from_column(row[15]),
    )


def _issuance(row: Row) -> Issuance | None:
    serial, csr, not_before, not_after, shard, validation, reserved_at, sct_list, digest = row
    if reserved_at is None:
        return None
    return Issuance(
        serial=int.from_bytes(serial, "big"),
        csr=bytes(csr),
        not_before=from_column(not_before),
        not_after=from_column(not_after),
        shard=shard,
        validation=ValidationMethod(validation),
        reserved_at=from_column(reserved_at),
        sct_list=None if sct_list is None else bytes(sct_list),
        logged_digest=b"" if digest is None else bytes(digest),
    )
