"""The sequencer: it alone gives entries their places, and lets a tree grow so that no crash can make it two trees.

The order of writes is what the promise rests on. For each pool of queued entries:

1. the new tiles and entry bundles are staged together, under a name that holds the new size and root, and synced;
2. one transaction moves the database's tree from exactly the state that is known here to the new size and root, and
   gives the entries their places: from now on this is the tree;
3. the tiles are published and synced, then the checkpoint, which is signed only now;
4. the published size is noted, and front ends give out the SCTs;
5. what was staged is dropped.

A crash before 2 leaves the queue as it was, and something staged that nobody asks for. A crash behind 2 is made good by
publishing what is staged. Nothing is ever signed that step 2 has not made the tree, so one size has one signed root.

Witnesses are asked beside this, by `witnessing`, unless the operator wants no checkpoint without a quorum of them: then
the checkpoint of step 3 waits for their cosignatures, and with it everything behind.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry, rounded_timestamp
from transparency.errors import NoteError, TileError
from transparency.merkle import leaf_hash
from transparency.server.errors import HistoryError, OvertakenError, PublishingError
from transparency.server.log import Log, LogShard
from transparency.server.storage import Queued, TreeState
from transparency.server.tree_files import decode_staged, encode_staged, superseded
from transparency.signed_note import Note
from transparency.tiles import ENTRIES, TILE_WIDTH, Frontier, TileCoordinates, decode_bundle, encode_bundle

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Tree:
    """What is remembered of the tree between two pools: 8 kB for each level, whatever its size."""

    state: TreeState
    frontier: Frontier
    bundle: tuple[bytes, ...]
    """The entries of the last bundle, where that is partial."""


class Sequencer:
    """Sequences one shard. Whatever fails, the next step begins by looking at what is really there."""

    def __init__(self, log: Log, shard: LogShard) -> None:
        """Remember the shard; nothing is read yet."""
        self._log = log
        self._shard = shard
        self._files = shard.files
        self._fetch = shard.files.fetching(log.publisher)
        self._tree: _Tree | None = None

    def recover(self) -> None:
        """Read the tree, and finish what a crash left; raise HistoryError where database and files contradict."""
        self._tree = None
        state = self._log.storage.trees.ensure(self._shard.name, self._shard.origin)
        published = self._published_checkpoint()
        _require_one_history(state, published)
        if (0 if published is None else published.size) < state.size:
            self._apply_staged(state)
        tree = self._load(state)
        if published is None or published.size < state.size:
            self._publish_checkpoint(state)
        self._log.storage.trees.published(state.name, state.size)
        self._drop_staged(state.size)
        self._tree = tree

    def step(self) -> int:
        """Give a pool of queued entries their places, and publish the tree; return how many they were.

        Raises a ServingError where that fails, HistoryError where a person must look. Nothing was promised then.
        """
        if self._tree is None:
            self.recover()
        tree = self._tree
        assert tree is not None  # noqa: S101 - recover raises where it cannot read the tree
        queued = self._log.storage.entries.queued(self._shard.name, self._log.config.sequencing.largest_pool)
        if not queued:
            return 0
        self._tree = None  # until all went well
        self._tree = self._grow(tree, queued)
        return len(queued)

    def _grow(self, tree: _Tree, queued: Sequence[Queued]) -> _Tree:
        timestamp_ms = rounded_timestamp(int(self._log.clock().timestamp() * 1000))
        entries = [
            SealedEntry(timestamp_ms, one.label, one.issuer_key_hash, one.commitment).to_bytes() for one in queued
        ]
        growth = tree.frontier.append([leaf_hash(entry) for entry in entries])
        size, root = growth.frontier.size, growth.frontier.root
        tiles = {**growth.tiles, **_bundles(tree.state.size, (*tree.bundle, *entries))}
        files = {self._files.tile(tile): data for tile, data in tiles.items()}
        self._log.publisher.stage(self._files.staged(size, root), encode_staged(files))
        state = self._commit(tree.state, size, root, queued, timestamp_ms)
        self._publish(state, files)
        self._log.publisher.delete(filter(None, (superseded(tile, self._files) for tile in tiles)))
        whole = size % TILE_WIDTH
        kept = (*tree.bundle, *entries)[-whole:] if whole else ()
        return _Tree(state, growth.frontier, tuple(kept))

    def _commit(self, old: TreeState, size: int, root: bytes, queued: Sequence[Queued], timestamp_ms: int) -> TreeState:
        """Make the new tree the tree, in one synced transaction."""
        storage = self._log.storage
        with storage.transaction():
            if not storage.trees.swap(old, size, root):
                raise OvertakenError(_OVERTAKEN.format(old.name))
            storage.entries.place(queued, old.size, timestamp_ms)
        return TreeState(old.name, old.origin, size, root, old.published_size)

    def _publish(self, state: TreeState, files: dict[str, bytes]) -> None:
        self._log.publisher.write(files)
        self._publish_checkpoint(state)
        self._log.storage.trees.published(state.name, state.size)
        self._log.publisher.unstage([self._files.staged(state.size, state.root)])

    def _publish_checkpoint(self, state: TreeState) -> None:
        """Sign and publish the checkpoint of a tree that the database holds to be the tree."""
        self._require_tree(state)
        note = self._cosigned(Checkpoint(state.origin, state.size, state.root))
        with self._shard.publishing:
            self._require_tree(state)  # witnesses may have taken their time
            self._log.publisher.write({self._files.checkpoint: note})

    def _require_tree(self, state: TreeState) -> None:
        now = self._log.storage.trees.state(state.name)
        if now is None or (now.size, now.root) != (state.size, state.root):
            raise OvertakenError(_OVERTAKEN.format(state.name))

    def _cosigned(self, checkpoint: Checkpoint) -> bytes:
        """Sign a checkpoint and, where the operator has said so, have enough witnesses cosign it first."""
        signed, witnesses = checkpoint.to_note([self._shard.keys.checkpoint]), self._log.witnesses
        if not witnesses.quorum:
            return signed
        note = witnesses.cosigned(Note.parse(signed), checkpoint, self._fetch, all_of_them=False)
        if not witnesses.are_enough(note):
            msg = f"the checkpoint of {checkpoint.size} entries waits for {witnesses.quorum} witnesses' cosignatures"
            raise PublishingError(msg)
        return note.to_bytes()

    # After a start or a failure

    def _published_checkpoint(self) -> Checkpoint | None:
        note = self._log.publisher.read(self._files.checkpoint)
        if note is None:
            return None
        try:
            return Checkpoint.from_note(note, self._shard.keys.checkpoint.verifier)
        except NoteError as error:
            msg = (
                f"shard {self._shard.name}: the published checkpoint was not signed by this shard's key, or is damaged "
                f"({error}); restore the newest copy of the published files and of the keys"
            )
            raise HistoryError(msg) from error

    def _apply_staged(self, state: TreeState) -> None:
        """Publish the tiles that the database's last move made, which a crash has kept from being published."""
        name = self._files.staged(state.size, state.root)
        data = self._log.publisher.staged(name)
        if data is None:
            msg = (
                f"shard {state.name}: the database has a tree of {state.size} entries, and its newest tiles are "
                "neither published nor staged; restore the newest copy of the published files, or of the staging folder"
            )
            raise HistoryError(msg)
        _log.warning("shard %s: publishing the tree of %d entries, which a crash interrupted", state.name, state.size)
        self._log.publisher.write(decode_staged(data, name))

    def _drop_staged(self, size: int) -> None:
        """Drop what was staged for trees up to this size. A larger one may be what a rival is about to commit."""
        names = self._log.publisher.staged_names(self._files.staged_prefix)
        self._log.publisher.unstage(name for name in names if self._files.staged_size(name) <= size)

    def _load(self, state: TreeState) -> _Tree:
        """Read the tree's right edge, and hold it to the root in the database."""
        try:
            frontier = Frontier.load(state.size, self._fetch)
            bundle = self._last_bundle(state.size)
        except TileError as error:
            msg = f"shard {state.name}: the published tiles are not those of the database's tree: {error}; {_RESTORE}"
            raise HistoryError(msg) from error
        last_hashes = b"".join(leaf_hash(entry) for entry in bundle)
        if frontier.root != state.root or (bundle and frontier.edge[0] != last_hashes):
            msg = f"shard {state.name}: the published tiles do not lead to the root in the database; {_RESTORE}"
            raise HistoryError(msg)
        return _Tree(state, frontier, bundle)

    def _last_bundle(self, size: int) -> tuple[bytes, ...]:
        width = size % TILE_WIDTH
        if not width:
            return ()
        return decode_bundle(self._fetch(TileCoordinates(ENTRIES, size // TILE_WIDTH, width).path), width)


_RESTORE = "restore the newest copies of the database and of the published files, which belong together"
_OVERTAKEN = (
    "shard {}: another sequencer has moved the tree on; a log has one sequencer: this one ends, and nothing was lost"
)


def _bundles(old_size: int, entries: Sequence[bytes]) -> dict[TileCoordinates, bytes]:
    """Return the entry bundles from the last that was partial on; `entries` begins with the entries of that."""
    first = old_size // TILE_WIDTH
    bundles = {}
    for start in range(0, len(entries), TILE_WIDTH):
        part = entries[start : start + TILE_WIDTH]
        bundles[TileCoordinates(ENTRIES, first + start // TILE_WIDTH, len(part))] = encode_bundle(part)
    return bundles


def _require_one_history(state: TreeState, published: Checkpoint | None) -> None:
    """Compare what the database knows with what the world has seen; raise HistoryError where one is rolled back."""
    size = 0 if published is None else published.size
    if size > state.size:
        msg = (
            f"shard {state.name}: the published checkpoint has {size} entries and the database only {state.size}: the "
            "database is an old copy. Restore its newest copy. To go on from here would show two trees of one size, "
            "which ends the log for everybody who watches it"
        )
        raise HistoryError(msg)
    if published is not None and size == state.size and published.root != state.root:
        msg = (
            f"shard {state.name}: the published checkpoint and the database have different trees of {size} entries; "
            "nothing is written: find out which of the two is not the log's own"
        )
        raise HistoryError(msg)
    if size < state.published_size:
        msg = (
            f"shard {state.name}: {state.published_size} entries were published, and the published checkpoint has "
            f"{size}: the published files are an old copy; restore their newest copy"
        )
        raise HistoryError(msg)
