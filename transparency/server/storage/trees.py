"""What each shard's tree is: the one row that decides between two sequencers."""

from __future__ import annotations

from dataclasses import dataclass

from serving.database import Database, Row
from transparency.merkle import EMPTY_ROOT
from transparency.server.errors import HistoryError


@dataclass(frozen=True, slots=True)
class TreeState:
    """A shard's tree as it was decided; everybody can read its first `published_size` leaves."""

    name: str
    origin: str
    size: int
    root: bytes
    published_size: int


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees of all shards."""

    database: Database

    def ensure(self, name: str, origin: str) -> TreeState:
        """Return a shard's tree, empty at first; raise HistoryError where the name belongs to another origin."""
        self.database.run(
            "INSERT INTO log_shards (name, origin, size, root, published_size) VALUES (?, ?, 0, ?, 0)"
            " ON CONFLICT (name) DO NOTHING",
            name,
            origin,
            EMPTY_ROOT,
        )
        state = self.state(name)
        if state is None or state.origin != origin:
            msg = (
                f"the database has shard {name} under the origin {state and state.origin}, and the settings make it "
                f"{origin}; a log's url never changes: put it back, or begin a new log"
            )
            raise HistoryError(msg)
        return state

    def state(self, name: str) -> TreeState | None:
        """Return a shard's tree."""
        row = self.database.row("SELECT name, origin, size, root, published_size FROM log_shards WHERE name = ?", name)
        return None if row is None else _state(row)

    def all(self) -> tuple[TreeState, ...]:
        """Return the trees of all shards, by name."""
        rows = self.database.rows("SELECT name, origin, size, root, published_size FROM log_shards ORDER BY name")
        return tuple(map(_state, rows))

    def swap(self, old: TreeState, size: int, root: bytes) -> bool:
        """Move a tree from exactly the state that the caller knows, inside its transaction; tell whether it did."""
        return (
            self.database.run(
                "UPDATE log_shards SET size = ?, root = ? WHERE name = ? AND size = ? AND root = ?",
                size,
                root,
                old.name,
                old.size,
                old.root,
            )
            == 1
        )

    def published(self, name: str, size: int) -> None:
        """Note that everybody can read the tree of this size, so that its SCTs may be given out."""
        with self.database.transaction(synced=False):
            self.database.run(
                "UPDATE log_shards SET published_size = ? WHERE name = ? AND published_size < ? AND size >= ?",
                size,
                name,
                size,
                size,
            )

    def published_sizes(self) -> dict[str, int]:
        """Return how much of each tree everybody can read."""
        return dict(self.database.rows("SELECT name, published_size FROM log_shards"))


def _state(row: Row) -> TreeState:
    name, origin, size, root, published = row
    return TreeState(name, origin, size, bytes(root), published)
