"""The service at work: gunicorn's processes for the web, and a process for each program's own work beside it.

Each helper is what its program would run elsewhere, with connections of its own, and is started again when it ends. One
that must stop for a person, such as a record log that has lost a part, so keeps no SMS and no revocation list waiting.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import ca_server.serve
import number_directory.server.serve
import transparency.server.serve
from answerback.rs.app import create_app
from answerback.rs.loading import Settings
from ca_server.audit import configure_log
from serving import gunicorn
from serving.alone import serve_alone
from serving.gunicorn import Announce, WebProgram
from serving.log import LEVELS

_OWN = ("serving", "number_directory", "transparency")


def serve(settings: Settings, announce: Announce, *, alone: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code; with `alone`, in this process and no other.

    Raises a ServingError, before anything is served, where settings, a key or the address cannot be used.
    """
    level = settings.authority.log.level
    configure_log(level)
    for name in _OWN:
        logging.getLogger(name).setLevel(LEVELS[level])
    return (serve_alone if alone else gunicorn.serve)(web_program(settings), announce)


def web_program(settings: Settings) -> WebProgram:
    """Return how the service serves: all programs in each of the web's processes, and their helpers beside them."""
    programs = {
        "authority": ca_server.serve.web_program(settings.authority, with_worker=True),
        "directory": number_directory.server.serve.web_program(settings.directory, with_worker=True),
    }
    if settings.log is not None:
        programs["log"] = transparency.server.serve.web_program(settings.log, with_sequencer=True)
    return WebProgram(
        "answerback-rs",
        settings.authority.server,
        lambda: create_app(settings),
        longest_seconds=max(program.longest_seconds for program in programs.values()),
        helpers=tuple(
            replace(helper, name=f"{name}'s {helper.name}")
            for name, program in programs.items()
            for helper in program.helpers
        ),
        debug=settings.authority.log.level == "debug",
    )
