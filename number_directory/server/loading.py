"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from number_directory.server.config import DirectoryConfig
from number_directory.server.errors import ConfigurationError
from policies.errors import PolicyFileError
from policies.loading import load_toml
from serving.loading import check_database, check_keys, check_transport, fail, load
from serving.settings import is_loopback, resolved_database
from stir.web_url import is_base_url
from trust_store import TrustStore, TrustStoreError


def load_config(path: Path) -> DirectoryConfig:
    """Read and check the settings of one directory; relative paths become absolute, starting from the file's folder.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    return load(path, _read_config, _CHECKS)


def settle(config: DirectoryConfig, folder: Path) -> DirectoryConfig:
    """Return settings that stand in no file of their own, with absolute paths that start from `folder`.

    Raises ConfigurationError, which names the key, and what to write.
    """
    settled = _resolve(config, folder)
    for check in _CHECKS:
        check(settled)
    return settled


def _read_config(path: Path) -> DirectoryConfig:
    try:
        return _resolve(load_toml(path, DirectoryConfig), path.absolute().parent)
    except PolicyFileError as error:
        raise ConfigurationError(str(error)) from error


def _resolve(config: DirectoryConfig, folder: Path) -> DirectoryConfig:
    base = folder / config.folder
    replace = msgspec.structs.replace
    server, keys, metrics = config.server, config.keys, config.metrics
    return replace(
        config,
        folder=base,
        admission=base / config.admission,
        server=replace(server, tls=server.tls and server.tls.resolved(base)),
        keys=replace(
            keys,
            directory=base / keys.directory,
            passphrase_file=keys.passphrase_file and base / keys.passphrase_file,
        ),
        metrics=replace(metrics, token_file=metrics.token_file and base / metrics.token_file),
        number_events=tuple(replace(one, file=base / one.file) for one in config.number_events),
        database=resolved_database(config.database, base),
    )


def _check_url(config: DirectoryConfig) -> None:
    """Hold the URL to one spelling, because it is the audience of what is signed for the directory."""
    authority, _, _ = config.url.partition("://")[2].partition("/")
    if not is_base_url(config.url) or authority != authority.lower() or "@" in authority:
        fail("url", "write it in lower case and without a slash at the end, such as https://directory.example")
    if config.url.startswith("http:") and not is_loopback(authority.rpartition(":")[0].strip("[]") or authority):
        fail("url", f"http is for a host on this machine only; write https://{config.url.partition('://')[2]}")


def _check_transport(config: DirectoryConfig) -> None:
    check_transport(config.server, config.url, "url")


def _check_places(config: DirectoryConfig) -> None:
    check_database(config.database, "sqlite:///directory.db")
    check_keys(config.keys)
    if (config.metrics.access == "token") != (config.metrics.token_file is not None):
        fail("metrics.token_file", 'name the file of the token where metrics.access = "token", and only there')
    if len({one.name for one in config.number_events}) < len(config.number_events):
        fail("number_events", "two feeds have one name")


def _check_admission(config: DirectoryConfig) -> None:
    try:
        TrustStore.load(config.admission)
    except TrustStoreError as error:
        msg = f"admission: {error}"
        raise ConfigurationError(msg) from error


_CHECKS: tuple[Callable[[DirectoryConfig], None], ...] = (
    _check_url,
    _check_transport,
    _check_places,
    _check_admission,
)
