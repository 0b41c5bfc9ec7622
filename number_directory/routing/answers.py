"""What a map server answers, in JSON.

Who asks for a number tells it to the server. Who asks for a prefix instead gets all that the map says of its numbers,
and finds the one that is meant at home: the server learns that it is one of so many.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

import msgspec

from number_directory.routing.chunk import LARGEST_CHUNK, Chunk
from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import SCALE
from number_directory.routing.manifest import ServiceEntry
from number_directory.routing.routing_map import Clock, Freshness, Resolution
from number_directory.routing.services import ResolutionService
from stir.telephone_number import NumberPrefix, TelephoneNumber

MOST_NUMBERS: Final = 20_000
"""That stand in the map by themselves, in the answer for a prefix."""
LARGEST_ANSWER: Final = 2 * LARGEST_CHUNK
"""Bytes."""

_Version = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]


class _ServiceAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    operator: str
    url: str
    description: str | None

    @classmethod
    def of(cls, service: ResolutionService) -> Self:
        """Write a service down."""
        return cls(service.name, service.operator, service.url, service.description)


class NumberAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which service has a number; the number is not repeated. Times are in seconds since 1970, the age in seconds."""

    service: _ServiceAnswer
    version: _Version
    as_of: _Seconds
    expires: _Seconds
    age: _Seconds
    stale: bool

    @classmethod
    def of(cls, resolution: Resolution) -> Self:
        """Write a resolution down."""
        freshness = resolution.freshness
        return cls(
            _ServiceAnswer.of(resolution.service),
            freshness.version,
            freshness.as_of,
            freshness.expires,
            int(freshness.age.total_seconds()),
            freshness.is_stale,
        )

    def resolution(self, clock: Clock) -> Resolution:
        """Read a resolution; raise MapFormatError where the service cannot be one."""
        given = self.service
        service = ResolutionService(given.name, given.operator, given.url, given.description)
        return Resolution(service, Freshness(self.version, self.as_of, self.expires, clock))


class PrefixAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the map says of the numbers with a prefix: `chunk` is one for that prefix, in base64."""

    services: tuple[ServiceEntry, ...]
    chunk: bytes
    version: _Version
    as_of: _Seconds
    expires: _Seconds
    stale: bool

    def resolution(self, prefix: NumberPrefix, number: TelephoneNumber, clock: Clock) -> Resolution:
        """Find a number of the prefix; raise MapFormatError where the answer is for another one, or malformed."""
        chunk, length, value = Chunk(self.chunk), len(number.digits), int(number.digits)
        if chunk.lead.digits != prefix.digits or not prefix.covers(number):
            msg = "the map server has answered for other numbers than those that were asked for"
            raise MapFormatError(msg)
        found = chunk.find(length, value, value * SCALE[length])
        for entry in self.services:
            if entry.number == found:
                return Resolution(entry.service, Freshness(self.version, self.as_of, self.expires, clock))
        msg = "the map server's answer names a service that it does not describe"
        raise MapFormatError(msg)
