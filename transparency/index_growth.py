"""How a label index is made and grows: what a log and an auditor do, each for itself, with the same root.

An update writes the buckets that change, and the pages above them, into new segments. What it replaces stays in older
segments as waste. Once there is more waste than index, each update also copies some of what is still needed out of the
emptiest segments, until nothing of these is needed: half as much as it writes for its own sake, so that no update has
to tidy up at length. A segment of which nothing is needed is told by its absence from `LabelIndex.segments`.

Whatever its size, an index is made and split with one segment in memory, and about 100 bytes for each bucket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple, Self

from transparency.checkpoint import Checkpoint
from transparency.errors import LabelIndexError
from transparency.label_bucket import EMPTY_SIZE, LARGEST_INDEX, bucket_of, empty_bucket, merged, split
from transparency.label_index import (
    HERE,
    PLACE,
    PLACE_SIZE,
    SEGMENT_NAME_SIZE,
    FetchPart,
    MapCheckpoint,
    Place,
    decode_page,
    depth_for,
    encode_page,
    fetch_bucket,
    fetch_page,
    page_heights,
    page_size,
    path_of,
    require_bucket,
    resolved,
    segment_name,
)
from transparency.merkle import HASH_SIZE, leaf_hash, pair_up

SEGMENT_SIZE: Final = 4 * 1024 * 1024
"""Bytes that a segment has at most: what is in memory while an index grows, and one object of a store."""
MOST_SEGMENTS: Final = 512
"""With more segments than these, small ones are joined, waste or not: a quiet log makes a small one each time."""
LEAST_TIDIED: Final = 256 * 1024
"""Bytes that an update may copy out of old segments though it writes little itself."""

_READ_AT_ONCE = 256

ReadParts = Callable[[str, Sequence[tuple[int, int]]], Sequence[bytes]]
"""Returns parts of the file at a path: for each, from which byte on, and how many. What is beyond its end is left out.

