"""A program at work in one process: the web's threads, and a thread for each helper. It is for the smallest machines.

Nothing watches over it: what ends the process ends all of it, and the operator's own supervisor starts it again.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from serving.deadlines import web_worker
from serving.errors import ServingError
from serving.gunicorn import Announce, GunicornSettings, WebProgram, listen
from serving.log import facts
from serving.processes import LONGEST_PAUSE, SHORTEST_PAUSE, STEADY_SECONDS, Helper
from serving.tls import tls_context

_log = logging.getLogger(__name__)


def serve_alone(program: WebProgram, announce: Announce) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code. Call it in the main thread.

    Raises a ServingError, before anything is served, where settings, keys, database or address cannot be used.
    """
    if program.server.tls is not None:
        tls_context(program.server.tls)
    app = program.create_app()
    server = GunicornSettings(replace(program, create_app=lambda: app), listen(program.server), announce)
    with socket.socket(fileno=server.descriptor) as listener:
        worker = _worker(program.longest_seconds, [Companion(helper) for helper in program.helpers])
        worker(1, 0, [listener], server, 0, server.cfg, server.cfg.logger_class(server.cfg)).init_process()
    return 0


def _worker(longest: float, companions: Sequence[Companion]) -> type[Any]:
    """Return gunicorn's threads, which have no arbiter here, and run beside the helpers."""

    class LoneWorker(web_worker(longest)):  # type: ignore[misc]  # gunicorn is untyped
        """Gunicorn's worker, in the one process that there is."""

        def is_parent_alive(self) -> bool:
            """Go on whoever started it ends: that is no arbiter."""
            return True

        def handle_quit(self, number: int, frame: object) -> None:
            """Take SIGINT and SIGQUIT for what SIGTERM is: the helpers want to finish what is under way."""
            self.handle_exit(number, frame)

        def run(self) -> None:
            """Serve while the helpers work."""
            for companion in companions:
                companion.start()
            try:
                super().run()
            finally:
                for companion in companions:
                    companion.stop()
                for companion in companions:
                    companion.join()

    return LoneWorker


class Companion(threading.Thread):
    """A thread that runs a helper until it is stopped, and again, after pauses that grow, where that ends before."""

    def __init__(self, helper: Helper) -> None:
        """Remember what to run."""
        super().__init__(name=helper.name)
        self._helper = helper
        self._stopped = threading.Event()
        self._told = threading.Event()

    def stop(self) -> None:
        """Tell it to finish what is under way; `join` waits for that."""
        self._stopped.set()
        self._told.set()

    def run(self) -> None:
        """Run the helper, each time with an event of its own: some set theirs when they end."""
        pause = 0.0
        while not self._stopped.wait(pause):
            began, self._told = time.monotonic(), threading.Event()
            if self._stopped.is_set():
                return
            self._run_once()
            is_steady = time.monotonic() - began >= STEADY_SECONDS
            pause = SHORTEST_PAUSE if is_steady else min(LONGEST_PAUSE, max(SHORTEST_PAUSE, 2 * pause))

    def _run_once(self) -> None:
        try:
            self._helper.run(self._told)
        except ServingError as error:
            _log.error("helper_failed", extra=facts(helper=self.name, reason=str(error)))
        except Exception:  # noqa: BLE001  # the others work on, and it is started again
            _log.exception("process_failed", extra=facts(process=self.name))
        else:
            if not self._stopped.is_set():
                _log.error("helper_ended", extra=facts(helper=self.name, exit_code=0))
