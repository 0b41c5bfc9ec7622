"""What the authority keeps, in SQLite or PostgreSQL. Peewee lives only here; frozen values go in and out."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from ca_server.storage.accounts import Accounts
from ca_server.storage.authorizations import Ask, Authorizations, Code
from ca_server.storage.buckets import Buckets
from ca_server.storage.certificates import Certificates, IssuedCertificate, NewList, RevocationLists
from ca_server.storage.ended import Ended
from ca_server.storage.evidence import Evidence, EvidenceOfLies
from ca_server.storage.messages import Messages, QueuedSms
from ca_server.storage.nonces import Nonces
from ca_server.storage.orders import Orders
from ca_server.storage.shared_secrets import Secrets
from ca_server.storage.timestamps import KeptTimestamp, Timestamps
from serving.database import Database
from serving.storage import ProgramStorage

__all__ = ["Ask", "Code", "Evidence", "IssuedCertificate", "KeptTimestamp", "NewList", "QueuedSms", "Storage"]

_LATEST_RECEIPT = timedelta(days=2)
_SLOWEST_CLOCK = timedelta(hours=1)
"""A front end whose clock is behind this one's takes a nonce for good though it expired here."""


class Storage(ProgramStorage):
    """One authority's database. Any number of threads and processes may share it, each with a Storage of its own.

    Methods that change something are durable when they return, inside `transaction` when its block is left, unless
    their docstring says otherwise.
    """

    steps = Path(__file__).parent / "migrations"
    history = "migrations"
    keeps_turn = True

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        super().__init__(database)
        self._secrets = Secrets(database)
        self.accounts = Accounts(database)
        self.authorizations = Authorizations(database)
        self.orders = Orders(database, self.authorizations)
        self.certificates = Certificates(database)
        self.revocation_lists = RevocationLists(database)
        self.timestamps = Timestamps(database)
        self.evidence = EvidenceOfLies(database)
        self.sms = Messages(database)
        self.nonces = Nonces(database)
        self.buckets = Buckets(database)
        self.ended = Ended(database)

    def secret(self, name: str) -> bytes:
        """Return the 32 random bytes of this name, the same for every front end and for good."""
        return self._secrets.get(name)

    def ping(self) -> None:
        """Raise StorageError where the database does not answer."""
        self._database.rows("SELECT 1 FROM secrets LIMIT 1")

    def forget(self, now: datetime) -> None:
        """Erase what has served: dead codes and messages, old nonces, full buckets, receipts nobody waits for."""
        self.authorizations.forget_expired_codes(now)
        self.sms.expire(now)
        self.nonces.forget(now - _SLOWEST_CLOCK)
        self.buckets.forget_full(now)
        self.sms.forget_handovers(now - _LATEST_RECEIPT)
