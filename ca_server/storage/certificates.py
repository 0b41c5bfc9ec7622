"""Certificates, their revocations, and the CRLs that tell of them, in the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ca_server.orders import Certificate, Revocation, RevocationList
from ca_server.storage.orders import SERIAL_BYTES
from serving.database import Database, Row
from serving.times import from_column, to_column
from stir.telephone_number import TelephoneNumber

_COLUMNS = "id, serial, account_id, order_id, number, der, not_before, not_after, shard, revoked_at, revocation_reason"
_BY_ID = f"SELECT {_COLUMNS} FROM certificates WHERE id = ?"
_BY_SERIAL = f"SELECT {_COLUMNS} FROM certificates WHERE serial = ?"
_OF_NUMBER = f"SELECT {_COLUMNS} FROM certificates WHERE number = ? ORDER BY issued_at, id"
_PAGE = f"""
    SELECT {_COLUMNS} FROM certificates
    WHERE (issued_at, id) > (COALESCE((SELECT issued_at FROM certificates WHERE id = ?), 0), ?)
    ORDER BY issued_at, id LIMIT ?
"""
_ADD = """
    INSERT INTO certificates (id, serial, account_id, order_id, number, issuer, der, chain, key_hash, issued_at,
        not_before, not_after, shard)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (order_id) DO NOTHING
"""
_OPEN = "SELECT 1 FROM orders WHERE id = ? AND error_kind IS NULL FOR UPDATE"
_DELIVER = """
    UPDATE orders SET certificate_id = (SELECT id FROM certificates WHERE order_id = ?) WHERE id = ?
    RETURNING certificate_id
"""
_REVOKE = "UPDATE certificates SET revoked_at = ?, revocation_reason = ? WHERE id = ? AND revoked_at IS NULL"
_OF_KEY = """
    SELECT 1 FROM certificates WHERE key_hash = ?
    UNION ALL
    SELECT 1 FROM orders WHERE due_at >= 0 AND certificate_id IS NULL AND error_kind IS NULL AND key_hash = ?
    LIMIT 1
"""
_LIVING = "SELECT 1 FROM certificates WHERE issuer = ? AND not_after > ? ORDER BY issued_at DESC, id DESC LIMIT 1"
_COMPROMISED = "SELECT 1 FROM certificates WHERE key_hash = ? AND revocation_reason = ? LIMIT 1"
_TAKE_NUMBER = """
    INSERT INTO revocation_lists (issuer, shard, taken) VALUES (?, ?, 1)
    ON CONFLICT (issuer, shard) DO UPDATE SET taken = revocation_lists.taken + 1
    RETURNING taken, this_update
"""
_REVOKED = """
    SELECT serial, revoked_at, revocation_reason FROM certificates
    WHERE issuer = ? AND shard = ? AND revoked_at IS NOT NULL AND not_after > ? ORDER BY serial
"""
_PUBLISH = """
    UPDATE revocation_lists SET number = ?, der = ?, this_update = ?, next_update = ?
    WHERE issuer = ? AND shard = ? AND (number IS NULL OR number < ?)
"""
_LIST = (
    "SELECT shard, number, der, this_update, next_update, taken FROM revocation_lists WHERE issuer = ? AND shard = ?"
)
_KEY_COMPROMISE = 1
_LOCK_BYTES = 8


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate to keep: `issuer` names the issuing certificate, `chain` is the PEM that the client downloads.

    `key_hash` is the SHA-256 of its SubjectPublicKeyInfo.
    """

    certificate: Certificate
    issuer: str
    chain: bytes
    key_hash: bytes
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class NewList:
    """A CRL to sign: the number that was taken for it, and what it lists."""

    number: int
    revocations: tuple[Revocation, ...]


