"""Authorizations, their challenges, and the codes that answer them, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from ca_server.errors import RefusalKind
from ca_server.orders import Authorization, Challenge, ChallengeType, Delivery, Problem, SmsMessage
from serving.database import Database, Row
from serving.times import from_column, to_column
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod

AUTHORIZATION_COLUMNS = "a.id, a.account_id, a.numbers, a.created_at, a.expires_at, a.deactivated_at, a.revoked_at"
AUTHORIZATION_WIDTH = 7
CHALLENGE_COLUMNS = """
    c.id, c.authorization_id, c.type, c.token, c.attempts_allowed, c.attempts_used, c.sends_allowed,
    c.sends_used, c.asks, c.next_send_at, c.answerable_until, c.validated_at, c.validation, c.failed_at,
    c.error_kind, c.error_detail, m.id, m.challenge_id, m.ask, m.route, m.delivery, m.transmissions, m.gateway
"""
LATEST_MESSAGES = "LEFT JOIN messages m ON m.challenge_id = c.id AND m.ask = c.asks"
IN_ORDER = "ORDER BY c.type, c.id, m.route"
_CHALLENGE_WIDTH = 16
_CHALLENGES = f"""
    SELECT {CHALLENGE_COLUMNS} FROM challenges c {LATEST_MESSAGES} WHERE c.authorization_id = ? {IN_ORDER}
"""
_WHOLE = f"""
    SELECT {AUTHORIZATION_COLUMNS}, {CHALLENGE_COLUMNS}
    FROM authorizations a JOIN challenges c ON c.authorization_id = a.id {LATEST_MESSAGES}
"""
_BY_ID = f"{_WHOLE} WHERE a.id = ? {IN_ORDER}"
_BY_CHALLENGE = f"{_WHOLE} WHERE a.id = (SELECT authorization_id FROM challenges WHERE id = ?) {IN_ORDER}"
_LOCKED = f"SELECT {AUTHORIZATION_COLUMNS} FROM authorizations a WHERE a.id = ? FOR UPDATE"
_LOCKED_BY_CHALLENGE = f"""
    SELECT {AUTHORIZATION_COLUMNS} FROM challenges c JOIN authorizations a ON a.id = c.authorization_id WHERE c.id = ?
    FOR UPDATE OF a
"""
_USABLE = """
    SELECT a.id, a.expires_at, COUNT(c.validated_at), COUNT(c.failed_at)
    FROM authorizations a JOIN challenges c ON c.authorization_id = a.id
    WHERE a.account_id = ? AND a.numbers = ? AND a.expires_at > ? AND a.deactivated_at IS NULL AND a.revoked_at IS NULL
    GROUP BY a.id, a.expires_at ORDER BY a.expires_at DESC
"""
_ADD = """
    INSERT INTO authorizations (id, account_id, numbers, created_at, expires_at, deactivated_at, revoked_at)
    VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_ADD_CHALLENGE = """
    INSERT INTO challenges (id, authorization_id, type, token, attempts_allowed, attempts_used, sends_allowed,
        sends_used, asks)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ASK = """
    UPDATE challenges SET asks = ?, sends_used = sends_used + 1, next_send_at = ?, answerable_until = ?,
        error_kind = NULL, error_detail = NULL
    WHERE id = ?
"""
_WRONG = """
    UPDATE challenges SET attempts_used = attempts_used + 1, error_kind = ?, error_detail = ?, failed_at = ?
    WHERE id = ?
"""
_RIGHT = """
    UPDATE challenges SET validated_at = ?, validation = ?, error_kind = NULL, error_detail = NULL WHERE id = ?
"""
_OF_ACCOUNT = """
    SELECT a.id FROM authorizations a WHERE a.account_id = ? AND a.expires_at > ? AND a.deactivated_at IS NULL
