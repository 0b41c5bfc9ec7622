"""Keeps the label index of a shard up with its tree: segments first, then the map checkpoint that names the newest.

The index holds nothing that the tree does not: whatever is lost or damaged is made again from the entry bundles. A
crash before the map checkpoint leaves segments that nothing leads to, and the next start tells them to be deleted.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import CheckpointError, EntryError, LabelIndexError, NoteError, TileError
from transparency.index_growth import LabelIndex
from transparency.label_index import INDEX_PATH, MAP_CHECKPOINT_PATH, MapCheckpoint, path_of, segment_at
from transparency.server.errors import HistoryError
from transparency.server.log import Log, LogShard
from transparency.tiles import ENTRIES, TILE_WIDTH, decode_bundle, tile_of

_log = logging.getLogger(__name__)

KEPT_FOR = timedelta(minutes=2)
"""How long a segment that the index needs no longer stays for those who are just reading it."""
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
        self._obsolete: deque[tuple[datetime, frozenset[bytes]]] = deque()  # from when on, and the segments' names

    def step(self) -> int:
        """Bring the index to the published tree, and return how many entries were added; raise a LogServerError."""
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
        self._delete_obsolete(index)
        return index.size - before

    def _extend(self, index: LabelIndex, checkpoint: Checkpoint) -> LabelIndex:
        """Add the entries that the index lacks, then sign and publish the map checkpoint."""
        shown = index.segments.keys()
        for labels in self._labels(index.size, checkpoint.size):
            grown = index.extend(labels, self._read, self._put)
            gone = frozenset(index.segments.keys() - grown.segments.keys())
            self._forget(gone & shown)
            self._delete(gone - shown)  # nobody was told of them
            index = grown
        note = index.checkpoint(checkpoint).to_note([self._shard.keys.checkpoint])
        self._log.publisher.write({self._shard.files.at(MAP_CHECKPOINT_PATH): note})
        self._signed_size = checkpoint.size
        return index

    def _rebuild(self, checkpoint: Checkpoint, reason: LabelIndexError) -> LabelIndex:
        """Make the index again from the first entry on."""
        _log.error("shard %s: the label index is damaged (%s); making it again", self._shard.name, reason)
        index = self._extend(LabelIndex.empty(), checkpoint)
        self._forget(frozenset(self._segments().keys() - index.segments.keys()))
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
        index, segments = LabelIndex.empty(), self._segments()
        note = self._log.publisher.read(self._shard.files.at(MAP_CHECKPOINT_PATH))
        if note is not None:
            try:
                found = MapCheckpoint.from_note(note, self._shard.keys.checkpoint.verifier)
                self._require_not_ahead(found, checkpoint)
                index = LabelIndex.load(found, self._read, segments)
                self._signed_size = index.size
            except (CheckpointError, LabelIndexError, NoteError) as error:
                _log.error("shard %s: the label index is damaged (%s); making it again", self._shard.name, error)
        self._forget(frozenset(segments.keys() - index.segments.keys()))
        return index

    def _require_not_ahead(self, found: MapCheckpoint, checkpoint: Checkpoint) -> None:
        """Refuse to show an older index than was shown before, or one of another tree."""
        size = checkpoint.size
        if found.log.size > size or (found.log.size == size and found.log.root != checkpoint.root):
            msg = (
                f"shard {self._shard.name}: the label index was made from a tree of {found.log.size} entries, and the "
                f"published tree of {size} is not that one or goes on from it: the published files are no one copy; "
                "restore their newest copy"
            )
            raise HistoryError(msg)

    def _segments(self) -> dict[bytes, int]:
        """Return the names and sizes of all segments that are there."""
        prefix = self._shard.files.at("")
        found = self._log.publisher.sizes(self._shard.files.at(INDEX_PATH))
        named = {segment_at(path.removeprefix(prefix)): size for path, size in found.items()}
        return {name: size for name, size in named.items() if name is not None}

    def _read(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        found = self._log.publisher.read_parts(self._shard.files.at(path), parts)
        if found is None:
            msg = f"{path} is missing"
            raise LabelIndexError(msg)
        return found

    def _put(self, path: str, data: bytes) -> None:
        self._log.publisher.write({self._shard.files.at(path): data})

    def _forget(self, segments: frozenset[bytes]) -> None:
        """Have segments deleted once nobody reads them any longer."""
        if segments:
            self._obsolete.append((self._log.clock() + KEPT_FOR, segments))

    def _delete_obsolete(self, index: LabelIndex) -> None:
        """Delete what was replaced some time ago, and has not become needed again."""
        now = self._log.clock()
        while self._obsolete and self._obsolete[0][0] <= now:
            _, segments = self._obsolete.popleft()
            self._delete(segments - index.segments.keys())

    def _delete(self, segments: Collection[bytes]) -> None:
        if segments:
            self._log.publisher.delete(self._shard.files.at(path_of(name)) for name in sorted(segments))

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
