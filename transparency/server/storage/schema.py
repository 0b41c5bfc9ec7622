"""Bringing a log's database to the tables of this version, whoever else tries the same at the same time."""

from __future__ import annotations

from pathlib import Path

import peewee
from playhouse.migrations import MigrationError, Runner  # type: ignore[import-untyped]  # has no stubs

from transparency.server.errors import StorageError
from transparency.server.storage.database import Database

_STEPS = Path(__file__).parent / "migrations"
_HISTORY = "log_migrations"
_ADVISORY_LOCK = 0x6C6F67  # "log": any number that nobody else takes in this database


def migrate(database: Database) -> tuple[str, ...]:
    """Run the missing steps, all or none, and return their names; raise StorageError for a newer database."""
    database.rows("SELECT 1")
    runner = Runner(database.driver, str(_STEPS), table_name=_HISTORY)
    if not _missing(runner):
        return ()
    try:
        with database.driver.atomic(*(("IMMEDIATE",) if database.is_sqlite else ())):
            if not database.is_sqlite:
                database.rows("SELECT pg_advisory_xact_lock(?)", _ADVISORY_LOCK)
            return tuple(runner.up())
    except (peewee.PeeweeException, MigrationError) as error:
        msg = f"the database cannot be brought to this version: {error}"
        raise StorageError(msg) from error


def _missing(runner: Runner) -> tuple[str, ...]:
    """Return the names of the steps that the database lacks."""
    steps = runner.status()
    unknown = [step.name for step in steps if step.path is None]
    if unknown:
        msg = f"a newer version of this program made the database (it knows {unknown[-1]}); install that version"
        raise StorageError(msg)
    return tuple(step.name for step in steps if step.applied is None)
