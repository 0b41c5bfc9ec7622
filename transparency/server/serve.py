"""The log at work: gunicorn's processes for the web and, if asked, one more that sequences.

Nothing is opened before a fork: each process has its own connections and its own threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from serving.errors import ServingError
from transparency.server.app import create_app, create_log
from transparency.server.config import LogConfig, Tls
from transparency.server.errors import ConfigurationError
from transparency.server.sequencing import run_sequencer
from transparency.server.web import WebApp
from transparency.serving import web_worker

_log = logging.getLogger(__name__)

_BACKLOG = 512
_KEEPALIVE_SECONDS = 15
_SLACK_SECONDS = 30
_STEADY_SECONDS = 30.0
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_ENDING = (signal.SIGTERM, signal.SIGINT)
_WATCHED = (*_ENDING, signal.SIGHUP, signal.SIGCHLD)
_EXIT_OF_FAILURE = 1
_PR_SET_PDEATHSIG = 1

Announce = Callable[[str], None]
"""Told the URL at which the server listens, once it does."""


def serve(config: LogConfig, announce: Announce, *, with_sequencer: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises a ServingError, before anything is served, where the settings, a key or the address cannot be used.
    """
    configure_logging(config.logging.level)
    if config.server.tls is not None:
        _tls_context(config.server.tls)
    _try_in_child(config)
    listener = _listen(config)
    if not with_sequencer:
        return _serve_web(config, listener, announce)
    return _serve_both(config, listener, announce)


def sequence(config: LogConfig, announce: Callable[[], None]) -> None:
    """Sequence until SIGTERM or SIGINT; raise a ServingError where that cannot be, or must not go on."""
    configure_logging(config.logging.level)
    stop = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in _ENDING:
        signal.signal(number, handle)
    log = create_log(config)
    try:
        announce()
        run_sequencer(log, stop)
    finally:
        log.storage.close()


def configure_logging(level: str) -> None:
    """Send this process's log to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


class _JsonLines(logging.Formatter):
    """One JSON object a line. Of an exception, type and place: a foreign message may hold what nobody should read."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            own = f": {error}" if isinstance(error, ServingError) else ""
            line["error"] = f"{type(error).__module__}.{type(error).__qualname__}{own} at {_place_of(error)}"
        return json.dumps(line, ensure_ascii=False)


def _place_of(error: BaseException) -> str:
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(places))


def _listen(config: LogConfig) -> socket.socket:
    host, port = config.server.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        reason = "is in use by another program; stop that, or choose another port" if in_use else error.strerror
        msg = f"server.bind: {config.server.bind}: {reason}"
        raise ConfigurationError(msg) from error


def _try_in_child(config: LogConfig) -> None:
    """Find now what would stop each process after its start; no connection may be open when those fork."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            create_log(config)
        except ServingError as error:
            said = str(error)
        except BaseException as error:  # noqa: BLE001 - nothing may run on in a copy of the parent
            said = f"the log cannot be opened: {type(error).__name__}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    if said:
        raise ConfigurationError(said)


# The web


def _serve_web(config: LogConfig, listener: socket.socket, announce: Announce) -> int:
    arbiter = os.getpid()
    try:
        _Gunicorn(config, listener, announce).run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if os.getpid() != arbiter:  # a process that gunicorn forked ends here, and not in what called the arbiter
            sys.stderr.flush()
            os._exit(code)
        return code
    return 0


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn, set up by our settings alone."""

    def __init__(self, config: LogConfig, listener: socket.socket, announce: Announce) -> None:
        scheme = "http" if config.server.tls is None else "https"
        host, port = listener.getsockname()[:2]
        self._url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        self._config = config
        self._descriptor = listener.detach()  # gunicorn closes it
        self._announce = announce
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn asks for. A submission may hold its thread as long as it waits for its place."""
        server = self._config.server
        settings: dict[str, Any] = {
            "bind": f"fd://{self._descriptor}",
            "backlog": _BACKLOG,
            "worker_class": web_worker(self._config.sequencing.wait_seconds + _SLACK_SECONDS),
            "workers": server.workers,
            "threads": server.threads,
            "timeout": self._config.sequencing.wait_seconds + _SLACK_SECONDS,
            "graceful_timeout": server.graceful_seconds,
            "keepalive": _KEEPALIVE_SECONDS,
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "control_socket_disable": True,
            "logger_class": _GunicornLog,
            "loglevel": "debug" if self._config.logging.level == "debug" else "warning",
            "proc_name": "answerback-log",
            "post_worker_init": self._tell_first,
        }
        if server.tls is not None:
            settings |= {
                "certfile": str(server.tls.certificate),
                "keyfile": str(server.tls.key),
                "ssl_context": _RenewedTls(server.tls),
            }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> WebApp:
        """Build the application; gunicorn calls this in each process, after the fork."""
        try:
            return create_app(self._config)
        except ServingError as error:
            raise AppImportError(str(error)) from error

    def _tell_first(self, worker: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
        """Announce the server once the first of its processes can answer."""
        if worker.age == 1:
            self._announce(self._url)


class _GunicornLog(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn's own messages, in the form of our log."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
        """Leave the handlers to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


