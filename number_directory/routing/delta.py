"""A delta: what makes one version of a map the next one.

Ten thousand numbers that moved touch every chunk of a map, so that chunks are no way to send them. A delta has four
bytes for each, or a few more. Whoever puts it into the old version makes the new one, chunk by chunk, and knows by the
manifest's hash that it is the one that was signed.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Final, Self

import msgspec

from number_directory.routing.chunk import MOST_SERVICES, Change, Numbers, Routes
from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import END, LENGTHS, LOWEST, LeadingDigits, require_partition
from number_directory.routing.manifest import ChunkEntry, Manifest, ServiceEntry
from number_directory.routing.segments import Paint
from number_directory.routing.services import ResolutionService

FORMAT: Final = "answerback routing map delta v1"
MAGIC: Final = b"tnd\x01"
LARGEST_DELTA: Final = 16 * 1024 * 1024
"""Bytes, as it is sent."""
_SEVEN_BITS, _MORE = 0x7F, 0x80
_LARGEST_UNPACKED = 64 * 1024 * 1024

_Version = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
_ServiceNumber = Annotated[int, msgspec.Meta(ge=0, lt=MOST_SERVICES)]

ReadChunk = Callable[[ChunkEntry], bytes]
"""Gives the bytes of a chunk of the old version."""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    base: str
    base_version: _Version
    version: _Version
    built: _Seconds
    services: tuple[ServiceEntry, ...]
    services_gone: tuple[_ServiceNumber, ...]
    leads: tuple[str, ...]
    leads_gone: tuple[str, ...]
    table: tuple[_ServiceNumber, ...]


@dataclass(frozen=True)
class Delta:
    """What makes the version with the manifest hash `base` the next one.

    `services` are new or changed, by number; `leads` are the chunks that there were not; `changes` are by the numbers'
    length, sorted.
    """

    base: str
    base_version: int
    version: int
    built: int
    services: Mapping[int, ResolutionService] = field(default_factory=dict)
    services_gone: tuple[int, ...] = ()
    leads: tuple[LeadingDigits, ...] = ()
    leads_gone: tuple[LeadingDigits, ...] = ()
    paints: tuple[Paint, ...] = ()
    changes: Mapping[int, Sequence[Change]] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the delta as it is sent."""
        named = {service for changes in self.changes.values() for _, service in changes if service is not None}
        table = tuple(sorted(named.union(paint.service for paint in self.paints)))
        header = msgspec.json.encode(
            _Header(
                FORMAT,
                self.base,
                self.base_version,
                self.version,
                self.built,
                tuple(ServiceEntry.of(number, self.services[number]) for number in sorted(self.services)),
                self.services_gone,
                tuple(lead.digits for lead in self.leads),
                tuple(lead.digits for lead in self.leads_gone),
                table,
            )
        )
        body = bytearray(MAGIC)
        _write(body, len(header))
        body += header
        self._write_paints(body, {service: place for place, service in enumerate(table)})
        self._write_changes(body, {service: place for place, service in enumerate(table)})
        return zlib.compress(bytes(body), 9)

    def _write_paints(self, body: bytearray, places: Mapping[int, int]) -> None:
        at = LOWEST
        _write(body, len(self.paints))
        for paint in self.paints:
            _write(body, paint.start - at)
            _write(body, paint.end - paint.start - 1)
            _write(body, places[paint.service])
            at = paint.end

    def _write_changes(self, body: bytearray, places: Mapping[int, int]) -> None:
        for length in LENGTHS:
            changes, before = self.changes.get(length, ()), 0
            _write(body, len(changes))
            for value, _ in changes:
                _write(body, value - before)
                before = value
        for length in LENGTHS:
            for _, service in self.changes.get(length, ()):
                _write(body, 0 if service is None else places[service] + 1)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a delta; raise MapFormatError where it is none."""
        body = _Body(_unpacked(data))
        header = body.header()
        table = header.table
        paints = tuple(body.paints(table))
        values = {length: list(body.values(length)) for length in LENGTHS}
        changes = {length: body.changes(ours, table) for length, ours in values.items() if ours}
        body.require_end()
        return cls(
            header.base,
            header.base_version,
            header.version,
            header.built,
            {entry.number: entry.service for entry in header.services},
            header.services_gone,
            tuple(map(LeadingDigits, header.leads)),
            tuple(map(LeadingDigits, header.leads_gone)),
            paints,
            changes,
        )


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        body = unpacking.decompress(data, _LARGEST_UNPACKED)
    except zlib.error as error:
        msg = "a delta cannot be unpacked"
        raise MapFormatError(msg) from error
    if not unpacking.eof or unpacking.unused_data or not body.startswith(MAGIC):
        msg = "a delta of another format, or too large, or cut off: a newer version of this program may read it"
        raise MapFormatError(msg)
    return body


def _write(body: bytearray, number: int) -> None:
    """Write a number, seven bits a byte, the lowest first."""
    while number > _SEVEN_BITS:
        body.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    body.append(number)


class _Body:
    """Reads an unpacked delta from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = len(MAGIC)

    def number(self, below: int) -> int:
        """Read a number."""
        result, shift = 0, 0
        try:
            while (byte := self._data[self._at]) > _SEVEN_BITS:
                result |= (byte & _SEVEN_BITS) << shift
                shift += 7
                self._at += 1
        except IndexError:
            msg = "a delta ends too early"
            raise MapFormatError(msg) from None
        self._at += 1
        result |= byte << shift
        if result >= below or (shift and not byte):
            msg = "a delta holds a number that there cannot be"
            raise MapFormatError(msg)
        return result

    def header(self) -> _Header:
        size = self.number(len(self._data))
        text = self._data[self._at : self._at + size]
        self._at += size
        try:
            header = msgspec.json.decode(text, type=_Header)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            msg = f"the header of a delta is malformed: {error}"
            raise MapFormatError(msg) from error
        if header.format != FORMAT or header.version <= header.base_version:
            msg = "the header of a delta contradicts itself"
            raise MapFormatError(msg)
        return header

    def paints(self, table: Sequence[int]) -> Iterator[Paint]:
        at = LOWEST
        for _ in range(self.number(len(self._data))):
            start = at + self.number(END - at)
            at = start + 1 + self.number(END - start)
            yield Paint(start, at, table[self.number(len(table))])

    def values(self, length: int) -> Iterator[int]:
        value, first, end = 0, 10 ** (length - 1), 10**length
        for place in range(self.number(len(self._data))):
            gap = self.number(end - value)
            value += gap
            if value < first or (place and not gap):
                msg = "a delta does not list its numbers in order"
                raise MapFormatError(msg)
            yield value

    def changes(self, values: Iterable[int], table: Sequence[int]) -> list[Change]:
        services = (None, *table)
        return [(value, services[self.number(len(services))]) for value in values]

    def require_end(self) -> None:
        if self._at != len(self._data):
            msg = "a delta goes on after its end"
            raise MapFormatError(msg)


