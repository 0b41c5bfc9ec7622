"""What an operator measures. No number, app or address is ever a label or a value.

Someone who walks through numbers shows as new numbers that are asked for and not found, and as refusals by a quota.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the processes of one server put their counts together; set before this module is imported."""


class Metrics:
    """The counts of one directory, over all processes of the server if `FOLDER_VARIABLE` names a folder."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._registry = CollectorRegistry()
        self._lookups = self._counter("lookups", "Lookups that were answered", "kind")
        self._asked = self._counter("numbers_asked", "Numbers that lookups asked for", "kind")
        self._found = self._counter("numbers_found", "Numbers of which the caller was shown something", "kind")
        self._new = self._counter("new_numbers", "Numbers that were new to who asked, and so were paid for", "by")
        self._limited = self._counter("quota_refusals", "Lookups refused by a quota", "by")
        self._accepted = self._counter("statements", "Statements that were accepted", "kind")
        self._refused = self._counter("refusals", "Requests that were refused, by problem", "problem")
        self._ended = self._counter("ended_records", "Records that ended before their time", "why")

    def _counter(self, name: str, help_: str, label: str) -> Counter:
        return Counter(f"directory_{name}", help_, [label], registry=self._registry)

    def looked_up(self, kind: str, asked: int, found: int) -> None:
        """Count a lookup, signed or open."""
        self._lookups.labels(kind).inc()
        self._asked.labels(kind).inc(asked)
        if found:
            self._found.labels(kind).inc(found)

    def charged(self, by: str, new: int) -> None:
        """Count numbers that were new to a caller or an address."""
        if new:
            self._new.labels(by).inc(new)

    def limited(self, by: str) -> None:
        """Count a refusal by the quota of a caller or an address."""
        self._limited.labels(by).inc()

    def accepted(self, kind: str) -> None:
        """Count a statement that was accepted."""
        self._accepted.labels(kind).inc()

    def refused(self, problem: str) -> None:
        """Count a refusal."""
        self._refused.labels(problem).inc()

    def ended(self, why: str, count: int = 1) -> None:
        """Count records that ended before their time."""
        if count:
            self._ended.labels(why).inc(count)

    def expose(self, gauges: Callable[[], dict[str, tuple[str, float]]]) -> bytes:
        """Return all counts as text, with gauges by name: what each says, and its value."""
        registry = CollectorRegistry()
        registry.register(_Gauges(gauges))
        if os.environ.get(FOLDER_VARIABLE):
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # has no types
            return generate_latest(registry)
        return generate_latest(registry) + generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, gauges: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._gauges = gauges

    def collect(self) -> list[Metric]:
        """Ask for the values now."""
        return [GaugeMetricFamily(f"directory_{name}", text, value) for name, (text, value) in self._gauges().items()]
