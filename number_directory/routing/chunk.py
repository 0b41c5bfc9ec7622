"""A chunk: all of the map for the numbers that begin with certain digits, in one file of at most 1 MB.

`Chunk` answers from the bytes, which may be mapped memory, and copies nothing. `Routes` is the same, unpacked, to be
changed and written anew; a chunk has one encoding, so that its hash names what it says.

What the prefixes say stands in *segments*: from each start on, up to the next, all numbers are with one service. What
single numbers say stands in blocks: 65536 neighbouring integers share the upper part of their number, the `block`, and
each has two bytes of its own, the `rest`. Services are named by their place in a table of those that the chunk needs.
"""

from __future__ import annotations

import operator
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

from number_directory.routing.columns import (
    U16,
    U32,
    U64,
    from_file,
    low_halves,
    to_file,
    translated,
    view,
    with_low_halves,
)
from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import LENGTHS, LeadingDigits
from number_directory.routing.segments import Paint, Segments

MAGIC: Final = b"tnm\x01"
LARGEST_CHUNK: Final = 1_000_000
"""Bytes."""
MOST_SERVICES: Final = 1 << 14
"""Services are known by numbers below this one."""

_HEADER = struct.Struct("<4sBBHQIIIB3x")
_GROUP = struct.Struct("<B3xI")
_NARROW = 256  # services that one byte tells apart
_REST_BITS = 16
_REST = (1 << _REST_BITS) - 1
_LONGEST = LENGTHS[-1]
_ABOVE_ALL = 10**_LONGEST
_FEW = 128

Change = tuple[int, int | None]
"""A number as an integer, and the service that has it now; None where its prefix decides."""


class Chunk:
    """A chunk as it is in its file. `find` may raise MapFormatError where nobody checked the file's hash before."""

    __slots__ = (
        "_blocks",
        "_exceptions",
        "_groups",
        "_low",
        "_rests",
        "_segment_services",
        "_segments",
        "_services",
        "_starts",
        "count",
        "lead",
    )

    def __init__(self, data: bytes | memoryview) -> None:
        """Look at the bytes of a chunk; raise MapFormatError where their parts do not fit together."""
        parts = _Parts.of(memoryview(data))
        self.lead = parts.lead
        self.count = parts.count
        self._low = parts.lead.low
        self._segments = parts.segments
        self._blocks = parts.blocks
        self._starts = parts.starts
        self._services = parts.services
        self._rests = parts.rests
        self._segment_services = parts.segment_services
        self._exceptions = parts.exceptions
        self._groups = parts.groups

    def find(self, length: int, value: int, aligned: int) -> int:
        """Return the service of a number of this chunk: how many digits it has, as an integer, and aligned.

        A number that stands in the map by itself takes the same steps as one of which only the prefix is known.
        """
        place = bisect_right(self._segments, aligned - self._low) - 1
        service = self._segment_services[place]
        first, last, base = self._groups[length]
        block = (value >> _REST_BITS) - base
        at = bisect_left(self._blocks, block, first, last)
        if at < last and self._blocks[at] == block:
            rest, end = value & _REST, self._starts[at + 1]
            place = bisect_left(self._rests, rest, self._starts[at], end)
            if place < end and self._rests[place] == rest:
                service = self._exceptions[place]
        try:
            return self._services[service]
        except IndexError:
            msg = "a chunk names a service that is not in its table"
            raise MapFormatError(msg) from None


@dataclass(frozen=True)
class _Parts:
    """Where everything is in a chunk's bytes."""

    lead: LeadingDigits
    count: int
    groups: tuple[tuple[int, int, int], ...]
    segments: memoryview | array[int]
    blocks: memoryview | array[int]
    starts: memoryview | array[int]
    services: tuple[int, ...]
    rests: memoryview | array[int]
    segment_services: memoryview | array[int]
    exceptions: memoryview | array[int]
    raw_rests: memoryview
    raw_exceptions: memoryview

    @classmethod
    def of(cls, data: memoryview) -> Self:
        if len(data) < _HEADER.size:
            msg = "a chunk is too short"
            raise MapFormatError(msg)
        header = _HEADER.unpack_from(data)
        magic, digits, width, services, leading, segments, exceptions, blocks, groups = header
        if magic != MAGIC or _HEADER.pack(*header) != data[: _HEADER.size]:
            msg = "a chunk of another format: a newer version of this program may read it"
            raise MapFormatError(msg)
        lead = LeadingDigits(str(leading))
        sizes = _sizes(width, services, segments, exceptions, blocks, groups)
        if digits != len(lead.digits) or not segments or not services or width != _width(services):
            msg = "the header of a chunk contradicts itself"
            raise MapFormatError(msg)
        if sum(sizes) != len(data):
            msg = "a chunk is not as long as its parts"
            raise MapFormatError(msg)
        cuts = [0]
        for size in sizes:
            cuts.append(cuts[-1] + size)
        parts = [data[start:end] for start, end in pairwise(cuts)]
        starts = view(parts[4], U32)
        code = "B" if width == 1 else U16
        _require_starts(starts, exceptions)
        return cls(
            lead,
            exceptions,
            _groups(parts[1], lead, blocks),
            view(parts[2], U64),
            view(parts[3], U32),
            starts,
            tuple(from_file(parts[5], U16)),
            view(parts[6], U16),
            view(parts[7], code),
            view(parts[8], code),
            parts[6],
            parts[8],
        )