class Patch:
    """Deltas, one after the other, being put into a map. Nothing of the old version is changed."""

    def __init__(self, manifest: Manifest, deltas: Sequence[Delta]) -> None:
        """Prepare to make of the version with this manifest what the deltas make of it; raise MapFormatError."""
        if not deltas or deltas[0].base_version != manifest.version or deltas[0].base != manifest.hash:
            msg = "a delta is for another version of the map"
            raise MapFormatError(msg)
        if any(one.version != other.base_version for one, other in pairwise(deltas)):
            msg = "deltas do not follow one another"
            raise MapFormatError(msg)
        self._manifest = manifest
        self._deltas = deltas
        self._lows = [chunk.lead.low for chunk in manifest.chunks]
        self._leads = _leads_after([chunk.lead for chunk in manifest.chunks], deltas)
        self._changes = _changes_of(deltas)
        self._layers = [delta.paints for delta in deltas if delta.paints]
        self._done: list[ChunkEntry] = []
        self._kept: tuple[ChunkEntry, Routes] | None = None

    def chunks(self, read: ReadChunk) -> Iterator[tuple[ChunkEntry, bytes]]:
        """Yield each chunk of the new version, in order; afterwards `manifest` is its manifest."""
        self._done.clear()
        for lead in self._leads:
            made = self._chunk(lead, read)
            self._done.append(made[0])
            yield made

    @property
    def manifest(self) -> Manifest:
        """The manifest of the new version, once all chunks are made."""
        services = dict(self._manifest.services)
        for delta in self._deltas:
            services.update(delta.services)
            for number in delta.services_gone:
                services.pop(number, None)
        last = self._deltas[-1]
        return Manifest(last.version, last.built, services, tuple(self._done))

    def _chunk(self, lead: LeadingDigits, read: ReadChunk) -> tuple[ChunkEntry, bytes]:
        layers = [some for paints in self._layers if (some := _paints_within(paints, lead))]
        changes = {length: ours for length in self._changes if (ours := self._changes_within(lead, length))}
        old = self._manifest.chunks[bisect_right(self._lows, lead.low) - 1]
        if old.lead == lead and not layers and not changes:
            return old, read(old)
        data = self.routes(lead, read).changed(layers, changes).encode()
        return ChunkEntry.of(lead, data), data

    def routes(self, lead: LeadingDigits, read: ReadChunk) -> Routes:
        """Return what the old version says of a new chunk's numbers, whatever its chunks were."""
        first = bisect_right(self._lows, lead.low) - 1
        old = self._manifest.chunks[first : bisect_left(self._lows, lead.high)]
        if len(old) > 1:
            return Routes.joined(lead, [Routes.decode(read(entry)) for entry in old])
        if self._kept is None or self._kept[0] != old[0]:
            self._kept = old[0], Routes.decode(read(old[0]))  # of a chunk that is cut, ten parts in a row are wanted
        routes = self._kept[1]
        return routes if routes.lead == lead else routes.cut(lead)

    def _changes_within(self, lead: LeadingDigits, length: int) -> Sequence[Change]:
        changes = self._changes[length]
        first, end = lead.values(length)
        return changes[bisect_left(changes, (first,)) : bisect_left(changes, (end,))]


