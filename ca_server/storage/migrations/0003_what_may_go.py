"""Orders that ended may be erased, and a certificate stays; a key is known from when its certificate is fixed.

Certificates that are fixed and not kept when this step runs get no key hash: they are kept within minutes.
"""

from __future__ import annotations

from peewee import Database, SqliteDatabase
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs

_CERTIFICATE_COLUMNS = (
    "id, serial, account_id, order_id, number, issuer, der, chain, key_hash, issued_at, not_before, not_after, shard,"
    " revoked_at, revocation_reason"
)
_SQLITE = (
    "ALTER TABLE orders ADD COLUMN key_hash BLOB",
    # A nonce's id tells when it expires. So both are one key, in the order of time: one page to write and not two.
    """
    CREATE TABLE nonces_new (expires_at BIGINT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (expires_at, id)) WITHOUT ROWID
    """,
    "INSERT INTO nonces_new (expires_at, id) SELECT expires_at, id FROM nonces",
    "DROP TABLE nonces",
    "ALTER TABLE nonces_new RENAME TO nonces",
    # SQLite drops a foreign key only with its table.
    """
    CREATE TABLE certificates_new (
        id TEXT NOT NULL PRIMARY KEY, serial BLOB NOT NULL, account_id TEXT NOT NULL REFERENCES accounts (id),
        order_id TEXT NOT NULL, number TEXT NOT NULL, issuer TEXT NOT NULL, der BLOB NOT NULL, chain BLOB NOT NULL,
        key_hash BLOB NOT NULL, issued_at BIGINT NOT NULL, not_before BIGINT NOT NULL, not_after BIGINT NOT NULL,
        shard INTEGER NOT NULL, revoked_at BIGINT, revocation_reason INTEGER
    )
    """,
    f"INSERT INTO certificates_new ({_CERTIFICATE_COLUMNS}) SELECT {_CERTIFICATE_COLUMNS} FROM certificates",
    "DROP TABLE certificates",
    "ALTER TABLE certificates_new RENAME TO certificates",
    "CREATE UNIQUE INDEX certificate_serial ON certificates (serial)",
    "CREATE UNIQUE INDEX certificate_order_id ON certificates (order_id)",
    "CREATE INDEX certificate_number ON certificates (number)",
    "CREATE INDEX certificate_key_hash ON certificates (key_hash)",
    "CREATE INDEX certificate_issued_at_id ON certificates (issued_at, id)",
    "CREATE INDEX certificates_revoked ON certificates (issuer, shard, not_after) WHERE revoked_at IS NOT NULL",
)
_POSTGRESQL = (
    "ALTER TABLE orders ADD COLUMN key_hash BYTEA",
    "ALTER TABLE nonces DROP CONSTRAINT nonces_pkey, ADD PRIMARY KEY (expires_at, id)",
    "DROP INDEX nonce_expires_at",
    "ALTER TABLE certificates DROP CONSTRAINT certificates_order_id_fkey",
    "DROP INDEX certificate_account_id",
)


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Change the tables."""
    for statement in _SQLITE if isinstance(database, SqliteDatabase) else _POSTGRESQL:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]  # its stub has no types
