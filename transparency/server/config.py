"""The frozen settings of one log, as its TOML file says them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from serving import settings

CONFIG_NAME = "log.toml"
PASSPHRASE_VARIABLE = "ANSWERBACK_LOG_PASSPHRASE"  # noqa: S105  # the name of a variable

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
ShardName = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$", examples=["2027h1"])]
WebUrl = Annotated[str, msgspec.Meta(pattern="^https?://[^/?#]+(/[^?#]*)?$", examples=["https://log.example"])]


class Server(settings.Server, frozen=True, forbid_unknown_fields=True):
    """Where and how the log listens.

    Each submission holds a thread until it is sequenced: `workers` times `threads` is how many can wait at once.
    """

    bind: str = "127.0.0.1:14100"
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 32


class Keys(settings.Keys, frozen=True, forbid_unknown_fields=True):
    """Where the shards' keys live."""

    passphrase_variable: str = PASSPHRASE_VARIABLE


class Publishing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where tiles, checkpoints and buckets go: files in `directory`, or objects in the S3 bucket `bucket`.

    `staging` is where files wait until the tree has moved; it is not served. With S3, `prefix` stands before each
    object's name, credentials come from where boto3 looks for them, and `index_copy` is where this machine keeps what
    an update of the label index reads.
    """

    type: Literal["files", "s3"] = "files"
    directory: Path = Path("public")
    staging: Path = Path("staging")
    index_copy: Path = Path("index-copy")
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


class Owner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the owner's door opens for.

    A certificate that its authority has revoked never opens it. Where no good revocation list can be had, one opens it
    with `when-available` only.
    """

    revocation: Literal["required", "when-available"] = "required"


class Witness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A witness that is asked to cosign the log's checkpoints (C2SP tlog-witness).

    `url` is its submission prefix, and `keys` are its verifier keys: Ed25519, ML-DSA-44, or both.
    """

    operator: Text
    url: WebUrl
    keys: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=4)]


class Witnessing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How witnesses are asked: every `every_seconds`, and each for at most `deadline_seconds`.

    Without a `quorum` nothing waits for them. With one, no checkpoint is published, and no SCT given out, before so
    many of their operators have cosigned.
    """

    quorum: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    every_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    deadline_seconds: Annotated[int, msgspec.Meta(ge=1, le=60)] = 5


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
    owner: Owner = Owner()
    witnesses: tuple[Witness, ...] = ()
    witnessing: Witnessing = Witnessing()
    database: str = "sqlite:///log.db"
    logging: settings.Log = settings.Log()
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
