"""A bucket of the label index: the labels that begin with the same bits, and their leaves. Ours: see log-formats.md.

A bucket is a header and three columns: labels, counts, indices. So a label is put in by splicing columns, without
looking at the others.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self

from transparency.errors import LabelIndexError

GREATEST_DEPTH: Final = 32
LARGEST_BUCKET: Final = 4 * 1024 * 1024
"""Bytes that a bucket may have. Only a number with very many certificates makes one above 8 kB."""
LABEL_SIZE: Final = 32
COUNT_SIZE: Final = 4
INDEX_SIZE: Final = 5
LARGEST_INDEX: Final = 2**40 - 1

_VERSION = 1
_HEADER = struct.Struct(">BBII")  # version, depth, bucket number, count of labels
_PREFIX_SIZE = 4
_TITLE_SIZE = _HEADER.size - COUNT_SIZE

EMPTY_SIZE: Final = _HEADER.size
"""Bytes of a bucket without labels."""


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
            int.from_bytes(columns.indices[start : start + INDEX_SIZE], "big")
            for start in range(0, len(columns.indices), INDEX_SIZE)
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


def bucket_of(label: bytes, depth: int) -> int:
    """Return the number of the bucket that a label falls into."""
    if len(label) != LABEL_SIZE:
        msg = f"a label has {LABEL_SIZE} bytes"
        raise LabelIndexError(msg)
    return int.from_bytes(label[:_PREFIX_SIZE], "big") >> (8 * _PREFIX_SIZE - depth)


def empty_bucket(depth: int, number: int) -> bytes:
    """Return the bucket without labels: its bytes follow from where it stands, so that nobody need keep them."""
    return _HEADER.pack(_VERSION, depth, number, 0)


def is_bucket(data: bytes, depth: int, number: int) -> bool:
    """Tell whether the header of these bytes is that of a bucket; what follows is not looked at."""
    return data[:_TITLE_SIZE] == empty_bucket(depth, number)[:_TITLE_SIZE]


def merged(bucket: bytes, additions: Sequence[tuple[bytes, int]]) -> tuple[bytes, int]:
    """Return a bucket with more leaves, given as sorted pairs of label and index, and how many labels are new in it.

    The indices are above all that are there already, and the bucket is known to be a good one.
    """
    old = _Columns.of(bucket)
    starts = old.starts
    labels, indices = bytearray(), bytearray()
    counts: list[int] = []
    done = fresh = 0
    latest = b""
    for label, leaf in additions:
        if label == latest:
            counts[-1] += 1
        else:
            latest, place = label, old.find(label, done)
            known = old.label(place) == label
            end = place + known
            labels += old.labels[done * LABEL_SIZE : place * LABEL_SIZE]
            labels += label
            counts += old.counts[done:place]
            counts.append(starts[end] - starts[place] + 1)
            indices += old.indices[starts[done] * INDEX_SIZE : starts[end] * INDEX_SIZE]
            done = end
            fresh += not known
        indices += leaf.to_bytes(INDEX_SIZE, "big")
    labels += old.labels[done * LABEL_SIZE :]
    counts += old.counts[done:]
    indices += old.indices[starts[done] * INDEX_SIZE :]
    return _encode(old.depth, old.number, labels, counts, indices), fresh


def split(bucket: bytes, depth: int) -> Iterator[bytes]:
    """Yield the buckets of a greater depth that one bucket becomes."""
    old = _Columns.of(bucket)
    starts = old.starts
    more = depth - old.depth
    begin = 0
    for number in range(old.number << more, (old.number + 1) << more):
        end = old.find(_first_label(number + 1, depth), begin)
        labels = old.labels[begin * LABEL_SIZE : end * LABEL_SIZE]
        indices = old.indices[starts[begin] * INDEX_SIZE : starts[end] * INDEX_SIZE]
        yield _encode(depth, number, labels, old.counts[begin:end], indices)
        begin = end


def _first_label(number: int, depth: int) -> bytes:
    """Return what sorts before all labels of a bucket and after those of the ones before it."""
    if number >> depth:
        return b"\xff" * (LABEL_SIZE + 1)  # there is no such bucket: it sorts after all labels
    return (number << (8 * _PREFIX_SIZE - depth)).to_bytes(_PREFIX_SIZE, "big")


@dataclass(slots=True)
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
        counts_end = labels_end + count * COUNT_SIZE
        if version != _VERSION or depth > GREATEST_DEPTH or number >> depth or counts_end > len(bucket):
            msg = "the bucket's header is not one of version 1, or its labels are cut off"
            raise LabelIndexError(msg)
        counts = struct.unpack_from(f">{count}I", bucket, labels_end)
        if len(bucket) - counts_end != sum(counts) * INDEX_SIZE:
            msg = "the bucket has not as many indices as it says"
            raise LabelIndexError(msg)
        return cls(depth, number, bucket[_HEADER.size : labels_end], counts, bucket[counts_end:])

    @property
    def starts(self) -> Sequence[int]:
        """Where the indices of each label start, counted in indices, and where the last ones end."""
        if len(self.indices) == len(self.counts) * INDEX_SIZE and all(self.counts):
            return range(len(self.counts) + 1)  # one for each label, as nearly everywhere
        return list(accumulate(self.counts, initial=0))

    def label(self, place: int) -> bytes:
        """Return the label at a place."""
        return self.labels[place * LABEL_SIZE : (place + 1) * LABEL_SIZE]

    def find(self, label: bytes, start: int = 0) -> int:
        """Return the first place from `start` on whose label is not below this one."""
        labels = self.labels
        return bisect_left(
            range(len(self.counts)),
            label,
            lo=start,
            key=lambda place: labels[place * LABEL_SIZE : (place + 1) * LABEL_SIZE],
        )


def _encode(
    depth: int, number: int, labels: bytes | bytearray, counts: Sequence[int], indices: bytes | bytearray
) -> bytes:
    header = _HEADER.pack(_VERSION, depth, number, len(counts))
    return b"".join((header, labels, struct.pack(f">{len(counts)}I", *counts), indices))
