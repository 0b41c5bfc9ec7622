"""A log as its front ends and its sequencer see it: settings, keys, database, files, clock and randomness."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from transparency.log_description import LogDescription, ShardDescription
from transparency.server.admission import Admission
from transparency.server.config import LogConfig, Shard
from transparency.server.errors import Refusal, RefusalKind
from transparency.server.keys import ShardKeys
from transparency.server.publishing import Publisher
from transparency.server.revocation import RevocationSource
from transparency.server.storage import Storage
from transparency.server.tree_files import TreeFiles
from transparency.server.witnesses import Witnesses

Clock = Callable[[], datetime]
RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class LogShard:
    """One tree of a log, with its keys."""

    settings: Shard
    origin: str
    keys: ShardKeys
    files: TreeFiles
    publishing: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)
    """Held while the checkpoint is written, so that two threads do not put an older one over a newer one."""

    @property
    def name(self) -> str:
        """The shard's name, such as `2027h1`."""
        return self.settings.name

    def describe(self) -> ShardDescription:
        """Return what others are told about the shard."""
        return ShardDescription(
            name=self.name,
            origin=self.origin,
            not_after_start=self.settings.not_after_start,
            not_after_limit=self.settings.not_after_limit,
            sct_key=self.keys.sct.public_key(),
            vrf_key=self.keys.vrf.public_key,
            checkpoint_key=self.keys.checkpoint.verifier,
        )


@dataclass(frozen=True, slots=True)
class Log:
    """One log, wired together."""

    config: LogConfig
    storage: Storage
    publisher: Publisher
    admission: Admission
    shards: Mapping[str, LogShard]
    clock: Clock
    random_bytes: RandomBytes
    revocation: RevocationSource
    witnesses: Witnesses = field(default_factory=Witnesses)

    def shard(self, name: str) -> LogShard:
        """Return the shard of this name; raise Refusal where there is none."""
        try:
            return self.shards[name]
        except KeyError:
            detail = f"this log has no such shard; it has {', '.join(self.shards)}"
            raise Refusal(RefusalKind.NOT_FOUND, detail) from None

    def shard_for(self, not_after: datetime) -> LogShard:
        """Return the shard of certificates that expire then; raise Refusal where there is none."""
        for shard in self.shards.values():
            if shard.settings.holds(not_after):
                return shard
        raise Refusal(RefusalKind.OUTSIDE_SHARD, "this log has no shard for certificates that expire then")

    def describe(self) -> LogDescription:
        """Return what authorities, trust stores and monitors are given."""
        return LogDescription(
            name=self.config.name,
            operator=self.config.operator,
            submission_url=self.config.url,
            monitoring_url=self.config.read_url,
            shards=tuple(shard.describe() for shard in self.shards.values()),
        )
