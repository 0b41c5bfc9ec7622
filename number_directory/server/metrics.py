"""What an operator measures. No number, app or address is ever a label or a value.

Someone who walks through numbers shows as new numbers that are asked for and not found, and as refusals by a quota.

Each process counts in a file of its own, which it locks; a process that starts later goes on in the file of one that
ended. So the sums never go back, and any process can tell them.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from number_directory.server.errors import ConfigurationError, RefusalKind
from number_directory.server.number_event import EventKind
from serving.mapping import map_file

CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
FOLDER: Final = "metrics"
"""The folder of the counts, beside the settings."""

_SUFFIX = ".counts"
_COUNT = struct.Struct("<Q")
_OWNER_ONLY, _OWNER_ONLY_FOLDER = 0o600, 0o700
_KINDS = ("signed", "open")
_PAYERS = ("caller", "address")


class _Series(NamedTuple):
    """A counter with one label, all of whose values are known."""

    name: str
    told: str
    label: str
    values: tuple[str, ...]


_ALL = (
    _Series("directory_lookups", "Lookups that were answered", "kind", _KINDS),
    _Series("directory_numbers_asked", "Numbers that lookups asked for", "kind", _KINDS),
    _Series("directory_numbers_found", "Numbers of which the caller was shown something", "kind", _KINDS),
    _Series("directory_new_numbers", "Numbers that were new to who asked, and paid for", "by", _PAYERS),
    _Series("directory_quota_refusals", "Lookups refused by a quota", "by", _PAYERS),
    _Series("directory_statements", "Statements that were accepted", "kind", ("record", "access list", "move")),
    _Series("directory_refusals", "Requests that were refused", "problem", tuple(kind.value for kind in RefusalKind)),
    _Series(
        "directory_ended_records",
        "Records that ended before their time",
        "why",
        ("revoked", *(kind.value for kind in EventKind)),
    ),
    # New ones stand last: each has its place in files that outlive a version.
    _Series("directory_hidden_numbers", "Blinded numbers that were evaluated", "kind", _KINDS),
)
_PLACES = {
    (series.name, value): place
    for place, (series, value) in enumerate((series, value) for series in _ALL for value in series.values)
}
_FILE_BYTES = _COUNT.size * 128


class Metrics:
    """The counts of one directory, over all processes that share its folder. Threads may share it."""

    def __init__(self, folder: Path) -> None:
        """Count in a file of the folder that nobody else counts in; raise ConfigurationError. Call it after a fork."""
        self._folder = folder
        self._lock = threading.Lock()
        try:
            folder.mkdir(mode=_OWNER_ONLY_FOLDER, parents=True, exist_ok=True)
            self._file = _own_file(folder)
            self._counts = map_file(self._file, _FILE_BYTES)
        except OSError as error:
            msg = f"{folder} cannot be used to count in: {error.strerror}"
            raise ConfigurationError(msg) from error

    def looked_up(self, kind: str, asked: int, found: int) -> None:
        """Count a lookup, signed or open."""
        self._add("directory_lookups", kind, 1)
        self._add("directory_numbers_asked", kind, asked)
        self._add("directory_numbers_found", kind, found)

    def evaluated(self, kind: str, count: int) -> None:
        """Count blinded numbers that were evaluated, for a signed question or an open one."""
        self._add("directory_hidden_numbers", kind, count)

    def charged(self, by: str, new: int) -> None:
        """Count numbers that were new to a caller or an address."""
        self._add("directory_new_numbers", by, new)

    def limited(self, by: str) -> None:
        """Count a refusal by the quota of a caller or an address."""
        self._add("directory_quota_refusals", by, 1)

    def accepted(self, kind: str) -> None:
        """Count a statement that was accepted."""
        self._add("directory_statements", kind, 1)

    def refused(self, problem: str) -> None:
        """Count a refusal."""
        self._add("directory_refusals", problem, 1)

    def ended(self, why: str, count: int) -> None:
        """Count records that ended before their time."""
        self._add("directory_ended_records", why, count)

    def expose(self, gauges: Callable[[], dict[str, tuple[str, float]]]) -> bytes:
        """Return all counts as text, with gauges by name: what each says, and its value."""
        registry = CollectorRegistry()
        registry.register(_Collected(self._sums(), gauges()))
        return generate_latest(registry)

    def close(self) -> None:
        """Leave the file to whoever comes next."""
        self._counts.close()
        os.close(self._file)

    def _add(self, series: str, value: str, count: int) -> None:
        if count:
            start = _PLACES[series, value] * _COUNT.size
            with self._lock:
                _COUNT.pack_into(self._counts, start, _COUNT.unpack_from(self._counts, start)[0] + count)

    def _sums(self) -> list[int]:
        sums = [0] * len(_PLACES)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            counts = path.read_bytes().ljust(_FILE_BYTES, b"\0")
            for place in range(len(sums)):
                sums[place] += _COUNT.unpack_from(counts, place * _COUNT.size)[0]
        return sums


def _own_file(folder: Path) -> int:
    """Return a descriptor of the first file that nobody has locked; the lock ends with the process."""
    for number in itertools.count():
        descriptor = os.open(folder / f"{number}{_SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        else:
            return descriptor
    raise AssertionError  # there are infinitely many


class _Collected(Collector):
    def __init__(self, sums: Sequence[int], gauges: dict[str, tuple[str, float]]) -> None:
        self._sums = sums
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Yield each series."""
        for series in _ALL:
            family = CounterMetricFamily(series.name, series.told, labels=[series.label])
            for value in series.values:
                family.add_metric([value], self._sums[_PLACES[series.name, value]])
            yield family
        for name, (meaning, gauge) in self._gauges.items():
            yield GaugeMetricFamily(f"directory_{name}", meaning, gauge)
