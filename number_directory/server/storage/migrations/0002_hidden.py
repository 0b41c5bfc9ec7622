"""The second step: what the open records of a number are found by without the number being shown.

Numbers stand here while anyone may see something of them. The worker adds what the hidden mode's function makes of each
(`number_directory.hidden`): label and key in 64 bytes, and the label's first 32 bits, by which buckets are made.
"""

from __future__ import annotations

from peewee import Database, SqliteDatabase
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs

_TABLES = (
    """
    CREATE TABLE directory_hidden (
        number BIGINT PRIMARY KEY,
        place BIGINT,
        hidden {blob}
    ) {without_rowid}
    """,
    "CREATE INDEX directory_hidden_places ON directory_hidden (place)",
    "CREATE INDEX directory_hidden_waiting ON directory_hidden (number) WHERE place IS NULL",
    # Of which key the labels are, and how many of their bits name a bucket; -1 while the labels are being made.
    "CREATE TABLE directory_hidden_layout (key {blob} PRIMARY KEY, depth SMALLINT NOT NULL)",
    """
    INSERT INTO directory_hidden (number)
    SELECT DISTINCT number FROM directory_grants WHERE key >= {first} AND key < {behind}
    """,
)
_SQLITE = {"blob": "BLOB", "without_rowid": "WITHOUT ROWID", "first": "X'2A3A'", "behind": "X'2A3B'"}
_POSTGRESQL = {"blob": "BYTEA", "without_rowid": "", "first": r"'\x2a3a'::bytea", "behind": r"'\x2a3b'::bytea"}


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Create the tables, and note the numbers that are open to anyone."""
    words = _SQLITE if isinstance(database, SqliteDatabase) else _POSTGRESQL
    for statement in _TABLES:
        database.execute_sql(statement.format_map(words))  # type: ignore[no-untyped-call]  # its stub has no types
