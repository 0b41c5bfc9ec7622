"""What the routing map costs: ten million exceptions on the disk, a lookup in them, and an update of ten thousand.

The numbers lie in a thousand ranges of ten million each, as mobile networks have them; other rows have them in a single
country's plan, and a hundred times sparser. The update goes over real HTTP, from a publisher's own server to a replica;
every byte of the answers counts, header fields and metadata of The Update Framework too.
"""

from __future__ import annotations

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import ThreadingMixIn
from statistics import median
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bench.table import Row
from number_directory.routing.building import MapBuilder
from number_directory.routing.publisher import MapPublisher, NewMap
from number_directory.routing.replica import MapReplica, Way
from number_directory.routing.routing_map import LiveMap, RoutingMap
from number_directory.routing.web import create_app
from serving.settings import Keys
from stir.telephone_number import TelephoneNumber

EXCEPTIONS = 10_000_000
CHANGES = 10_000
SERVICES = 200
LOOKUPS = 200_000
ROUNDS = 5
TARGET_BYTES = 3.5
TARGET_LOOKUP_US = 2.5
TARGET_MOVED_KB = 100

_NAMELESS = 8 + 2  # a number and a service, written side by side
_COUNTRIES = (("1", 10), ("44", 10), ("49", 10), ("91", 10), ("86", 11), ("55", 11), ("33", 9), ("7", 10), ("234", 10))
_SERVICE = '[[services]]\nname = "rs-{0}.example"\noperator = "Operator {0}"\nurl = "https://rs-{0}.example"\n'


@dataclass(frozen=True)
class Numbers:
    """Where the numbers of a measurement lie."""

    what: str
    ranges: tuple[str, ...]
    free: int

    def draw(self, random_: random.Random) -> str:
        """Return a number."""
        return f"+{random_.choice(self.ranges)}{random_.randrange(10**self.free):0{self.free}}"


def networks(ranges: int) -> tuple[str, ...]:
    """Return so many ranges of ten million numbers each, of networks in several countries; the same each time."""
    random_ = random.Random(ranges)  # noqa: S311  # the same each time
    found: set[str] = set()
    while len(found) < ranges:
        code, digits = random_.choice(_COUNTRIES)
        found.add(code + "".join(random_.choices("23456789", k=digits - 7)))
    return tuple(sorted(found))


