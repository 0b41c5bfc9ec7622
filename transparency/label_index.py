"""The label index: which leaves of a log stand under a label. Ours: see docs/reference/log-formats.md.

Labels fall into 2**depth buckets by their first bits, and a Merkle tree stands over the buckets. Its root is in a
signed map checkpoint, which names the log checkpoint that the index was made from. A watcher fetches a whole bucket, so
that the log cannot tell which of its labels is meant; what is not in the bucket is not in the log. The depth follows
from the numbers of labels and entries, and everything else from the entries, so that everybody who has the log can make
the same index and compare the roots.

What changes with an update is published in one new file, or a few: a segment, named after its content, holds buckets
and node pages back to back, and never changes. A page has the hashes of up to 16 subtrees, and tells where each of them
is: in which segment, from which byte on. So a watcher asks for parts of files, from the top page down to its bucket.
Where something is, is nobody's promise: whatever is found there is held to the hash.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple, Self

from transparency.checkpoint import Checkpoint, read_decimal, read_hash
from transparency.errors import CheckpointError, LabelIndexError
from transparency.label_bucket import (
    COUNT_SIZE,
    EMPTY_SIZE,
    GREATEST_DEPTH,
    INDEX_SIZE,
    LABEL_SIZE,
    LARGEST_BUCKET,
    Bucket,
    bucket_of,
    empty_bucket,
    is_bucket,
)
from transparency.merkle import HASH_SIZE, leaf_hash, pair_up
from transparency.signed_note import Note, Signer, Verifier, encode_base64, sign_note

FORMAT: Final = "answerback label-index v1"
"""The first line of a map checkpoint. With its spaces it is no log's origin: see `log_description`."""
INDEX_PATH: Final = "index/"
"""Where all files of the index are, below a shard's monitoring prefix."""
MAP_CHECKPOINT_PATH: Final = f"{INDEX_PATH}checkpoint"
SEGMENTS_PATH: Final = f"{INDEX_PATH}segment/"
MEAN_BUCKET: Final = 2560
"""Bytes of labels, counts and indices that a bucket has on average before the buckets are split."""
PAGE_HEIGHT: Final = 4
SEGMENT_NAME_SIZE: Final = 8
PLACE: Final = struct.Struct(f">{SEGMENT_NAME_SIZE}sII")
"""A place as it stands in a page: the segment's name, the first byte, the length."""
PLACE_SIZE: Final = PLACE.size
HERE: Final = bytes(SEGMENT_NAME_SIZE)
"""In a page: the segment that the page itself is in, whose name nobody knows before it is whole."""

_CHECK_SIZE = 8
_LARGEST_SEGMENT = 2**32
_PLACE_LINE = re.compile(r"([0-9a-f]{16}) ([0-9]+) ([0-9]+)", re.ASCII)
_SEGMENT_PATH = re.compile(rf"{SEGMENTS_PATH}([0-9a-f]{{16}})", re.ASCII)

FetchPart = Callable[[str, int, int], bytes]
"""Returns a part of the file at a path, below a shard's monitoring prefix: from which byte on, and how many."""


class Place(NamedTuple):
    """Where a bucket or a page is: in which segment, from which byte on, and how many bytes long."""

    segment: bytes
    start: int
    length: int

    @classmethod
    def at(cls, places: bytes, position: int) -> Self:
        """Return the place that stands at a position among places side by side."""
        return cls(*PLACE.unpack_from(places, position * PLACE_SIZE))

    @property
    def path(self) -> str:
        """The path of the segment, below a shard's monitoring prefix."""
        return path_of(self.segment)

    def put(self, places: bytearray, position: int) -> None:
        """Write this place at a position among places side by side."""
        PLACE.pack_into(places, position * PLACE_SIZE, *self)


NOWHERE: Final = Place(HERE, 0, 0)
"""Where a bucket without labels is: its bytes are known, and nobody keeps them."""