def _sizes(width: int, services: int, segments: int, exceptions: int, blocks: int, groups: int) -> tuple[int, ...]:
    """Return how many bytes each part of a chunk has: the header first, then its columns, the widest first."""
    return (
        _HEADER.size,
        _GROUP.size * groups,
        8 * segments,
        4 * blocks,
        4 * (blocks + 1),
        2 * services,
        2 * exceptions,
        width * segments,
        width * exceptions,
    )


def _width(services: int) -> int:
    return 1 if services <= _NARROW else 2


def _require_starts(starts: memoryview | array[int], exceptions: int) -> None:
    """Refuse blocks that would lead out of the columns, or of which one is empty."""
    if starts[0] != 0 or starts[-1] != exceptions or any(one >= other for one, other in pairwise(starts)):
        msg = "the blocks of a chunk do not follow one another"
        raise MapFormatError(msg)


def _groups(data: memoryview, lead: LeadingDigits, blocks: int) -> tuple[tuple[int, int, int], ...]:
    """Return, by a number's length, its first block, the one after its last, and what their numbers count from."""
    groups = [(0, 0, lead.values(length)[0] >> _REST_BITS) for length in range(_LONGEST + 1)]
    found = list(_GROUP.iter_unpack(data))
    if data != b"".join(_GROUP.pack(*group) for group in found) or bool(found) != bool(blocks):
        msg = "the groups of a chunk are malformed"
        raise MapFormatError(msg)
    before, at = 0, 0
    for (length, first), (_, end) in pairwise([*found, (0, blocks)]):
        if length not in LENGTHS or length <= before or first != at or end <= first:
            msg = "the groups of a chunk contradict one another"
            raise MapFormatError(msg)
        groups[length] = (first, end, groups[length][2])
        before, at = length, end
    return tuple(groups)


