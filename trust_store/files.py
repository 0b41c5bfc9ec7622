"""Writing the files of a trust store: in one step, under a lock. A killed process leaves the old one or the new one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from trust_store.errors import TrustFileError


def write_file(path: Path, data: bytes) -> None:
    """Put a file in its place, or leave the old one there: never half of it."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    with _explained(path):
        _make(path.parent)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


def unlink(path: Path) -> None:
    """Remove a file that no entry names any more; it may stay, since it is not believed."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the file; the lock ends with the process that holds it."""
    lock = path.with_name(f".{path.name}.lock")
    with _explained(path):
        _make(path.parent)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make(folder: Path) -> None:
    """Make a folder, and those above it that are missing, each the user's alone."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise TrustFileError(msg) from error
