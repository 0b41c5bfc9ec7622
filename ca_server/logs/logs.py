"""Asking logs: several of distinct operators at once, others where one fails or dawdles, never longer than allowed.

The log that failed last is asked last, so that one dead log costs a moment and not every certificate its deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

import structlog

from ca_server.audit import Decision, record
from ca_server.config import Logging
from ca_server.logs.judging import judge, malformed
from ca_server.logs.known_log import KnownLog, Lie, Precertified, SubmissionError, Timestamp
from serving.log import describe
from transparency.errors import TransparencyError
from transparency.log_description import ShardDescription
from transparency.sct import SignedCertificateTimestamp

_log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

HEDGE = 0.2
"""The part of a deadline after which a log that has not answered no longer keeps another from being asked."""
COOL_DOWN_SECONDS = 30.0
"""How long a log that failed is asked after all others."""


class Keeper(Protocol):
    """Whoever wants timestamps, and keeps what comes of asking. Called by one thread, the one that collects."""

    def operators(self) -> frozenset[str]:
        """Return the keys of the operators whose timestamps are there already."""
        ...

    def missing(self) -> int:
        """Return how many more timestamps are needed; each is of another operator."""
        ...

    def keep(self, log: KnownLog, timestamp: Timestamp) -> bool:
        """Keep a timestamp that was checked; False where it proves to be false after all."""
        ...

    def keep_lie(self, lie: Lie) -> None:
        """Keep a false answer."""
        ...


class Logs:
    """The logs of one process, best first. Threads may share it; make it after a fork."""

    def __init__(
        self,
        logs: Sequence[KnownLog] = (),
        settings: Logging | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know the logs, and ask nobody yet."""
        self.known = tuple(logs)
        self.settings = settings or Logging()
        self._clock = clock
        self._lines = {log.name: _Line(self.settings.at_once) for log in self.known}
        self._background = _Background(self.settings.at_once)

    def of(self, log_id: bytes) -> KnownLog | None:
        """Return the log that one of whose shards has this identifier."""
        return next((log for log in self.known if log.description.shard_of(log_id) is not None), None)

    def start(self, work: Callable[[], T], *, patient: bool = False) -> Future[T] | None:
        """Do the work in the background; None where too much is under way, unless `patient`: then wait for a place."""
        return self._background.start(work, patient=patient)

    def collect(self, asked: Precertified, keeper: Keeper, now: Callable[[], datetime]) -> None:
        """Ask logs of operators that the keeper has no timestamp of, until it has enough or the deadline is there."""
        _Collection(self, asked, keeper, now).run()

    def candidates(self, not_after: datetime) -> list[tuple[KnownLog, ShardDescription]]:
        """Return the logs that take certificates with this end, in the order to ask them."""
        at = self._clock()
        in_order = sorted(self.known, key=lambda log: self._lines[log.name].is_cooling(at))
        shards = ((log, log.description.shard_for(not_after)) for log in in_order)
        return [(log, shard) for log, shard in shards if shard is not None]

    def monotonic(self) -> float:
        """Return the time by which deadlines are kept, in seconds."""
        return self._clock()

    def ask(self, log: KnownLog, asked: Precertified, seconds: float) -> Future[SignedCertificateTimestamp] | None:
        """Ask a log in a thread of its own line; None where its line is full."""
        return self._lines[log.name].submit(lambda: log.client.add_pre_chain(asked.chain, seconds))

    def note(self, log: KnownLog, *, failed: bool) -> None:
        """Remember whether the log answered as it should."""
        self._lines[log.name].failed_at = self._clock() if failed else None


class _Line:
    """The threads that wait for one log: so many, that a log which hangs takes none from another."""

    def __init__(self, at_once: int) -> None:
        self.failed_at: float | None = None
        self._free = threading.BoundedSemaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="log")

    def is_cooling(self, at: float) -> bool:
        return self.failed_at is not None and at < self.failed_at + COOL_DOWN_SECONDS

    def submit(self, ask: Callable[[], SignedCertificateTimestamp]) -> Future[SignedCertificateTimestamp] | None:
        if not self._free.acquire(blocking=False):
            return None
        future = self._threads.submit(ask)
        future.add_done_callback(lambda _: self._free.release())
        return future


