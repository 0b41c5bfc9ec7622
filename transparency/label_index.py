"""The label index: which leaves of a log stand under a label. Ours: see docs/reference/log-formats.md.

Labels fall into 2**depth buckets by their first bits, and a Merkle tree stands over the buckets. Its root is in a
signed map checkpoint, which names the log checkpoint that the index was made from. A watcher fetches a whole bucket, so
that the log cannot tell which of its labels is meant; what is not in the bucket is not in the log.

All files are named after the Merkle hash of what they hold: a bucket after its leaf hash, a node file, with the hashes
of up to 16 subtrees, after the hash over them. So a name is a promise that can be checked, a file never changes, and an
update adds files without breaking what somebody is reading. The depth follows from the numbers of labels and entries,
and everything else from the entries, so that everybody who has the log can make the same index and compare the roots.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Final, Self

from transparency.checkpoint import Checkpoint, read_decimal, read_hash
from transparency.errors import CheckpointError, LabelIndexError
from transparency.merkle import HASH_SIZE, leaf_hash, pair_up
from transparency.signed_note import Note, Signer, Verifier, encode_base64, sign_note

FORMAT: Final = "answerback label-index v1"
"""The first line of a map checkpoint. With its spaces it is no log's origin: see `log_description`."""
MAP_CHECKPOINT_PATH: Final = "index/checkpoint"
"""Where the map checkpoint is, below a shard's monitoring prefix."""
MEAN_BUCKET: Final = 2560
"""Bytes of labels, counts and indices that a bucket has on average before the buckets are split."""
GREATEST_DEPTH: Final = 32
LARGEST_BUCKET: Final = 4 * 1024 * 1024
"""Bytes that a bucket may have. Only a number with very many certificates makes one above 8 kB."""
LABEL_SIZE: Final = 32

_VERSION = 1
_HEADER = struct.Struct(">BBII")  # version, depth, bucket number, count of labels
_COUNT_SIZE = 4
_INDEX_SIZE = 5
_LARGEST_INDEX = 2**40 - 1
_NODE_HEIGHT = 4
_PREFIX_SIZE = 4

Fetch = Callable[[str], bytes]
"""Returns the file at a path such as `index/ab/cdef…`, below a shard's monitoring prefix."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """All labels that begin with the bits of one bucket, each with the indices of its leaves."""

    depth: int
    number: int
    leaves: dict[bytes, tuple[int, ...]]

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a bucket; a bucket has one encoding, in which labels and indices are sorted. Raises LabelIndexError."""
        if len(data) > LARGEST_BUCKET:
            msg = f"a bucket has at most {LARGEST_BUCKET} bytes"
            raise LabelIndexError(msg)
        columns = _Columns.of(data)
        counts, starts = columns.counts, columns.starts
        indices = [
            int.from_bytes(columns.indices[start : start + _INDEX_SIZE], "big")
            for start in range(0, len(columns.indices), _INDEX_SIZE)
        ]
        leaves = {
            columns.label(place): tuple(indices[starts[place] : starts[place + 1]]) for place in range(len(counts))
        }
        labels = list(leaves)
        if len(leaves) != len(counts) or labels != sorted(labels):
            msg = "the labels of a bucket are sorted, and each is there once"
            raise LabelIndexError(msg)
        if any(bucket_of(label, columns.depth) != columns.number for label in labels[:1] + labels[-1:]):
            msg = "the bucket has a label that belongs into another"
            raise LabelIndexError(msg)
        if not all(counts) or any(list(places) != sorted(set(places)) for places in leaves.values()):
            msg = "the indices of a label are sorted, each is there once, and there is at least one"
            raise LabelIndexError(msg)
        return cls(columns.depth, columns.number, leaves)

    def indices_of(self, label: bytes) -> tuple[int, ...]:
        """Return the indices of a label's leaves, none where the log has no entry for it.

        Raises LabelIndexError where the label belongs into another bucket: this one cannot tell.
        """
        if bucket_of(label, self.depth) != self.number:
            msg = "the label belongs into another bucket"
            raise LabelIndexError(msg)
        return self.leaves.get(label, ())


