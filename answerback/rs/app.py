"""The only wiring: from settings to one WSGI application, which hands each request to the program that it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ca_server.app
import ca_server.storage
import number_directory.server.app
import number_directory.server.storage
import transparency.server.app
import transparency.server.storage
from answerback.rs.config import DIRECTORY_PATH, LOG_PATH
from answerback.rs.loading import Settings
from serving.database import Database

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Front:
    """Hands a request to the program below whose path it is, and all others to the one for the rest."""

    def __init__(self, rest: WsgiApp, below: Mapping[str, WsgiApp]) -> None:
        """Take the programs. Each sees the whole path."""
        self._rest = rest
        self._below = dict(below)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        first = environ.get("PATH_INFO", "").split("/", 2)[1:2]
        return self._below.get("/" + "".join(first), self._rest)(environ, start_response)


def create_app(settings: Settings) -> Front:
    """Return the WSGI application of the service that the settings describe. Call it after a fork.

    The programs share one database, and so the one connection that writes to a SQLite file at a time. Raises a
    ServingError that says what to mend.
    """
    database = Database.at(settings.authority.database, cache_mib=number_directory.server.storage.Storage.cache_mib)
    accounts = ca_server.storage.Storage(database)
    records = number_directory.server.storage.Storage(database)
    accounts.migrate()
    records.migrate()
    below: dict[str, WsgiApp] = {
        DIRECTORY_PATH: number_directory.server.app.create_app(settings.directory, storage=records)
    }
    if settings.log is not None:
        entries = transparency.server.storage.Storage(database)
        entries.migrate()
        below[LOG_PATH] = transparency.server.app.create_app(settings.log, storage=entries)
    return Front(ca_server.app.create_app(settings.authority, storage=accounts), below)