@dataclass(frozen=True, slots=True)
class MapCheckpoint:
    """What a log says its label index is: the log checkpoint that it was made from, its depth, its labels, its root.

    `top` is where the topmost page is, or the only bucket. It says nothing about the index: two map checkpoints that
    differ in it alone are equal. Raises CheckpointError for values that contradict one another.
    """

    log: Checkpoint
    labels: int
    root: bytes
    top: Place = field(compare=False)

    def __post_init__(self) -> None:
        """Refuse what no index can be."""
        if self.log.extensions:
            msg = "a map checkpoint names the log checkpoint's origin, size and root only"
            raise CheckpointError(msg)
        if not min(self.log.size, 1) <= self.labels <= self.log.size or len(self.root) != HASH_SIZE:
            msg = f"an index has one label for each leaf at most, and a root of {HASH_SIZE} bytes"
            raise CheckpointError(msg)
        if not self._has_top():
            msg = "the place of the index's top is none where a page, or the only bucket, can be"
            raise CheckpointError(msg)

    def _has_top(self) -> bool:
        segment, start, length = self.top
        if not self.labels:
            return self.top == NOWHERE
        if len(segment) != SEGMENT_NAME_SIZE or segment == HERE or not 0 <= start <= _LARGEST_SEGMENT - length:
            return False
        if self.depth:
            return length == page_size(next(page_heights(self.depth)))
        return EMPTY_SIZE < length <= LARGEST_BUCKET

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a map checkpoint's note, without believing it; there is one text to each."""
        match text.split("\n"):
            case [format_, origin, size, log_root, depth, labels, root, top, ""] if format_ == FORMAT:
                log = Checkpoint(origin, read_decimal(size), read_hash(log_root))
                checkpoint = cls(log, read_decimal(labels), read_hash(root), _read_place(top))
                if read_decimal(depth) == checkpoint.depth:
                    return checkpoint
                msg = "the depth of the index does not follow from its labels and entries"
                raise CheckpointError(msg)
            case _:
                msg = (
                    "a map checkpoint is a format, a log's origin, size and root, a depth, a count, a root and a place"
                )
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
        top = f"{self.top.segment.hex()} {self.top.start} {self.top.length}\n"
        return f"{FORMAT}\n{self.log.text}{counts}{encode_base64(self.root)}\n{top}"

    def to_note(self, signers: Sequence[Signer]) -> bytes:
        """Return the map checkpoint's note."""
        return sign_note(self.text, signers).to_bytes()


