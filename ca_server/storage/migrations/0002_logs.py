"""What public logs said of certificates, and the orders that wait for them.

Orders that are processing when this step runs were begun without logs, and end without.
"""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, CompositeKey, Database, Model, SqliteDatabase, TextField
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs


class Timestamp(Model):
    """A log's timestamp of an order's precertificate; `digest` is that of its issuer key hash and TBS."""

    order_id = TextField()
    log_id = BlobField()
    digest = BlobField()
    log = TextField()
    leaf_index = BigIntegerField()
    sct = BlobField()
    kept_at = BigIntegerField()

    class Meta:
        table_name = "timestamps"
        primary_key = CompositeKey("order_id", "log_id", "digest")
        indexes = ((("log_id", "leaf_index"), True),)


class LogEvidence(Model):
    """A false answer of a log. `other` is the timestamp that contradicts it; both may be empty."""

    order_id = TextField()
    log = TextField()
    kind = TextField()
    operator = TextField()
    detail = TextField()
    sct = BlobField()
    other = BlobField()
    precertificate = BlobField()
    noted_at = BigIntegerField(index=True)

    class Meta:
        table_name = "log_evidence"
        primary_key = CompositeKey("order_id", "log", "kind")


_TABLES = (Timestamp, LogEvidence)
_SIGNING_MICROSECONDS = 30 * 1_000_000  # after which the first release took an order for abandoned
_STATEMENTS = (
    "ALTER TABLE orders ADD COLUMN sct_list {blob}",
    "ALTER TABLE orders ADD COLUMN logged_digest {blob}",
    "ALTER TABLE orders ADD COLUMN due_at BIGINT",
    f"""
    UPDATE orders SET due_at = reserved_at + {_SIGNING_MICROSECONDS}, sct_list = {{empty}}, logged_digest = {{empty}}
    WHERE reserved_at IS NOT NULL
    """,
    "DROP INDEX orders_reserved",
    """
    CREATE INDEX orders_due ON orders (due_at)
    WHERE due_at IS NOT NULL AND certificate_id IS NULL AND error_kind IS NULL
    """,
)


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Create the tables, and give orders their timestamps."""
    blob, empty = ("BLOB", "x''") if isinstance(database, SqliteDatabase) else ("BYTEA", "''::bytea")
    with database.bind_ctx(_TABLES, bind_refs=False, bind_backrefs=False):
        database.create_tables(_TABLES)
    for statement in _STATEMENTS:
        database.execute_sql(statement.format(blob=blob, empty=empty))  # type: ignore[no-untyped-call]  # its stub has no types
