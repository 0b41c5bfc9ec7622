"""Ask a map on this machine which resolution service has a number: a microsecond or two, and nobody learns of it."""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from number_directory.routing.chunk import Chunk
from number_directory.routing.errors import DamagedMapError, MapFormatError, NoMapError
from number_directory.routing.leading_digits import SCALE, LeadingDigits
from number_directory.routing.manifest import ChunkEntry, Manifest
from number_directory.routing.map_folder import Current, MapFolder, Pack
from number_directory.routing.services import ResolutionService
from stir.telephone_number import TelephoneNumber

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far a version can be relied upon: its publisher's last word on it.

    `as_of` is when the publisher said that it is the newest, `expires` until when that is to be believed, both in
    seconds since 1970.
    """

    version: int
    as_of: int
    expires: int
    clock: Clock

    @property
    def age(self) -> timedelta:
        """How long ago the publisher said that this version is the newest."""
        return timedelta(seconds=max(0.0, self.clock() - self.as_of))

    @property
    def is_stale(self) -> bool:
        """Whether that is too long ago: the map answers on, and may miss what has moved since."""
        return self.clock() >= self.expires


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which service has a number, and how old the map is that says so.

    A number that is with no service at all has one here, too: the map does not tell who is registered.
    """

    service: ResolutionService
    freshness: Freshness

    @property
    def version(self) -> int:
        """The version of the map."""
        return self.freshness.version

    @property
    def age(self) -> timedelta:
        """How long ago the map's publisher said that it is the newest."""
        return self.freshness.age

    @property
    def is_stale(self) -> bool:
        """Whether the map's publisher has not been heard of for too long."""
        return self.freshness.is_stale


class RoutingMap:
    """One version of a map, open. Threads may share it; it stays what it is while its folder is updated.

    A chunk is held to its hash before it answers for the first time.
    """

    def __init__(self, pack: Pack, current: Current, clock: Clock = time.time) -> None:
        """Answer from an open version."""
        self.manifest: Manifest = pack.manifest
        self.freshness = Freshness(pack.manifest.version, current.as_of, current.expires, clock)
        self._slices = list(pack.slices())
        self._lows = [entry.lead.low for entry, _ in self._slices]
        self._chunks: list[Chunk | None] = [None] * len(self._slices)
        self._answers: Mapping[int, Resolution] = {
            number: Resolution(service, self.freshness) for number, service in pack.manifest.services.items()
        }

    @classmethod
    def open(cls, folder: Path, clock: Clock = time.time) -> Self:
        """Open the version in use; raise NoMapError or DamagedMapError."""
        files = MapFolder(folder)
        current = files.current()
        try:
            pack = files.open(current)
        except DamagedMapError:
            again = files.current()  # between the two looks another version may have come into use
            if again.manifest == current.manifest:
                raise
            current, pack = again, files.open(again)
        return cls(pack, current, clock)

    def resolve(self, number: TelephoneNumber) -> Resolution:
        """Return the service that has a number; raise DamagedMapError where its chunk is not what was signed."""
        digits = number.digits
        length = len(digits)
        value = int(digits)
        aligned = value * SCALE[length]
        place = bisect_right(self._lows, aligned) - 1
        chunk = self._chunks[place] or self._chunk(place)
        try:
            return self._answers[chunk.find(length, value, aligned)]
        except (KeyError, MapFormatError) as error:
            raise _damaged(self._slices[place][0]) from error

    def chunk_of(self, lead: LeadingDigits) -> bytes | None:
        """Return the chunk that has all numbers that begin with these digits; None where several share them.

        Raises DamagedMapError where the chunk is not what was signed.
        """
        place = bisect_right(self._lows, lead.low) - 1
        entry, data = self._slices[place]
        if not entry.lead.covers(lead):
            return None
        if self._chunks[place] is None:
            self._chunk(place)
        return bytes(data)

    def damaged(self) -> tuple[ChunkEntry, ...]:
        """Hold all chunks to their hashes, and return those that are not what was signed."""
        return tuple(entry for entry, data in self._slices if not entry.matches(data))

    def _chunk(self, place: int) -> Chunk:
        entry, data = self._slices[place]
        if not entry.matches(data):
            raise _damaged(entry)
        try:
            chunk = Chunk(data)
        except MapFormatError as error:
            raise _damaged(entry) from error
        if chunk.lead != entry.lead:
            raise _damaged(entry)
        self._chunks[place] = chunk
        return chunk


def _damaged(entry: ChunkEntry) -> DamagedMapError:
    return DamagedMapError(
        f"the chunk of the numbers that begin with +{entry.lead.digits} is damaged: "
        "run `answerback directory map update`, which fetches it again"
    )


class LiveMap:
    """The map of a folder, whichever version is in use: a new one is opened when it is there. Threads may share it."""

    def __init__(self, folder: Path, clock: Clock = time.time, every: float = 1.0) -> None:
        """Open the version in use, and look for another after `every` so many seconds.

        Raises NoMapError or DamagedMapError.
        """
        self._files = MapFolder(folder)
        self._clock = clock
        self._every = every
        self._stamp = self._files.stamp()
        self._map = RoutingMap.open(folder, clock)
        self._next_look = clock() + every

    def newest(self) -> RoutingMap:
        """Return the newest version that can be opened."""
        now = self._clock()
        if now < self._next_look <= now + self._every:
            return self._map
        self._next_look = now + self._every
        stamp = self._files.stamp()
        if stamp != self._stamp:
            try:
                self._map = RoutingMap.open(self._files.path, self._clock)
                self._stamp = stamp
            except (NoMapError, DamagedMapError) as error:
                _log.warning("the map is not read anew: %s", error)
        return self._map
