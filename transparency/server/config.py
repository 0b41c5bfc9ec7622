"""The frozen settings of one log, as its TOML file says them."""

from __future__ import annotations

from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from transparency.server.errors import ConfigurationError

CONFIG_NAME = "log.toml"
PASSPHRASE_VARIABLE = "ANSWERBACK_LOG_PASSPHRASE"  # noqa: S105  # the name of a variable

_HIGHEST_PORT = 65535

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ShardName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$", examples=["2027h1"])]
WebUrl = Annotated[str, msgspec.Meta(pattern="^https?://[^/?#]+(/[^?#]*)?$", examples=["https://log.example"])]


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The files of the server's own TLS certificate."""

    certificate: Path
    key: Path


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how the log listens.

    Plain HTTP is served on a loopback address, or to the proxies named in `trusted_proxies` only. Each submission holds
    a thread until it is sequenced, so that `workers` times `threads` is how many can wait at once.
    """

    bind: str = "127.0.0.1:14100"
    workers: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32
    graceful_seconds: Annotated[int, msgspec.Meta(ge=1, le=600)] = 30
    tls: Tls | None = None
    trusted_proxies: tuple[str, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """`bind`, read: a host without brackets, and a port. Raises ConfigurationError."""
        host, _, port = self.bind.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        if not (port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT) or not _can_bind(host, bracketed):
            msg = f'{self.bind!r} is not an address and a port; write "127.0.0.1:14100", "[::1]:14100" or "0.0.0.0:443"'
            raise ConfigurationError(msg)
        return host, int(port)


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the shards' keys live: files in `directory`, under a passphrase unless `unencrypted` opts out.

    The passphrase is the first line of `passphrase_file`, else the environment variable `passphrase_variable`.
    """

    directory: Path = Path("keys")
    passphrase_file: Path | None = None
    passphrase_variable: str = PASSPHRASE_VARIABLE
    unencrypted: bool = False


class Publishing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where tiles, checkpoints and buckets go: files in `directory`, or objects in the S3 bucket `bucket`.

    `staging` is where files wait until the tree has moved; it is not served. With S3, `prefix` stands before each
    object's name, and credentials come from where boto3 looks for them.
    """

    type: Literal["files", "s3"] = "files"
    directory: Path = Path("public")
    staging: Path = Path("staging")
    bucket: str | None = None
    prefix: str = ""
    endpoint_url: str | None = None
    region: str | None = None


class Sequencing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the sequencer works.

    It pools what is queued every `pool_milliseconds`, at most `largest_pool` entries at a time, and updates the label
    index every `index_seconds`. A front end waits `wait_seconds` for an entry's place, and takes no more than
    `longest_queue` entries in advance.
    """

    pool_milliseconds: Annotated[int, msgspec.Meta(ge=10, le=60_000)] = 200
    largest_pool: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 4096
    index_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 10
    wait_seconds: Annotated[int, msgspec.Meta(ge=1, le=300)] = 10
    longest_queue: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 20_000


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long certificates and openings are kept for their owners after a certificate has expired."""

    days_after_expiry: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 90


class Shard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tree for the certificates that expire in a span of time: from `not_after_start` until before `not_after_limit`.

    Neither name nor dates change once a certificate was taken.
    """

    name: ShardName
    not_after_start: datetime
    not_after_limit: datetime

    def holds(self, not_after: datetime) -> bool:
        """Tell whether a certificate that expires then belongs here."""
        return self.not_after_start <= not_after < self.not_after_limit


class Logging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is told on standard error, one JSON object a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one log.

    Relative paths, also in `database`, start from `folder`; `transparency.server.loading.load_config` makes that the
    folder of the file.
    """

    name: Text
    operator: Text
    url: WebUrl
    """Where authorities submit and, unless `monitoring_url` says otherwise, where everybody reads."""
    admit: tuple[Path, ...]
    """The certificates of the authorities whose precertificates are taken, each an issuing one or one above it."""
    shards: tuple[Shard, ...]
    monitoring_url: WebUrl | None = None
    server: Server = Server()
    keys: Keys = Keys()
    publishing: Publishing = Publishing()
    sequencing: Sequencing = Sequencing()
    retention: Retention = Retention()
    database: str = "sqlite:///log.db"
    logging: Logging = Logging()
    folder: Path = Path()

    @property
    def read_url(self) -> str:
        """Where the tiles are read."""
        return self.monitoring_url or self.url

    def shard(self, name: str) -> Shard | None:
        """Return the shard of this name, if there is one."""
        return next((shard for shard in self.shards if shard.name == name), None)

    def origin(self, shard: Shard) -> str:
        """Return the first line of the shard's checkpoints: its URL without the scheme (C2SP static-ct-api)."""
        return f"{self.url.partition('://')[2]}/{shard.name}"

    @property
    def path(self) -> str:
        """The path part of `url`: what a proxy in front may or may not strip."""
        return urlsplit(self.url).path


def is_loopback(host: str) -> bool:
    """Tell whether a host, without brackets, is this machine as it sees itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _can_bind(host: str, bracketed: bool) -> bool:
    """Tell whether a server can listen here: an address, in brackets exactly where it is IPv6, or `localhost`."""
    try:
        return (ip_address(host).version == 6) == bracketed  # noqa: PLR2004  # the version of IP
    except ValueError:
        return host == "localhost" and not bracketed
