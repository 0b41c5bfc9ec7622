"""Forgetting what has served: of what may be many rows, a part at each turn, so that no turn is a long one."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from number_directory.server.directory import Directory

ROUND: Final = 1024
"""In how many turns all that the record log has placed is looked at: 17 hours, where there is a turn each minute."""
NUMBERS_A_TURN: Final = 20_000
_AT_ONCE = 500
_CONFLICTS_KEPT = timedelta(days=365)
_CLOCKS_APART = timedelta(minutes=5)
"""How far the clock of another host may be behind: what is over here may be fresh there."""


class Forgetter:
    """Forgets what has served in a directory, from one turn to the next."""

    def __init__(self, directory: Directory) -> None:
        """Begin with the first numbers and hashes."""
        self._directory = directory
        self._number = 0
        self._part = 0

    def turn(self) -> int:
        """Forget what has served, and return how many entries that were.

        An entry is forgotten once no signature that could bring back an older one is valid any more. Numbers that have
        nothing, and the places of hashes in the record log, are looked for among the next ones.
        """
        count = self._forget_entries()
        now, storage = self._directory.clock(), self._directory.storage
        self._number = storage.numbers.forget(self._number, NUMBERS_A_TURN, now)
        storage.conflicts.forget(now - _CONFLICTS_KEPT)
        storage.replays.forget(now - _CLOCKS_APART)
        storage.quotas.forget(now - timedelta(days=1))
        before = now - timedelta(days=self._directory.config.record_log.receipt_days)
        storage.tree.forget(before, self._part, ROUND)
        self._part = (self._part + 1) % ROUND
        return count

    def _forget_entries(self) -> int:
        now, storage = self._directory.clock(), self._directory.storage
        count = 0
        while numbers := storage.entries.ended_numbers(now, _AT_ONCE):
            for number in numbers:
                with storage.transaction(synced=False):
                    storage.numbers.hold(number)
                    count += storage.entries.forget(number, now)
        return count
