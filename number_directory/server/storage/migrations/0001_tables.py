"""All tables of the first release.

Times are microseconds since 1970 in UTC, numbers the integers of their digits: no E.164 number begins with 0. The
tables' names begin with `directory_`, so that a directory shares a database with the other programs.
"""

from __future__ import annotations

from peewee import Database, SqliteDatabase
from playhouse.migrate import SchemaMigrator  # type: ignore[import-untyped]  # has no stubs

_TABLES = (
    # Random secrets that all front ends share.
    "CREATE TABLE directory_secrets (name TEXT PRIMARY KEY, value {blob} NOT NULL)",
    # What is known of a number as a whole. Whoever changes anything of a number holds its row.
    # `access_list` is the newest one, as it was signed. A certificate that was valid before `certified_after` says
    # nothing about the number any more: it was ported or reassigned then, by `event`.
    """
    CREATE TABLE directory_numbers (
        number BIGINT PRIMARY KEY,
        access_list TEXT,
        access_seq BIGINT NOT NULL DEFAULT -1,
        access_authority {blob},
        access_serial {blob},
        certified_after BIGINT NOT NULL DEFAULT 0,
        event TEXT,
        forget_at BIGINT NOT NULL DEFAULT 0
    ) {without_rowid}
    """,
    "CREATE INDEX directory_numbers_of_certificate ON directory_numbers (access_authority, access_serial)",
    # A record as it was signed, one for each number and app; the app '' is that of the move of a number to another
    # directory. Nobody is shown what ends before now. `state` says why it ended: withdrawn, revoked, ported, moved …
    # The row outlives the record, so that `seq` never goes back while a signature that could say so is valid.
    """
    CREATE TABLE directory_entries (
        number BIGINT NOT NULL,
        app TEXT NOT NULL,
        seq BIGINT NOT NULL,
        statement TEXT NOT NULL,
        media TEXT,
        content {blob} NOT NULL,
        leaf {blob} NOT NULL,
        ends_at BIGINT NOT NULL,
        state TEXT NOT NULL,
        authority {blob} NOT NULL,
        serial {blob} NOT NULL,
        accepted_at BIGINT NOT NULL,
        forget_at BIGINT NOT NULL,
        PRIMARY KEY (number, app)
    )
    """,
    "CREATE INDEX directory_entries_of_certificate ON directory_entries (authority, serial)",
    "CREATE INDEX directory_entries_unadmitted ON directory_entries (authority, serial) WHERE state = 'unadmitted'",
    "CREATE INDEX directory_entries_to_forget ON directory_entries (forget_at)",
    # Who may see an entry. The key is made of grantee and number (`storage.grants`), in one column, so that a database
    # has no way to find out by number alone: it would look longer where there is something to be denied. `shows` is 1
    # for the record, 2 for its media, 3 for both. What nobody may see has no row here: to look for it is to look for
    # what is not there.
    """
    CREATE TABLE directory_grants (
        key {blob} NOT NULL,
        app TEXT NOT NULL,
        number BIGINT NOT NULL,
        shows SMALLINT NOT NULL,
        PRIMARY KEY (key, app)
    ) {without_rowid}
    """,
    "CREATE INDEX directory_grants_of_number ON directory_grants (number)",
    # Statements that contradict an accepted one of the same `seq`, for the owner to see.
    """
    CREATE TABLE directory_conflicts (
        number BIGINT NOT NULL,
        app TEXT NOT NULL,
        seq BIGINT NOT NULL,
        kept {blob} NOT NULL,
        refused {blob} NOT NULL,
        noticed_at BIGINT NOT NULL,
        PRIMARY KEY (number, app, seq, refused)
    )
    """,
    # Authorities above the certificates of accepted records, and where those say that revocations are listed.
    "CREATE TABLE directory_authorities (id {blob} PRIMARY KEY, chain TEXT NOT NULL)",
    """
    CREATE TABLE directory_crls (
        authority {blob} NOT NULL,
        url TEXT NOT NULL,
        PRIMARY KEY (authority, url)
    )
    """,
    # The record log: hashes of accepted statements, its tree and its tiles.
    """
    CREATE TABLE directory_leaves (
        hash {blob} PRIMARY KEY,
        queued_at BIGINT NOT NULL,
        leaf_index BIGINT
    )
    """,
    "CREATE INDEX directory_leaves_queued ON directory_leaves (queued_at) WHERE leaf_index IS NULL",
    """
    CREATE TABLE directory_trees (
        origin TEXT PRIMARY KEY,
        size BIGINT NOT NULL,
        root {blob} NOT NULL,
        checkpoint {blob},
        checkpoint_size BIGINT NOT NULL DEFAULT -1
    )
    """,
    "CREATE TABLE directory_tiles (path TEXT PRIMARY KEY, data {blob} NOT NULL)",
    # What each caller has left of its quota, and asked for lately.
    "CREATE TABLE directory_quotas (key {blob} PRIMARY KEY, seen {blob} NOT NULL, full_at BIGINT NOT NULL)",
    "CREATE INDEX directory_quotas_full ON directory_quotas (full_at)",
    # Requests that were answered. A database that lost these lost its last minute, too.
    "CREATE {unlogged} TABLE directory_replays (key {blob} PRIMARY KEY, expires_at BIGINT NOT NULL)",
    "CREATE INDEX directory_replays_expiring ON directory_replays (expires_at)",
    # How far each feed of number events was read.
    "CREATE TABLE directory_feeds (name TEXT PRIMARY KEY, position TEXT NOT NULL)",
)
_SQLITE = {"blob": "BLOB", "without_rowid": "WITHOUT ROWID", "unlogged": ""}
_POSTGRESQL = {"blob": "BYTEA", "without_rowid": "", "unlogged": "UNLOGGED"}


def up(migrator: SchemaMigrator, database: Database) -> None:  # noqa: ARG001 - playhouse calls it so
    """Create the tables and their indices."""
    words = _SQLITE if isinstance(database, SqliteDatabase) else _POSTGRESQL
    for statement in _TABLES:
        database.execute_sql(statement.format_map(words))  # type: ignore[no-untyped-call]  # its stub has no types
