"""A server's own TLS, whose certificate may be renewed while it serves."""

from __future__ import annotations

import logging
import ssl
import threading
from pathlib import Path
from typing import NoReturn

from serving.errors import ConfigurationError
from serving.log import facts
from serving.settings import Tls

_log = logging.getLogger(__name__)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the context of a server with this certificate; raise ConfigurationError where the files are of no use.

    Nothing older than TLS 1.2 is spoken (RFC 8996).
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except (OSError, ValueError) as error:
        msg = f"server.tls: {tls.certificate} and {tls.key} cannot be used: {getattr(error, 'strerror', None) or error}"
        raise ConfigurationError(msg) from error
    return context


class RenewedTls:
    """Gives each connection the context of the certificate that the files hold now: a renewed one needs no restart."""

    def __init__(self, tls: Tls) -> None:
        """Remember where the files are."""
        self._tls = tls
        self._stamp: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def __call__(self, _settings: object, _default: object) -> ssl.SSLContext:
        """Return the context for a new connection, as gunicorn's `ssl_context` is called."""
        with self._lock:
            stamp = tuple(_modified(path) for path in (self._tls.certificate, self._tls.key))
            if self._context is None or stamp != self._stamp:
                self._context, self._stamp = self._load(), stamp
            return self._context

    def _load(self) -> ssl.SSLContext:
        """Load the files; while they are being replaced, and do not match, go on with the old context."""
        try:
            return tls_context(self._tls)
        except ConfigurationError as error:
            if self._context is None:
                raise
            _log.error("tls_certificate_not_renewed", extra=facts(reason=str(error)))
            return self._context


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _no_password() -> NoReturn:
    msg = "the key is encrypted, and a server cannot be asked for its passphrase"
    raise ValueError(msg)
