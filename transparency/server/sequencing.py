"""The sequencer's process: pools at a steady pace, the label index beside them, and the end of what has expired."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from serving.errors import ServingError
from transparency.server.errors import HistoryError
from transparency.server.index_keeper import IndexKeeper
from transparency.server.log import Log
from transparency.server.sequencer import Sequencer
from transparency.server.witnessing import Witnessing

_log = logging.getLogger(__name__)

_LONGEST_PAUSE = 30.0
_HOUSE_SECONDS = 60.0
_ERASED_AT_ONCE = 1000


def run_sequencer(log: Log, stop: threading.Event) -> None:
    """Sequence all shards until `stop` is set, and finish the pool that is under way.

    Raises StorageError where another sequencer is at work, HistoryError where a person must look. What may pass by
    itself, such as a full disk, is logged, and tried again ever more slowly.
    """
    with log.storage.sequencing():
        paces = [_Pace(Sequencer(log, shard), shard.name) for shard in log.shards.values()]
        for pace in paces:
            pace.recover()
        behind = [threading.Thread(target=_keep_up, args=(log, stop), name="index")]
        if log.witnesses.known:
            behind.append(threading.Thread(target=_keep_cosigned, args=(log, stop), name="witnesses"))
        for thread in behind:
            thread.start()
        try:
            _sequence(paces, log.config.sequencing.pool_milliseconds / 1000, stop)
        finally:
            stop.set()
            for thread in behind:  # the next sequencer must not meet them
                thread.join()


def keep_house(log: Log) -> int:
    """Erase the certificates and openings that expired longer ago than they are kept; return how many."""
    now = log.clock()
    log.storage.entries.drop_expired_queue(now)
    before = now - timedelta(days=log.config.retention.days_after_expiry)
    erased = 0
    while count := log.storage.entries.erase_expired(before, _ERASED_AT_ONCE):
        erased += count
    return erased


class _Pace:
    """One shard's sequencer, and how long it pauses after failures."""

    def __init__(self, sequencer: Sequencer, name: str) -> None:
        self.sequencer = sequencer
        self._name = name
        self._pause = 0.0
        self._next = 0.0

    def recover(self) -> None:
        """Look at what is there, before anything is sequenced; what may pass by itself is tried again by `step`."""
        self._try(self.sequencer.recover)

    def step(self) -> None:
        """Sequence a pool, unless this shard pauses."""
        if time.monotonic() >= self._next:
            self._try(self.sequencer.step)

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except HistoryError:
            raise
        except ServingError as error:
            self._pause = min(_LONGEST_PAUSE, max(1.0, 2 * self._pause))
            self._next = time.monotonic() + self._pause
            _log.error("shard %s: nothing is sequenced for %.0f s: %s", self._name, self._pause, error)
        else:
            self._pause = 0.0


def _sequence(paces: list[_Pace], period: float, stop: threading.Event) -> None:
    due = time.monotonic()
    while True:
        due = max(due + period, time.monotonic())
        if stop.wait(due - time.monotonic()):
            return
        for pace in paces:
            pace.step()


def _keep_cosigned(log: Log, stop: threading.Event) -> None:
    """Have witnesses cosign what is published. What fails here is logged, and the next turn comes."""
    shards = [Witnessing(log, shard) for shard in log.shards.values()]
    while not stop.wait(log.config.witnessing.every_seconds):
        for one in shards:
            try:
                one.step()
            except ServingError as error:
                _log.error("no cosignatures are gathered: %s", error)
            except Exception:  # noqa: BLE001 - as in the thread of the index
                _log.exception("no cosignatures are gathered")


def _keep_up(log: Log, stop: threading.Event) -> None:
    """Keep the label indices and the house. What fails here is logged, and the next turn comes."""
    keepers = [IndexKeeper(log, shard) for shard in log.shards.values()]
    house_at = 0.0
    wait = 0.0
    while not stop.wait(wait):
        wait = log.config.sequencing.index_seconds
        try:
            for keeper in keepers:
                keeper.step()
            if time.monotonic() >= house_at:
                house_at = time.monotonic() + _HOUSE_SECONDS
                keep_house(log)
        except ServingError as error:
            _log.error("the label index or the house is not kept: %s", error)
        except Exception:  # noqa: BLE001 - without this thread nobody would find new entries, and the tree would grow on
            _log.exception("the label index or the house is not kept")
