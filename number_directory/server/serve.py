"""The directory at work: gunicorn's processes for the web and, if asked, one more that is the worker."""

from __future__ import annotations

from collections.abc import Callable

from number_directory.server.app import create_app
from number_directory.server.config import DirectoryConfig
from number_directory.server.upkeep import run_worker
from serving import gunicorn
from serving.gunicorn import Announce, WebProgram
from serving.log import configure_log
from serving.processes import Helper, until_stopped

_SLACK_SECONDS = 30


def serve(config: DirectoryConfig, announce: Announce, *, with_worker: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises a ServingError, before anything is served, where the settings, a key or the address cannot be used.
    """
    _configure_log(config)
    return gunicorn.serve(web_program(config, with_worker=with_worker), announce)


def web_program(config: DirectoryConfig, *, with_worker: bool) -> WebProgram:
    """Return how a directory serves. A publisher may hold its thread as long as it waits for its receipt."""
    worker = Helper("worker", lambda stop: run_worker(config, stop))
    return WebProgram(
        "answerback-directory",
        config.server,
        lambda: create_app(config),
        longest_seconds=config.record_log.wait_milliseconds / 1000 + _SLACK_SECONDS,
        helpers=(worker,) if with_worker else (),
        takes_turns=config.database.startswith("sqlite:"),
        debug=config.log.level == "debug",
    )


def work(config: DirectoryConfig, announce: Callable[[], None]) -> None:
    """Work until SIGTERM or SIGINT; raise a ServingError where that cannot be, or must not go on."""
    _configure_log(config)
    until_stopped(lambda stop: run_worker(config, stop, announce=announce))


def _configure_log(config: DirectoryConfig) -> None:
    configure_log(config.log.level, own=("serving", "number_directory"))
