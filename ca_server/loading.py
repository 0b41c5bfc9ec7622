"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from ca_server.config import Config, Keys
from ca_server.errors import ConfigurationError
from ca_server.logs.known_log import operator_key
from ca_server.sms.routing import Routes
from ca_server.validation.message import check_message
from policies.errors import PolicyFileError
from policies.loading import load_toml
from policies.numbering_plan import has_plan
from serving.settings import DATABASES, is_loopback, resolved_database

_WIDEST_NETWORK = 7
"""The prefix length of fc00::/7, the widest network that somebody's own proxies can stand in."""
_USUAL_PORTS = {"http": 80, "https": 443}

T = TypeVar("T")
R = TypeVar("R")


def load_config(path: Path) -> Config:
    """Read and check the settings of one authority; relative paths become absolute, starting from the file's folder.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    try:
        config = _resolve(load_toml(path, Config), path.absolute().parent)
    except PolicyFileError as error:
        raise ConfigurationError(str(error)) from error
    try:
        check_config(config)
    except ConfigurationError as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from error
    return config


def check_config(config: Config) -> None:
    """Raise ConfigurationError where two settings contradict each other, or one cannot work."""
    for check in _CHECKS:
        check(config)


def _resolve(config: Config, folder: Path) -> Config:
    base = folder / config.folder
    tls = config.server.tls
    return msgspec.structs.replace(
        config,
        folder=base,
        authority=msgspec.structs.replace(
            config.authority,
            certificate=base / config.authority.certificate,
            chain=tuple(base / path for path in config.authority.chain),
        ),
        server=msgspec.structs.replace(config.server, tls=tls and tls.resolved(base)),
        keys=_resolve_keys(config.keys, base),
        database=resolved_database(config.database, base),
        logs=tuple(msgspec.structs.replace(log, description=base / log.description) for log in config.logs),
    )


def _resolve_keys(keys: Keys, base: Path) -> Keys:
    passphrase = keys.passphrase_file
    return msgspec.structs.replace(
        keys, directory=base / keys.directory, passphrase_file=passphrase and base / passphrase
    )


def _check_public_url(config: Config) -> None:
    """Hold the URL to one spelling, because it stands in signed requests and in certificates (RFC 8555 §6.4)."""
    parts = _read("public_url", urlsplit, config.public_url)
    port = _read("public_url", lambda url: url.port, parts)
    host = parts.hostname or ""
    if parts.username is not None or not _is_host_name(host):
        _fail("public_url", "this is not the URL of a host; write it as https://ca.example or https://ca.example:8443")
    plain = _canonical(parts, port)
    if config.public_url != plain:
        _fail("public_url", f"write it in its plain form, {plain}: it is compared letter by letter")
    if parts.scheme == "http" and not is_loopback(host):
        _fail("public_url", f"http is for a host on this machine only; write https://{parts.netloc}")


def _canonical(parts: SplitResult, port: int | None) -> str:
    host = (parts.hostname or "").removesuffix(".")
    host = f"[{host}]" if ":" in host else host
    is_usual = port is None or port == _USUAL_PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if is_usual else f"{parts.scheme}://{host}:{port}"


def _is_host_name(host: str) -> bool:
    """Tell whether this is an address or a domain name as it travels: letters, digits and hyphens between dots."""
    try:
        ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        return all(
            label.isascii() and label.replace("-", "").isalnum() and label.strip("-") == label for label in labels
        )
    return True


def _check_transport(config: Config) -> None:
    """Ask for TLS wherever a request could be read or changed on its way."""
    address = _read("server.bind", lambda server: server.address, config.server)
    for proxy in config.server.trusted_proxies:
        if _read("server.trusted_proxies", ip_network, proxy).prefixlen < _WIDEST_NETWORK:
            _fail(
                "server.trusted_proxies",
                f"{proxy} is no proxy but half the world, which may then speak plain HTTP and make up its addresses; "
                "name the proxy's own address or network",
            )
    has_tls, has_proxy = config.server.tls is not None, bool(config.server.trusted_proxies)
    is_https = config.public_url.startswith("https:")
    if has_tls and not is_https:
        _fail("public_url", "the server speaks TLS (server.tls); write the URL with https")
    if not has_tls and not has_proxy and not address.is_loopback:
        _fail(
            "server.bind",
            f"plain HTTP is served on this machine only, and {config.server.bind} is open to others; set server.tls, "
            "or server.trusted_proxies to the proxy in front, or bind 127.0.0.1",
        )
    if is_https and not has_tls and not has_proxy:
        _fail(
            "server.trusted_proxies",
            "public_url is https and the server has no TLS of its own, so a proxy must stand in front; name its "
            'address, such as ["127.0.0.1"], or set server.tls',
        )


def _check_database(config: Config) -> None:
    if not config.database.startswith(DATABASES):
        _fail("database", "write sqlite:///answerback.db, or postgresql://user@host/name")


def _check_keys(config: Config) -> None:
    keys = config.keys
    if keys.store != "file" and ":" not in keys.store:
        _fail("keys.store", f'there is no store {keys.store!r}; write "file", or your own as "module:attribute"')
    if keys.unencrypted and keys.passphrase_file is not None:
        _fail("keys.unencrypted", "a passphrase_file is set too; keep one of the two")


def _check_routes(config: Config) -> None:
    Routes.from_config(config.gateways, config.policy.min_routes)


def _check_logs(config: Config) -> None:
    operators = {operator_key(log.operator) for log in config.logs}
    if len(operators) < config.policy.scts:
        _fail(
            "policy.scts",
            f"it is {config.policy.scts}, and the logs have {len(operators)} distinct operators; "
            "add a [[logs]] table of another operator",
        )


def _check_message(config: Config) -> None:
    check_message(config.authority.name, config.host, config.policy.min_routes)


def _check_policy(config: Config) -> None:
    policy = config.policy
    unknown = [country for country in policy.countries if not has_plan(country)]
    if unknown:
        _fail(
            "policy.countries", f"{unknown[0]} is no country with telephone numbers; write ISO 3166 codes, such as GB"
        )
    if policy.certificate_hours > policy.longest_certificate_hours:
        _fail(
            "policy.certificate_hours", f"write at most longest_certificate_hours, {policy.longest_certificate_hours}"
        )
    if policy.code_seconds > policy.pending_authorization_minutes * 60:
        _fail(
            "policy.code_seconds",
            f"a code cannot outlive its authorization; write at most {policy.pending_authorization_minutes * 60}, "
            "or raise pending_authorization_minutes",
        )


def _check_website(config: Config) -> None:
    if config.website is not None and not config.website.startswith(("https://", "http://")):
        _fail("website", "write a whole URL, beginning with https://")


_CHECKS: tuple[Callable[[Config], None], ...] = (
    _check_public_url,
    _check_transport,
    _check_database,
    _check_keys,
    _check_routes,
    _check_logs,
    _check_message,
    _check_policy,
    _check_website,
)


def _read(key: str, reader: Callable[[T], R], value: T) -> R:
    """Return what a reader makes of a value, its errors told as the key's."""
    try:
        return reader(value)
    except (ConfigurationError, ValueError) as error:
        msg = f"{key}: {str(error).removeprefix(f'{key}: ')}"
        raise ConfigurationError(msg) from error


def _fail(key: str, what: str) -> NoReturn:
    msg = f"{key}: {what}"
    raise ConfigurationError(msg)
