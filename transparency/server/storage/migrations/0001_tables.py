"""All tables of the first release.

Times are microseconds since 1970 in UTC; `timestamp_ms` alone is in milliseconds, as it stands in the leaf. The tables'
names begin with `log_`, so that a log and an authority may share a PostgreSQL database.
"""

from __future__ import annotations

from peewee import BigIntegerField, BlobField, Database, Model, TextField
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs


class Shard(Model):
    """A tree: its size and root as they were decided, and how much of it everybody can read.

    `root` is the one root that this tree ever has at `size`. Nothing is signed that does not stand here first.
    """

    name = TextField(primary_key=True)
    origin = TextField()
    size = BigIntegerField()
    root = BlobField()
    published_size = BigIntegerField()

    class Meta:
        table_name = "log_shards"


class Issuer(Model):
    """A certificate of an authority, once for all entries. `id` is the SHA-256 of its DER."""

    id = BlobField(primary_key=True)
    der = BlobField()

    class Meta:
        table_name = "log_issuers"


class Entry(Model):
    """A certificate that was submitted; `leaf_index` and `timestamp_ms` are null until it has its place.

    `id` is the SHA-256 of issuer key hash and TBS. `chain` holds the ids of its issuers, 32 bytes each. The row is
    deleted when the owner's data are erased; the leaf stays.
    """

    id = BlobField(primary_key=True)
    shard = TextField()
    label = BlobField()
    issuer_key_hash = BlobField()
    commitment = BlobField()
    opening = BlobField()
    vrf_proof = BlobField()
    certificate = BlobField()
    chain = BlobField()
    not_after = BigIntegerField()
    queued_at = BigIntegerField()
    leaf_index = BigIntegerField(null=True)
    timestamp_ms = BigIntegerField(null=True)

    class Meta:
        table_name = "log_entries"
        indexes = ((("shard", "label"), False),)


class OwnerRequest(Model):
    """A request at the owner's door that was answered, so that nobody replays it."""

    id = BlobField(primary_key=True)
    expires_at = BigIntegerField(index=True)

    class Meta:
        table_name = "log_owner_requests"


_TABLES = (Shard, Issuer, Entry, OwnerRequest)
_PARTIAL_INDEXES = (
    "CREATE INDEX log_entries_queued ON log_entries (shard, queued_at) WHERE leaf_index IS NULL",
    "CREATE UNIQUE INDEX log_entries_placed ON log_entries (shard, leaf_index) WHERE leaf_index IS NOT NULL",
    "CREATE INDEX log_entries_expiring ON log_entries (not_after)",
)


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Create the tables and their indices."""
    with database.bind_ctx(_TABLES, bind_refs=False, bind_backrefs=False):
        database.create_tables(_TABLES)
    for statement in _PARTIAL_INDEXES:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]  # its stub has no types