@dataclass(frozen=True)
class Numbers:
    """The numbers of one length that stand in the map by themselves, sorted, and the service of each."""

    values: array[int] = field(default_factory=lambda: array(U64))
    services: array[int] = field(default_factory=lambda: array(U16))

    def __len__(self) -> int:
        """Count the numbers."""
        return len(self.values)

    def between(self, first: int, end: int) -> Numbers:
        """Return the part from `first` on, and before `end`."""
        start, stop = bisect_left(self.values, first), bisect_left(self.values, end)
        return Numbers(self.values[start:stop], self.services[start:stop])

    def changed(self, changes: Sequence[Change]) -> Numbers:
        """Return them with these changes, sorted by number, put in."""
        values, services, at = array(U64), array(U16), 0
        for value, service in changes:
            place = bisect_left(self.values, value, at)
            values += self.values[at:place]
            services += self.services[at:place]
            at = place + (place < len(self) and self.values[place] == value)
            if service is not None:
                values.append(value)
                services.append(service)
        values += self.values[at:]
        services += self.services[at:]
        return Numbers(values, services)

    def changes_to(self, other: Numbers) -> Iterator[Change]:
        """Yield what makes these numbers the other ones, sorted by number."""
        if self == other:
            return
        if len(self) + len(other) > _FEW:
            most = max(self.values, other.values, key=len)
            pivot = most[len(most) // 2]
            yield from self.between(0, pivot).changes_to(other.between(0, pivot))
            yield from self.between(pivot, _ABOVE_ALL).changes_to(other.between(pivot, _ABOVE_ALL))
            return
        before = dict(zip(self.values, self.services, strict=True))
        after = dict(zip(other.values, other.services, strict=True))
        for value in sorted(before.keys() | after.keys()):
            if before.get(value) != after.get(value):
                yield value, after.get(value)


@dataclass(frozen=True)
class Routes:
    """What a chunk says, unpacked: its own part of the segments, and by their length the numbers."""

    lead: LeadingDigits
    segments: Segments
    numbers: Mapping[int, Numbers] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the numbers that stand in the map by themselves."""
        return sum(map(len, self.numbers.values()))

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Self:
        """Unpack a chunk; raise MapFormatError unless it is what `encode` makes of it."""
        parts = _Parts.of(memoryview(data))
        table = array(U16, parts.services)
        try:
            segments = Segments(
                array(U64, map(parts.lead.low.__add__, parts.segments)),
                array(U16, map(table.__getitem__, parts.segment_services)),
            )
            exceptions = _services_of(parts, table)
        except (IndexError, OverflowError) as error:
            msg = "a chunk names services or numbers that there cannot be"
            raise MapFormatError(msg) from error
        groups = {length: group for length, group in enumerate(parts.groups) if group[0] < group[1]}
        numbers = {length: _numbers(parts, group, exceptions) for length, group in groups.items()}
        routes = cls(parts.lead, segments, numbers)
        if not routes._is_in_order() or routes.encode() != data:  # it is ours
            msg = "a chunk is written in another way than the only one"
            raise MapFormatError(msg)
        return routes

    def encode(self) -> bytes:
        """Return the chunk's bytes."""
        lengths = [length for length in LENGTHS if self.numbers.get(length)]
        used = set(self.segments.services).union(*(self.numbers[length].services for length in lengths))
        table = array(U16, sorted(used))
        blocks, starts, groups = array(U32), array(U32, (0,)), []
        for length in lengths:
            groups.append(_GROUP.pack(length, len(blocks)))
            _add_blocks(self.numbers[length].values, self.lead.values(length)[0] >> _REST_BITS, blocks, starts)
        header = _HEADER.pack(
            MAGIC,
            len(self.lead.digits),
            _width(len(table)),
            len(table),
            int(self.lead.digits),
            len(self.segments.starts),
            len(self),
            len(blocks),
            len(groups),
        )
        low = self.lead.low
        return b"".join(
            (
                header,
                *groups,
                to_file(array(U64, (start - low for start in self.segments.starts))),
                to_file(blocks),
                to_file(starts),
                to_file(table),
                *(low_halves(self.numbers[length].values) for length in lengths),
                _indices(self.segments.services, table),
                *(_indices(self.numbers[length].services, table) for length in lengths),
            )
        )

    def _is_in_order(self) -> bool:
        """Tell whether segments and numbers are sorted, each once, within the chunk, and no segment is needless."""
        starts, services = self.segments.starts, self.segments.services
        if starts[0] != self.lead.low or starts[-1] >= self.lead.high or not _rises(starts):
            return False
        if not all(map(operator.ne, services, services[1:])):
            return False
        for length, numbers in self.numbers.items():
            first, end = self.lead.values(length)
            if numbers.values[0] < first or numbers.values[-1] >= end or not _rises(numbers.values):
                return False
        return True

    def cut(self, lead: LeadingDigits) -> Routes:
        """Return the part for the numbers that begin with these digits, which are within this chunk's."""
        numbers = {length: ours.between(*lead.values(length)) for length, ours in self.numbers.items()}
        return Routes(lead, self.segments.within(lead), {length: part for length, part in numbers.items() if part})

    @staticmethod
    def joined(lead: LeadingDigits, parts: Sequence[Routes]) -> Routes:
        """Return one chunk of those, in order, that make up all numbers that begin with these digits."""
        numbers: dict[int, Numbers] = {}
        for part in parts:
            for length, more in part.numbers.items():
                have = numbers.get(length, Numbers())
                numbers[length] = Numbers(have.values + more.values, have.services + more.services)
        return Routes(lead, Segments.joined(part.segments for part in parts), numbers)

    def changed(self, layers: Sequence[Sequence[Paint]], changes: Mapping[int, Sequence[Change]]) -> Routes:
        """Return the chunk with other segments painted over, layer by layer, and numbers changed: by length, sorted."""
        segments, numbers = self.segments, dict(self.numbers)
        for paints in layers:
            segments = segments.painted(paints, self.lead.high)
        for length, ours in changes.items():
            numbers[length] = numbers.get(length, Numbers()).changed(ours)
        return Routes(self.lead, segments, {length: part for length, part in numbers.items() if part})


def _rises(column: array[int]) -> bool:
    return all(map(operator.lt, column, column[1:]))


def _services_of(parts: _Parts, table: array[int]) -> array[int]:
    """Return the service of each number."""
    if _width(len(table)) != 1:
        return array(U16, map(table.__getitem__, parts.exceptions))
    indices = bytes(parts.raw_exceptions)
    if max(indices, default=0) >= len(table):
        msg = "a number's service is not in the table"
        raise IndexError(msg)
    return translated(indices, table)


def _numbers(parts: _Parts, group: tuple[int, int, int], exceptions: array[int]) -> Numbers:
    """Unpack the numbers of one length."""
    first, last, base = group
    starts = parts.starts[first : last + 1]
    high = b"".join(
        (base + block << _REST_BITS).to_bytes(8, "little") * (end - start)
        for block, (start, end) in zip(parts.blocks[first:last], pairwise(starts), strict=True)
    )
    start, end = starts[0], starts[-1]
    return Numbers(with_low_halves(high, bytes(parts.raw_rests[2 * start : 2 * end])), exceptions[start:end])


def _add_blocks(values: array[int], base: int, blocks: array[int], starts: array[int]) -> None:
    """Note the blocks of sorted values, and where each ends."""
    offset, at = starts[-1], 0
    while at < len(values):
        block = values[at] >> _REST_BITS
        at = bisect_left(values, block + 1 << _REST_BITS, at)
        blocks.append(block - base)
        starts.append(offset + at)


def _indices(services: array[int], table: array[int]) -> bytes:
    """Return the place of each service in the table, in one byte or two."""
    index = {service: place for place, service in enumerate(table)}
    if _width(len(table)) != 1:
        return to_file(array(U16, map(index.__getitem__, services)))
    if table[-1] >= _NARROW:
        return bytes(map(index.__getitem__, services))
    places = bytearray(_NARROW)
    for service, place in index.items():
        places[service] = place
    return to_file(services)[::2].translate(places)
