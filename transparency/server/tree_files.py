"""What the files of a tree are called, and how those of one pool are staged together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from transparency.errors import TileMissingError
from transparency.following import COSIGNED_PATH
from transparency.server.errors import HistoryError
from transparency.server.publishing import Publisher
from transparency.tiles import ENTRIES, Fetch, TileCoordinates

CHECKPOINT = "checkpoint"
_BEHIND_SHARD = "@"  # in no shard's name, so that no prefix meets another shard's


@dataclass(frozen=True, slots=True)
class TreeFiles:
    """The paths of one shard's files."""

    shard: str

    @property
    def checkpoint(self) -> str:
        """The path of the checkpoint."""
        return f"{self.shard}/{CHECKPOINT}"

    @property
    def cosigned(self) -> str:
        """The path of the newest checkpoint that witnesses have cosigned."""
        return self.at(COSIGNED_PATH)

    def fetching(self, publisher: Publisher) -> Fetch:
        """Return what reads the shard's published files, by their paths below its prefix."""

        def fetch(path: str) -> bytes:
            data = publisher.read(self.at(path))
            if data is None:
                msg = f"{path} is missing"
                raise TileMissingError(msg)
            return data

        return fetch

    def at(self, path: str) -> str:
        """Return a path below the shard's prefix as one below the log's."""
        return f"{self.shard}/{path}"

    def tile(self, tile: TileCoordinates) -> str:
        """Return the path of a tile or an entry bundle."""
        return self.at(tile.path)

    def partials(self, tile: TileCoordinates) -> str:
        """Return the folder of the partial tiles that a full one has replaced."""
        return f"{self.at(tile.full.path)}.p/"

    @property
    def staged_prefix(self) -> str:
        """What the names of all staged bundles of the shard begin with."""
        return self.shard + _BEHIND_SHARD

    def staged(self, size: int, root: bytes) -> str:
        """Return the name under which the files wait that make the tree of this size and root."""
        return f"{self.staged_prefix}{size}-{root.hex()}"

    def staged_size(self, name: str) -> int:
        """Return the size of the tree that a staged bundle makes, by its name; 0 for what is none."""
        size = name.removeprefix(self.staged_prefix).partition("-")[0]
        return int(size) if size.isascii() and size.isdigit() else 0


def superseded(tile: TileCoordinates, files: TreeFiles) -> str | None:
    """Return the folder of partial tiles that a new full tile makes needless: those of the tile before it.

    Readers who are just at the tile's own partials get the time that the next tile takes to fill.
    """
    if not tile.is_full or tile.index == 0 or tile.level < ENTRIES:
        return None
    return files.partials(TileCoordinates(tile.level, tile.index - 1))


def encode_staged(files: Mapping[str, bytes]) -> bytes:
    """Return files as one bundle."""
    return msgspec.msgpack.encode(files)


def decode_staged(data: bytes, name: str) -> dict[str, bytes]:
    """Read a bundle; raise HistoryError where it is none."""
    try:
        return msgspec.msgpack.decode(data, type=dict[str, bytes])
    except msgspec.DecodeError as error:
        msg = f"the staged bundle {name} is damaged; restore it from a backup"
        raise HistoryError(msg) from error
