"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from serving.errors import ConfigurationError
from serving.settings import DATABASES, Keys, Server

_WIDEST_NETWORK = 7
"""The prefix length of fc00::/7, the widest network that somebody's own proxies can stand in."""

C = TypeVar("C")
T = TypeVar("T")
R = TypeVar("R")


def load(path: Path, read: Callable[[Path], C], checks: Iterable[Callable[[C], None]]) -> C:
    """Return what `read` makes of a file, once each check has passed it.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    config = read(path)
    try:
        for check in checks:
            check(config)
    except ConfigurationError as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from error
    return config


def check_transport(server: Server, url: str, url_key: str) -> None:
    """Ask for TLS wherever a request could be read or changed on its way.

    `url` is where others reach the server, and `url_key` the setting that says so. Raises ConfigurationError.
    """
    address = read_setting("server.bind", lambda server: server.address, server)
    for proxy in server.trusted_proxies:
        if read_setting("server.trusted_proxies", ip_network, proxy).prefixlen < _WIDEST_NETWORK:
            fail(
                "server.trusted_proxies",
                f"{proxy} is no proxy but half the world, which may then speak plain HTTP and make up its addresses; "
                "name the proxy's own address or network",
            )
    has_tls, has_proxy = server.tls is not None, bool(server.trusted_proxies)
    is_https = url.startswith("https:")
    if has_tls and not is_https:
        fail(url_key, "the server speaks TLS (server.tls); write the URL with https")
    if not has_tls and not has_proxy and not address.is_loopback:
        fail(
            "server.bind",
            f"plain HTTP is served on this machine only, and {server.bind} is open to others; set server.tls, "
            "or server.trusted_proxies to the proxy in front, or bind 127.0.0.1",
        )
    if is_https and not has_tls and not has_proxy:
        fail(
            "server.trusted_proxies",
            f"{url_key} is https and the server has no TLS of its own, so a proxy must stand in front; name its "
            'address, such as ["127.0.0.1"], or set server.tls',
        )


def check_database(url: str, example: str) -> None:
    """Raise ConfigurationError for the URL of no database that there is; `example` is one in a file."""
    if not url.startswith(DATABASES):
        fail("database", f"write {example}, or postgresql://user@host/name")


def check_keys(keys: Keys) -> None:
    """Raise ConfigurationError where keys are to be open and under a passphrase at once."""
    if keys.unencrypted and keys.passphrase_file is not None:
        fail("keys.unencrypted", "a passphrase_file is set too; keep one of the two")


def import_named(key: str, name: str) -> Callable[..., Any]:
    """Return an outsider's part, which a setting names as `module:attribute`; raise ConfigurationError."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        fail(key, f"{name!r} cannot be imported: write module:attribute")
    try:
        found: Any = importlib.import_module(module)
        for step in attribute.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        msg = f"{key}: {name!r} cannot be imported: {error}; is its package installed beside answerback?"
        raise ConfigurationError(msg) from error
    if not callable(found):
        fail(key, f"{name!r} is not callable; name a class or a function")
    part: Callable[..., Any] = found
    return part


def read_setting(key: str, reader: Callable[[T], R], value: T) -> R:
    """Return what a reader makes of a value, its errors told as the key's."""
    try:
        return reader(value)
    except (ConfigurationError, ValueError) as error:
        msg = f"{key}: {str(error).removeprefix(f'{key}: ')}"
        raise ConfigurationError(msg) from error


def fail(key: str, what: str) -> NoReturn:
    """Raise the ConfigurationError of a key."""
    msg = f"{key}: {what}"
    raise ConfigurationError(msg)
