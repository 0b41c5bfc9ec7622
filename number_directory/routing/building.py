"""Make the chunks of a map out of any number of entries, in bounded memory.

Entries come in any order. A million at a time they are sorted and put aside in files, from which then chunk after chunk
is gathered: what is in memory is one such million, or one chunk.
"""

from __future__ import annotations

import mmap
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from number_directory.routing.chunk import LARGEST_CHUNK, MOST_SERVICES, Numbers, Routes
from number_directory.routing.columns import U16, U64
from number_directory.routing.entries import Entry
from number_directory.routing.errors import BuildError
from number_directory.routing.leading_digits import LENGTHS, ROOTS, LeadingDigits
from number_directory.routing.manifest import ChunkEntry
from number_directory.routing.segments import Segments, flattened
from stir.telephone_number import NumberPrefix, TelephoneNumber

RUN_SIZE: Final = 1_000_000
"""Entries that are sorted at once."""

_SERVICE_BITS = MOST_SERVICES.bit_length() - 1
_SERVICE = MOST_SERVICES - 1
_LEAST_BYTES = 3  # that a number takes in a chunk

Run = memoryview


class MapBuilder:
    """Takes entries, and makes chunks of them. `scratch` is a folder for files that its owner deletes afterwards.

    `defaults` are the services, by name, among which the numbers are given out that no prefix covers.
    """

    def __init__(self, scratch: Path, defaults: Mapping[str, int], run_size: int = RUN_SIZE) -> None:
        """Begin with no entries."""
        self._scratch = scratch
        self._defaults = defaults
        self._run_size = run_size
        self._rules: dict[NumberPrefix, int] = {}
        self._pending: list[int] = []
        self._runs: list[Run] = []

    def add(self, entries: Iterable[Entry]) -> None:
        """Take entries; raise BuildError for two that contradict one another, here or when chunks are made."""
        pending, most = self._pending, self._run_size
        for key, service in entries:
            if service is None:
                msg = "a map is built from what is there; what goes is for changes"
                raise BuildError(msg)
            if isinstance(key, int):
                pending.append(key << _SERVICE_BITS | service)
                if len(pending) >= most:
                    self._put_aside()
            elif self._rules.setdefault(key, service) != service:
                msg = f"the prefix {key.e164} is given to two services: leave one"
                raise BuildError(msg)

    def chunks(self) -> Iterator[tuple[ChunkEntry, bytes]]:
        """Yield all chunks, in order; raise BuildError where the entries make no map."""
        if self._pending:
            self._put_aside()
        segments = flattened(self._rules, self._defaults)
        for root in ROOTS:
            yield from self._chunks(root, segments)

    def _put_aside(self) -> None:
        self._pending.sort()
        path = self._scratch / f"run-{len(self._runs)}"
        path.write_bytes(array(U64, self._pending).tobytes())
        self._pending.clear()
        with path.open("rb") as file:
            self._runs.append(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast(U64))

    def _chunks(self, lead: LeadingDigits, segments: Segments) -> Iterator[tuple[ChunkEntry, bytes]]:
        """Yield one chunk for these numbers, or where that would be too large those of ten times fewer."""
        slices = {length: self._slices(lead, length) for length in LENGTHS}
        if _LEAST_BYTES * sum(map(len, chain.from_iterable(slices.values()))) <= LARGEST_CHUNK:
            numbers = {length: _numbers(parts) for length, parts in slices.items() if parts}
            data = Routes(lead, segments.within(lead), numbers).encode()
            if len(data) <= LARGEST_CHUNK:
                yield ChunkEntry.of(lead, data), data
                return
        for child in lead.children():
            yield from self._chunks(child, segments)

    def _slices(self, lead: LeadingDigits, length: int) -> list[Run]:
        """Return, out of each run, the entries for the numbers of this length."""
        first, end = (value << _SERVICE_BITS for value in lead.values(length))
        parts = (run[bisect_left(run, first) : bisect_left(run, end)] for run in self._runs)
        return [part for part in parts if part]


def _numbers(parts: Iterable[Run]) -> Numbers:
    """Put sorted entries together, each once."""
    entries = list(chain.from_iterable(parts))
    entries.sort()
    values = array(U64, [entry >> _SERVICE_BITS for entry in entries])
    services = array(U16, [entry & _SERVICE for entry in entries])
    if len(set(values)) == len(values):
        return Numbers(values, services)
    return _without_repetitions(values, services)


def _without_repetitions(values: array[int], services: array[int]) -> Numbers:
    kept = dict(zip(values, services, strict=True))
    for value, service in zip(values, services, strict=True):
        if kept[value] != service:
            msg = f"the number {TelephoneNumber(str(value)).masked} is given to two services: leave one"
            raise BuildError(msg)
    return Numbers(array(U64, kept), array(U16, kept.values()))