def _leads_after(leads: Iterable[LeadingDigits], deltas: Iterable[Delta]) -> list[LeadingDigits]:
    found = set(leads)
    for delta in deltas:
        if not found.issuperset(delta.leads_gone):
            msg = "a delta takes chunks away that there are not"
            raise MapFormatError(msg)
        found.difference_update(delta.leads_gone)
        found.update(delta.leads)
    ordered = sorted(found)
    require_partition(ordered)
    return ordered


def _changes_of(deltas: Sequence[Delta]) -> dict[int, list[Change]]:
    """Return what all deltas change, the later one's word first."""
    if len(deltas) == 1:
        return {length: list(changes) for length, changes in deltas[0].changes.items()}
    merged: dict[int, dict[int, int | None]] = {}
    for delta in deltas:
        for length, changes in delta.changes.items():
            merged.setdefault(length, {}).update(changes)
    return {length: sorted(changes.items(), key=lambda change: change[0]) for length, changes in merged.items()}


def _paints_within(paints: Sequence[Paint], lead: LeadingDigits) -> Sequence[Paint]:
    first = bisect_right(paints, lead.low, key=lambda paint: paint.end)
    end = bisect_left(paints, lead.high, key=lambda paint: paint.start)
    return [
        replace(paint, start=max(paint.start, lead.low), end=min(paint.end, lead.high)) for paint in paints[first:end]
    ]


def difference(old: Manifest, read_old: ReadChunk, new: Manifest, read_new: ReadChunk) -> Delta:
    """Return the delta that makes the old version the new one."""
    before, after = {chunk.lead for chunk in old.chunks}, {chunk.lead for chunk in new.chunks}
    bare = Delta(
        old.hash,
        old.version,
        new.version,
        new.built,
        {number: service for number, service in new.services.items() if old.services.get(number) != service},
        tuple(sorted(old.services.keys() - new.services.keys())),
        tuple(sorted(after - before)),
        tuple(sorted(before - after)),
    )
    rearranged = Patch(old, [bare])
    rearranged, same = Patch(old, [bare]), set(old.chunks)
    paints: list[Paint] = []
    changes: dict[int, list[Change]] = {length: [] for length in LENGTHS}
    for entry in new.chunks:
        if entry in same:
            continue
        ours, theirs = rearranged.routes(entry.lead, read_old), Routes.decode(read_new(entry))
        paints.extend(ours.segments.paints_to(theirs.segments, entry.lead.high))
        for length in LENGTHS:
            numbers = theirs.numbers.get(length, Numbers())
            changes[length].extend(ours.numbers.get(length, Numbers()).changes_to(numbers))
    return replace(
        bare, paints=tuple(paints), changes={length: changed for length, changed in changes.items() if changed}
    )
