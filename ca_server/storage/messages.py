"""The SMS queue in the database: what `ca_server.sms.worker.SmsQueue` asks for.

A claim is written before the message is handed out, so a worker that dies leaves a message that was counted. Rows are
locked in one order everywhere, so that nobody waits in a circle: challenge before message, handover before message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ca_server.orders import Delivery
from ca_server.sms.gateway import DeliveryReceipt, OutgoingSms
from ca_server.sms.worker import ClaimedSms
from serving.database import Database, Row
from serving.times import from_column, to_column
from stir.telephone_number import TelephoneNumber

EARLY_RECEIPT_LIFE = timedelta(minutes=30)
"""How long a receipt waits for its message. SMSCs use their ids again, so an older one is another message's."""

_ADD = """
    INSERT INTO messages (id, challenge_id, ask, route, number, text, queued_at, expires_at, due_at, claimed, uncertain,
        tried, transmissions, delivery)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, FALSE, FALSE, '[]', 0, ?)
"""
_ANY_DUE = "SELECT 1 FROM messages WHERE due_at <= ? LIMIT 1"
_NEXT_DUE = """
    SELECT m.id, m.challenge_id, m.ask, m.route, m.number, m.text, m.queued_at, m.expires_at, m.claimed, m.uncertain,
        m.tried, m.transmissions
    FROM messages m JOIN challenges c ON c.id = m.challenge_id
    WHERE m.due_at <= ? ORDER BY m.due_at LIMIT 1 FOR UPDATE OF m, c SKIP LOCKED
"""
_CLAIM = "UPDATE messages SET transmissions = ?, claimed = TRUE, uncertain = ?, due_at = ? WHERE id = ?"
_EARLIER_GATEWAYS = """
    SELECT DISTINCT gateway FROM messages
    WHERE challenge_id = ? AND route = ? AND ask < ? AND gateway IS NOT NULL ORDER BY gateway
"""
_SETTLED = "text = NULL, due_at = NULL, claimed = FALSE"
_EXPIRE = f"UPDATE messages SET {_SETTLED}, delivery = ? WHERE id = ?"
_HELD = "id = ? AND transmissions = ? AND claimed AND due_at IS NOT NULL"
_RETRY = f"UPDATE messages SET due_at = ?, claimed = FALSE, transmissions = transmissions - 1 WHERE {_HELD}"
_UNCERTAIN = f"UPDATE messages SET due_at = ?, claimed = FALSE, uncertain = TRUE, tried = ? WHERE {_HELD}"
_FAILED = f"UPDATE messages SET {_SETTLED}, delivery = ? WHERE {_HELD}"
_SENT = f"""
    UPDATE messages SET {_SETTLED}, gateway = ?, delivery = CASE WHEN delivery = ? THEN delivery ELSE ? END WHERE id = ?
"""
_HAND_OVER = """
    INSERT INTO handovers (gateway, message_id, sms_id, delivery, noted_at) VALUES (?, ?, ?, NULL, ?)
    ON CONFLICT (gateway, message_id) DO UPDATE SET sms_id = excluded.sms_id, noted_at = excluded.noted_at,
        delivery = CASE
            WHEN handovers.sms_id = excluded.sms_id OR (handovers.sms_id IS NULL AND handovers.noted_at > ?)
            THEN handovers.delivery END
    RETURNING delivery
"""
_RECEIVE = """
    INSERT INTO handovers (gateway, message_id, delivery, noted_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (gateway, message_id) DO UPDATE SET
        delivery = CASE WHEN handovers.delivery = ? THEN handovers.delivery ELSE excluded.delivery END
    RETURNING sms_id, delivery
"""
_REACH = "UPDATE messages SET delivery = ? WHERE id = ? AND delivery <> ?"
_EXPIRE_ALL = f"UPDATE messages SET {_SETTLED}, delivery = ? WHERE due_at IS NOT NULL AND expires_at <= ?"
_TOLD_BY_RECEIPTS = frozenset({Delivery.DELIVERED, Delivery.FAILED})


@dataclass(frozen=True, slots=True, repr=False)
class QueuedSms:
    """A message of the ask `ask` of a challenge, over the route `route`. Its text holds a code: it prints none."""

    sms: OutgoingSms
    challenge_id: str
    ask: int
    route: int


