"""The worker's process: it sends what is queued, and keeps house, which nobody asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import structlog

from ca_server import issuing
from ca_server.app import create_authority, create_worker
from ca_server.config import Config
from ca_server.issuing import CertificateAuthority
from serving.errors import ServingError

_log = structlog.stdlib.get_logger(__name__)

Job = Callable[[CertificateAuthority], object]

PERIOD = timedelta(minutes=1)
"""How often the house is looked after; a CRL is signed only when that is due."""
FORGETTING_PERIOD = timedelta(hours=1)
"""How often orders and authorizations that ended long ago are looked for."""
LOG_PERIOD = timedelta(seconds=5)
"""How often orders that wait for logs are looked for; each is taken up only when it is due."""


def run_worker(config: Config, stop: threading.Event, *, period: timedelta = PERIOD) -> None:
    """Send SMS and keep the authority's house until `stop` is set, then finish what is under way.

    Call it after a fork. Raises a ServingError that says what to mend where the authority cannot be opened.
    """
    ca = create_authority(config)
    worker = create_worker(ca)
    jobs: list[tuple[str, Job, timedelta]] = [
        ("upkeep", issuing.keep_house, period),
        ("forgetting", issuing.forget_ended, FORGETTING_PERIOD),
    ]
    if config.policy.scts:  # a thread of its own: logs that hang must keep no CRL waiting
        jobs.append(("logging", issuing.finish_reserved, LOG_PERIOD))
    threads = [threading.Thread(target=_keep_up, args=(ca, stop, job, every), name=name) for name, job, every in jobs]
    for thread in threads:
        thread.start()
    try:
        worker.run(stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        ca.storage.close()


def _keep_up(ca: CertificateAuthority, stop: threading.Event, job: Job, period: timedelta) -> None:
    wait = 0.0
    while not stop.wait(wait):
        wait = period.total_seconds()
        try:
            job(ca)
        except ServingError as error:
            _log.error("upkeep_failed", error=type(error).__name__)
        except Exception:  # noqa: BLE001  # the next turn comes: a worker that only sends SMS would let CRLs expire
            _log.exception("upkeep_failed")
