"""A directory as its front ends and its worker see it: settings, database, admission, quotas, clock and randomness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from number_directory.hidden import HiddenKey
from number_directory.server.admission import Admission
from number_directory.server.config import DirectoryConfig
from number_directory.server.metrics import Metrics
from number_directory.server.quotas import Quotas
from number_directory.server.releases import Releases
from number_directory.server.replays import Replays
from number_directory.server.storage import Storage
from transparency.signed_note import Ed25519Signer

Clock = Callable[[], datetime]
RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory, wired together."""

    config: DirectoryConfig
    storage: Storage
    admission: Admission
    quotas: Quotas
    replays: Replays
    releases: Releases
    metrics: Metrics
    signer: Ed25519Signer
    """The record log's key."""
    hidden: HiddenKey | None
    """The key of hidden numbers, None where they are not offered."""
    clock: Clock
    random_bytes: RandomBytes

    def close(self) -> None:
        """Close the database, and leave the counts to others."""
        self.storage.close()
        self.metrics.close()
