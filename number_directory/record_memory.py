"""The memory of records that were verified, on the disk: see `remembered`.

    seen-records.sqlite3        a row for each number and app
    seen-records.key            the secret by which the rows are named, and sealed

Whoever has the first file alone learns how many records were seen, how long they are, and until when each is kept.
Whoever has both can try numbers, and find those that were looked up. Files are 0600. Two processes may share them: a
row is replaced only by whoever has read it, in one transaction.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec
import platformdirs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from number_directory.record import SignedRecord
from number_directory.remembered import Remembered
from stir.telephone_number import TelephoneNumber

HOME_VARIABLE = "ANSWERBACK_HOME"
"""The environment variable that names another folder than the user's own for all that Answerback keeps."""
FILE_NAME: Final = "seen-records.sqlite3"
KEY_NAME: Final = "seen-records.key"
MOST_REMEMBERED: Final = 10_000
"""How many records are remembered: of more, those go first that would be forgotten first."""

_KEY_BYTES = 32
_NONCE_BYTES = 12
_PATIENCE = 5.0
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS seen (
        name BLOB PRIMARY KEY, number BLOB NOT NULL, sealed BLOB NOT NULL, keep_until INTEGER NOT NULL
    )
    """,
    "CREATE INDEX IF NOT EXISTS seen_of_number ON seen (number)",
    "CREATE INDEX IF NOT EXISTS seen_ending ON seen (keep_until)",
)
_DROP_OLD = "DELETE FROM seen WHERE keep_until < ?"
_DROP_MOST = "DELETE FROM seen WHERE rowid IN (SELECT rowid FROM seen ORDER BY keep_until DESC LIMIT -1 OFFSET ?)"
_IS_DAMAGED = "it is damaged"
_DAMAGED = (InvalidTag, TypeError, ValueError, msgspec.DecodeError)


class RecordMemoryError(Exception):
    """The memory of records cannot be read or written; the message says where, and what to do."""


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row's content before it is sealed."""

    record: str
    directory: str
    seen_at: int
    keep_until: int
    since: int


class RecordMemory:
    """One user's memory of records, in two files of one folder. Threads may share it; close it at the end.

    Every method raises RecordMemoryError.
    """

    def __init__(self, folder: Path) -> None:
        """Use the folder, which need not exist yet."""
        self._folder = folder
        self._lock = threading.Lock()
        self._opened: tuple[sqlite3.Connection, bytes] | None = None

    @classmethod
    def of_user(cls) -> Self:
        """Use `$ANSWERBACK_HOME`, or the user's own state folder."""
        named = os.environ.get(HOME_VARIABLE)
        return cls(Path(named) if named else platformdirs.PlatformDirs("answerback", appauthor=False).user_state_path)

    def __enter__(self) -> Self:
        """Open nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the file, if it is open."""
        with self._lock:
            if self._opened is not None:
                self._opened[0].close()
                self._opened = None

    def recall(self, number: TelephoneNumber, app: str) -> Remembered | None:
        """Return what is remembered of a number and app."""
        with self._using() as (database, secret):
            return _read(database, _Name.of(secret, number, app))

    def remember(self, new: Remembered, instead_of: Remembered | None) -> bool:
        """Remember a record in the place of another; return False, changing nothing, where that is not there.

        What is kept for nothing any more by the time when the new one was seen is forgotten.
        """
        record = new.record
        with self._using() as (database, secret):
            name = _Name.of(secret, record.number, record.app)
            database.execute("BEGIN IMMEDIATE")
            with database:
                if _read(database, name) != instead_of:
                    return False
                row = (name.row, name.number, name.sealed(new), new.keep_until)
                database.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?, ?)", row)
                database.execute(_DROP_OLD, (new.seen_at,))
                database.execute(_DROP_MOST, (MOST_REMEMBERED,))
        return True

    def forget(self, numbers: Sequence[TelephoneNumber]) -> None:
        """Forget all that is remembered of numbers."""
        with self._using() as (database, secret), database:
            names = [(_hash(secret, "number", number.digits),) for number in numbers]
            database.executemany("DELETE FROM seen WHERE number = ?", names)

    @contextlib.contextmanager
    def _using(self) -> Iterator[tuple[sqlite3.Connection, bytes]]:
        try:
            with self._lock:
                self._opened = self._opened or self._open()
                yield self._opened
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(str(error)) from error
        except _DAMAGED as error:
            raise self._unusable(_IS_DAMAGED) from error

    def _unusable(self, why: str) -> RecordMemoryError:
        return RecordMemoryError(f"cannot use {self._folder / FILE_NAME}: {why}; move it away to begin a new one")

    def _open(self) -> tuple[sqlite3.Connection, bytes]:
        _make_folder(self._folder)
        secret = _secret(self._folder / KEY_NAME)
        path = self._folder / FILE_NAME
        path.touch(mode=0o600)
        database = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
        try:
            # What a power failure takes of the last lookups is seen again; what is forgotten is overwritten.
            for words in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON"):
                database.execute(f"PRAGMA {words}")
            for words in _TABLES:
                database.execute(words)
        except sqlite3.Error:
            database.close()
            raise
        return database, secret


class _Name:
    """What a number and app are called in the file, and what seals their row."""

    def __init__(self, row: bytes, number: bytes, seal: bytes) -> None:
        self.row, self.number = row, number
        self._seal = ChaCha20Poly1305(seal)

    @classmethod
    def of(cls, secret: bytes, number: TelephoneNumber, app: str) -> Self:
        both = f"{number.digits} {app}"
        return cls(_hash(secret, "row", both), _hash(secret, "number", number.digits), _hash(secret, "seal", both))

    def sealed(self, one: Remembered) -> bytes:
        stored = _Stored(one.record.token, one.directory, one.seen_at, one.keep_until, one.since)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._seal.encrypt(nonce, msgspec.json.encode(stored), self.row)

    def opened(self, sealed: bytes) -> Remembered:
        data = self._seal.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.row)
        stored = msgspec.json.decode(data, type=_Stored)
        record = SignedRecord.parse(stored.record)
        return Remembered(record, stored.directory, stored.seen_at, stored.keep_until, stored.since)


def _read(database: sqlite3.Connection, name: _Name) -> Remembered | None:
    row = database.execute("SELECT sealed FROM seen WHERE name = ?", (name.row,)).fetchone()
    return None if row is None else name.opened(row[0])


def _hash(secret: bytes, use: str, text: str) -> bytes:
    return hmac.digest(secret, f"{use} {text}".encode("ascii"), "sha256")


def _secret(path: Path) -> bytes:
    """Return the secret in a file; put one there where there is none, the same for all processes that come at once."""
    if not path.exists():
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
        beside.unlink()
    return path.read_bytes()


def _make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, each the user's alone."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
