"""The fourth step: statements without what they have in common, and tables that waste less of SQLite's pages.

Columns of statements hold bytes from now on (`storage.statements`). The texts that are there stay, and are read: each
is replaced or forgotten within the life of a certificate. SQLite keeps bytes in a column of any type.

In SQLite, a row of more than a quarter of a page takes a page of its own in a table WITHOUT ROWID: one with access
lists is better off with an integer as its key. A small row, known by a hash, is kept twice in any other table.
"""

from __future__ import annotations

from peewee import Database, SqliteDatabase
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs

_SQLITE = (
    "CREATE TABLE directory_frames (id BLOB PRIMARY KEY, header BLOB NOT NULL)",
    """
    CREATE TABLE directory_numbers_new (
        number INTEGER PRIMARY KEY,
        access_list BLOB,
        access_seq BIGINT NOT NULL DEFAULT -1,
        access_authority BLOB,
        access_serial BLOB,
        access_hidden SMALLINT NOT NULL DEFAULT 0,
        certified_after BIGINT NOT NULL DEFAULT 0,
        event TEXT,
        forget_at BIGINT NOT NULL DEFAULT 0
    )
    """,
    """
    INSERT INTO directory_numbers_new
    SELECT number, access_list, access_seq, access_authority, access_serial, access_hidden, certified_after, event,
        forget_at
    FROM directory_numbers ORDER BY number
    """,
    "DROP TABLE directory_numbers",
    "ALTER TABLE directory_numbers_new RENAME TO directory_numbers",
    """
    CREATE INDEX directory_numbers_of_certificate ON directory_numbers (access_authority, access_serial)
    WHERE access_authority IS NOT NULL
    """,
    """
    CREATE INDEX directory_numbers_hidden ON directory_numbers (access_authority, access_serial)
    WHERE access_hidden = 1
    """,
    """
    CREATE TABLE directory_leaves_new (
        hash BLOB PRIMARY KEY,
        queued_at BIGINT NOT NULL,
        leaf_index BIGINT
    ) WITHOUT ROWID
    """,
    "INSERT INTO directory_leaves_new SELECT hash, queued_at, leaf_index FROM directory_leaves ORDER BY hash",
    "DROP TABLE directory_leaves",
    "ALTER TABLE directory_leaves_new RENAME TO directory_leaves",
    "CREATE INDEX directory_leaves_queued ON directory_leaves (queued_at) WHERE leaf_index IS NULL",
)
_POSTGRESQL = (
    "CREATE TABLE directory_frames (id BYTEA PRIMARY KEY, header BYTEA NOT NULL)",
    "ALTER TABLE directory_entries ALTER COLUMN statement TYPE BYTEA USING convert_to(statement, 'UTF8')",
    "ALTER TABLE directory_numbers ALTER COLUMN access_list TYPE BYTEA USING convert_to(access_list, 'UTF8')",
    "DROP INDEX directory_numbers_of_certificate",
    """
    CREATE INDEX directory_numbers_of_certificate ON directory_numbers (access_authority, access_serial)
    WHERE access_authority IS NOT NULL
    """,
)


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Create the table of frames, and have the others hold bytes."""
    for statement in _SQLITE if isinstance(database, SqliteDatabase) else _POSTGRESQL:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]  # its stub has no types
