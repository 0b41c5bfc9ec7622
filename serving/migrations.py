"""Bringing a database to the tables of this version, whoever else tries the same at the same time."""

from __future__ import annotations

from pathlib import Path

import peewee
from playhouse.migrations import MigrationError, Runner  # type: ignore[import-untyped]  # has no stubs

from serving.database import Database
from serving.errors import StorageError

_ADVISORY_LOCK = 0x616E7377  # any number that nobody else takes in this database


def migrate(database: Database, steps: Path, history: str) -> tuple[str, ...]:
    """Run the steps of a folder that are missing, all or none of them, and return their names.

    `history` is the table that keeps which ones ran: each program that shares the database has its own, and its own
    prefix before the names of its tables. Raises StorageError where the database is newer than this version.
    """
    database.rows("SELECT 1")
    driver = database.driver
    try:
        with driver.connection_context():
            runner = Runner(driver, str(steps), table_name=history)
            if not missing(runner):
                return ()
            with driver.atomic(*(("IMMEDIATE",) if database.is_sqlite else ())):
                if not database.is_sqlite:
                    driver.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))  # type: ignore[no-untyped-call]  # its stub has no types
                return tuple(runner.up())
    except (peewee.PeeweeException, MigrationError) as error:
        msg = f"the database cannot be brought to this version: {error}"
        raise StorageError(msg) from error


def missing(runner: Runner) -> tuple[str, ...]:
    """Return the names of the steps that the database lacks; refuse a database that has had steps unknown here."""
    steps = runner.status()
    unknown = [step.name for step in steps if step.path is None]
    if unknown:
        msg = (
            f"the database was made by a newer version of this program (it knows {unknown[-1]}); "
            "install that version, or restore a backup made before the update"
        )
        raise StorageError(msg)
    return tuple(step.name for step in steps if step.applied is None)