class _Background:
    """The threads in which certificates are brought to logs, so that no client's request is held for them."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="logging")

    def start(self, work: Callable[[], T], *, patient: bool) -> Future[T] | None:
        if not self._free.acquire(blocking=patient):
            return None
        future = self._threads.submit(work)
        future.add_done_callback(self._end)
        return future

    def _end(self, future: Future[T]) -> None:
        """Make room, and tell of an error that perhaps nobody waits for any more."""
        self._free.release()
        error = future.exception()
        if error is not None:
            _log.error("logging_failed", error=describe(error))


@dataclass(slots=True)
class _Question:
    """A log that was asked, and when it is no longer counted on."""

    log: KnownLog
    shard: ShardDescription
    dawdles_at: float


@dataclass(slots=True)
class _Collection:
    """One attempt to bring one precertificate to enough logs."""

    logs: Logs
    asked: Precertified
    keeper: Keeper
    now: Callable[[], datetime]
    _open: dict[Future[SignedCertificateTimestamp], _Question] = field(default_factory=dict)
    _ends: float = 0.0
    _candidates: list[tuple[KnownLog, ShardDescription]] = field(default_factory=list)

    def run(self) -> None:
        """Ask until the keeper has enough, nobody is left to ask, or the deadline is there."""
        self._ends = self.logs.monotonic() + self.logs.settings.deadline_seconds
        self._candidates = self.logs.candidates(self.asked.not_after)
        while self.keeper.missing() > 0:
            self._ask_more()
            at = self.logs.monotonic()
            if not self._open or at >= self._ends:
                break
            done, _ = wait(self._open, max(0.0, self._next_moment(at) - at), FIRST_COMPLETED)
            for future in done:
                self._take(self._open.pop(future), future)
        for question in self._open.values():
            if self.logs.monotonic() >= question.dawdles_at:
                self.logs.note(question.log, failed=True)

    def _ask_more(self) -> None:
        """Have as many logs under way as timestamps are missing, not counting those that dawdle."""
        for log, shard in list(self._candidates):
            if len(list(self._lively())) >= self.keeper.missing():
                return
            if log.operator_key in self._busy_operators():
                continue
            self._candidates.remove((log, shard))
            at = self.logs.monotonic()
            future = self.logs.ask(log, self.asked, max(0.0, self._ends - at))
            if future is not None:
                self._open[future] = _Question(log, shard, at + HEDGE * self.logs.settings.deadline_seconds)

    def _busy_operators(self) -> frozenset[str]:
        """Return the operators not to ask now: we have their timestamp, or are about to."""
        return self.keeper.operators() | {question.log.operator_key for question in self._lively()}

    def _lively(self) -> Iterator[_Question]:
        at = self.logs.monotonic()
        return (question for question in self._open.values() if at < question.dawdles_at)

    def _next_moment(self, at: float) -> float:
        """Return when to look again though nobody answered: once a log dawdles and another could be asked."""
        moments = [question.dawdles_at for question in self._open.values() if question.dawdles_at > at]
        return min([self._ends, *(moments if self._candidates else [])])

    def _take(self, question: _Question, future: Future[SignedCertificateTimestamp]) -> None:
        """Keep what came of one question."""
        log = question.log
        try:
            said = judge(log, question.shard, future.result(), self.asked, self.now())
        except SubmissionError as error:
            record(Decision.LOG_FAILED, log=log.name, operator=log.operator, reason=str(error))
            self.logs.note(log, failed=True)
            return
        except TransparencyError as error:
            said = malformed(log, error)
        is_true = self.keeper.keep(log, said) if isinstance(said, Timestamp) else self._refuse(said)
        self.logs.note(log, failed=not is_true)

    def _refuse(self, lie: Lie) -> bool:
        self.keeper.keep_lie(lie)
        return False
