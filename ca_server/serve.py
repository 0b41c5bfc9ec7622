"""The authority at work: gunicorn's processes for the web and, if asked, one more for SMS and upkeep."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ca_server.app import create_app
from ca_server.audit import configure_log
from ca_server.config import Config
from ca_server.sms.loading import open_gateways
from ca_server.upkeep import run_worker
from serving import gunicorn
from serving.gunicorn import Announce, WebProgram
from serving.processes import Helper, until_stopped


def serve(config: Config, announce: Announce, *, with_worker: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises a ServingError, before anything is served, where the settings, the key or the address cannot be used.
    """
    configure_log(config.log.level)
    return gunicorn.serve(web_program(config, with_worker=with_worker), announce)


def web_program(config: Config, *, with_worker: bool) -> WebProgram:
    """Return how an authority serves. Raises a ServingError where a gateway cannot be used."""
    open_gateways(config.gateways, config.folder)  # which the worker alone needs, in a process that tells nobody
    worker = Helper("worker", lambda stop: run_worker(config, stop))
    return WebProgram(
        "answerback",
        config.server,
        lambda: create_app(config),
        helpers=(worker,) if with_worker else (),
        # A key of another store may be far away, and whoever signs with it waits.
        takes_turns=config.database.startswith("sqlite:") and config.keys.store == "file",
        debug=config.log.level == "debug",
    )


def work(config: Config, announce: Callable[[], None]) -> None:
    """Send SMS and do the upkeep until SIGTERM or SIGINT."""
    configure_log(config.log.level)

    def run(stop: threading.Event) -> None:
        announce()
        run_worker(config, stop)

    until_stopped(run)
