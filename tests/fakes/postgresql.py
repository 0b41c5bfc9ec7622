"""A real PostgreSQL server of the tests' own, in a temporary folder and on a Unix socket."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psycopg

from ca_server.storage import Storage
from tests.peers import require

_PACKAGE = "postgresql"
_STARTS_WITHIN = 60.0
_STOPS_WITHIN = 20.0
_TEMPLATE = "template_of_tests"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "fsync": "off",  # the tests kill our processes, not the server's machine
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "deadlock_timeout": "200ms",
}


class PostgresqlServer:
    """Runs while it is entered. PostgreSQL refuses to be root, so root runs it as the least of users."""

    def __init__(self) -> None:
        """Find the programs; nothing runs yet."""
        self._initdb = require("initdb", _PACKAGE)
        self._postgres = require("postgres", _PACKAGE)
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._names = itertools.count(1)

    def __enter__(self) -> Self:
        """Start, and wait until it answers."""
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, and leave nothing."""
        self.stop()

    def url(self, database: str) -> str:
        """Return where a database is."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def fresh_database(self) -> str:
        """Return the URL of a new, empty database."""
        name = f"empty_{next(self._names)}"
        self._run_sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def fresh_storage(self) -> str:
        """Return the URL of a new database that has our tables."""
        name = f"migrated_{next(self._names)}"
        self._run_sql(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected."""
        self._run_sql(f"DROP DATABASE {urlsplit(url).path.removeprefix('/')} WITH (FORCE)")

    def cut_connections(self) -> None:
        """Cut all connections, as a restart of the server does."""
        self._run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def stop(self) -> None:
        """Stop at once, and remove the folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(_STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(_STOPS_WITHIN)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        as_user = _least_user()
        if as_user:
            shutil.chown(self._folder, **as_user)
        data = self._folder / "data"
        with (self._folder / "log").open("wb") as log:
            command = [
                self._initdb,
                "-D",
                str(data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "-N",
            ]
            subprocess.run(command, check=True, stdout=log, stderr=log, timeout=_STARTS_WITHIN, cwd="/", **as_user)
            settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command = [self._postgres, "-D", str(data), "-k", str(self._folder), *settings]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **as_user)
        self._wait()
        self._run_sql(f"CREATE DATABASE {_TEMPLATE}")
        storage = Storage.open(self.url(_TEMPLATE))
        storage.migrate()
        storage.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN
        while True:
            try:
                self._run_sql("SELECT 1")
            except psycopg.OperationalError:
                if time.monotonic() > deadline or (self._process is not None and self._process.poll() is not None):
                    raise
                time.sleep(0.02)
            else:
                return

    def _run_sql(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement.encode())


def _least_user() -> dict[str, Any]:
    """Return as whom `subprocess` runs a server, where we are root; else as ourselves."""
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid}