Raises LabelIndexError where there is no file.
"""
PutFile = Callable[[str, bytes], None]
"""Writes a new file, synced when it returns."""


class Usage(NamedTuple):
    """How many bytes a segment has, and how many of them the index needs."""

    size: int
    needed: int


@dataclass(frozen=True, slots=True)
class LabelIndex:
    """The tree over an index's buckets and where they are, which is all that must be known to add to it.

    `size` is how many entries of the log it covers and `labels` how many labels they have. `rows` has the hashes of the
    tree, side by side, from the buckets' up to the root. `places` has where the buckets are, then the pages, level by
    level, up to the topmost. `segments` are those that something is needed of. Two indices are equal where what they
    say is, wherever it may be. Values never change.
    """

    size: int
    labels: int
    rows: tuple[bytes, ...]
    places: tuple[bytes, ...] = field(compare=False)
    segments: Mapping[bytes, Usage] = field(compare=False)

    @classmethod
    def empty(cls) -> Self:
        """Return the index of a log without entries."""
        return cls._empty_at(0)

    @classmethod
    def _empty_at(cls, depth: int) -> Self:
        buckets = (leaf_hash(empty_bucket(depth, number)) for number in range(1 << depth))
        return cls(0, 0, _rows(b"".join(buckets)), tuple(map(bytes, _nowhere(depth))), {})

    @classmethod
    def build(cls, labels: Sequence[bytes], put: PutFile) -> Self:
        """Return the index of a whole log, given the label of each of its entries, and write its segments."""
        # At its depth from the start, so that its buckets need not be split: the result is the same.
        empty = cls._empty_at(depth_for(len(set(labels)), len(labels)))
        return empty._grown(empty._by_bucket(labels), len(labels), _no_file, put, range(1 << empty.depth))  # noqa: SLF001

    @classmethod
    def load(cls, checkpoint: MapCheckpoint, read: ReadParts, sizes: Mapping[bytes, int]) -> Self:
        """Return the index of a map checkpoint from its pages, given the sizes of all segments that there are.

        Raises LabelIndexError where a page is wrong, or a segment is missing or too short.
        """
        hashes, places = checkpoint.root, bytearray(PLACE_SIZE)
        checkpoint.top.put(places, 0)
        columns = [bytes(places)]
        for height in page_heights(checkpoint.depth):
            pages = _pages(hashes, columns[0], height, read)
            hashes, below = (b"".join(column) for column in zip(*pages, strict=True))
            columns.insert(0, below)
        segments = _usage(columns, sizes)
        return cls(checkpoint.log.size, checkpoint.labels, _rows(hashes), tuple(columns), segments)

    @property
    def depth(self) -> int:
        """How many bits of a label choose its bucket."""
        return len(self.rows) - 1

    @property
    def root(self) -> bytes:
        """The root of the tree over the buckets."""
        return self.rows[-1]

    def checkpoint(self, log: Checkpoint) -> MapCheckpoint:
        """Return the map checkpoint of this index, which was made from the entries of a log's checkpoint."""
        if log.size != self.size:
            msg = f"the index covers {self.size} entries, and the log's checkpoint {log.size}"
            raise LabelIndexError(msg)
        top = Place.at(self.places[-1], 0)
        return MapCheckpoint(Checkpoint(log.origin, log.size, log.root), self.labels, self.root, top)

    def extend(self, labels: Sequence[bytes], read: ReadParts, put: PutFile) -> LabelIndex:
        """Return the index with the labels of the log's next entries, in the order of their leaves.

        `read` is asked for the buckets that the labels fall into, and some that are copied, or for all where all are
        split; `put` gets the new segments. Raises LabelIndexError where a bucket is not what it was, or a label has not
        32 bytes.
        """
        additions = self._by_bucket(labels)
        size = self.size + len(labels)
        depth = self._depth_with(additions, size, read)
        if depth == self.depth:
            return self._grown(additions, size, read, put) if labels else self
        return self._split(additions, size, depth, read, put)

    def bucket(self, number: int, fetch: FetchPart) -> bytes:
        """Return the bytes of a bucket, held to its hash; of one without labels, too."""
        return fetch_bucket(self.hash_of(number), Place.at(self.places[0], number), self.depth, number, fetch)

    def hash_of(self, number: int) -> bytes:
        """Return a bucket's hash."""
        return self.rows[0][number * HASH_SIZE : (number + 1) * HASH_SIZE]

    def differing(self, checkpoint: MapCheckpoint, fetch: FetchPart) -> Iterator[tuple[int, bytes]]:
        """Yield each bucket of another index, of the same depth, that is not this one's: its number and its bytes.

        Pages are fetched where the trees differ, and nowhere else. Raises LabelIndexError where one is wrong.
        """
        found = [(0, checkpoint.root, checkpoint.top)] if checkpoint.root != self.root else []
        row = self.depth
        for height in page_heights(self.depth):
            row -= height
            found = [
                (number, name, place)
                for parent, of_page, at in found
                for number, name, place in _children(parent, at, height, fetch_page(of_page, at, height, fetch))
                if name != self.rows[row][number * HASH_SIZE : (number + 1) * HASH_SIZE]
            ]
        for number, name, place in found:
            yield number, fetch_bucket(name, place, self.depth, number, fetch)

    # Growing

    def _by_bucket(self, labels: Sequence[bytes]) -> dict[int, list[tuple[bytes, int]]]:
        if self.size + len(labels) > LARGEST_INDEX:
            msg = "a log's index has room for 2**40 entries"
            raise LabelIndexError(msg)
        additions: defaultdict[int, list[tuple[bytes, int]]] = defaultdict(list)
        depth = self.depth
        for leaf, label in enumerate(labels, self.size):
            additions[bucket_of(label, depth)].append((label, leaf))
        for added in additions.values():
            added.sort()
        return dict(sorted(additions.items()))

    def _depth_with(self, additions: Mapping[int, Sequence[tuple[bytes, int]]], size: int, read: ReadParts) -> int:
        """Return the depth that the index will have. Labels are counted only where the answer hangs on them."""
        least, most = depth_for(self.labels, size), depth_for(self.labels + size - self.size, size)
        if least == most:
            return most
        fresh = sum(merged(bucket, additions[number])[1] for number, bucket in self._buckets(additions, read))
        return depth_for(self.labels + fresh, size)

    def _grown(
        self,
        additions: Mapping[int, Sequence[tuple[bytes, int]]],
        size: int,
        read: ReadParts,
        put: PutFile,
        whole: Iterable[int] = (),
    ) -> Self:
        """Return the index with these additions; the pages above the buckets `whole` are written, too."""
        worn, *worn_pages = self._worn(additions)
        segments = _Segments(put, self.segments)
        places = [bytearray(column) for column in self.places]
        hashes: dict[int, bytes] = {}
        labels = self.labels
        for number, bucket in self._buckets(sorted(worn.union(additions)), read):
            if number in additions:
                grown, fresh = merged(bucket, additions[number])
                labels += fresh
                hashes[number] = leaf_hash(grown)
                segments.add(grown, places[0], number)
            else:
                segments.add(bucket, places[0], number)
        rows = _patched_rows(self.rows, hashes)
        segments.add_pages(rows, places, worn.union(additions, whole), worn_pages)
        used = segments.finish()  # which names the places
        return type(self)(size, labels, rows, tuple(map(bytes, places)), used)

    def _split(
        self,
        additions: Mapping[int, Sequence[tuple[bytes, int]]],
        size: int,
        depth: int,
        read: ReadParts,
        put: PutFile,
    ) -> Self:
        """Return the index with these additions, at a greater depth: bucket after bucket is written anew."""
        segments, places, hashes = _Segments(put, {}), _nowhere(depth), bytearray()
        labels = self.labels
        for number, bucket in self._buckets(range(1 << self.depth), read):
            grown, fresh = merged(bucket, additions.get(number, ()))
            labels += fresh
            for part in split(grown, depth):
                if len(part) > EMPTY_SIZE:
                    segments.add(part, places[0], len(hashes) // HASH_SIZE)
                hashes += leaf_hash(part)
        rows = _rows(bytes(hashes))
        segments.add_pages(rows, places, range(1 << depth), [()] * len(places))
        used = segments.finish()  # which names the places
        return type(self)(size, labels, rows, tuple(map(bytes, places)), used)

    def _buckets(self, numbers: Iterable[int], read: ReadParts) -> Iterator[tuple[int, bytes]]:
        """Yield buckets, some of which are read at once, each held to its hash."""
        for some in _batches(numbers):
            places = [Place.at(self.places[0], number) for number in some]
            for number, bucket in zip(some, _read(places, read), strict=True):
                data = bucket or empty_bucket(self.depth, number)
                yield number, require_bucket(data, self.hash_of(number), self.depth, number)

    def _worn(self, additions: Collection[int]) -> list[set[int]]:
        """Return the buckets, then the pages of each level, that are copied out of the emptiest segments."""
        worn: list[set[int]] = [set() for _ in self.places]
        written = sum(Place.at(self.places[0], number).length for number in additions)
        left = max(written // 2, LEAST_TIDIED)
        for level, position in self._in_emptiest_segments():
            worn[level].add(position)
            left -= Place.at(self.places[level], position).length
            if left < 0:
                break
        return worn

    def _in_emptiest_segments(self) -> Iterator[tuple[int, int]]:
        """Yield level and position of all that is in the segments worth emptying, from the emptiest on."""
        size, needed = (
            (sum(column) for column in zip(*self.segments.values(), strict=True)) if self.segments else (0, 0)
        )
        many = len(self.segments) > MOST_SEGMENTS
        if size <= 2 * needed and not many:
            return
        share = {name: used.needed / (1 if many else used.size) for name, used in self.segments.items()}
        for name in sorted(share, key=share.__getitem__):
            for level, column in enumerate(self.places):
                for position in _positions(column, name):
                    yield level, position


class _Segments:
    """Writes buckets and pages one after the other into segments, and notes where they are and what they replace."""

    def __init__(self, put: PutFile, segments: Mapping[bytes, Usage]) -> None:
        """Begin with what is in use."""
        self._put = put
        self._sizes = {name: used.size for name, used in segments.items()}
        self._needed = {name: used.needed for name, used in segments.items()}
        self._data = bytearray()
        self._unnamed: list[tuple[bytearray, int]] = []

    def add(self, record: bytes, places: bytearray, position: int) -> None:
        """Write a bucket or a page, and put where it is in its position among the places."""
        self._make_room(len(record))
        at = position * PLACE_SIZE
        segment, _, length = PLACE.unpack_from(places, at)
        if length:
            self._needed[segment] -= length
        PLACE.pack_into(places, at, HERE, len(self._data), len(record))
        self._unnamed.append((places, at))
        self._data += record

    def add_pages(
        self,
        rows: Sequence[bytes],
        places: Sequence[bytearray],
        buckets: Iterable[int],
        worn: Sequence[Collection[int]],
    ) -> None:
        """Write the pages above these buckets, and above the worn pages, which are of each level from the lowest on."""
        changed, row = set(buckets), 0
        for level, height in enumerate(reversed(list(page_heights(len(rows) - 1)))):
            changed = {position >> height for position in changed}.union(worn[level])
            for position in sorted(changed):
                self._make_room(page_size(height))  # what is here now is named here, or not, in the page
                begin, end = position << height, (position + 1) << height
                hashes = rows[row][begin * HASH_SIZE : end * HASH_SIZE]
                page = encode_page(hashes, bytes(places[level][begin * PLACE_SIZE : end * PLACE_SIZE]))
                self.add(page, places[level + 1], position)
            row += height

    def finish(self) -> dict[bytes, Usage]:
        """Write the last segment, and return those of which something is needed."""
        self._close()
        return {name: Usage(self._sizes[name], needed) for name, needed in self._needed.items() if needed}

    def _make_room(self, length: int) -> None:
        if self._data and len(self._data) + length > SEGMENT_SIZE:
            self._close()

    def _close(self) -> None:
        if not self._data:
            return
        data = bytes(self._data)
        self._data.clear()
        name = segment_name(data)
        self._put(path_of(name), data)
        self._sizes[name], self._needed[name] = len(data), len(data)
        for places, at in self._unnamed:
            places[at : at + SEGMENT_NAME_SIZE] = name
        self._unnamed.clear()


def _read(places: Sequence[Place], read: ReadParts) -> list[bytes]:
    """Return what is at these places, from each segment at once; nothing from nowhere."""
    by_segment: defaultdict[bytes, list[int]] = defaultdict(list)
    for position, (segment, _, length) in enumerate(places):
        if length:
            by_segment[segment].append(position)
    found = [b""] * len(places)
    for segment, positions in by_segment.items():
        parts = read(path_of(segment), [places[position][1:] for position in positions])
        for position, part in zip(positions, parts, strict=True):
            found[position] = part
    return found


def _pages(hashes: bytes, places: bytes, height: int, read: ReadParts) -> Iterator[tuple[bytes, bytes]]:
    """Yield hashes and places of the pages with these hashes at these places, with each segment's name in it."""
    for some in _batches(range(len(hashes) // HASH_SIZE)):
        own = [Place.at(places, position) for position in some]
        for position, place, page in zip(some, own, _read(own, read), strict=True):
            name = hashes[position * HASH_SIZE : (position + 1) * HASH_SIZE]
            below, there = decode_page(page, height, name)
            yield below, _with_name(there, place.segment)


def _with_name(places: bytes, segment: bytes) -> bytes:
    """Return the places of a page in which the page's own segment has its name."""
    named = bytearray(places)
    for position in range(len(places) // PLACE_SIZE):
        resolved(Place.at(places, position), segment).put(named, position)
    return bytes(named)


def _children(parent: int, place: Place, height: int, page: tuple[bytes, bytes]) -> Iterator[tuple[int, bytes, Place]]:
    """Yield number, hash and place of each subtree of a page."""
    hashes, places = page
    for position in range(1 << height):
        name = hashes[position * HASH_SIZE : (position + 1) * HASH_SIZE]
        yield (parent << height) + position, name, resolved(Place.at(places, position), place.segment)


def _usage(columns: Iterable[bytes], sizes: Mapping[bytes, int]) -> dict[bytes, Usage]:
    """Return how much of each segment is needed; raise LabelIndexError where one is missing or too short."""
    needed: defaultdict[bytes, int] = defaultdict(int)
    ends: defaultdict[bytes, int] = defaultdict(int)
    for name, start, length in chain.from_iterable(map(PLACE.iter_unpack, columns)):
        needed[name] += length
        ends[name] = max(ends[name], start + length)
    for nobody in (needed, ends):
        nobody.pop(HERE, None)
    for name, end in ends.items():
        if sizes.get(name, -1) < end:
            msg = f"{path_of(name)} of the label index is missing, or too short"
            raise LabelIndexError(msg)
    return {name: Usage(sizes[name], length) for name, length in needed.items()}


def _positions(places: bytes, segment: bytes) -> Iterator[int]:
    """Yield the positions of the places in a segment."""
    at = places.find(segment)
    while at >= 0:
        if at % PLACE_SIZE == 0:
            yield at // PLACE_SIZE
        at = places.find(segment, at + 1)


def _batches(numbers: Iterable[int]) -> Iterator[list[int]]:
    batch: list[int] = []
    for number in numbers:
        batch.append(number)
        if len(batch) == _READ_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _nowhere(depth: int) -> list[bytearray]:
    """Return the places of the buckets and of the pages of each level, while there are none."""
    levels = [1 << depth]
    for height in reversed(list(page_heights(depth))):
        levels.append(levels[-1] >> height)
    return [bytearray(PLACE_SIZE * count) for count in levels]


def _rows(buckets: bytes) -> tuple[bytes, ...]:
    """Return all rows of the tree over the buckets' hashes."""
    rows = [buckets]
    while len(rows[-1]) > HASH_SIZE:
        rows.append(pair_up(rows[-1]))
    return tuple(rows)


def _patched_rows(rows: Sequence[bytes], hashes: Mapping[int, bytes]) -> tuple[bytes, ...]:
    """Return the rows of the tree in which these buckets' hashes are new, by hashing what stands above them only."""
    patched = []
    width = 2 * HASH_SIZE
    for row in rows:
        changed = bytearray(row)
        for place, hash_ in hashes.items():
            changed[place * HASH_SIZE : (place + 1) * HASH_SIZE] = hash_
        patched.append(bytes(changed))
        if len(row) > HASH_SIZE:
            pairs = {place >> 1 for place in hashes}
            above = pair_up(b"".join([patched[-1][pair * width : (pair + 1) * width] for pair in pairs]))
            hashes = {pair: above[at * HASH_SIZE : (at + 1) * HASH_SIZE] for at, pair in enumerate(pairs)}
    return tuple(patched)


def _no_file(path: str, _parts: Sequence[tuple[int, int]]) -> Sequence[bytes]:
    msg = f"an index without entries has no file {path}"
    raise LabelIndexError(msg)