class _RenewedTls:
    """Gives each connection the context of the certificate that the files hold now: a renewed one needs no restart."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._known: tuple[tuple[int, ...], ssl.SSLContext] | None = None

    def __call__(self, _settings: object, _default: object) -> ssl.SSLContext:
        """Return the context; while the files are being replaced, and do not match, the old one."""
        files = (self._tls.certificate, self._tls.key)
        stamp = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
        if self._known is None or self._known[0] != stamp:
            try:
                self._known = stamp, _tls_context(self._tls)
            except ConfigurationError as error:
                if self._known is None:
                    raise
                _log.error("the TLS certificate is not renewed: %s", error)
        return self._known[1]


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: b"")  # an encrypted key: nobody to ask
    except (OSError, ValueError) as error:
        msg = f"server.tls: {tls.certificate} and {tls.key} cannot be used: {getattr(error, 'strerror', None) or error}"
        raise ConfigurationError(msg) from error
    return context


# The web and the sequencer


def _serve_both(config: LogConfig, listener: socket.socket, announce: Announce) -> int:
    """Run both as children. A sequencer that ends is started again; the web's end is everybody's."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        web = _fork(lambda: _serve_web(config, listener, announce))
        listener.close()
        return _Supervisor(web, lambda: _sequence(config)).run()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)


def _sequence(config: LogConfig) -> int:
    try:
        sequence(config, lambda: None)
    except ServingError as error:
        _log.critical("the sequencer has stopped: %s", error)
        return _EXIT_OF_FAILURE
    return 0


class _Supervisor:
    """Waits for signals and for the end of its children; starts the sequencer again, ever more slowly if it fails."""

    def __init__(self, web: int, run_sequencer: Callable[[], int]) -> None:
        self._web = web
        self._run_sequencer = run_sequencer
        self._sequencer = 0
        self._pause = 0.0
        self._start_at = 0.0
        self._started_at = 0.0
        self._code = 0

    def run(self) -> int:
        """Return the web's exit code once both have ended."""
        ending = False
        while self._web or self._sequencer:
            if self._web and not self._sequencer and not ending and time.monotonic() >= self._start_at:
                self._started_at = time.monotonic()
                self._sequencer = _fork(self._run_sequencer)
            received = signal.sigtimedwait(_WATCHED, 0.5 if not self._sequencer and not ending else 5.0)
            number = None if received is None else received.si_signo
            if number == signal.SIGHUP and self._web:
                os.kill(self._web, signal.SIGHUP)
            self._reap()
            if number in _ENDING or not self._web:
                ending = True
                for child in filter(None, (self._web, self._sequencer)):
                    os.kill(child, signal.SIGTERM)
        return self._code

    def _reap(self) -> None:
        if self._web and (code := _ended(self._web)) is not None:
            self._web, self._code = 0, code
        if self._sequencer and _ended(self._sequencer) is not None:
            self._sequencer = 0
            steady = time.monotonic() - self._started_at >= _STEADY_SECONDS
            self._pause = _SHORTEST_PAUSE if steady else min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, 2 * self._pause))
            self._start_at = time.monotonic() + self._pause


def _fork(run: Callable[[], int]) -> int:
    """Run a function in a child, whose exit code is its result, and which never returns into the parent's copy."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = _EXIT_OF_FAILURE
    try:
        for number in _WATCHED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        _end_with(parent)
        code = run()
    except Exception:  # noqa: BLE001 - the parent sees the exit code
        _log.exception("a process of the log failed")
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _ended(child: int) -> int | None:
    """Return a child's exit code, None while it lives."""
    pid, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _end_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent dies; where it cannot (not Linux), the operator must."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(_EXIT_OF_FAILURE)
