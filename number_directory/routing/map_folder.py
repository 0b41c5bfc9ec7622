"""A map on the disk: all chunks of a version in one file, read through mapped memory, and a note which version it is.

    folder/current.json            which version is in use, and when a publisher last said that it is the newest
    folder/<manifest's hash>.map   all chunks in the manifest's order, and behind them the manifest
    folder/lock                    held by whoever changes the folder

A version is written beside the one in use, synced, and then named in `current.json`, which is replaced as a whole. Who
has the old file open reads on in it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from number_directory.routing.errors import DamagedMapError, MapFormatError, NoMapError
from number_directory.routing.manifest import LARGEST_MANIFEST, ChunkEntry, Manifest
from transparency.releases.files import DRAFT, changing, write_whole

MAGIC: Final = b"tnp\x01"

_TRAILER = struct.Struct("<4sQ")
_CURRENT = "current.json"
_SUFFIX = ".map"
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]


class Current(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which version is in use. `as_of` is when its publisher said that it is the newest, good until `expires`.

    Both are in seconds since 1970, and come from what the publisher signed, not from this machine's clock.
    """

    manifest: _Hash
    as_of: _Seconds
    expires: _Seconds


@dataclass(frozen=True)
class Pack:
    """An open version: its manifest, and the bytes of its chunks, of which nobody has checked a hash yet."""

    manifest: Manifest
    data: memoryview

    def slices(self) -> Iterator[tuple[ChunkEntry, memoryview]]:
        """Yield each chunk with its bytes."""
        for entry, offset in zip(self.manifest.chunks, self.manifest.offsets, strict=True):
            yield entry, self.data[offset : offset + entry.size]


class MapFolder:
    """A folder with one map. Reading needs no lock; whoever writes holds it by `changing`."""

    def __init__(self, path: Path) -> None:
        """Use a folder, which need not exist."""
        self.path = path

    def current(self) -> Current:
        """Return which version is in use; raise NoMapError where there is none."""
        path = self.path / _CURRENT
        try:
            return msgspec.json.decode(path.read_bytes(), type=Current)
        except (FileNotFoundError, NotADirectoryError) as error:
            msg = f"there is no map in {self.path}: fetch one with `answerback directory map update`"
            raise NoMapError(msg) from error
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{path} cannot be read: mend its permissions, or run `answerback directory map update`"
            raise DamagedMapError(msg) from error

    def stamp(self) -> tuple[int, int]:
        """Return what changes whenever another version, or a later word on it, is in use."""
        try:
            status = (self.path / _CURRENT).stat()
        except OSError:
            return 0, 0
        return status.st_mtime_ns, status.st_ino

    def open(self, current: Current) -> Pack:
        """Open a version; raise DamagedMapError where its file is not there, or not what it should be."""
        path = self._pack(current.manifest)
        try:
            with path.open("rb") as file:
                data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:  # a ValueError: the file is empty
            msg = f"{path} is not there, or cannot be read: run `answerback directory map update`"
            raise DamagedMapError(msg) from error
        try:
            return _pack_of(data, current.manifest)
        except MapFormatError as error:
            msg = f"{path} is damaged: run `answerback directory map update`"
            raise DamagedMapError(msg) from error

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Keep all others from changing the folder; raise BusyError where another one is doing so."""
        with changing(self.path):
            yield

    def write(
        self, chunks: Iterable[tuple[ChunkEntry, bytes]], manifest: Callable[[], Manifest], expected: str | None = None
    ) -> Manifest:
        """Write a version beside the one in use, and return its manifest, which is asked for after the last chunk.

        Raises MapFormatError, and leaves nothing, where the manifest has not the `expected` hash.
        """
        draft = self.path / f"{DRAFT}{secrets.token_hex(8)}"
        try:
            with draft.open("xb") as file:
                for _, data in chunks:
                    file.write(data)
                made = manifest()
                if expected not in {None, made.hash}:
                    msg = "the map that came out is not the one that was signed"
                    raise MapFormatError(msg)
                last = made.encode()
                file.write(last + _TRAILER.pack(MAGIC, len(last)))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._pack(made.hash))
        finally:
            draft.unlink(missing_ok=True)
        return made

    def use(self, current: Current) -> None:
        """Put a version, whose file is there, or a later word on it, into use, and delete what is then useless."""
        write_whole(self.path / _CURRENT, msgspec.json.encode(current))
        for path in self.path.iterdir():
            is_other = path.suffix == _SUFFIX and path != self._pack(current.manifest)
            if is_other or path.name.startswith(DRAFT):
                path.unlink(missing_ok=True)

    def holds(self, manifest: Manifest) -> bool:
        """Tell whether the file of a version is there."""
        return self._pack(manifest.hash).exists()

    def _pack(self, manifest: str) -> Path:
        return self.path / f"{manifest}{_SUFFIX}"


def _pack_of(data: memoryview, expected: str) -> Pack:
    """Find the manifest at the end of a version's file; raise MapFormatError where it is not the expected one."""
    if len(data) < _TRAILER.size:
        msg = "the file of a map is too short"
        raise MapFormatError(msg)
    magic, size = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    end = len(data) - _TRAILER.size
    if magic != MAGIC or size > min(end, LARGEST_MANIFEST):
        msg = "the file of a map has no manifest at its end"
        raise MapFormatError(msg)
    manifest = Manifest.decode(bytes(data[end - size : end]))
    if manifest.hash != expected or manifest.size != end - size:
        msg = "the file of a map holds another version, or other chunks than it should"
        raise MapFormatError(msg)
    return Pack(manifest, data[: end - size])
