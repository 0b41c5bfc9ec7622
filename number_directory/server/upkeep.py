"""The worker: it sequences the record log, follows feeds and revocation lists, and forgets what has served.

One worker is at work on a database at a time. Another one stands by, and takes its place when it ends.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from number_directory.server.app import create_directory
from number_directory.server.config import DirectoryConfig
from number_directory.server.directory import Directory
from number_directory.server.errors import HistoryError, ServingError
from number_directory.server.forgetting import Forgetter
from number_directory.server.hidden_upkeep import HiddenKeeper
from number_directory.server.number_events import JsonLinesFeed, follow
from number_directory.server.record_log import WITNESS_NAME, Sequencer
from number_directory.server.revocation import Settled, Sparing, end_revoked
from number_directory.server.storage import Storage
from number_directory.server.unadmitted import AdmissionKeeper
from serving.log import facts
from transparency.signed_note import Ed25519Signer
from trust_store import TrustHome
from trust_store.fetching import fetch
from trust_store.revocation_lists import Fetch, RevocationLists

_log = logging.getLogger(__name__)

Job = tuple[str, Callable[[], object]]

HOUSE_SECONDS = 60.0
"""How often the house is looked after; revocation lists are asked for when they are due."""
HIDDEN_SECONDS = 1.0
"""How often the labels of numbers that were opened to anyone are made."""
STAND_BY_SECONDS = 2.0
"""How often a worker that stands by looks whether the other is still there."""

_TURNS_OF_THE_HOUSE = int(HOUSE_SECONDS / HIDDEN_SECONDS)
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


def run_worker(
    config: DirectoryConfig, stop: threading.Event, *, announce: Callable[[], object] = lambda: None
) -> None:
    """Work until `stop` is set, then finish what is under way. Call it after a fork.

    Raises a ServingError that says what to mend, HistoryError where a person must look.
    """
    directory = create_directory(config)
    try:
        announce()
        while not stop.is_set():
            with directory.storage.working() as held:
                if held:
                    _work(directory, stop)
                    return
            stop.wait(STAND_BY_SECONDS)
    finally:
        directory.close()


def create_sequencer(directory: Directory) -> Sequencer:
    """Return the sequencer of a directory's record log."""
    return sequencer_of(directory.config, directory.storage, directory.signer)


def sequencer_of(config: DirectoryConfig, storage: Storage, signer: Ed25519Signer) -> Sequencer:
    """Return the sequencer of the record log in a database."""
    return Sequencer(storage, signer, config.folder / WITNESS_NAME, config.record_log.largest_pool)


def _work(directory: Directory, stop: threading.Event) -> None:
    sequencer = create_sequencer(directory)
    sequencer.recover()
    house = House(directory)
    beside = [
        threading.Thread(target=_keep_up, args=(jobs, stop), name=name)
        for name, jobs in (("house", house.jobs()), ("revocation", house.asking_jobs()))
    ]
    for thread in beside:
        thread.start()
    hidden = threading.Thread(target=_keep_hidden, args=(directory, stop), name="hidden")
    hidden.start()
    try:
        _sequence(sequencer, directory.config.record_log.pool_milliseconds / 1000, stop)
    finally:
        stop.set()
        for thread in (*beside, hidden):
            thread.join()


def _sequence(sequencer: Sequencer, period: float, stop: threading.Event) -> None:
    """Sequence pools at a steady pace; what may pass by itself is tried again ever more slowly."""
    due, pause = time.monotonic(), 0.0
    while True:
        due = max(due + period, time.monotonic() + pause)
        if stop.wait(due - time.monotonic()):
            return
        try:
            sequencer.step()
            pause = 0.0
        except HistoryError:
            raise
        except ServingError as error:
            pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * pause))
            _log.error("nothing_sequenced", extra=facts(reason=str(error), seconds=int(pause)))


@dataclass(frozen=True)
class House:
    """What a worker does beside sequencing, each a job of its own, so that one that fails keeps no other waiting."""

    directory: Directory
    fetch: Fetch = fetch

    def jobs(self) -> list[Job]:
        """Return the jobs, by name."""
        config = self.directory.config
        feeds = [JsonLinesFeed(one.name, one.file) for one in config.number_events]
        return [
            *((f"events:{feed.name}", lambda feed=feed: follow(self.directory, feed)) for feed in feeds),
            ("admission", AdmissionKeeper(self.directory).follow),
            ("forgetting", Forgetter(self.directory).turn),
        ]

    def asking_jobs(self) -> list[Job]:
        """Return the jobs that ask others, who may take their time: they keep no port or reassignment waiting."""
        folder = TrustHome.beside(self.directory.config.admission).revocation_lists
        lists, settled = RevocationLists(folder, Sparing(self.fetch)), Settled()
        return [("revocation", lambda: end_revoked(self.directory, lists, settled))]


def _keep_up(jobs: Sequence[Job], stop: threading.Event) -> None:
    wait = 0.0
    while not stop.wait(wait):
        wait = HOUSE_SECONDS
        for name, job in jobs:
            _do(name, job)


def _do(name: str, job: Callable[[], object]) -> None:
    try:
        job()
    except ServingError as error:
        _log.error("upkeep_failed", extra=facts(job=name, reason=str(error)))
    except Exception:  # noqa: BLE001 - the next turn comes: without this thread revoked records would stay
        _log.exception("upkeep_failed", extra=facts(job=name))


def _keep_hidden(directory: Directory, stop: threading.Event) -> None:
    """Make labels soon after numbers are opened, where hidden numbers are offered."""
    if directory.hidden is None:
        return
    keeper = HiddenKeeper(directory, directory.hidden)
    for turn in itertools.count():
        _do("hidden", keeper.fill)
        if turn % _TURNS_OF_THE_HOUSE == 0:
            _do("hidden:ended", keeper.forget_ended)
            _do("hidden:buckets", keeper.lay_out)
        if stop.wait(HIDDEN_SECONDS):
            return
