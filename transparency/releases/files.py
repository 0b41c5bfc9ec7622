"""Files of releases: written whole, and by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from transparency.releases.errors import BusyError

DRAFT: Final = ".draft-"
"""What the name of a file begins with that is not whole yet, or never will be."""

_READABLE = 0o644
_OWNER_ONLY = 0o600
_LOCK = "lock"


def write_whole(path: Path, data: bytes, mode: int = _READABLE) -> None:
    """Write a file so that, whatever happens, the old one or the new one is there, and sync it."""
    draft = path.with_name(f"{DRAFT}{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Keep all others from changing a folder, which is made; raise BusyError where another one is doing so."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        msg = f"another process is changing {folder}: wait until it is done"
        raise BusyError(msg) from error
    try:
        yield
    finally:
        os.close(descriptor)
