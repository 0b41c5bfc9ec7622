"""Keeps the label index of a shard up with its tree: buckets and nodes first, then the map checkpoint that names them.

The index holds nothing that the tree does not: whatever is lost or damaged is made again from the entry bundles.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import CheckpointError, EntryError, LabelIndexError, NoteError, TileError
from transparency.label_index import MAP_CHECKPOINT_PATH, LabelIndex, MapCheckpoint, path_of
from transparency.merkle import HASH_SIZE
from transparency.server.errors import HistoryError
from transparency.server.log import Log, LogShard
from transparency.tiles import ENTRIES, TILE_WIDTH, decode_bundle, tile_of

_log = logging.getLogger(__name__)

KEPT_FOR = timedelta(minutes=2)
"""How long a file that the index needs no longer stays for those who are just reading it."""
_NAMED = re.compile(r"index/([0-9a-f]{2})/([0-9a-f]{62})", re.ASCII)
_AT_ONCE = 1024 * TILE_WIDTH
"""Entries that are added to the index at once, so that its memory does not grow with what it has missed."""


class IndexKeeper:
    """Keeps the label index of one shard. One thread at a time, beside the sequencer."""

    def __init__(self, log: Log, shard: LogShard) -> None:
        """Remember the shard; nothing is read yet."""
        self._log = log
        self._shard = shard
        self._index: LabelIndex | None = None
        self._signed_size: int | None = None
        self._obsolete: deque[tuple[datetime, bytes]] = deque()  # until when, and the names side by side

    def step(self) -> int:
        """Bring the index to the published tree, and return how many entries were added; raise a ServingError."""
        checkpoint = self._published()
        if checkpoint is None:
            return 0
        index = self._index or self._load(checkpoint)
        self._index = None  # until all went well
        before = index.size
        if self._signed_size != checkpoint.size:
            try:
                index = self._extend(index, checkpoint)
            except LabelIndexError as error:
                index, before = self._rebuild(checkpoint, error), 0
        self._index = index
        self._delete_obsolete()
        return index.size - before

    def _extend(self, index: LabelIndex, checkpoint: Checkpoint) -> LabelIndex:
        """Add the entries that the index lacks, then sign and publish the map checkpoint."""
        until = self._log.clock() + KEPT_FOR
        for labels in self._labels(index.size, checkpoint.size):
            growth = index.extend(labels, self._fetch)
            self._log.publisher.write({self._shard.files.at(path): data for path, data in growth.files.items()})
            self._obsolete.append((until, _names(growth.obsolete - growth.files.keys())))
            index = growth.index
        note = index.checkpoint(checkpoint).to_note([self._shard.keys.checkpoint])
        self._log.publisher.write({self._shard.files.at(MAP_CHECKPOINT_PATH): note})
        self._signed_size = checkpoint.size
        return index

    def _rebuild(self, checkpoint: Checkpoint, reason: LabelIndexError) -> LabelIndex:
        """Make the index again from the first entry on. Files that were to be deleted may be needed again."""
        _log.error("shard %s: the label index is damaged (%s); making it again", self._shard.name, reason)
        self._obsolete.clear()
        index = self._extend(LabelIndex.empty(), checkpoint)
        self._obsolete.clear()
        self._obsolete.append((self._log.clock() + KEPT_FOR, self._strays(index)))
        return index

    def _published(self) -> Checkpoint | None:
        """Return the tree that everybody can read, which the index is to be made from."""
        note = self._log.publisher.read(self._shard.files.checkpoint)
        try:
            return None if note is None else Checkpoint.from_note(note, self._shard.keys.checkpoint.verifier)
        except NoteError as error:
            msg = f"shard {self._shard.name}: the published checkpoint is damaged: {error}"
            raise HistoryError(msg) from error

    def _load(self, checkpoint: Checkpoint) -> LabelIndex:
        """Return the published index, or the empty one where none is good; arrange for the end of what is not its."""
        index = LabelIndex.empty()
        note = self._log.publisher.read(self._shard.files.at(MAP_CHECKPOINT_PATH))
        if note is not None:
            try:
                found = MapCheckpoint.from_note(note, self._shard.keys.checkpoint.verifier)
                if found.log.size <= checkpoint.size:
                    index = LabelIndex.load(found, self._fetch)
                    self._signed_size = index.size
            except (CheckpointError, LabelIndexError, NoteError) as error:
                _log.error("shard %s: the label index is damaged (%s); making it again", self._shard.name, error)
        self._obsolete.append((self._log.clock() + KEPT_FOR, self._strays(index)))
        return index

    def _strays(self, index: LabelIndex) -> bytes:
        """Return the names of the files that are there and not of this index."""
        needed = {
            self._shard.files.at(path_of(row[start : start + HASH_SIZE]))
            for row in index.rows
            for start in range(0, len(row), HASH_SIZE)
        } | {self._shard.files.at(MAP_CHECKPOINT_PATH)}
        prefix = self._shard.files.at("")
        found = self._log.publisher.paths(self._shard.files.at("index/"))
        return _names(path.removeprefix(prefix) for path in found if path not in needed)

    def _labels(self, start: int, end: int) -> Iterator[list[bytes]]:
        """Yield the labels of the leaves `start` to `end - 1`, some at a time."""
        while start < end:
            stop = min(end, start - start % TILE_WIDTH + _AT_ONCE)
            labels: list[bytes] = []
            for bundle in range(start // TILE_WIDTH, -(-stop // TILE_WIDTH)):
                labels.extend(self._labels_of_bundle(bundle, end))
            first = start - start % TILE_WIDTH
            yield labels[start - first : stop - first]
            start = stop

    def _labels_of_bundle(self, bundle: int, size: int) -> list[bytes]:
        tile = tile_of(ENTRIES, bundle, size)
        data = self._log.publisher.read(self._shard.files.tile(tile))
        if data is None:  # a partial bundle that a later full one has replaced
            tile = tile.full
            data = self._log.publisher.read(self._shard.files.tile(tile)) or b""
        try:
            return [SealedEntry.from_bytes(entry).label for entry in decode_bundle(data, tile.width)]
        except (EntryError, TileError) as error:
            msg = f"shard {self._shard.name}: the entry bundle {tile.path} is missing or damaged; restore the files"
            raise HistoryError(msg) from error

    def _fetch(self, path: str) -> bytes:
        data = self._log.publisher.read(self._shard.files.at(path))
        if data is None:
            msg = f"{path} is missing"
            raise LabelIndexError(msg)
        return data

    def _delete_obsolete(self) -> None:
        """Delete what was replaced some time ago; what has become needed again meanwhile stays."""
        now = self._log.clock()
        while self._obsolete and self._obsolete[0][0] <= now:
            _, names = self._obsolete.popleft()
            self._log.publisher.delete(
                self._shard.files.at(path_of(names[start : start + HASH_SIZE]))
                for start in range(0, len(names), HASH_SIZE)
            )


def _names(paths: Iterable[str]) -> bytes:
    """Return the hashes that files of the index are named after, side by side: a fifth of the paths' memory.

    They are sorted, so that they are deleted folder by folder, which a file system does in half the time.
    """
    return b"".join(bytes.fromhex(match[1] + match[2]) for match in map(_NAMED.fullmatch, sorted(paths)) if match)
