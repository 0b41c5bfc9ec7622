"""The authority at work: gunicorn's processes for the web and, if asked, one more for SMS and upkeep.

Nothing is opened before a fork: each process has its own connections, its own session with a token, its own threads.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import structlog
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from ca_server.app import create_app, create_authority
from ca_server.audit import configure_log
from ca_server.config import Config, Tls
from ca_server.errors import ConfigurationError
from ca_server.processes import Child, in_child, supervise
from ca_server.sms.loading import open_gateways
from ca_server.upkeep import run_worker
from ca_server.web.application import WebApp
from serving.errors import ServingError
from transparency.serving import web_worker

_log = structlog.stdlib.get_logger(__name__)

_BACKLOG = 512
_HUNG_SECONDS = 60
_KEEPALIVE_SECONDS = 15
_LONGEST_REQUEST_SECONDS = 30.0
"""How long a client may hold a thread: beyond what SQLite's one writer can keep an honest one waiting."""

Announce = Callable[[str], None]
"""Told the URL at which the server listens, once it does."""


def serve(config: Config, announce: Announce, *, with_worker: bool = False) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises a ServingError, before anything is served, where the settings, the key or the address cannot be used.
    """
    configure_log(config.log.level)
    _check(config)
    listener = listen(config)
    if with_worker:
        return _serve_with_worker(config, listener, announce)
    return _serve_web(config, listener, announce)


def work(config: Config, announce: Callable[[], None]) -> None:
    """Send SMS and do the upkeep until SIGTERM or SIGINT."""
    configure_log(config.log.level)
    stop = threading.Event()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
    announce()
    run_worker(config, stop)


def listen(config: Config) -> socket.socket:
    """Return the listening socket; raise ConfigurationError where the address cannot be had."""
    address = config.server.address
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "is in use by another program; stop that one, or choose another port",
            errno.EACCES: "may not be opened by this user; choose a port above 1023 behind a proxy",
            errno.EADDRNOTAVAIL: "is no address of this machine",
        }
        reason = reasons.get(error.errno or 0, f"cannot be opened: {error.strerror}")
        msg = f"server.bind: {config.server.bind} {reason}"
        raise ConfigurationError(msg) from error


def _check(config: Config) -> None:
    """Find now what would otherwise stop each process after its start, in lines that nobody asked for."""
    open_gateways(config.gateways, config.folder)
    if config.server.tls is not None:
        _tls_context(config.server.tls)
    in_child(lambda: create_authority(config))  # neither a connection nor a session with a token may be forked


# The web


def _serve_web(config: Config, listener: socket.socket, announce: Announce) -> int:
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
    """Gunicorn, set up by our settings alone: no file, environment variable or control socket of its own."""

    def __init__(self, config: Config, listener: socket.socket, announce: Announce) -> None:
        self._config = config
        self._url = _url(config, listener)
        self._descriptor = listener.detach()  # gunicorn closes it
        self._announce = announce
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn asks for."""
        server = self._config.server
        settings: dict[str, Any] = {
            "bind": f"fd://{self._descriptor}",
            "backlog": _BACKLOG,
            "worker_class": web_worker(_LONGEST_REQUEST_SECONDS),
            "workers": server.workers,
            "threads": server.threads,
            "timeout": _HUNG_SECONDS,
            "graceful_timeout": server.graceful_seconds,
            "keepalive": _KEEPALIVE_SECONDS,
            "forwarded_allow_ips": "",  # the web room reads X-Forwarded-For, from trusted proxies only
            "forwarder_headers": "",
            "control_socket_disable": True,
            "logger_class": _GunicornLog,
            "loglevel": "debug" if self._config.log.level == "debug" else "warning",
            "proc_name": "answerback",
            "post_worker_init": self._tell_first,
        }
        if server.tls is not None:
            context = _RenewedTls(server.tls)
            settings |= {
                "certfile": str(server.tls.certificate),
                "keyfile": str(server.tls.key),
                "ssl_context": context,
            }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> WebApp:
        """Build the application; gunicorn calls this in each process, after the fork."""
        try:
            return create_app(self._config)
        except ServingError as error:
            raise AppImportError(str(error)) from error

    def _tell_first(self, worker: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Announce the server once the first of its processes can answer."""
        if worker.age == 1:
            self._announce(self._url)


class _GunicornLog(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn's own messages, in the form of our log."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Leave the handlers to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _url(config: Config, listener: socket.socket) -> str:
    scheme = "http" if config.server.tls is None else "https"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _RenewedTls:
    """Gives each connection the context of the certificate that the files hold now: a renewed one needs no restart."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamp: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def __call__(self, _settings: object, _default: object) -> ssl.SSLContext:
        with self._lock:
            stamp = tuple(_modified(path) for path in (self._tls.certificate, self._tls.key))
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = self._load(), stamp
            return self._context

    def _load(self) -> ssl.SSLContext:
        """Load the files; while they are being replaced, and do not match, go on with the old context."""
        try:
            return _tls_context(self._tls)
        except ConfigurationError as error:
            if self._context is None:
                raise
            _log.error("tls_certificate_not_renewed", reason=str(error))
            return self._context


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        msg = f"server.tls: {tls.certificate} and {tls.key} cannot be used: {getattr(error, 'strerror', None) or error}"
        raise ConfigurationError(msg) from error
    return context


def _no_password() -> NoReturn:
    msg = "the key is encrypted, and a server cannot be asked for its passphrase"
    raise ValueError(msg)


# The web and the worker


def _serve_with_worker(config: Config, listener: socket.socket, announce: Announce) -> int:
    """Run both as children: start the worker again whenever it ends, and end when the web does."""
    web = Child(lambda: _serve_web(config, listener, announce))
    worker = Child(lambda: _work(config))
    return supervise(web, worker, on_start=listener.close)


def _work(config: Config) -> int:
    try:
        work(config, lambda: None)
    except ServingError as error:
        _log.error("worker_failed", reason=str(error))
        return 1
    return 0