@dataclass(frozen=True, slots=True)
class Messages:
    """An SmsQueue. Sends of a challenge are counted when asked for, and once more for each repeated transmission."""

    database: Database

    def add(self, messages: Iterable[QueuedSms], now: datetime) -> None:
        """Queue messages, in the transaction that decided to send them."""
        at = to_column(now)
        for message in messages:
            self.database.run(
                _ADD,
                message.sms.id,
                message.challenge_id,
                message.ask,
                message.route,
                message.sms.to.digits,
                message.sms.text,
                at,
                to_column(message.sms.expires_at),
                at,
                Delivery.QUEUED.value,
            )

    def claim(self, now: datetime, lease: timedelta) -> ClaimedSms | None:
        """Take the message that waits longest, or return None; see SmsQueue."""
        at = to_column(now)
        if self.database.row(_ANY_DUE, at) is None:
            return None
        with self.database.transaction():
            while (row := self.database.row(_NEXT_DUE, at)) is not None:
                if row[7] > at:
                    return self._claim(row, now + lease)
                self.database.run(_EXPIRE, Delivery.FAILED.value, row[0])
        return None

    def sent(self, claim: ClaimedSms, gateway: str, message_id: str, now: datetime) -> None:
        """Note that `gateway` took the message as `message_id`, and apply a receipt that came earlier.

        On SQLite nobody waits for the disk here: where a lost power supply takes this away, the claim, which was
        synced, runs out, and the message is sent and counted once more.
        """
        at, oldest = to_column(now), to_column(now - EARLY_RECEIPT_LIFE)
        with self.database.transaction(synced=False):
            told = self.database.rows(_HAND_OVER, gateway, message_id, claim.sms.id, at, oldest)[0][0]
            delivery, delivered = told or Delivery.SENT.value, Delivery.DELIVERED.value
            self.database.run(_SENT, gateway, delivered, delivery, claim.sms.id)

    def retry(self, claim: ClaimedSms, at: datetime) -> None:
        """Put back, from `at` on, a message that certainly no gateway took, and take its counts back."""
        with self.database.transaction():
            if claim.repeated:
                self._lock_challenge(claim)
            put_back = self.database.run(_RETRY, to_column(at), claim.sms.id, claim.transmission)
            if put_back and claim.repeated:
                self._count_send(claim.sms.id, -1)

    def uncertain(self, claim: ClaimedSms, gateway: str, at: datetime) -> None:
        """Put back, from `at` on, a message that `gateway` may have taken."""
        tried = json.dumps(_appended(claim.avoid_gateways, gateway))
        self.database.run(_UNCERTAIN, to_column(at), tried, claim.sms.id, claim.transmission)

    def failed(self, claim: ClaimedSms, now: datetime) -> None:  # noqa: ARG002 - SmsQueue's
        """Note that no gateway will take the message."""
        self.database.run(_FAILED, Delivery.FAILED.value, claim.sms.id, claim.transmission)

    def receipt(self, receipt: DeliveryReceipt) -> None:
        """Apply what a gateway says of a message; keep it for `sent` where its id is not known yet.

        Nor does this wait for the disk: it tells a client how far its SMS has come, and decides nothing.
        """
        if receipt.delivery not in _TOLD_BY_RECEIPTS:
            return
        delivered = Delivery.DELIVERED.value
        with self.database.transaction(synced=False):
            sms_id, told = self.database.rows(
                _RECEIVE,
                receipt.gateway,
                receipt.message_id,
                receipt.delivery.value,
                to_column(receipt.at),
                delivered,
            )[0]
            if sms_id is not None:
                self.database.run(_REACH, told, sms_id, delivered)

    def expire(self, now: datetime) -> int:
        """Give up messages whose code is dead, and erase it; return how many."""
        return self.database.run(_EXPIRE_ALL, Delivery.FAILED.value, to_column(now))

    def forget_handovers(self, before: datetime) -> int:
        """Forget the gateways' names for messages handed over before this time; no receipt is awaited for them."""
        return self.database.run("DELETE FROM handovers WHERE noted_at < ?", to_column(before))

    def _claim(self, row: Row, lease_until: datetime) -> ClaimedSms:
        sms_id, challenge_id, ask, route, number, text, queued_at, expires_at, claimed, uncertain, tried, before = row
        repeated = bool(claimed or uncertain)
        self.database.run(_CLAIM, before + 1, repeated, to_column(lease_until), sms_id)
        if repeated:
            self._count_send(sms_id, 1)
        avoid = [name for (name,) in self.database.rows(_EARLIER_GATEWAYS, challenge_id, route, ask)] if ask > 1 else []
        return ClaimedSms(
            sms=OutgoingSms(sms_id, TelephoneNumber(number), text, from_column(expires_at)),
            route=route,
            transmission=before + 1,
            queued_at=from_column(queued_at),
            avoid_gateways=_appended(tuple(avoid), *json.loads(tried)),
            repeated=repeated,
        )

    def _lock_challenge(self, claim: ClaimedSms) -> None:
        self.database.rows(
            "SELECT c.id FROM messages m JOIN challenges c ON c.id = m.challenge_id WHERE m.id = ? FOR UPDATE OF c",
            claim.sms.id,
        )

    def _count_send(self, sms_id: str, by: int) -> None:
        self.database.run(
            "UPDATE challenges SET sends_used = sends_used + ?"
            " WHERE id = (SELECT challenge_id FROM messages WHERE id = ?)",
            by,
            sms_id,
        )


def _appended(names: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """Return the names, each once."""
    return tuple(dict.fromkeys((*names, *more)))
