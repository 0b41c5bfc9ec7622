"""From the operator's file to settings that hold together, or to one line that says what to mend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from cryptography import x509

from policies.errors import PolicyFileError
from policies.loading import load_toml
from serving.loading import check_database, check_keys, check_transport, fail, load
from serving.settings import is_loopback, resolved_database
from stir.certificate import AuthorityCertificate
from stir.certificate_chain import read_pem_chain
from stir.errors import CertificateProfileError
from transparency.cosignature import CosignatureVerifier, parse_cosignature_key
from transparency.errors import NoteError
from transparency.server.config import LogConfig, Shard, Witness
from transparency.server.errors import ConfigurationError


def load_config(path: Path) -> LogConfig:
    """Read and check the settings of one log; relative paths become absolute, starting from the file's folder.

    Raises ConfigurationError, which names the file, the key, and what to write.
    """
    return load(path, _read_config, _CHECKS)


def settle(config: LogConfig, folder: Path) -> LogConfig:
    """Return settings that stand in no file of their own, with absolute paths that start from `folder`.

    Raises ConfigurationError, which names the key, and what to write.
    """
    settled = _resolve(config, folder)
    check_config(settled)
    return settled


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
            fail(key, f"{path} must hold one certificate, and holds {len(chain)}")
        AuthorityCertificate.read(chain[0])
    except OSError as error:
        msg = f"{key}: {path} cannot be read: {error.strerror}"
        raise ConfigurationError(msg) from error
    except CertificateProfileError as error:
        msg = f"{key}: {path} is no certificate of an authority: {error}"
        raise ConfigurationError(msg) from error
    return chain[0]


def _read_config(path: Path) -> LogConfig:
    try:
        return _resolve(load_toml(path, LogConfig), path.absolute().parent)
    except PolicyFileError as error:
        raise ConfigurationError(str(error)) from error


def _resolve(config: LogConfig, folder: Path) -> LogConfig:
    base = folder / config.folder
    replace = msgspec.structs.replace
    publishing = config.publishing
    return replace(
        config,
        folder=base,
        admit=tuple(base / path for path in config.admit),
        shards=tuple(_in_utc(shard) for shard in config.shards),
        server=config.server.resolved(base),
        keys=config.keys.resolved(base),
        publishing=replace(
            publishing,
            directory=base / publishing.directory,
            staging=base / publishing.staging,
            index_copy=base / publishing.index_copy,
        ),
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
            fail(key, "write it in lower case and without a slash at the end, such as https://log.example")
        if parts.scheme == "http" and not is_loopback(host):
            fail(key, f"http is for a host on this machine only; write https://{url.partition('://')[2]}")


def _check_shards(config: LogConfig) -> None:
    if not config.shards:
        fail("shards", "a log has at least one shard")
    if len({shard.name for shard in config.shards}) < len(config.shards):
        fail("shards", "two shards have the same name")
    for shard in config.shards:
        if shard.not_after_start >= shard.not_after_limit:
            fail("shards", f"the dates of shard {shard.name} leave no time between them")
    for earlier, later in pairwise(config.shards):
        if earlier.not_after_limit > later.not_after_start:
            fail("shards", f"{earlier.name} and {later.name} overlap, or do not stand in the order of their dates")


def _check_transport(config: LogConfig) -> None:
    check_transport(config.server, config.url, "url")


def _check_places(config: LogConfig) -> None:
    check_database(config.database, "sqlite:///log.db")
    check_keys(config.keys)
    if config.publishing.type == "s3" and not config.publishing.bucket:
        fail("publishing.bucket", "name the bucket that the log's objects go to")


def _check_admitted(config: LogConfig) -> None:
    read_admitted(config)


def _check_witnesses(config: LogConfig) -> None:
    """Hold each witness to keys that can be read, and the quorum to what their operators can reach."""
    names: set[str] = set()
    for index, witness in enumerate(config.witnesses):
        where = f"witnesses[{index}]"
        if witness.url.endswith("/") or (witness.url.startswith("http:") and not is_loopback(_host(witness.url))):
            fail(f"{where}.url", "write https, and no slash at the end; http is for a host on this machine only")
        found = {key.name for key in read_witness_keys(f"{where}.keys", witness)}
        if len(found) > 1 or found & names:
            fail(f"{where}.keys", "all keys of one witness have its name, and no other witness has it")
        names |= found
    operators = len({witness.operator for witness in config.witnesses})
    if config.witnessing.quorum > operators:
        fail(
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