"""
_CHALLENGES_OF = "(SELECT id FROM challenges WHERE authorization_id = ?)"


@dataclass(frozen=True, slots=True)
class Code:
    """Part 1 of one ask, and by how many routes it travelled."""

    part1: str
    routes: int

    def __repr__(self) -> str:
        """Hide the code."""
        return "Code(<hidden>)"


@dataclass(frozen=True, slots=True)
class Ask:
    """An SMS that a client asked for: its number in the challenge, counted from 1, and its code."""

    challenge_id: str
    number: int
    code: Code
    next_send_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Authorizations:
    """Authorizations with their challenges. Changes to one belong in a transaction that has it `locked`."""

    database: Database

    def add(self, authorization: Authorization) -> None:
        """Keep a new authorization with its challenges."""
        self.database.run(
            _ADD,
            authorization.id,
            authorization.account_id,
            authorization.numbers.identifier,
            to_column(authorization.created_at),
            to_column(authorization.expires_at),
            to_column(authorization.deactivated_at),
            to_column(authorization.revoked_at),
        )
        for challenge in authorization.challenges:
            self.database.run(
                _ADD_CHALLENGE,
                challenge.id,
                authorization.id,
                challenge.type.value,
                challenge.token,
                challenge.attempts_allowed,
                challenge.attempts_used,
                challenge.sends_allowed,
                challenge.sends_used,
                challenge.asks,
            )

    def get(self, authorization_id: str) -> Authorization | None:
        """Return the authorization of this id."""
        return whole(self.database.rows(_BY_ID, authorization_id))

    def of_challenge(self, challenge_id: str) -> Authorization | None:
        """Return the authorization that a challenge belongs to."""
        return whole(self.database.rows(_BY_CHALLENGE, challenge_id))

    def locked(self, authorization_id: str) -> Authorization | None:
        """Return the authorization, and let nobody else change it until this transaction ends."""
        return self._locked(_BY_ID, _LOCKED, authorization_id)

    def locked_of_challenge(self, challenge_id: str) -> Authorization | None:
        """Return the authorization that a challenge belongs to, and let nobody else change it meanwhile."""
        return self._locked(_BY_CHALLENGE, _LOCKED_BY_CHALLENGE, challenge_id)

    def usable(
        self, account_id: str, numbers: TnAuthList, now: datetime, enough_until: datetime
    ) -> Authorization | None:
        """Return a valid authorization of the account for the numbers, else a pending one that was not given up.

        Only one that lives beyond `enough_until` is returned.
        """
        pending = None
        for found, expires_at, validated, failed in self._alive(account_id, numbers, now):
            if expires_at <= to_column(enough_until):
                continue
            if validated:
                return self.get(found)
            if not failed:
                pending = pending or found
        return None if pending is None else self.get(pending)

    def proves(self, account_id: str, numbers: TnAuthList, now: datetime) -> bool:
        """Tell whether the account holds a valid authorization for the numbers."""
        return any(validated for _, _, validated, _ in self._alive(account_id, numbers, now))

    def extend(self, authorization_id: str, expires_at: datetime) -> None:
        """Set when the authorization ends."""
        self.database.run(
            "UPDATE authorizations SET expires_at = ? WHERE id = ?", to_column(expires_at), authorization_id
        )

    def deactivate(self, authorization_id: str, at: datetime) -> None:
        """Note that the owner gave the authorization up, and forget what could still answer it."""
        self.database.run("UPDATE authorizations SET deactivated_at = ? WHERE id = ?", to_column(at), authorization_id)
        self.forget_codes(authorization_id)

    def deactivate_of_account(self, account_id: str, now: datetime) -> None:
        """Give up all authorizations of an account that still live."""
        for (authorization_id,) in self.database.rows(_OF_ACCOUNT, account_id, to_column(now)):
            self.deactivate(authorization_id, now)

    def ask(self, ask: Ask) -> None:
        """Note that the client asked for an SMS, and the code that will answer it."""
        self.database.run(_ASK, ask.number, to_column(ask.next_send_at), to_column(ask.expires_at), ask.challenge_id)
        self.database.run(
            "INSERT INTO codes (challenge_id, ask, part1, routes, expires_at) VALUES (?, ?, ?, ?, ?)",
            ask.challenge_id,
            ask.number,
            ask.code.part1,
            ask.code.routes,
            to_column(ask.expires_at),
        )

    def codes(self, challenge_id: str, now: datetime) -> list[Code]:
        """Return the codes that answer the challenge now, youngest first."""
        rows = self.database.rows(
            "SELECT part1, routes FROM codes WHERE challenge_id = ? AND expires_at > ? ORDER BY ask DESC",
            challenge_id,
            to_column(now),
        )
        return [Code(part1, routes) for part1, routes in rows]

    def note(self, challenge_id: str, problem: Problem) -> None:
        """Show a problem in the challenge, at no cost."""
        self.database.run(
            "UPDATE challenges SET error_kind = ?, error_detail = ? WHERE id = ?",
            problem.kind.value,
            problem.detail,
            challenge_id,
        )

    def wrong(self, challenge_id: str, problem: Problem, failed_at: datetime | None) -> None:
        """Count a wrong answer; with `failed_at`, it was the last."""
        self.database.run(_WRONG, problem.kind.value, problem.detail, to_column(failed_at), challenge_id)

    def right(self, challenge_id: str, at: datetime, validation: ValidationMethod) -> None:
        """Note that the challenge was answered, and by which method the number is proved."""
        self.database.run(_RIGHT, to_column(at), validation.label, challenge_id)

    def forget_codes(self, authorization_id: str) -> None:
        """Erase the codes of all challenges, and call back the messages that wait to carry one."""
        self.database.run(f"DELETE FROM codes WHERE challenge_id IN {_CHALLENGES_OF}", authorization_id)
        self.database.run(
            "UPDATE messages SET text = NULL, due_at = NULL, delivery = ?"
            f" WHERE due_at IS NOT NULL AND challenge_id IN {_CHALLENGES_OF}",
            Delivery.FAILED.value,
            authorization_id,
        )

    def forget_expired_codes(self, now: datetime) -> int:
        """Erase the codes whose life is over, and return how many."""
        return self.database.run("DELETE FROM codes WHERE expires_at <= ?", to_column(now))

    def with_challenges(self, row: Row) -> Authorization:
        """Return the authorization of a row of AUTHORIZATION_COLUMNS, with its challenges."""
        return _authorization(row, self.database.rows(_CHALLENGES, row[0]))

    def _locked(self, at_once: str, locking: str, name: str) -> Authorization | None:
        """Lock an authorization, then read its challenges: those that are there once nobody else can change them.

        In SQLite that is so since the transaction began.
        """
        if self.database.is_sqlite:
            return whole(self.database.rows(at_once, name))
        row = self.database.row(locking, name)
        return None if row is None else self.with_challenges(row)

    def _alive(self, account_id: str, numbers: TnAuthList, now: datetime) -> list[Row]:
        return self.database.rows(_USABLE, account_id, numbers.identifier, to_column(now))


def whole(rows: list[Row]) -> Authorization | None:
    """Return the authorization of rows of AUTHORIZATION_COLUMNS and CHALLENGE_COLUMNS."""
    if not rows:
        return None
    return _authorization(rows[0][:AUTHORIZATION_WIDTH], [row[AUTHORIZATION_WIDTH:] for row in rows])


def _authorization(row: Row, challenges: Iterable[Row]) -> Authorization:
    authorization_id, account_id, numbers, created_at, expires_at, deactivated_at, revoked_at = row
    return Authorization(
        id=authorization_id,
        account_id=account_id,
        numbers=_numbers(numbers),
        created_at=from_column(created_at),
        expires_at=from_column(expires_at),
        deactivated_at=from_column(deactivated_at),
        revoked_at=from_column(revoked_at),
        challenges=_challenges(challenges),
    )


@lru_cache(maxsize=1024)
def _numbers(identifier: str) -> TnAuthList:
    """Read the numbers; one order is looked at ten times, and strict DER takes longer than its row."""
    return TnAuthList.from_identifier(identifier)


def _challenges(rows: Iterable[Row]) -> tuple[Challenge, ...]:
    """Gather rows of CHALLENGE_COLUMNS: one for each message of a challenge's latest ask, or one without a message."""
    messages: dict[str, list[SmsMessage]] = {}
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row[0], row)
        if row[_CHALLENGE_WIDTH] is not None:
            messages.setdefault(row[0], []).append(_message(row[_CHALLENGE_WIDTH:]))
    return tuple(_challenge(row, tuple(messages.get(name, ()))) for name, row in first.items())


