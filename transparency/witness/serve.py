"""A witness at work: gunicorn with one process, whose threads share one memory."""

from __future__ import annotations

import logging
import os
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.errors import AppImportError  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from serving.errors import ServingError
from transparency.serving import web_worker
from transparency.witness.app import create_app
from transparency.witness.config import Tls, WitnessConfig
from transparency.witness.cosigning import open_witness
from transparency.witness.errors import ConfigurationError

_BACKLOG = 128
_HUNG_SECONDS = 60
_KEEPALIVE_SECONDS = 15
_LONGEST_REQUEST_SECONDS = 30.0

Announce = Callable[[str], None]
"""Told the URL at which the witness listens, once it does."""


def serve(config: WitnessConfig, passphrase: bytes | None, announce: Announce) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    Raises ServingError, before anything is served, where the settings, key, memory or address are of no use.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    open_witness(config, passphrase).close()
    context = None if config.server.tls is None else _tls_context(config.server.tls)
    arbiter = os.getpid()
    try:
        _Gunicorn(config, passphrase, _listen(config), context, announce).run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if os.getpid() != arbiter:  # a process that gunicorn forked ends here, and not in what called the arbiter
            sys.stderr.flush()
            os._exit(code)
        return code
    return 0


class _Gunicorn(BaseApplication):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn, set up by our settings alone."""

    def __init__(
        self,
        config: WitnessConfig,
        passphrase: bytes | None,
        listener: socket.socket,
        context: ssl.SSLContext | None,
        announce: Announce,
    ) -> None:
        self._config = config
        self._passphrase = passphrase
        self._context = context
        self._url = _url(listener, "http" if context is None else "https")
        self._descriptor = listener.detach()  # gunicorn closes it
        self._announce = announce
        super().__init__()

    def load_config(self) -> None:
        """Set what gunicorn asks for."""
        settings: dict[str, Any] = {
            "bind": f"fd://{self._descriptor}",
            "backlog": _BACKLOG,
            "worker_class": web_worker(_LONGEST_REQUEST_SECONDS),
            "workers": 1,
            "threads": self._config.server.threads,
            "timeout": _HUNG_SECONDS,
            "keepalive": _KEEPALIVE_SECONDS,
            "forwarded_allow_ips": "",
            "forwarder_headers": "",
            "control_socket_disable": True,
            "logger_class": _GunicornLog,
            "loglevel": "warning",
            "proc_name": "answerback",
            "post_worker_init": self._tell_first,
        }
        tls, context = self._config.server.tls, self._context
        if tls is not None:
            settings |= {"certfile": str(tls.certificate), "keyfile": str(tls.key)}
            settings["ssl_context"] = lambda _config, _default: context
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> object:
        """Build the application; gunicorn calls this after the fork, so that no open database is forked."""
        try:
            return create_app(open_witness(self._config, self._passphrase))
        except ServingError as error:
            raise AppImportError(str(error)) from error

    def _tell_first(self, worker: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Announce the witness once it can answer, and not again where gunicorn had to start it anew."""
        if worker.age == 1:
            self._announce(self._url)


class _GunicornLog(Logger):  # type: ignore[misc]  # gunicorn is untyped
    """Gunicorn's own messages, in the form of our log."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401  # gunicorn is untyped
        """Leave the handlers to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _listen(config: WitnessConfig) -> socket.socket:
    host, port = config.server.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        msg = f"server.bind: {config.server.bind} cannot be opened: {error.strerror}; choose another port"
        raise ConfigurationError(msg) from error


def _url(listener: socket.socket, scheme: str) -> str:
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _tls_context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key)
    except (OSError, ValueError) as error:
        msg = f"server.tls: {tls.certificate} and {tls.key} cannot be used: {getattr(error, 'strerror', None) or error}"
        raise ConfigurationError(msg) from error
    return context
