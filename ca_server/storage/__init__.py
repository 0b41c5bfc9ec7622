"""What the authority keeps, in SQLite or PostgreSQL. Peewee lives only here; frozen values go in and out."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path

from ca_server.storage.accounts import Accounts
from ca_server.storage.authorizations import Ask, Authorizations, Code
from ca_server.storage.buckets import Buckets
from ca_server.storage.certificates import Certificates, IssuedCertificate, NewList, RevocationLists
from ca_server.storage.evidence import Evidence, EvidenceOfLies
from ca_server.storage.messages import Messages, QueuedSms
from ca_server.storage.nonces import Nonces
from ca_server.storage.orders import Orders
from ca_server.storage.shared_secrets import Secrets
from ca_server.storage.timestamps import KeptTimestamp, Timestamps
from serving.database import Database
from serving.migrations import migrate

__all__ = ["Ask", "Code", "Evidence", "IssuedCertificate", "KeptTimestamp", "NewList", "QueuedSms", "Storage"]

_STEPS = Path(__file__).parent / "migrations"
_HISTORY = "migrations"
_LATEST_RECEIPT = timedelta(days=2)


class Storage:
    """One authority's database. Any number of threads and processes may share it, each with a Storage of its own.

    Methods that change something are durable when they return, inside `transaction` when its block is left.
    """

    def __init__(self, database: Database) -> None:
        """Use a database; nothing connects yet."""
        self._database = database
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

    @classmethod
    def open(cls, url: str) -> Storage:
        """Return the storage at `sqlite:///path` or `postgresql://…`; raise StorageError for any other URL.

        The connection is made when it is first used, by each thread for itself, so that a server may fork after this.
        """
        return cls(Database.at(url))

    def migrate(self) -> tuple[str, ...]:
        """Bring the tables to this version, and return the names of the steps that were missing.

        Several processes may do so at once. Raises StorageError where the database is newer than this version.
        """
        return migrate(self._database, _STEPS, _HISTORY)

    def transaction(self) -> AbstractContextManager[None]:
        """Do what follows wholly or not at all."""
        return self._database.transaction()

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
        self.nonces.forget(now)
        self.buckets.forget_full(now)
        self.sms.forget_handovers(now - _LATEST_RECEIPT)

    def close(self) -> None:
        """Close the connections of all threads."""
        self._database.close()
