"""The frozen settings of one directory, as its TOML file says them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from number_directory.hidden import DEEPEST
from number_directory.server.quotas import Rate
from serving import settings
from serving.settings import Log, Server

CONFIG_NAME = "directory.toml"
PASSPHRASE_VARIABLE = "ANSWERBACK_DIRECTORY_PASSPHRASE"  # noqa: S105  # the name of a variable

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
WebUrl = Annotated[str, msgspec.Meta(pattern="^https?://[^/?#]+(/[^?#]*)?$", examples=["https://directory.example"])]
Burst = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]
PerDay = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class DirectoryListener(Server, frozen=True, forbid_unknown_fields=True):
    """Where and how the directory listens; its port is its own."""

    bind: str = "127.0.0.1:15000"


class Keys(settings.Keys, frozen=True, forbid_unknown_fields=True):
    """Where the keys of the record log and of hidden numbers live."""

    passphrase_variable: str = PASSPHRASE_VARIABLE


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many new numbers somebody may ask for: `burst` at once, and `per_day` of them a day after that."""

    burst: Burst
    per_day: PerDay

    @property
    def rate(self) -> Rate:
        """The same, to be counted."""
        return Rate(self.burst, self.per_day)


class Quotas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The quotas of a caller that signs, and of an address, which counts for all that come from it, signed or not.

    `publisher` is of an owner: not of numbers, but of records, access lists and moves. `buckets` is of an address
    again: not of numbers, but of the buckets in which hidden ones stand.
    """

    caller: Quota = Quota(1000, 2000)
    address: Quota = Quota(2000, 10_000)
    publisher: Quota = Quota(200, 500)
    buckets: Quota = Quota(4000, 20_000)


class Records(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long what has ended is remembered, and how long a moved number's callers are sent on.

    `remembered_days` begin when the certificate of an ended record has expired.
    """

    remembered_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    forwarding_days: Annotated[int, msgspec.Meta(ge=1, le=365)] = 30


class RecordLog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How accepted records get into the record log.

    The worker pools them every `pool_milliseconds`, at most `largest_pool` at a time. Whoever publishes waits up to
    `wait_milliseconds` for the receipt, and can fetch it later for `receipt_days`.
    """

    pool_milliseconds: Annotated[int, msgspec.Meta(ge=10, le=60_000)] = 200
    largest_pool: Annotated[int, msgspec.Meta(ge=1, le=65_536)] = 8192
    wait_milliseconds: Annotated[int, msgspec.Meta(ge=0, le=30_000)] = 2000
    receipt_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] = 400


class Hidden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How numbers are looked up without being shown, where that is offered.

    Each bucket has at least `smallest_bucket` entries: as many numbers' as there are, the rest filled up. `depth` fixes
    how many leading bits of a label name a bucket; without it, there are as many as leave that many numbers in each.
    """

    offered: bool = False
    smallest_bucket: Annotated[int, msgspec.Meta(ge=2, le=256)] = 64
    depth: Annotated[int, msgspec.Meta(ge=0, le=DEEPEST)] | None = None
    unsigned: bool = True


class Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may read /metrics: nobody, or whoever sends `Authorization: Bearer` and the first line of `token_file`.

    `open` shows them to everybody who reaches the server: for one that only its own network reaches.
    """

    access: Literal["nobody", "token", "open"] = "nobody"
    token_file: Path | None = None


class NumberEvents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A feed of ports and reassignments: a file of JSON lines that something else appends to."""

    name: Text
    file: Path


class DirectoryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of one directory.

    Relative paths, also in `database`, start from `folder`; `number_directory.server.loading.load_config` makes
    that the folder of the file.
    """

    name: Text
    operator: Text
    url: WebUrl
    """Where owners and callers reach it; it is the audience of what they sign, and never changes."""
    admission: Path = Path("admission/trust.toml")
    """The trust store of the authorities whose numbers may publish and ask."""
    server: DirectoryListener = DirectoryListener()
    keys: Keys = Keys()
    quotas: Quotas = Quotas()
    records: Records = Records()
    record_log: RecordLog = RecordLog()
    hidden: Hidden = Hidden()
    metrics: Metrics = Metrics()
    number_events: tuple[NumberEvents, ...] = ()
    database: str = "sqlite:///directory.db"
    log: Log = Log()
    folder: Path = Path()

    @property
    def origin(self) -> str:
        """The first line of the record log's checkpoints: the URL without the scheme."""
        return f"{self.url.partition('://')[2]}/records"

    @property
    def path(self) -> str:
        """The path part of `url`: what a proxy in front must not strip."""
        return urlsplit(self.url).path
