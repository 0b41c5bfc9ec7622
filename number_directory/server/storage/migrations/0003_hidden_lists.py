"""The third step: access lists are hidden while their authority is not admitted, and a former holder leaves nothing.

What ended because a number went to somebody else was kept until now, and shown to whoever has the number.
"""

from __future__ import annotations

from peewee import Database
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs

_STATEMENTS = (
    "ALTER TABLE directory_numbers ADD COLUMN access_hidden SMALLINT NOT NULL DEFAULT 0",
    """
    CREATE INDEX directory_numbers_hidden ON directory_numbers (access_authority, access_serial)
    WHERE access_hidden = 1
    """,
    "DELETE FROM directory_entries WHERE state = 'reassigned'",
)


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Add the column and its index, and drop what former holders left."""
    for statement in _STATEMENTS:
        database.execute_sql(statement)  # type: ignore[no-untyped-call]  # its stub has no types
