"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from policies.errors import PolicyFileError
from policies.loading import load_toml
from serving.settings import DATABASES, is_loopback, resolved_database
from stir.certificate import AuthorityCertificate, read_pem_chain
from stir.errors import CertificateProfileError
from transparency.cosignature import CosignatureVerifier, parse_cosignature_key
from transparency.errors import NoteError
from transparency.server.config import LogConfig, Shard, Witness
from transparency.server.errors import ConfigurationError


def load_config(path: Path) -> LogConfig:
    """Read and check the settings of one log; relative paths become absolute, starting from the file's folder.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    try:
        config = _resolve(load_toml(path, LogConfig), path.absolute().parent)
    except PolicyFileError as error:
        raise ConfigurationError(str(error)) from error
    try:
        check_config(config)
    except ConfigurationError as error:
        msg = f"{path}: {error}"
        raise ConfigurationError(msg) from error
    return config


def check_config(config: LogConfig) -> None:
    """Raise ConfigurationError where two settings contradict each other, or one cannot work."""
    for check in _CHECKS:
        check(config)


def read_admitted(config: LogConfig) -> tuple[x509.Certificate, ...]:
    """Return the certificates of the authorities that may submit; raise ConfigurationError where one is none."""
    return tuple(_read_authority(f"admit[{index}]", path) for index, path in enumerate(config.admit))


def _read_authority(key: str, path: Path) -> x509.Certificate:
    try:
        chain = read_pem_chain(path.read_bytes())
        if len(chain) != 1:
            _fail(key, f"{path} must hold one certificate, and holds {len(chain)}")
        AuthorityCertificate.read(chain[0])
    except OSError as error:
        msg = f"{key}: {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except CertificateProfileError as error:
        msg = f"{key}: {path} is no certificate of an authority: {error}"
        raise ConfigurationError(msg) from error
    return chain[0]


def _resolve(config: LogConfig, folder: Path) -> LogConfig:
    base = folder / config.folder
    replace = msgspec.structs.replace
    server, keys, publishing = config.server, config.keys, config.publishing
    return replace(
        config,
        folder=base,
        admit=tuple(base / path for path in config.admit),
        shards=tuple(_in_utc(shard) for shard in config.shards),
        server=replace(server, tls=server.tls and server.tls.resolved(base)),
        keys=replace(
            keys,
            directory=base / keys.directory,
            passphrase_file=keys.passphrase_file and base / keys.passphrase_file,
        ),
        publishing=replace(publishing, directory=base / publishing.directory, staging=base / publishing.staging),
        database=resolved_database(config.database, base),
    )


def _in_utc(shard: Shard) -> Shard:
    """Return the shard with its dates in UTC; a date without a time zone is meant in UTC."""
    start, limit = (
        date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        for date in (shard.not_after_start, shard.not_after_limit)
    )
    return msgspec.structs.replace(shard, not_after_start=start, not_after_limit=limit)


def _check_urls(config: LogConfig) -> None:
    """Hold the URL to one spelling, because it is the log's name in checkpoints and VRF inputs."""
    for key, url in (("url", config.url), ("monitoring_url", config.read_url)):
        parts = urlsplit(url)
        host = parts.hostname or ""
        if url.endswith("/") or parts.netloc != parts.netloc.lower() or parts.username is not None or not host:
            _fail(key, "write it in lower case and without a slash at the end, such as https://log.example")
        if parts.scheme == "http" and not is_loopback(host):
            _fail(key, f"http is for a host on this machine only; write https://{url.partition('://')[2]}")


def _check_shards(config: LogConfig) -> None:
    if not config.shards:
        _fail("shards", "a log has at least one shard")
    if len({shard.name for shard in config.shards}) < len(config.shards):
        _fail("shards", "two shards have the same name")
    for shard in config.shards:
        if shard.not_after_start >= shard.not_after_limit:
            _fail("shards", f"the dates of shard {shard.name} leave no time between them")
    for earlier, later in pairwise(config.shards):
        if earlier.not_after_limit > later.not_after_start:
            _fail("shards", f"{earlier.name} and {later.name} overlap, or do not stand in the order of their dates")


def _check_transport(config: LogConfig) -> None:
    """Ask for TLS wherever a submission or an owner's request could be read or changed on its way."""
    server = config.server
    for proxy in server.trusted_proxies:
        try:
            ip_network(proxy)
        except ValueError as error:
            msg = f"server.trusted_proxies: {proxy!r} is neither an address nor a network"
            raise ConfigurationError(msg) from error
    if server.tls is not None and not config.url.startswith("https:"):
        _fail("url", "the server speaks TLS (server.tls); write the URL with https")
    if server.tls is None and not server.trusted_proxies and not server.address.is_loopback:
        _fail(
            "server.bind",
            f"plain HTTP is served on this machine only, and {server.bind} is open to others; set server.tls, "
            "or server.trusted_proxies to the proxy in front, or bind 127.0.0.1",
        )
    if server.tls is None and not server.trusted_proxies and config.url.startswith("https:"):
        _fail(
            "server.trusted_proxies",
            "url is https and the server has no TLS of its own, so a proxy must stand in front; name its address, "
            'such as ["127.0.0.1"], or set server.tls',
        )


def _check_places(config: LogConfig) -> None:
    if not config.database.startswith(DATABASES):
        _fail("database", "write sqlite:///log.db, or postgresql://user@host/name")
    if config.publishing.type == "s3" and not config.publishing.bucket:
        _fail("publishing.bucket", "name the bucket that the log's objects go to")
    if config.keys.unencrypted and config.keys.passphrase_file is not None:
        _fail("keys.unencrypted", "a passphrase_file is set too; keep one of the two")


def _check_admitted(config: LogConfig) -> None:
    read_admitted(config)


def _check_witnesses(config: LogConfig) -> None:
    """Hold each witness to keys that can be read, and the quorum to what their operators can reach."""
    names: set[str] = set()
    for index, witness in enumerate(config.witnesses):
        where = f"witnesses[{index}]"
        if witness.url.endswith("/") or (witness.url.startswith("http:") and not is_loopback(_host(witness.url))):
            _fail(f"{where}.url", "write https, and no slash at the end; http is for a host on this machine only")
        found = {key.name for key in read_witness_keys(f"{where}.keys", witness)}
        if len(found) > 1 or found & names:
            _fail(f"{where}.keys", "all keys of one witness have its name, and no other witness has it")
        names |= found
    operators = len({witness.operator for witness in config.witnesses})
    if config.witnessing.quorum > operators:
        _fail(
            "witnessing.quorum",
            f"{config.witnessing.quorum} are asked for, and the witnesses have {operators} operators",
        )


def read_witness_keys(where: str, witness: Witness) -> tuple[CosignatureVerifier, ...]:
    """Return the verifier keys of a witness; raise ConfigurationError, which names the setting `where`."""
    try:
        return tuple(parse_cosignature_key(key) for key in witness.keys)
    except NoteError as error:
        msg = f"{where}: {error}; write what the witness hands out, such as witness.example/w1+0a1b2c3d+BAZq…"
        raise ConfigurationError(msg) from error


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


_CHECKS: tuple[Callable[[LogConfig], None], ...] = (
    _check_urls,
    _check_shards,
    _check_transport,
    _check_places,
    _check_admitted,
    _check_witnesses,
)


def _fail(key: str, what: str) -> NoReturn:
    msg = f"{key}: {what}"
    raise ConfigurationError(msg)