@dataclass(frozen=True, slots=True)
class Certificates:
    """The certificates that were issued. None is ever deleted."""

    database: Database

    def add(self, issued: IssuedCertificate) -> str | None:
        """Keep a certificate, give it to its order, and return its id; where the order has one, that one stays.

        An order that was ended meanwhile gets none, and nothing is kept: None. Call it in a transaction.
        """
        certificate = issued.certificate
        if self.database.row(_OPEN, certificate.order_id) is None:
            return None
        self.database.run(
            _ADD,
            certificate.id,
            certificate.serial.to_bytes(SERIAL_BYTES, "big"),
            certificate.account_id,
            certificate.order_id,
            certificate.number.digits,
            issued.issuer,
            certificate.der,
            issued.chain,
            issued.key_hash,
            to_column(issued.issued_at),
            to_column(certificate.not_before),
            to_column(certificate.not_after),
            certificate.shard,
        )
        return str(self.database.rows(_DELIVER, certificate.order_id, certificate.order_id)[0][0])

    def get(self, certificate_id: str) -> Certificate | None:
        """Return the certificate of this id."""
        return _certificate(self.database.row(_BY_ID, certificate_id))

    def with_serial(self, serial: int) -> Certificate | None:
        """Return the certificate of this serial number."""
        if not 0 < serial < 1 << (8 * SERIAL_BYTES):
            return None
        return _certificate(self.database.row(_BY_SERIAL, serial.to_bytes(SERIAL_BYTES, "big")))

    def of_number(self, number: TelephoneNumber) -> list[Certificate]:
        """Return all certificates of a number, oldest first."""
        return _certificates(self.database.rows(_OF_NUMBER, number.digits))

    def page(self, after: str | None, limit: int) -> list[Certificate]:
        """Return up to `limit` certificates in the order of their issuance, those after the certificate `after`."""
        return _certificates(self.database.rows(_PAGE, after or "", after or "", limit))

    def chain(self, certificate_id: str) -> tuple[str, bytes] | None:
        """Return the id of the account that a certificate was issued to, and its chain in PEM."""
        row = self.database.row("SELECT account_id, chain FROM certificates WHERE id = ?", certificate_id)
        return None if row is None else (row[0], bytes(row[1]))

    def is_certified(self, key_hash: bytes) -> bool:
        """Tell whether a certificate was ever issued for this key, or is about to be."""
        return self.database.row(_OF_KEY, key_hash, key_hash) is not None

    def hold_key(self, key_hash: bytes) -> None:
        """Let nobody else decide what this key is for until this transaction ends."""
        if not self.database.is_sqlite:  # there a transaction is alone
            number = int.from_bytes(key_hash[:_LOCK_BYTES], "big", signed=True)
            self.database.rows("SELECT pg_advisory_xact_lock(?)", number)

    def is_compromised(self, key_hash: bytes) -> bool:
        """Tell whether a certificate of this key was revoked because the key leaked."""
        return self.database.row(_COMPROMISED, key_hash, _KEY_COMPROMISE) is not None

    def issuer_of(self, certificate_id: str) -> str | None:
        """Return the name of the issuing certificate."""
        row = self.database.row("SELECT issuer FROM certificates WHERE id = ?", certificate_id)
        return None if row is None else row[0]

    def has_living(self, issuer: str, now: datetime) -> bool:
        """Tell whether a certificate below this issuing one has not ended. Where there is none, it looks at all."""
        return self.database.row(_LIVING, issuer, to_column(now)) is not None

    def revoke(self, certificate_id: str, at: datetime, reason: int) -> bool:
        """Revoke a certificate; False where it is revoked already."""
        return self.database.run(_REVOKE, to_column(at), reason, certificate_id) == 1


@dataclass(frozen=True, slots=True)
class RevocationLists:
    """The CRLs. The numbers of a shard's lists only grow, and a list is never replaced by one of a lower number."""

    database: Database

    def get(self, issuer: str, shard: int) -> RevocationList | None:
        """Return the newest list, unless a number was taken since for a list that tells more."""
        row = self.database.row(_LIST, issuer, shard)
        if row is None or row[1] is None or row[1] != row[5]:
            return None
        return _list(row)

    def shards(self, issuer: str) -> list[int]:
        """Return the shards that have a list."""
        rows = self.database.rows("SELECT shard FROM revocation_lists WHERE issuer = ? ORDER BY shard", issuer)
        return [shard for (shard,) in rows]

    def issuers(self) -> list[str]:
        """Return the names of all issuing certificates that ever had a list."""
        return [issuer for (issuer,) in self.database.rows("SELECT DISTINCT issuer FROM revocation_lists")]

    def begin(self, issuer: str, shard: int, now: datetime) -> NewList:
        """Take the next number, hold the shard until this transaction ends, and return what a list has to say.

        A certificate that has expired is listed once more after that (RFC 5280 §3.3): for as long as no list was
        signed since.
        """
        taken = self.database.rows(_TAKE_NUMBER, issuer, shard)[0]
        listed_from = min(to_column(now), to_column(now) if taken[1] is None else taken[1])
        rows = self.database.rows(_REVOKED, issuer, shard, listed_from)
        return NewList(taken[0], tuple(_revocation(row) for row in rows))

    def publish(self, issuer: str, signed: RevocationList) -> None:
        """Keep a signed list, unless a newer one was kept meanwhile."""
        self.database.run(
            _PUBLISH,
            signed.number,
            signed.der,
            to_column(signed.this_update),
            to_column(signed.next_update),
            issuer,
            signed.shard,
            signed.number,
        )


def _certificate(row: Row | None) -> Certificate | None:
    if row is None:
        return None
    certificate_id, serial, account_id, order_id, number, der, not_before, not_after, shard, revoked_at, reason = row
    return Certificate(
        id=certificate_id,
        serial=int.from_bytes(serial, "big"),
        account_id=account_id,
        order_id=order_id,
        number=TelephoneNumber(number),
        der=bytes(der),
        not_before=from_column(not_before),
        not_after=from_column(not_after),
        shard=shard,
        revoked_at=from_column(revoked_at),
        revocation_reason=reason,
    )


def _certificates(rows: list[Row]) -> list[Certificate]:
    return [certificate for certificate in map(_certificate, rows) if certificate is not None]


def _revocation(row: Row) -> Revocation:
    serial, revoked_at, reason = row
    return Revocation(int.from_bytes(serial, "big"), from_column(revoked_at), reason)


def _list(row: Row) -> RevocationList:
    shard, number, der, this_update, next_update, _ = row
    return RevocationList(shard, number, bytes(der), from_column(this_update), from_column(next_update))