@dataclass(frozen=True, slots=True)
class MapCheckpoint:
    """What a log says its label index is: the log checkpoint that it was made from, its depth, its labels, its root.

    Raises CheckpointError for values that contradict one another.
    """

    log: Checkpoint
    labels: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what no index can be."""
        if self.log.extensions:
            msg = "a map checkpoint names the log checkpoint's origin, size and root only"
            raise CheckpointError(msg)
        if not min(self.log.size, 1) <= self.labels <= self.log.size or len(self.root) != HASH_SIZE:
            msg = f"an index has one label for each leaf at most, and a root of {HASH_SIZE} bytes"
            raise CheckpointError(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a map checkpoint's note, without believing it; there is one text to each."""
        match text.split("\n"):
            case [format_, origin, size, log_root, depth, labels, root, ""] if format_ == FORMAT:
                log = Checkpoint(origin, read_decimal(size), read_hash(log_root))
                checkpoint = cls(log, read_decimal(labels), read_hash(root))
                if read_decimal(depth) == checkpoint.depth:
                    return checkpoint
                msg = "the depth of the index does not follow from its labels and entries"
                raise CheckpointError(msg)
            case _:
                msg = "a map checkpoint is a format, a log's origin, size and root, a depth, a count and a root"
                raise CheckpointError(msg)

    @classmethod
    def from_note(cls, data: bytes, verifier: Verifier) -> Self:
        """Read a map checkpoint that the log signed, whose key is named after its origin; raise NoteError if not."""
        return cls.of_note(Note.parse(data), verifier)

    @classmethod
    def of_note(cls, note: Note, verifier: Verifier) -> Self:
        """Read a map checkpoint from a note that was parsed already, as `from_note` does."""
        note.verified_by([verifier])
        checkpoint = cls.parse(note.text)
        if checkpoint.log.origin != verifier.name:
            msg = f"the map checkpoint is not of {verifier.name}, whose key signed it"
            raise CheckpointError(msg)
        return checkpoint

    @property
    def depth(self) -> int:
        """How many bits of a label choose its bucket."""
        return depth_for(self.labels, self.log.size)

    @property
    def text(self) -> str:
        """The text that the log signs, and auditors beside it."""
        counts = f"{self.depth}\n{self.labels}\n"
        return f"{FORMAT}\n{self.log.text}{counts}{encode_base64(self.root)}\n"

    def to_note(self, signers: Sequence[Signer]) -> bytes:
        """Return the map checkpoint's note."""
        return sign_note(self.text, signers).to_bytes()


@dataclass(frozen=True, slots=True)
class IndexGrowth:
    """An index with more labels, the files that are new, and the paths of those that it needs no longer.

    Buckets without labels have no files, though `obsolete` may name them.
    """

    index: LabelIndex
    files: dict[str, bytes]
    obsolete: frozenset[str]


