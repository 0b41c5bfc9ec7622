"""Accounts in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from ca_server.orders import Account
from serving.database import Database, Row
from serving.errors import Conflict
from serving.times import from_column, to_column

_COLUMNS = "id, jwk, thumbprint, contacts, terms_agreed, created_at, deactivated_at"
_BY_ID = f"SELECT {_COLUMNS} FROM accounts WHERE id = ?"
_BY_KEY = f"SELECT {_COLUMNS} FROM accounts WHERE thumbprint = ?"
_PAGE = f"""
    SELECT {_COLUMNS} FROM accounts
    WHERE (created_at, id) > (COALESCE((SELECT created_at FROM accounts WHERE id = ?), 0), ?)
    ORDER BY created_at, id LIMIT ?
"""
_ADD = f"INSERT INTO accounts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (thumbprint) DO NOTHING"

_SET_KEY = """
    UPDATE accounts SET jwk = ?, thumbprint = ? WHERE id = ? AND thumbprint = ? AND deactivated_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Accounts:
    """ACME accounts. A key belongs to at most one of them, deactivated or not."""

    database: Database

    def add(self, account: Account) -> bool:
        """Keep a new account; False where its key has an account already."""
        return (
            self.database.run(
                _ADD,
                account.id,
                account.jwk,
                account.thumbprint,
                json.dumps(account.contacts),
                account.terms_agreed,
                to_column(account.created_at),
                to_column(account.deactivated_at),
            )
            == 1
        )

    def get(self, account_id: str) -> Account | None:
        """Return the account of this id."""
        return _account(self.database.row(_BY_ID, account_id))

    def with_key(self, thumbprint: bytes) -> Account | None:
        """Return the account whose key has this SHA-256 thumbprint (RFC 7638)."""
        return _account(self.database.row(_BY_KEY, thumbprint))

    def page(self, after: str | None, limit: int) -> list[Account]:
        """Return up to `limit` accounts in the order of their creation, those after the account `after`."""
        found = (_account(row) for row in self.database.rows(_PAGE, after or "", after or "", limit))
        return [account for account in found if account is not None]

    def set_contacts(self, account_id: str, contacts: tuple[str, ...]) -> None:
        """Replace the contacts."""
        self.database.run("UPDATE accounts SET contacts = ? WHERE id = ?", json.dumps(contacts), account_id)

    def set_key(self, account: Account, jwk: str, thumbprint: bytes) -> bool:
        """Replace the key that `account` holds; False where it does not hold that any more, or another has the new one.

        A deactivated account keeps the key that it had.
        """
        try:
            return self.database.run(_SET_KEY, jwk, thumbprint, account.id, account.thumbprint) == 1
        except Conflict:
            return False

    def deactivate(self, account_id: str, at: datetime) -> None:
        """Note that the account's owner gave it up; the first time counts."""
        self.database.run(
            "UPDATE accounts SET deactivated_at = ? WHERE id = ? AND deactivated_at IS NULL", to_column(at), account_id
        )


def _account(row: Row | None) -> Account | None:
    return None if row is None else _read(row)


@lru_cache(maxsize=1024)
def _read(row: Row) -> Account:
    """Read an account; each of its requests finds the same row."""
    account_id, jwk, thumbprint, contacts, terms_agreed, created_at, deactivated_at = row
    return Account(
        id=account_id,
        jwk=jwk,
        thumbprint=bytes(thumbprint),
        contacts=tuple(json.loads(contacts)),
        terms_agreed=bool(terms_agreed),
        created_at=from_column(created_at),
        deactivated_at=from_column(deactivated_at),
    )
