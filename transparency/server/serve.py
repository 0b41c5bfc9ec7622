"""The log at work: gunicorn's processes for the web and, if asked, one more that sequences."""

from __future__ import annotations

import threading
from collections.abc import Callable

from serving import gunicorn
from serving.gunicorn import Announce, WebProgram
from serving.log import configure_log
from serving.processes import Helper, until_stopped
from transparency.server.app import create_app, create_log
from transparency.server.config import LogConfig
from transparency.server.sequencing import run_sequencer

_SLACK_SECONDS = 30


def serve(config: LogConfig, announce: Announce, *, with_sequencer: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises a ServingError, before anything is served, where the settings, a key or the address cannot be used.
    """
    _configure_log(config)
    return gunicorn.serve(web_program(config, with_sequencer=with_sequencer), announce)


def web_program(config: LogConfig, *, with_sequencer: bool) -> WebProgram:
    """Return how a log serves. A submission may hold its thread as long as it waits for its place."""
    sequencer = Helper("sequencer", lambda stop: _sequence(config, stop, lambda: None))
    return WebProgram(
        "answerback-log",
        config.server,
        lambda: create_app(config),
        longest_seconds=config.sequencing.wait_seconds + _SLACK_SECONDS,
        helpers=(sequencer,) if with_sequencer else (),
        debug=config.logging.level == "debug",
    )


def sequence(config: LogConfig, announce: Callable[[], None]) -> None:
    """Sequence until SIGTERM or SIGINT; raise a ServingError where that cannot be, or must not go on."""
    _configure_log(config)
    until_stopped(lambda stop: _sequence(config, stop, announce))


def _sequence(config: LogConfig, stop: threading.Event, announce: Callable[[], None]) -> None:
    log = create_log(config)
    try:
        announce()
        run_sequencer(log, stop)
    finally:
        log.storage.close()


def _configure_log(config: LogConfig) -> None:
    configure_log(config.logging.level, own=("serving", "transparency"))
