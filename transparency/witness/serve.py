"""A witness at work: gunicorn with one process, whose threads share one memory."""

from __future__ import annotations

from serving import gunicorn
from serving.gunicorn import Announce, WebProgram
from serving.log import configure_log
from transparency.witness.app import create_app
from transparency.witness.config import WitnessConfig
from transparency.witness.cosigning import open_witness

_LONGEST_REQUEST_SECONDS = 30.0


def serve(config: WitnessConfig, passphrase: bytes | None, announce: Announce) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises ServingError, before anything is served, where the settings, key, memory or address are of no use.
    """
    configure_log(own=("serving", "transparency"))
    program = WebProgram(
        "answerback-witness",
        config.server,
        lambda: create_app(open_witness(config, passphrase)),
        longest_seconds=_LONGEST_REQUEST_SECONDS,
    )
    return gunicorn.serve(program, announce)