def measure(exceptions: int = EXCEPTIONS, changes: int = CHANGES) -> Iterator[Row]:
    """Build a map, ask it, and update a replica of it."""
    worldwide = Numbers("worldwide", networks(1000), 7)
    with tempfile.TemporaryDirectory() as name:
        yield from _map_rows(Path(name), worldwide, exceptions, changes)
    for numbers in (Numbers("one country", networks_of("1", 335), 7), Numbers("sparse", networks(9000), 7)):
        size = size_of(numbers, exceptions // 10 if numbers.what == "sparse" else exceptions)
        what = f"map, {numbers.what}: an exception, on disk"
        yield Row(
            what, "B", size, TARGET_BYTES if numbers.what == "one country" else None, "written plainly", _NAMELESS
        )


def networks_of(code: str, ranges: int) -> tuple[str, ...]:
    """Return so many ranges of ten million numbers each within one country."""
    return tuple(f"{code}{place}" for place in random.Random(1).sample(range(200, 1000), ranges))  # noqa: S311  # as above


def size_of(numbers: Numbers, exceptions: int) -> float:
    """Return how many bytes an exception takes in the chunks of a map."""
    random_ = random.Random(2)  # noqa: S311  # as above
    drawn = {int(numbers.draw(random_)[1:]) for _ in range(exceptions)}
    with tempfile.TemporaryDirectory() as name:
        builder = MapBuilder(Path(name), {"rs-0.example": 0})
        builder.add((number, number % SERVICES) for number in drawn)
        return sum(entry.size for entry, _ in builder.chunks()) / len(drawn)


def _map_rows(folder: Path, numbers: Numbers, exceptions: int, changes: int) -> Iterator[Row]:
    publisher = _publisher(folder / "publisher")
    entries = _entries(folder / "entries.csv", numbers, exceptions)
    reading = _seconds(lambda: _numbers_in(entries))
    building = _seconds(lambda: publisher.build([entries]))
    what = f"map of {exceptions:,}"
    yield Row(f"{what}: built and signed", "s", building, None, "reading the lines", reading)
    with _served(publisher) as url:
        replica = MapReplica.create(folder / "replica", url, publisher.root)
        first = replica.update()
        opened = RoutingMap.open(folder / "replica")
        (file,) = (folder / "replica").glob("*.map")
        count = len(set(_numbers_in(entries)))
        yield Row(
            f"{what}: each, on disk", "B", file.stat().st_size / count, TARGET_BYTES, "written plainly", _NAMELESS
        )
        yield from _lookup_rows(what, opened, numbers, entries)
        changed = _changes(folder / "changes.csv", numbers, entries, changes)
        publisher.change([changed])
        started = time.perf_counter()
        update = replica.update()
        seconds = time.perf_counter() - started
        if update.way is not Way.DELTAS:
            msg = "the bench's update did not come by a delta, so its figures say nothing"
            raise RuntimeError(msg)
        what = f"update of {changes:,} changes"
        yield Row(f"{what}: moved", "kB", update.moved / 1000, TARGET_MOVED_KB, "all of the map", first.moved / 1000)
        yield Row(f"{what}: time", "s", seconds, None, "building anew", building)
        again = replica.update()
        yield Row("update without news: moved", "kB", again.moved / 1000, None, "with them", update.moved / 1000)


def _lookup_rows(what: str, opened: RoutingMap, numbers: Numbers, entries: Path) -> Iterator[Row]:
    """Measure lookups of numbers that are exceptions, and of others, in random order, everything in memory."""
    random_ = random.Random(3)  # noqa: S311  # as above
    known = _numbers_in(entries)
    listed = [TelephoneNumber.parse(number) for number in random_.sample(known, min(LOOKUPS, len(known)))]
    others = [TelephoneNumber.parse(numbers.draw(random_)) for _ in listed]
    table = {int(number.digits): 0 for number in listed}
    plainly = _microseconds(lambda number: table[int(number.digits)], listed)
    for kind, asked in (("listed", listed), ("not listed", others)):
        cost = _microseconds(opened.resolve, asked)
        yield Row(f"{what}: lookup, {kind}", "us", cost, TARGET_LOOKUP_US, f"a dict of {len(listed):,}", plainly)


def _microseconds(resolve: Callable[[TelephoneNumber], object], asked: Sequence[TelephoneNumber]) -> float:
    def work() -> None:
        for number in asked:
            resolve(number)

    work()
    return median(_seconds(work) for _ in range(ROUNDS)) / len(asked) * 1e6


def _publisher(folder: Path) -> MapPublisher:
    MapPublisher.create(folder, NewMap("Bench", keys=Keys(unencrypted=True)))
    settings = folder / "map.toml"
    text = settings.read_text().replace("defaults = []", 'defaults = ["rs-0.example"]')
    settings.write_text(text + "".join(_SERVICE.format(place) for place in range(SERVICES)))
    return MapPublisher(folder)


def _entries(path: Path, numbers: Numbers, exceptions: int) -> Path:
    random_ = random.Random(4)  # noqa: S311  # as above
    with path.open("w") as file:
        file.writelines(f"+{code}*,rs-{place}.example\n" for place, (code, _) in enumerate(_COUNTRIES))
        for _ in range(exceptions):
            number = numbers.draw(random_)
            file.write(f"{number},rs-{int(number[1:]) % SERVICES}.example\n")
    return path


def _changes(path: Path, numbers: Numbers, entries: Path, count: int) -> Path:
    """Write changes: half of them move exceptions, a quarter end some, a quarter make new ones."""
    random_ = random.Random(5)  # noqa: S311  # as above
    known = _numbers_in(entries)
    known = random_.sample(known, min(len(known), count * 3 // 4))
    changed: dict[str, str] = {}
    for place, number in enumerate(known):
        changed[number] = "-" if place % 3 == 0 else f"rs-{random_.randrange(SERVICES)}.example"
    while len(changed) < count:
        changed[numbers.draw(random_)] = f"rs-{random_.randrange(SERVICES)}.example"
    path.write_text("".join(f"{number},{service}\n" for number, service in changed.items()))
    return path


def _numbers_in(entries: Path) -> list[str]:
    """Return the numbers that are listed."""
    with entries.open() as file:
        return [line.partition(",")[0] for line in file if "*" not in line]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing: the table is what is shown."""


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def _served(publisher: MapPublisher) -> Iterator[str]:
    """Hand out a publisher's files over HTTP on this machine."""
    app = create_app(LiveMap(publisher.map_folder), publisher.public)
    with make_server("127.0.0.1", 0, app, _Threads, _Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row), flush=True)  # noqa: T201
