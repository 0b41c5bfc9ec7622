"""Which service has the numbers that nobody listed: the rules for prefixes, and what stands where there is no rule.

Rules overlap, and the longest prefix wins. Flattened, they are segments: starts in order, each with its service up to
the next start. Every number has a service. Those that no rule covers are given out, by their first three digits, among
the services that take them: a number that is with nobody resolves as others do.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

from number_directory.routing.columns import U16, U64
from number_directory.routing.errors import BuildError
from number_directory.routing.leading_digits import END, LOWEST, SCALE, LeadingDigits
from stir.telephone_number import NumberPrefix

_SPREAD = SCALE[3]  # uncovered numbers are given out by three digits


@dataclass(frozen=True, slots=True)
class Paint:
    """From one aligned value up to another, all numbers that nobody listed have this service now."""

    start: int
    end: int
    service: int


@dataclass(frozen=True)
class Segments:
    """The service of every number that nobody listed: `starts` are aligned and begin with the least."""

    starts: array[int]
    services: array[int]

    def within(self, lead: LeadingDigits) -> Segments:
        """Return those of the numbers that begin with these digits; the first starts with them."""
        first, end = bisect_right(self.starts, lead.low) - 1, bisect_right(self.starts, lead.high - 1)
        starts = self.starts[first:end]
        starts[0] = lead.low
        return Segments(starts, self.services[first:end])

    @staticmethod
    def joined(parts: Iterable[Segments]) -> Segments:
        """Return one of those, in order, of which each begins where the one before ends."""
        return _merged(piece for part in parts for piece in zip(part.starts, part.services, strict=True))

    def painted(self, paints: Sequence[Paint], end: int) -> Segments:
        """Return them with other segments, in order and not overlapping, painted over; all is below `end`."""
        if not paints:
            return self
        edges = {max(paint.start, self.starts[0]) for paint in paints} | {min(paint.end, end) for paint in paints}
        begins = [paint.start for paint in paints]

        def service_at(start: int) -> int:
            place = bisect_right(begins, start) - 1
            if place >= 0 and start < paints[place].end:
                return paints[place].service
            return self.services[bisect_right(self.starts, start) - 1]

        points = sorted(edges.union(self.starts) - {end})
        return _merged((start, service_at(start)) for start in points)

    def paints_to(self, other: Segments, end: int) -> Iterator[Paint]:
        """Yield what makes these segments the other ones; both are for the same numbers, below `end`."""
        begun: Paint | None = None
        points = sorted({*self.starts, *other.starts})
        for start, stop in pairwise([*points, end]):
            service = other.services[bisect_right(other.starts, start) - 1]
            if service == self.services[bisect_right(self.starts, start) - 1]:
                continue
            if begun is not None and (begun.end, begun.service) == (start, service):
                begun = Paint(begun.start, stop, service)
                continue
            if begun is not None:
                yield begun
            begun = Paint(start, stop, service)
        if begun is not None:
            yield begun


def flattened(rules: Mapping[NumberPrefix, int], defaults: Mapping[str, int]) -> Segments:
    """Return the segments of these rules; `defaults` are the services, by name, that take what no rule covers.

    Raises BuildError where numbers would have no service.
    """
    return _merged(_pieces(rules, defaults))


def _pieces(rules: Mapping[NumberPrefix, int], defaults: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """Yield each start and its service, from the least aligned value on."""
    at = LOWEST
    open_rules: list[tuple[int, int]] = []  # the end and the service of each rule that holds here, the longest last

    def up_to(stop: int) -> Iterator[tuple[int, int]]:
        nonlocal at
        while at < stop:
            if not open_rules:
                yield from _given_out(at, stop, defaults)
                at = stop
                return
            end, service = open_rules[-1]
            if at < end:
                yield at, service
                at = min(end, stop)
            if at >= end:
                open_rules.pop()

    for digits, service in sorted((prefix.digits, service) for prefix, service in rules.items()):
        lead = LeadingDigits(digits)
        yield from up_to(lead.low)
        open_rules.append((lead.high, service))
    yield from up_to(END)


def _given_out(start: int, end: int, defaults: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """Yield the segments of numbers that no rule covers."""
    if not defaults:
        msg = (
            f"no prefix covers the numbers from +{str(start).rstrip('0')} on: name the services that take what no "
            "prefix covers, so that every number resolves"
        )
        raise BuildError(msg)
    while start < end:
        group = start // _SPREAD
        yield (
            start,
            defaults[max(defaults, key=lambda name: sha256(f"{group} {name}".encode()).digest())],
        )  # is called at once
        start = (group + 1) * _SPREAD


def _merged(pieces: Iterable[tuple[int, int]]) -> Segments:
    """Return segments of which no two neighbours have the same service."""
    starts, services = array(U64), array(U16)
    for start, service in pieces:
        if not services or services[-1] != service:
            starts.append(start)
            services.append(service)
    return Segments(starts, services)