def depth_for(labels: int, entries: int) -> int:
    """Return how many bits of a label choose its bucket, in an index of so many labels and log entries.

    It is the least depth at which the buckets have at most `MEAN_BUCKET` bytes on average, and never shrinks as a log
    grows.
    """
    size = labels * (LABEL_SIZE + COUNT_SIZE) + entries * INDEX_SIZE
    buckets = max(1, -(-size // MEAN_BUCKET))
    return min((buckets - 1).bit_length(), GREATEST_DEPTH)


# Segments


def segment_name(segment: bytes) -> bytes:
    """Return what a segment is named after: the first 8 bytes of its SHA-256."""
    return sha256(segment).digest()[:SEGMENT_NAME_SIZE]


def path_of(segment: bytes) -> str:
    """Return where the segment of this name is, below a shard's monitoring prefix."""
    return SEGMENTS_PATH + segment.hex()


def segment_at(path: str) -> bytes | None:
    """Return the name of the segment at a path, None where the path is not a segment's."""
    match = _SEGMENT_PATH.fullmatch(path)
    return None if match is None else bytes.fromhex(match[1])


# Pages: the hashes of neighbouring subtrees side by side, where each of them is, and a check over the places


def page_heights(depth: int) -> Iterator[int]:
    """Yield the heights of the pages on the way from the root to a bucket: the topmost may be lower."""
    if depth % PAGE_HEIGHT:
        yield depth % PAGE_HEIGHT
    for _ in range(depth // PAGE_HEIGHT):
        yield PAGE_HEIGHT


def page_size(height: int) -> int:
    """Return how many bytes a page over 2**height subtrees has."""
    return ((HASH_SIZE + PLACE_SIZE) << height) + _CHECK_SIZE


def encode_page(hashes: bytes, places: bytes) -> bytes:
    """Return the page over subtrees with these hashes at these places, both side by side."""
    return hashes + places + _check(places)


def decode_page(page: bytes, height: int, name: bytes) -> tuple[bytes, bytes]:
    """Return hashes and places of a page, held to the hash over all its subtrees; raise LabelIndexError.

    The root covers the hashes. The check covers the places, so that who reads the page finds the damage in it, and not
    only who is led astray by it.
    """
    cut = HASH_SIZE << height
    hashes, places = page[:cut], page[cut:-_CHECK_SIZE]
    if len(page) != page_size(height) or root_of(hashes) != name or page[-_CHECK_SIZE:] != _check(places):
        msg = f"a page of the label index is not what its hash {name.hex()} says"
        raise LabelIndexError(msg)
    return hashes, places


def _check(places: bytes) -> bytes:
    return sha256(places).digest()[:_CHECK_SIZE]


def root_of(hashes: bytes) -> bytes:
    """Return the hash over subtrees whose hashes stand side by side."""
    while len(hashes) > HASH_SIZE:
        hashes = pair_up(hashes)
    return hashes


# Looking up


def read_bucket(checkpoint: MapCheckpoint, label: bytes, fetch: FetchPart) -> Bucket:
    """Return the bucket that a label falls into, held to the root of a map checkpoint.

    One page is fetched for each four bits of the depth, and the bucket. Raises LabelIndexError where one of them is not
    what the root says, or names a leaf that the log's checkpoint does not have.
    """
    depth = row = checkpoint.depth
    number = bucket_of(label, depth)
    name, place = checkpoint.root, checkpoint.top
    for height in page_heights(depth):
        row -= height
        name, place = _child(fetch_page(name, place, height, fetch), (number >> row) % (1 << height), place.segment)
    bucket = Bucket.decode(fetch_bucket(name, place, depth, number, fetch))
    if any(places[-1] >= checkpoint.log.size for places in bucket.leaves.values()):
        msg = "the bucket names a leaf that the log does not have yet"
        raise LabelIndexError(msg)
    return bucket


def fetch_page(name: bytes, place: Place, height: int, fetch: FetchPart) -> tuple[bytes, bytes]:
    """Return hashes and places of the page at a place, held to its hash."""
    if place.length != page_size(height):
        msg = f"a page over {1 << height} subtrees has {page_size(height)} bytes, not {place.length}"
        raise LabelIndexError(msg)
    return decode_page(fetch(place.path, place.start, place.length), height, name)


def fetch_bucket(name: bytes, place: Place, depth: int, number: int, fetch: FetchPart) -> bytes:
    """Return the bytes of the bucket at a place, held to its hash. One without labels is not asked for."""
    if place == NOWHERE:
        return require_bucket(empty_bucket(depth, number), name, depth, number)
    if not EMPTY_SIZE < place.length <= LARGEST_BUCKET:
        msg = f"a bucket with labels has {EMPTY_SIZE} to {LARGEST_BUCKET} bytes, not {place.length}"
        raise LabelIndexError(msg)
    return require_bucket(fetch(place.path, place.start, place.length), name, depth, number)


def require_bucket(bucket: bytes, name: bytes, depth: int, number: int) -> bytes:
    """Return the bytes of a bucket if they are what its hash says, and of the bucket of this number."""
    if leaf_hash(bucket) != name or not is_bucket(bucket, depth, number):
        msg = f"bucket {number} of the label index is not what its hash {name.hex()} says"
        raise LabelIndexError(msg)
    return bucket


def resolved(place: Place, segment: bytes) -> Place:
    """Return the place that a page in this segment means."""
    return place if place.segment != HERE or place == NOWHERE else place._replace(segment=segment)


def _child(page: tuple[bytes, bytes], position: int, segment: bytes) -> tuple[bytes, Place]:
    hashes, places = page
    return hashes[position * HASH_SIZE : (position + 1) * HASH_SIZE], resolved(Place.at(places, position), segment)


def _read_place(line: str) -> Place:
    match = _PLACE_LINE.fullmatch(line)
    if match is None:
        msg = "the place of the index's top is a segment's name, a first byte and a length"
        raise CheckpointError(msg)
    return Place(bytes.fromhex(match[1]), read_decimal(match[2]), read_decimal(match[3]))
