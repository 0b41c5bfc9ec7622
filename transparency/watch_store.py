"""What watchers and auditors remember on the disk, and the alarms that they raised, with the evidence.

    watch/<digits of the number>/<origin>-<hash>/memory.json      one number in one shard
    audit/<origin>-<hash>/state.json  index/…                     one shard that is audited
    alarms/<hash>/alarm.json  <evidence>…                         one alarm

A file is written beside its name, flushed to the disk and renamed, so that a killed process leaves the old one or the
new one. Files are 0600 and folders 0700: whose number is watched is nobody else's business. An alarm's evidence comes
before its `alarm.json`, so that an alarm that is there is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Self, TypeVar

import msgspec
import platformdirs

from stir.telephone_number import TelephoneNumber
from transparency.alarms import Alarm, AlarmKind
from transparency.auditor import Audited
from transparency.errors import TileMissingError
from transparency.label_index import SEGMENTS_PATH, segment_at
from transparency.monitor import Memory

HOME_VARIABLE = "ANSWERBACK_HOME"
"""The environment variable that names another folder than the user's own for all that Answerback keeps."""

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_HASH_DIGITS = 16
_LONGEST_NAME = 80

_T = TypeVar("_T")


class WatchStoreError(Exception):
    """What is remembered cannot be read or written; the message says where and what to do."""


class StoredAlarm(msgspec.Struct, frozen=True):
    """An alarm that was kept. `first_at` and `last_at` are in seconds since 1970, `folder` is where its evidence is.

    `number` is masked, and None for an alarm about a log as a whole.
    """

    kind: AlarmKind
    log: str
    origin: str
    text: str
    advice: str
    number: str | None
    first_at: int
    last_at: int
    is_told: bool
    folder: str


@dataclass(frozen=True, slots=True)
class WatchStore:
    """One user's watching, in one folder. Every method raises WatchStoreError."""

    home: Path

    @classmethod
    def open(cls) -> Self:
        """Use `$ANSWERBACK_HOME`, or the user's own state folder."""
        named = os.environ.get(HOME_VARIABLE)
        return cls(Path(named) if named else platformdirs.PlatformDirs("answerback", appauthor=False).user_state_path)

    @contextlib.contextmanager
    def lock(self, what: str) -> Iterator[None]:
        """Keep other processes from doing the same at the same time; raise WatchStoreError where one does."""
        path = self.home / "watch" / f"{_slug(what)}.lock"
        _make_folder(path.parent)
        with _explained(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            msg = "another process is watching this at the moment: wait for it to end, or stop it"
            raise WatchStoreError(msg) from error
        finally:
            os.close(descriptor)

    # One number in one shard

    def memory(self, number: TelephoneNumber, origin: str) -> Memory:
        """Return what is remembered of a shard, nothing at first."""
        return _load(self._memory(number, origin), Memory) or Memory()

    def keep_memory(self, number: TelephoneNumber, origin: str, memory: Memory) -> None:
        """Remember."""
        _save(self._memory(number, origin), memory)

    def _memory(self, number: TelephoneNumber, origin: str) -> Path:
        return self.home / "watch" / number.digits / _slug(origin) / "memory.json"

    # One shard that is audited

    def audited(self, origin: str) -> Audited:
        """Return how far a shard was audited, nothing at first."""
        return _load(self.home / "audit" / _slug(origin) / "state.json", Audited) or Audited()

    def keep_audited(self, origin: str, state: Audited) -> None:
        """Remember how far a shard was audited."""
        _save(self.home / "audit" / _slug(origin) / "state.json", state)

    def index_files(self, origin: str) -> DiskIndexFiles:
        """Return where the files of the auditor's own index are."""
        return DiskIndexFiles(self.home / "audit" / _slug(origin))

    # Alarms

    def keep_alarm(self, alarm: Alarm, number: TelephoneNumber | None, now: int) -> StoredAlarm:
        """Keep an alarm with its evidence, or note that one that is kept goes on."""
        masked = None if number is None else number.masked
        identity = f"{'' if number is None else number.digits} {alarm.identity}"
        folder = self.home / "alarms" / sha256(identity.encode()).hexdigest()[:_HASH_DIGITS]
        path = folder / "alarm.json"
        former = _load(path, StoredAlarm)
        for name, document in alarm.evidence.items():
            if former is None or not (folder / _file_name(name)).exists():
                _write(folder / _file_name(name), document)
        stored = StoredAlarm(
            kind=alarm.kind,
            log=alarm.log,
            origin=alarm.origin,
            text=alarm.text,
            advice=alarm.kind.advice,
            number=masked,
            first_at=now if former is None else former.first_at,
            last_at=now,
            is_told=former is not None and former.is_told and former.text == alarm.text,
            folder=str(folder),
        )
        _save(path, stored)
        return stored

    def mark_told(self, alarm: StoredAlarm) -> None:
        """Note that somebody was told of an alarm."""
        _save(Path(alarm.folder) / "alarm.json", msgspec.structs.replace(alarm, is_told=True))


@dataclass(frozen=True, slots=True)
class DiskIndexFiles:
    """The segments of an auditor's own index, in a folder."""

    folder: Path

    def sizes(self) -> dict[bytes, int]:
        """Return the names of the segments that are there, and how many bytes each has."""
        with _explained(self.folder):
            found = {
                segment_at(path.relative_to(self.folder).as_posix()): path.stat().st_size
                for path in self.folder.glob(f"{SEGMENTS_PATH}*")
            }
        return {name: size for name, size in found.items() if name is not None}

    def read(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file; raise TileMissingError where there is none."""
        try:
            with (self.folder / path).open("rb") as file:
                return [os.pread(file.fileno(), length, start) for start, length in parts]
        except OSError as error:
            msg = f"{self.folder / path} is missing: delete the folder {self.folder}, and audit from the start"
            raise TileMissingError(msg) from error

    def put(self, path: str, data: bytes) -> None:
        """Keep a file."""
        _write(self.folder / path, data)

    def drop(self, path: str) -> None:
        """Forget a file."""
        (self.folder / path).unlink(missing_ok=True)


def _slug(name: str) -> str:
    """Return a folder's name that people recognize and that no other name has."""
    return f"{_UNSAFE.sub('-', name)[:_LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:8]}"


def _file_name(name: str) -> str:
    return _UNSAFE.sub("-", name)[:_LONGEST_NAME]


def _load(path: Path, type_: type[_T]) -> _T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        msg = f"{path} is damaged: {error}; move it away, and what it remembered is learned anew"
        raise WatchStoreError(msg) from error
    except OSError as error:
        raise _unusable(path, error) from error


def _save(path: Path, value: object) -> None:
    _write(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _write(path: Path, data: bytes) -> None:
    """Put a file in its place, or leave the old one there: never half of it, and never open to others."""
    _make_folder(path.parent)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    with _explained(path):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _make_folder(path: Path) -> None:
    # pathlib makes missing parents with everyone's permissions, so each folder is made by itself.
    with _explained(path):
        for folder in reversed((path, *path.parents)):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> WatchStoreError:
    return WatchStoreError(f"cannot use {path}: {error.strerror}; set {HOME_VARIABLE} to a folder that you own")
