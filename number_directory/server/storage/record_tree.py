"""The record log in the database: hashes that wait for their place, the tree, its tiles and its checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from serving.database import Database
from serving.times import to_column
from transparency.merkle import EMPTY_ROOT

_QUEUED = "SELECT hash FROM directory_leaves WHERE leaf_index IS NULL ORDER BY queued_at LIMIT ?"
_PUT_TILE = (
    "INSERT INTO directory_tiles (path, data) VALUES (?, ?) ON CONFLICT (path) DO UPDATE SET data = excluded.data"
)
_PUBLISH = """
    UPDATE directory_trees SET checkpoint = ?, checkpoint_size = ?
    WHERE origin = ? AND size = ? AND root = ? AND checkpoint_size < ?
"""


@dataclass(frozen=True, slots=True)
class KeptTree:
    """The tree as it was decided, and the newest checkpoint that was signed of it."""

    size: int
    root: bytes
    checkpoint: bytes | None
    checkpoint_size: int


@dataclass(frozen=True, slots=True)
class RecordTree:
    """The one tree of the directory whose record log has this origin."""

    database: Database

    def queue(self, hashes: Iterable[bytes], now: datetime) -> None:
        """Queue the hashes of accepted statements, in the transaction that accepts them; each once.

        They are sorted: databases keep them so, and put those next to each other in one go.
        """
        queued_at = to_column(now)
        self.database.run_many(
            "INSERT INTO directory_leaves (hash, queued_at) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING",
            [(hash_, queued_at) for hash_ in sorted(hashes)],
        )

    def queued(self, limit: int) -> list[bytes]:
        """Return the hashes that wait, the longest waiting first."""
        return [bytes(hash_) for (hash_,) in self.database.rows(_QUEUED, limit)]

    def queue_length(self) -> int:
        """Return how many hashes wait."""
        return int(self.database.rows("SELECT COUNT(*) FROM directory_leaves WHERE leaf_index IS NULL")[0][0])

    def index_of(self, hash_: bytes) -> int | None:
        """Return the place of a hash in the tree, None where it has none yet, or was never queued."""
        row = self.database.row("SELECT leaf_index FROM directory_leaves WHERE hash = ?", hash_)
        return None if row is None else row[0]

    def tree(self, origin: str) -> KeptTree:
        """Return the tree, empty at first."""
        row = self.database.row(
            "SELECT size, root, checkpoint, checkpoint_size FROM directory_trees WHERE origin = ?", origin
        )
        if row is None:
            return KeptTree(0, EMPTY_ROOT, None, -1)
        size, root, checkpoint, checkpoint_size = row
        return KeptTree(size, bytes(root), None if checkpoint is None else bytes(checkpoint), checkpoint_size)

    def origins(self) -> list[str]:
        """Return the origins of the trees that are here: one, or none yet."""
        return [origin for (origin,) in self.database.rows("SELECT origin FROM directory_trees")]

    def begin(self, origin: str) -> None:
        """Make the empty tree, where there is none."""
        self.database.run(
            "INSERT INTO directory_trees (origin, size, root) VALUES (?, 0, ?) ON CONFLICT (origin) DO NOTHING",
            origin,
            EMPTY_ROOT,
        )

    def swap(self, origin: str, old: KeptTree, size: int, root: bytes) -> bool:
        """Move the tree from exactly the state that the caller knows, inside its transaction; tell whether it did."""
        return (
            self.database.run(
                "UPDATE directory_trees SET size = ?, root = ? WHERE origin = ? AND size = ? AND root = ?",
                size,
                root,
                origin,
                old.size,
                old.root,
            )
            == 1
        )

    def place(self, hashes: Sequence[bytes], first_index: int) -> None:
        """Give hashes their places, in the transaction that moves the tree."""
        places = list(enumerate(hashes, start=first_index))
        self.database.run_many("UPDATE directory_leaves SET leaf_index = ? WHERE hash = ?", places)

    def put_tiles(self, tiles: Mapping[str, bytes]) -> None:
        """Keep tiles, in the transaction that moves the tree."""
        self.database.run_many(_PUT_TILE, list(tiles.items()))

    def drop_partials(self, folders: Sequence[str]) -> None:
        """Drop the partial tiles below these folders, which a full one has replaced."""
        for folder in folders:
            self.database.run("DELETE FROM directory_tiles WHERE path >= ? AND path < ?", folder, folder + "\x7f")

    def publish(self, origin: str, tree: KeptTree, checkpoint: bytes) -> bool:
        """Show a checkpoint of what is the tree; tell whether it is, and no later one is shown already."""
        return self.database.run(_PUBLISH, checkpoint, tree.size, origin, tree.size, tree.root, tree.size) == 1

    def file(self, path: str) -> bytes | None:
        """Return a tile or entry bundle."""
        row = self.database.row("SELECT data FROM directory_tiles WHERE path = ?", path)
        return None if row is None else bytes(row[0])

    def forget(self, queued_before: datetime, part: int, parts: int) -> int:
        """Forget where hashes are that were placed, and queued before a time; their leaves stay.

        Look at one of so many parts of all hashes, which are as random as can be, and return how many were forgotten.
        """
        first, behind = ((place << 32) // parts for place in (part, part + 1))
        end = behind.to_bytes(4, "big") if part + 1 < parts else b"\xff" * 33
        return self.database.run(
            "DELETE FROM directory_leaves WHERE hash >= ? AND hash < ? AND leaf_index IS NOT NULL AND queued_at < ?",
            first.to_bytes(4, "big"),
            end,
            to_column(queued_before),
        )
