"""Files in a folder that this server, nginx or anything else serves."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transparency.server.errors import HistoryError, PublishingError
from transparency.server.publishing.publisher import is_tile

_READABLE = 0o644
_OWNER_ONLY_FOLDER = 0o700
_DRAFT = ".draft-"


@dataclass(frozen=True, slots=True)
class FilePublisher:
    """Publishes in `directory`, and stages in `staging`, which nobody serves."""

    directory: Path
    staging: Path

    def read(self, path: str) -> bytes | None:
        """Return the file at a path, None where there is none."""
        with _publishing_errors(path):
            return _read(self._place(path))

    def read_parts(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Return parts of a file, None where there is none."""
        with _publishing_errors(path):
            try:
                descriptor = os.open(self._place(path), os.O_RDONLY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError):
                return None
            try:
                return [os.pread(descriptor, length, start) for start, length in parts]
            finally:
                os.close(descriptor)

    def size(self, path: str) -> int | None:
        """Return how many bytes a file has, None where there is none."""
        place = self._place(path)
        with _publishing_errors(path):
            return place.stat().st_size if place.is_file() else None

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files, each by way of a draft that is synced and then renamed; see Publisher."""
        for path, data in files.items():
            if is_tile(path):
                self._require_same(path, data)
        with _publishing_errors("files"):
            _write_all({self._place(path): data for path, data in files.items()})

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, or with `/` at the end of the path the folder."""
        for path in paths:
            place = self._place(path.rstrip("/"))
            with _publishing_errors(path), contextlib.suppress(FileNotFoundError):
                if path.endswith("/"):
                    shutil.rmtree(place)
                else:
                    place.unlink()

    def sizes(self, folder: str) -> dict[str, int]:
        """Return how many bytes each file below a folder has; drafts that a crash left are deleted on the way."""
        sizes = {}
        with _publishing_errors(folder):
            for place in self._place(folder.rstrip("/")).rglob("*"):
                if place.name.startswith(_DRAFT):
                    place.unlink(missing_ok=True)
                elif place.is_file():
                    sizes[place.relative_to(self.directory).as_posix()] = place.stat().st_size
        return sizes

    def stage(self, name: str, data: bytes) -> None:
        """Keep data in a file of the staging folder."""
        with _publishing_errors(name):
            self.staging.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
            _write_all({self.staging / name: data})

    def staged(self, name: str) -> bytes | None:
        """Return the file of the staging folder, None where there is none."""
        with _publishing_errors(name):
            return _read(self.staging / name)

    def staged_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names in the staging folder that begin so; drafts that a crash left are deleted on the way."""
        with _publishing_errors(prefix):
            for draft in self.staging.glob(f"{_DRAFT}{prefix}*"):
                draft.unlink(missing_ok=True)
            return tuple(sorted(path.name for path in self.staging.glob(f"{prefix}*")))

    def unstage(self, names: Iterable[str]) -> None:
        """Drop these files of the staging folder."""
        for name in names:
            with _publishing_errors(name):
                (self.staging / name).unlink(missing_ok=True)

    def _place(self, path: str) -> Path:
        parts = path.split("/")
        if any(part in {"", ".", ".."} or "\0" in part for part in parts):
            msg = f"{path!r} is no path of a log's file"
            raise PublishingError(msg)
        return self.directory.joinpath(*parts)

    def _require_same(self, path: str, data: bytes) -> None:
        found = self.read(path)
        if found is not None and found != data:
            msg = (
                f"{self._place(path)} is published with other content than it should have; nothing is overwritten: "
                "keep a copy of the folder and the database, and find out which of the two is not the newest"
            )
            raise HistoryError(msg)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _write_all(files: Mapping[Path, bytes]) -> None:
    """Write drafts, sync them, give them their names, and sync the folders that have new names in them."""
    drafts: dict[Path, Path] = {}
    changed: set[Path] = set()
    try:
        for path, data in files.items():
            changed.update(_make_folder(path.parent))
            drafts[path] = _write_draft(path, data)
        for path in list(drafts):
            drafts.pop(path).rename(path)
            changed.add(path.parent)
        for folder in changed:
            _sync(folder)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _write_draft(path: Path, data: bytes) -> Path:
    draft = path.with_name(f"{_DRAFT}{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _READABLE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder and those above it, and return those that have a new name in them."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
    return [new.parent for new in missing]


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _publishing_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        msg = f"{error.filename or what} cannot be used: {error.strerror}; make room, or mend its permissions"
        raise PublishingError(msg) from error
