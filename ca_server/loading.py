"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from ca_server.config import Config
from ca_server.errors import ConfigurationError
from ca_server.logs.known_log import operator_key
from ca_server.sms.routing import Routes
from ca_server.validation.message import check_message
from policies.errors import PolicyFileError
from policies.loading import load_toml
from policies.numbering_plan import has_plan
from serving.loading import check_database, check_keys, check_transport, fail, load, read_setting
from serving.settings import is_loopback, resolved_database

C = TypeVar("C", bound=Config)

_USUAL_PORTS = {"http": 80, "https": 443}


def load_config(path: Path) -> Config:
    """Read and check the settings of one authority; relative paths become absolute, starting from the file's folder.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    return load_as(path, Config)


def load_as(path: Path, type_: type[C]) -> C:
    """Do the same with a file that says more: its type derives from `Config`, and resolves its own paths itself."""
    return load(path, lambda path: _read_config(path, type_), _CHECKS)


def check_config(config: Config) -> None:
    """Raise ConfigurationError where two settings contradict each other, or one cannot work."""
    for check in _CHECKS:
        check(config)


def _read_config(path: Path, type_: type[C]) -> C:
    try:
        return _resolve(load_toml(path, type_), path.absolute().parent)
    except PolicyFileError as error:
        raise ConfigurationError(str(error)) from error


def _resolve(config: C, folder: Path) -> C:
    base = folder / config.folder
    return msgspec.structs.replace(
        config,
        folder=base,
        authority=msgspec.structs.replace(
            config.authority,
            certificate=base / config.authority.certificate,
            chain=tuple(base / path for path in config.authority.chain),
            former=tuple(
                msgspec.structs.replace(one, certificate=base / one.certificate) for one in config.authority.former
            ),
        ),
        server=config.server.resolved(base),
        keys=config.keys.resolved(base),
        database=resolved_database(config.database, base),
        logs=tuple(msgspec.structs.replace(log, description=base / log.description) for log in config.logs),
    )


def _check_public_url(config: Config) -> None:
    """Hold the URL to one spelling, because it stands in signed requests and in certificates (RFC 8555 §6.4)."""
    parts = read_setting("public_url", urlsplit, config.public_url)
    port = read_setting("public_url", lambda url: url.port, parts)
    host = parts.hostname or ""
    if parts.username is not None or not _is_host_name(host):
        fail("public_url", "this is not the URL of a host; write it as https://ca.example or https://ca.example:8443")
    plain = _canonical(parts, port)
    if config.public_url != plain:
        fail("public_url", f"write it in its plain form, {plain}: it is compared letter by letter")
    if parts.scheme == "http" and not is_loopback(host):
        fail("public_url", f"http is for a host on this machine only; write https://{parts.netloc}")


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
    check_transport(config.server, config.public_url, "public_url")


def _check_database(config: Config) -> None:
    check_database(config.database, "sqlite:///answerback.db")


def _check_keys(config: Config) -> None:
    keys = config.keys
    if keys.store != "file" and ":" not in keys.store:
        fail("keys.store", f'there is no store {keys.store!r}; write "file", or your own as "module:attribute"')
    check_keys(keys)


def _check_routes(config: Config) -> None:
    Routes.from_config(config.gateways, config.policy.min_routes)


def _check_logs(config: Config) -> None:
    operators = {operator_key(log.operator) for log in config.logs}
    if len(operators) < config.policy.scts:
        fail(
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
        fail("policy.countries", f"{unknown[0]} is no country with telephone numbers; write ISO 3166 codes, such as GB")
    if policy.certificate_hours > policy.longest_certificate_hours:
        fail("policy.certificate_hours", f"write at most longest_certificate_hours, {policy.longest_certificate_hours}")
    if policy.code_seconds > policy.pending_authorization_minutes * 60:
        fail(
            "policy.code_seconds",
            f"a code cannot outlive its authorization; write at most {policy.pending_authorization_minutes * 60}, "
            "or raise pending_authorization_minutes",
        )


def _check_website(config: Config) -> None:
    if config.website is not None and not config.website.startswith(("https://", "http://")):
        fail("website", "write a whole URL, beginning with https://")


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
