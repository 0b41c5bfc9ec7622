"""Programs at work: gunicorn's processes for the web, and helpers of the program's own beside them.

Nothing is opened before a fork: each process has its own connections, its own session with a token, its own threads.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from serving.deadlines import web_worker
from serving.errors import ConfigurationError, ServingError
from serving.processes import Child, Helper, in_child, supervise
from serving.settings import Listener
from serving.tls import RenewedTls, tls_context
from serving.turn_worker import turn_worker

_BACKLOG = 512
_HUNG_SECONDS = 60
_KEEPALIVE_SECONDS = 15
_TOLD_TO_WORKERS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

Announce = Callable[[str], None]
"""Told the URL at which a program listens, once it does."""


@dataclass(frozen=True)
class WebProgram:
    """A program that serves.

    `create_app` returns its WSGI application, in each process after the fork, and raises a ServingError that says what
    to mend. No client keeps a thread for more than `longest_seconds` over one request: the default is beyond what
    SQLite's one writer can keep an honest one waiting. `helpers` run beside the web, a process each.

    With `takes_turns`, a process has one thread at work at a time, until that waits (`serving.turns`): for programs
    that wait for a file at most, or say so before. TLS is not served so: there, what came may be half a message.
    """

    name: str
    server: Listener
    create_app: Callable[[], object]
    longest_seconds: float = 30.0
    helpers: tuple[Helper, ...] = ()
    takes_turns: bool = False
    debug: bool = False


def serve(program: WebProgram, announce: Announce) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises a ServingError, before anything is served, where settings, keys, database or address cannot be used: a child
    builds the application once to find out.
    """
    if program.server.tls is not None:
        tls_context(program.server.tls)
    in_child(program.create_app)  # neither a connection nor a session with a token may be forked
    listener = listen(program.server)
    if not program.helpers:
        return _serve_web(program, listener, announce)
    web = Child("web", lambda: _serve_web(program, listener, announce))
    # A helper that kept the socket would let clients connect when the web has ended, and wait for nobody.
    helpers = [Child.helping(helper, listener.close) for helper in program.helpers]
    return supervise(web, helpers, on_start=listener.close)


def listen(server: Listener) -> socket.socket:
    """Return the listening socket; raise ConfigurationError where the address cannot be had."""
    address = server.address
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        listener = socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "is in use by another program; stop that one, or choose another port",
            errno.EACCES: "may not be opened by this user; choose a port above 1023 behind a proxy",
            errno.EADDRNOTAVAIL: "is no address of this machine",
        }
        reason = reasons.get(error.errno or 0, f"cannot be opened: {error.strerror}")
        msg = f"server.bind: {server.bind} {reason}"
        raise ConfigurationError(msg) from error
    # Gunicorn sets this, too, but not for connections that were made before it ran: each answer on those, which goes
    # out in two parts, would wait 40 ms for the client to acknowledge the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _serve_web(program: WebProgram, listener: socket.socket, announce: Announce) -> int:
    arbiter = os.getpid()
    try:
        GunicornSettings(program, listener, announce).run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if os.getpid() != arbiter:  # a process that gunicorn forked ends here, and not in what called the arbiter
            sys.stderr.flush()
            os._exit(code)
        return code
    return 0


class GunicornSettings(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn, set up by our settings alone: no file, environment variable or control socket of its own."""

    def __init__(self, program: WebProgram, listener: socket.socket, announce: Announce) -> None:
        """Take the listening socket over, as `descriptor`."""
        self._program = program
        self._url = _url(program.server, listener)
        self.descriptor = listener.detach()  # gunicorn closes it
        self._announce = announce
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn asks for."""
        program, server = self._program, self._program.server
        settings: dict[str, Any] = {
            "bind": f"fd://{self.descriptor}",
            "backlog": _BACKLOG,
            "worker_class": _worker(program),
            "workers": server.processes,
            "threads": server.threads,
            "timeout": max(_HUNG_SECONDS, int(program.longest_seconds)),
            "graceful_timeout": server.graceful_seconds,
            "keepalive": _KEEPALIVE_SECONDS,
            "forwarded_allow_ips": "",  # the application reads X-Forwarded-For, from trusted proxies only
            "forwarder_headers": "",
            "control_socket_disable": True,
            "logger_class": _GunicornLog,
            "loglevel": "debug" if program.debug else "warning",
            "proc_name": program.name,
            "post_worker_init": self._begun,
        }
        if server.tls is not None:
            settings |= {
                "certfile": str(server.tls.certificate),
                "keyfile": str(server.tls.key),
                "ssl_context": RenewedTls(server.tls),
            }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Run gunicorn until it is stopped."""
        _Arbiter(self).run()

    def load(self) -> object:
        """Build the application; gunicorn calls this in each process, after the fork."""
        try:
            return self._program.create_app()
        except ServingError as error:
            raise AppImportError(str(error)) from error

    def _begun(self, worker: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Let a process hear signals now that it can answer, and announce the server once the first one can."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD_TO_WORKERS)
        if worker.age == 1:
            self._announce(self._url)


def _worker(program: WebProgram) -> type[Any]:
    takes_turns = program.takes_turns and program.server.tls is None
    return (turn_worker if takes_turns else web_worker)(program.longest_seconds)


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn's leading process."""

    def spawn_worker(self) -> int:
        """Fork with signals held back, until the new process has its own way with them.

        One that is told to end before would have passed that over as its parent's, and would be waited for in vain.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _TOLD_TO_WORKERS)
        try:
            pid: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _TOLD_TO_WORKERS)
        return pid


class _GunicornLog(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn's own messages, in the form of our log."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Leave the handlers to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _url(server: Listener, listener: socket.socket) -> str:
    scheme = "http" if server.tls is None else "https"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