@dataclass(frozen=True, slots=True)
class LabelIndex:
    """The tree over an index's buckets, which is all that must be known to add to it; the buckets stay in their files.

    `size` is how many entries of the log it covers and `labels` how many labels they have. `rows` has the hashes of the
    tree, side by side, from the buckets' up to the root: about 64 bytes for each bucket. Values never change.
    """

    size: int
    labels: int
    rows: tuple[bytes, ...]

    @classmethod
    def empty(cls) -> Self:
        """Return the index of a log without entries."""
        return cls._empty_at(0)

    @classmethod
    def _empty_at(cls, depth: int) -> Self:
        return cls(0, 0, _rows(b"".join(leaf_hash(_empty_bucket(depth, number)) for number in range(1 << depth))))

    @classmethod
    def build(cls, labels: Sequence[bytes]) -> IndexGrowth:
        """Return the index of a whole log, given the label of each of its entries, with all its files."""
        # At its depth from the start, so that its buckets need not be split: the result is the same.
        growth = cls._empty_at(depth_for(len(set(labels)), len(labels))).extend(labels, _no_file)
        nodes = growth.index.node_files(range(1 << growth.index.depth))
        return IndexGrowth(growth.index, growth.files | nodes, frozenset())

    @classmethod
    def load(cls, checkpoint: MapCheckpoint, fetch: Fetch) -> Self:
        """Return the index of a map checkpoint from its node files; raise LabelIndexError where one is wrong."""
        below = checkpoint.root
        for height in _heights(checkpoint.depth):
            names = [below[start : start + HASH_SIZE] for start in range(0, len(below), HASH_SIZE)]
            below = b"".join(_fetch_node(name, height, fetch) for name in names)
        return cls(checkpoint.log.size, checkpoint.labels, _rows(below))

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
        return MapCheckpoint(Checkpoint(log.origin, log.size, log.root), self.labels, self.root)

    def extend(self, labels: Sequence[bytes], fetch: Fetch) -> IndexGrowth:
        """Return the index with the labels of the log's next entries, in the order of their leaves.

        `fetch` returns the index's own files, and is asked only for the buckets that the labels fall into, except when
        all buckets are split. Raises LabelIndexError where a file is not what it was, or a label has not 32 bytes.
        """
        size = self.size + len(labels)
        buckets: dict[int, bytes] = {}
        count = self.labels
        for number, additions in self._by_bucket(labels).items():
            buckets[number], fresh = _merged(self._bucket(number, fetch), sorted(additions))
            count += fresh
        depth = depth_for(count, size)
        if depth == self.depth:
            index = LabelIndex(size, count, _patched_rows(self.rows, buckets))
            return IndexGrowth(index, index._files(buckets) | index.node_files(buckets), self._paths(buckets))
        whole = (buckets.get(number) or self._bucket(number, fetch) for number in range(1 << self.depth))
        split = [part for bucket in whole for part in _split(bucket, depth)]
        index = LabelIndex(size, count, _rows(b"".join(leaf_hash(bucket) for bucket in split)))
        files = index._files({number: bucket for number, bucket in enumerate(split) if len(bucket) > _HEADER.size})
        return IndexGrowth(index, files | index.node_files(range(len(split))), self._paths(range(1 << self.depth)))

    def _by_bucket(self, labels: Sequence[bytes]) -> dict[int, list[tuple[bytes, int]]]:
        if self.size + len(labels) > _LARGEST_INDEX:
            msg = "a log's index has room for 2**40 entries"
            raise LabelIndexError(msg)
        additions: defaultdict[int, list[tuple[bytes, int]]] = defaultdict(list)
        depth = self.depth
        for leaf, label in enumerate(labels, self.size):
            additions[bucket_of(label, depth)].append((label, leaf))
        return additions

    def _bucket(self, number: int, fetch: Fetch) -> bytes:
        return _fetch_bucket(self._hash(0, number), self.depth, number, fetch)

    def _hash(self, row: int, place: int) -> bytes:
        return self.rows[row][place * HASH_SIZE : (place + 1) * HASH_SIZE]

    def _files(self, buckets: dict[int, bytes]) -> dict[str, bytes]:
        return {path_of(self._hash(0, number)): bucket for number, bucket in buckets.items()}

    def node_files(self, buckets: Iterable[int]) -> dict[str, bytes]:
        """Return the node files above these buckets."""
        return {path_of(self._hash(row, place)): hashes for row, place, hashes in self._nodes(buckets)}

    def _paths(self, buckets: Iterable[int]) -> frozenset[str]:
        """Return where the files of these buckets and of the nodes above them are."""
        numbers = set(buckets)
        names = {self._hash(0, number) for number in numbers}
        return frozenset(map(path_of, names.union(self._hash(row, place) for row, place, _ in self._nodes(numbers))))

    def _nodes(self, buckets: Iterable[int]) -> Iterator[tuple[int, int, bytes]]:
        """Yield the row and the place of each node file above these buckets, and what it holds."""
        places, row = set(buckets), 0
        while row < self.depth:
            height = min(_NODE_HEIGHT, self.depth - row)
            places = {place >> height for place in places}
            width = HASH_SIZE << height
            for place in places:
                yield row + height, place, self.rows[row][place * width : (place + 1) * width]
            row += height


