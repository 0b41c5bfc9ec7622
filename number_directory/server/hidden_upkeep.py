"""What the worker does for hidden numbers: it makes their labels, and chooses how many buckets there are.

There are as many buckets as leave enough numbers in each; fewer at once where numbers have gone, and more only where
they have come for good. After a change of the key all labels are made anew, and nothing is answered meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from number_directory.hidden import DEEPEST, HiddenKey
from number_directory.server.directory import Directory
from number_directory.server.storage import NO_LAYOUT, Layout
from number_directory.server.storage.grants import ANYONE
from number_directory.server.storage.hidden import MOST_IN_A_BUCKET
from serving.log import facts

_log = logging.getLogger(__name__)

_AT_ONCE = 100
_EMPTIED_AT_ONCE = 1000
_LOOKED_AT = 10_000


@dataclass
class HiddenKeeper:
    """Keeps the labels of a directory's open numbers, and the layout of their buckets."""

    directory: Directory
    key: HiddenKey
    _after: int = field(default=0, init=False)

    def fill(self) -> int:
        """Make the labels that wait, those of numbers that were opened to anyone; return how many those were."""
        storage, count = self.directory.storage.hidden, 0
        if storage.layout().key != self.key.public_key:
            self._begin_anew()
        while made := storage.fill(self.key.hidden, _AT_ONCE):
            count += made
        if not storage.layout().is_ready:
            self._choose_depth()
        return count

    def _begin_anew(self) -> None:
        """Forget the labels of another key, once nobody is answered by them any more."""
        storage = self.directory.storage.hidden
        storage.lay_out(NO_LAYOUT)
        while storage.empty(_EMPTIED_AT_ONCE):
            pass
        storage.lay_out(replace(NO_LAYOUT, key=self.key.public_key))

    def lay_out(self) -> None:
        """Choose the depth of the buckets again, unless their labels are just being made."""
        layout = self.directory.storage.hidden.layout()
        if layout.is_ready and layout.key == self.key.public_key:
            self._choose_depth()

    def _choose_depth(self) -> None:
        storage, settings = self.directory.storage.hidden, self.directory.config.hidden
        now, count = storage.layout().depth, storage.count()
        if settings.depth is not None:
            depth = max(settings.depth, shallowest_possible(count))
        else:
            most = deepest_possible(count, settings.smallest_bucket)
            depth = best_depth(storage.counts(most), most, settings.smallest_bucket, now)
        if depth != now:
            storage.lay_out(Layout(self.key.public_key, depth))
            _log.info("hidden_buckets", extra=facts(depth=depth))

    def forget_ended(self) -> int:
        """Forget numbers of which nobody sees anything any more, among the next ten thousand; return how many."""
        storage, now = self.directory.storage, self.directory.clock()
        numbers, self._after = storage.hidden.ended(self._after, _LOOKED_AT, now)
        for number in numbers:
            with storage.transaction(synced=False):
                storage.numbers.hold(number)
                if not storage.grants.shown([number], [ANYONE], now):
                    storage.hidden.forget(number)
        return len(numbers)


def deepest_possible(count: int, smallest: int) -> int:
    """Return the most leading bits of a label that could leave `smallest` of `count` numbers in each bucket."""
    return min(DEEPEST, max(0, (count // smallest).bit_length() - 1))


def shallowest_possible(count: int) -> int:
    """Return the fewest leading bits of a label by which a bucket of `count` numbers is half full at most.

    What is more than a bucket holds would be found by nobody, whatever the operator's depth.
    """
    return min(DEEPEST, ((count - 1) // (MOST_IN_A_BUCKET // 2)).bit_length()) if count else 0


def best_depth(counts: Mapping[int, int], depth: int, smallest: int, now: int) -> int:
    """Return the most bits that leave at least `smallest` numbers in each bucket, by the counts of one depth.

    What is deeper than `now` must leave a quarter more, so that the depth does not go up and down with every number.
    """
    fullness = [counts.get(bucket, 0) for bucket in range(1 << depth)]
    while depth and min(fullness) < smallest + (smallest // 4 if depth > now else 0):
        fullness = [left + right for left, right in zip(fullness[::2], fullness[1::2], strict=True)]
        depth -= 1
    return depth