def _challenge(row: Row, messages: tuple[SmsMessage, ...]) -> Challenge:
    (
        challenge_id,
        authorization_id,
        kind,
        token,
        attempts_allowed,
        attempts_used,
        sends_allowed,
        sends_used,
        asks,
        next_send_at,
        answerable_until,
        validated_at,
        validation,
        failed_at,
        error_kind,
        error_detail,
    ) = row[:_CHALLENGE_WIDTH]
    return Challenge(
        id=challenge_id,
        authorization_id=authorization_id,
        type=ChallengeType(kind),
        token=token,
        attempts_allowed=attempts_allowed,
        attempts_used=attempts_used,
        sends_allowed=sends_allowed,
        sends_used=sends_used,
        next_send_at=from_column(next_send_at),
        answerable_until=from_column(answerable_until),
        validated_at=from_column(validated_at),
        failed_at=from_column(failed_at),
        error=problem(error_kind, error_detail),
        messages=messages,
        asks=asks,
        validation=None if validation is None else ValidationMethod(validation),
    )


def _message(row: Row) -> SmsMessage:
    message_id, challenge_id, ask, route, delivery, transmissions, gateway = row
    return SmsMessage(message_id, challenge_id, ask, route, Delivery(delivery), transmissions, gateway)


def problem(kind: str | None, detail: str | None) -> Problem | None:
    """Return the problem that two columns hold."""
    return None if kind is None or detail is None else Problem(RefusalKind(kind), detail)