def depth_for(labels: int, entries: int) -> int:
    """Return how many bits of a label choose its bucket, in an index of so many labels and log entries.

    It is the least depth at which the buckets have at most `MEAN_BUCKET` bytes on average, and never shrinks as a log
    grows.
    """
    size = labels * (LABEL_SIZE + _COUNT_SIZE) + entries * _INDEX_SIZE
    buckets = max(1, -(-size // MEAN_BUCKET))
    return min((buckets - 1).bit_length(), GREATEST_DEPTH)


def bucket_of(label: bytes, depth: int) -> int:
    """Return the number of the bucket that a label falls into."""
    if len(label) != LABEL_SIZE:
        msg = f"a label has {LABEL_SIZE} bytes"
        raise LabelIndexError(msg)
    return int.from_bytes(label[:_PREFIX_SIZE], "big") >> (8 * _PREFIX_SIZE - depth)


def path_of(name: bytes) -> str:
    """Return where the file with this hash is, below a shard's monitoring prefix."""
    digits = name.hex()
    return f"index/{digits[:2]}/{digits[2:]}"


def read_bucket(checkpoint: MapCheckpoint, label: bytes, fetch: Fetch) -> Bucket:
    """Return the bucket that a label falls into, held to the root of a map checkpoint.

    One file is fetched for each four bits of the depth, and the bucket. Raises LabelIndexError where a file is not what
    the root says, or names a leaf that the log's checkpoint does not have.
    """
    number = bucket_of(label, checkpoint.depth)
    name, row = checkpoint.root, checkpoint.depth
    for height in _heights(checkpoint.depth):
        hashes = _fetch_node(name, height, fetch)
        row -= height
        place = (number >> row) % (1 << height)
        name = hashes[place * HASH_SIZE : (place + 1) * HASH_SIZE]
    bucket = Bucket.decode(_fetch_bucket(name, checkpoint.depth, number, fetch))
    if any(places[-1] >= checkpoint.log.size for places in bucket.leaves.values()):
        msg = "the bucket names a leaf that the log does not have yet"
        raise LabelIndexError(msg)
    return bucket


def _heights(depth: int) -> Iterator[int]:
    """Yield the heights of the node files on the way from the root to a bucket: the topmost may be lower."""
    if depth % _NODE_HEIGHT:
        yield depth % _NODE_HEIGHT
    for _ in range(depth // _NODE_HEIGHT):
        yield _NODE_HEIGHT


def _rows(buckets: bytes) -> tuple[bytes, ...]:
    """Return all rows of the tree over the buckets' hashes."""
    rows = [buckets]
    while len(rows[-1]) > HASH_SIZE:
        rows.append(pair_up(rows[-1]))
    return tuple(rows)


def _patched_rows(rows: Sequence[bytes], buckets: dict[int, bytes]) -> tuple[bytes, ...]:
    """Return the rows of the tree in which these buckets are new, by hashing what stands above them only."""
    hashes = {number: leaf_hash(bucket) for number, bucket in buckets.items()}
    patched = []
    for row in rows:
        changed = bytearray(row)
        for place, hash_ in hashes.items():
            changed[place * HASH_SIZE : (place + 1) * HASH_SIZE] = hash_
        patched.append(bytes(changed))
        pairs = {place >> 1 for place in hashes}
        if len(row) > HASH_SIZE:
            width = 2 * HASH_SIZE
            hashes = {pair: pair_up(patched[-1][pair * width : (pair + 1) * width]) for pair in pairs}
    return tuple(patched)


def _fetch_node(name: bytes, height: int, fetch: Fetch) -> bytes:
    """Return the hashes in the node file with this name."""
    hashes = fetch(path_of(name))
    if len(hashes) != HASH_SIZE << height or _rows(hashes)[-1] != name:
        msg = f"the node file {path_of(name)} of the label index is not what its name says"
        raise LabelIndexError(msg)
    return hashes


def _fetch_bucket(name: bytes, depth: int, number: int, fetch: Fetch) -> bytes:
    """Return the bucket with this name. That of a bucket without labels is known, and its file is not asked for."""
    empty = _empty_bucket(depth, number)
    if name == leaf_hash(empty):
        return empty
    bucket = fetch(path_of(name))
    if leaf_hash(bucket) != name or bucket[: _HEADER.size - _COUNT_SIZE] != empty[: _HEADER.size - _COUNT_SIZE]:
        msg = f"the bucket {path_of(name)} of the label index is not what its name says"
        raise LabelIndexError(msg)
    return bucket


def _no_file(path: str) -> bytes:
    msg = f"an index without entries has no file {path}"
    raise LabelIndexError(msg)


# A bucket's bytes: the header, then three columns: labels, counts, indices


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a bucket: its labels side by side, how many leaves each has, and the leaves' indices."""

    depth: int
    number: int
    labels: bytes
    counts: Sequence[int]
    indices: bytes

    @classmethod
    def of(cls, bucket: bytes) -> Self:
        """Cut a bucket into its columns, whose lengths are checked, but not their order."""
        if len(bucket) < _HEADER.size:
            msg = f"a bucket has {_HEADER.size} bytes or more"
            raise LabelIndexError(msg)
        version, depth, number, count = _HEADER.unpack_from(bucket)
        labels_end = _HEADER.size + count * LABEL_SIZE
        counts_end = labels_end + count * _COUNT_SIZE
        if version != _VERSION or depth > GREATEST_DEPTH or number >> depth or counts_end > len(bucket):
            msg = "the bucket's header is not one of version 1, or its labels are cut off"
            raise LabelIndexError(msg)
        counts = struct.unpack_from(f">{count}I", bucket, labels_end)
        if len(bucket) - counts_end != sum(counts) * _INDEX_SIZE:
            msg = "the bucket has not as many indices as it says"
            raise LabelIndexError(msg)
        return cls(depth, number, bucket[_HEADER.size : labels_end], counts, bucket[counts_end:])

    @property
    def starts(self) -> list[int]:
        """Where the indices of each label start, counted in indices, and where the last ones end."""
        return list(accumulate(self.counts, initial=0))

    def label(self, place: int) -> bytes:
        """Return the label at a place."""
        return self.labels[place * LABEL_SIZE : (place + 1) * LABEL_SIZE]

    def find(self, label: bytes, start: int = 0) -> int:
        """Return the first place from `start` on whose label is not below this one."""
        return bisect_left(range(len(self.counts)), label, lo=start, key=self.label)

    def encode(self) -> bytes:
        """Return the bucket."""
        counts = self.counts
        header = _HEADER.pack(_VERSION, self.depth, self.number, len(counts))
        return header + self.labels + struct.pack(f">{len(counts)}I", *counts) + self.indices


def _empty_bucket(depth: int, number: int) -> bytes:
    return _HEADER.pack(_VERSION, depth, number, 0)


def _merged(bucket: bytes, additions: Sequence[tuple[bytes, int]]) -> tuple[bytes, int]:
    """Return a bucket with more leaves, given as sorted pairs of label and index, and how many labels are new in it.

    The indices are above all that are there already. Columns are spliced, not decoded: that keeps an update cheap.
    """
    old = _Columns.of(bucket)
    starts = old.starts
    labels: list[bytes] = []
    counts: list[int] = []
    indices: list[bytes] = []
    done = fresh = 0
    for label, pairs in groupby(additions, key=itemgetter(0)):
        place = old.find(label, done)
        known = old.label(place) == label
        end = place + known
        leaves = [leaf.to_bytes(_INDEX_SIZE, "big") for _, leaf in pairs]
        labels += (old.labels[done * LABEL_SIZE : place * LABEL_SIZE], label)
        counts += old.counts[done:place]
        counts.append(starts[end] - starts[place] + len(leaves))
        indices += (old.indices[starts[done] * _INDEX_SIZE : starts[end] * _INDEX_SIZE], *leaves)
        done = end
        fresh += not known
    labels.append(old.labels[done * LABEL_SIZE :])
    counts += old.counts[done:]
    indices.append(old.indices[starts[done] * _INDEX_SIZE :])
    return _Columns(old.depth, old.number, b"".join(labels), counts, b"".join(indices)).encode(), fresh


def _first_label(number: int, depth: int) -> bytes:
    """Return what sorts before all labels of a bucket and after those of the ones before it."""
    if number >> depth:
        return b"\xff" * (LABEL_SIZE + 1)  # there is no such bucket: it sorts after all labels
    return (number << (8 * _PREFIX_SIZE - depth)).to_bytes(_PREFIX_SIZE, "big")


def _split(bucket: bytes, depth: int) -> Iterator[bytes]:
    """Yield the buckets of a greater depth that one bucket becomes."""
    old = _Columns.of(bucket)
    starts = old.starts
    more = depth - old.depth
    begin = 0
    for number in range(old.number << more, (old.number + 1) << more):
        end = old.find(_first_label(number + 1, depth), begin)
        labels = old.labels[begin * LABEL_SIZE : end * LABEL_SIZE]
        indices = old.indices[starts[begin] * _INDEX_SIZE : starts[end] * _INDEX_SIZE]
        yield _Columns(depth, number, labels, old.counts[begin:end], indices).encode()
        begin = end
