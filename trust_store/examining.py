"""Chains held against themselves and the anchors, once each: what was verified is remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from policies.verdicts import Finding, Rule, refused
from stir.errors import CertificateProfileError
from stir.jws import Chain
from trust_store.anchors import Anchor
from trust_store.logs import KnownLogs
from trust_store.path import BuiltPath, PathBuilder, PresentedChain, end_of_second

_EARLIEST = datetime.min.replace(tzinfo=UTC)

REMEMBERED_CHAINS = 512
"""How many chains a store remembers having verified."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A chain that is whole in itself, and the ways from it to anchors."""

    chain: PresentedChain
    paths: tuple[BuiltPath, ...]
    begins: datetime = field(init=False)
    ends: datetime = field(init=False)

    def __post_init__(self) -> None:
        """Find within which dates all that was found stays true: up to `ends`, without it."""
        facts = [one for path in self.paths for one in path.facts.certificates]
        object.__setattr__(self, "begins", max((one.not_before for one in facts), default=_EARLIEST))
        object.__setattr__(self, "ends", end_of_second(min((one.not_after for one in facts), default=_EARLIEST)))


class Examiner:
    """Examines chains for one trust store. Threads may share it."""

    def __init__(self, anchors: Iterable[Anchor], logs: KnownLogs, *, fingerprints: bool) -> None:
        """Take the anchors, in the order in which they are tried; `fingerprints` where certificates are denied."""
        self._paths = PathBuilder(anchors, logs, fingerprints=fingerprints)
        self._remembered: OrderedDict[Chain, Examined] = OrderedDict()
        self._lock = threading.Lock()

    def examine(self, chain: Chain, at: datetime) -> Examined | Finding:
        """Return the paths from a chain that is not empty, or what is wrong with it in itself."""
        with self._lock:
            remembered = self._remembered.get(chain)
        if remembered is not None and remembered.begins <= at < remembered.ends:
            return remembered
        return self._newly_examined(chain, at)

    def _newly_examined(self, chain: Chain, at: datetime) -> Examined | Finding:
        try:
            presented = self._paths.read(chain)
            paths = self._paths.build(presented, at)
        except CertificateProfileError as error:
            return refused(Rule.CHAIN, str(error))
        if not paths and not presented.is_signed_throughout:
            return refused(Rule.CHAIN, "a certificate was not signed by the next one, or was changed since")
        examined = Examined(presented, paths)
        # What the verifier found depends on the time only by the dates, so a path without fault stays one within them.
        if paths and all(path.facts.fault is None for path in paths):
            self._remember(chain, examined)
        return examined

    def _remember(self, chain: Chain, examined: Examined) -> None:
        with self._lock:
            self._remembered[chain] = examined
            if len(self._remembered) > REMEMBERED_CHAINS:
                self._remembered.popitem(last=False)
