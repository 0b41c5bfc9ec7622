"""How many numbers a caller may newly ask for: what makes walking through a prefix slow.

A caller pays for a number that it has not asked for lately, and nothing for one that it has: an address book is paid
for once. What is kept of a caller has one size, whatever it asks for:

- a token bucket, kept as the moment from which it is full again;
- `Seen`: 1024 fingerprints of 16 bits in 256 sets of 4, the least lately asked for of a set dropped first. The hash is
  keyed with a secret of the directory's, so that nobody can choose numbers that pass for one another. A number that
  was never asked for passes for one that was with a chance of 4 in 65536; a fingerprint is that of one in 2**24
  numbers, so that the memory, stolen, does not say whom the caller asked for.

Front ends share both through the database. Each takes tokens from the shared bucket some at a time and in advance, so
that a lookup rarely writes: together they never give out more than the bucket had. What a front end took and nobody
used by its end is lost to the caller until the bucket fills.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Protocol

from number_directory.server.errors import Refusal, RefusalKind

_WAYS = 4
_SETS = 256
_SEEN_BYTES = 2 * _WAYS * _SETS
_EMPTY = 0
_LARGEST_SHARE = 16
"""A front end takes at most this part of a bucket in advance."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`burst` new numbers at once, and `per_day` of them a day after that."""

    burst: int
    per_day: int

    @property
    def interval(self) -> timedelta:
        """How long one token takes to come back."""
        return timedelta(days=1) / self.per_day

    @property
    def share(self) -> int:
        """How many tokens a front end takes from the shared bucket at a time."""
        return max(1, min(64, self.burst // _LARGEST_SHARE))


class Seen:
    """The numbers that one caller asked for lately, as a fixed number of fingerprints."""

    __slots__ = ("_prints",)

    def __init__(self, data: bytes = b"") -> None:
        """Begin empty, or with what `to_bytes` returned."""
        self._prints = array("H", data if len(data) == _SEEN_BYTES else bytes(_SEEN_BYTES))

    def new_among(self, marks: Iterable[int]) -> list[int]:
        """Return the marks that are not here, each once."""
        return [mark for mark in dict.fromkeys(marks) if not self._holds(mark)]

    def add(self, mark: int) -> None:
        """Remember a mark as the latest of its set."""
        start, print_ = _place(mark)
        ways = self._prints[start : start + _WAYS]
        kept = [way for way in ways if way != print_][: _WAYS - 1]
        self._prints[start : start + _WAYS] = array("H", [print_, *kept, *[_EMPTY] * (_WAYS - 1 - len(kept))])

    def to_bytes(self) -> bytes:
        """Return what is remembered, always in the same number of bytes."""
        return self._prints.tobytes()

    def _holds(self, mark: int) -> bool:
        start, print_ = _place(mark)
        return print_ in self._prints[start : start + _WAYS]


def _place(mark: int) -> tuple[int, int]:
    return (mark & (_SETS - 1)) * _WAYS, (mark >> 8) % 0xFFFF + 1  # 0 is an empty place


@dataclass(frozen=True, slots=True)
class Kept:
    """What the database keeps of one caller: its memory, and the moment from which its bucket is full."""

    seen: bytes = b""
    full_at: datetime | None = None


class SharedQuotas(Protocol):
    """What all front ends know of all callers."""

    def change(self, key: bytes, change: Callable[[Kept], Kept]) -> None:
        """Put in the place of what is kept under a key what `change` makes of it, nobody else changing it meanwhile."""
        ...


@dataclass(slots=True)
class _Account:
    """What this front end knows of one caller."""

    seen: Seen = field(default_factory=Seen)
    tokens: int = 0
    unshared: list[int] = field(default_factory=list)
    """Marks that were paid for here and are not in the shared memory yet."""


class Quotas:
    """Charges callers for new numbers. Threads may share it."""

    def __init__(self, shared: SharedQuotas, secret: bytes, *, callers: int = 10_000) -> None:
        """Keep the accounts of the latest `callers` in memory: about 3 kB each."""
        self._shared = shared
        self._secret = secret
        self._callers = callers
        self._accounts: OrderedDict[bytes, _Account] = OrderedDict()
        self._lock = threading.Lock()

    def marks(self, numbers: Iterable[str]) -> list[int]:
        """Return what stands for numbers here: 24 bits that count, of a keyed hash."""
        secret = self._secret
        return [
            int.from_bytes(blake2b(number.encode("ascii"), digest_size=4, key=secret).digest(), "big")
            for number in numbers
        ]

    def key(self, kind: str, caller: str) -> bytes:
        """Return what stands for a caller in the database: it is no list of callers."""
        return blake2b(f"{kind}:{caller}".encode(), digest_size=16, key=self._secret).digest()

    def charge(self, key: bytes, marks: Sequence[int], rate: Rate, now: datetime) -> int:
        """Pay for those of the marks that are new to the caller, all or none; return how many they were.

        Raises Refusal where the caller has too few tokens, with the wait until it has enough.
        """
        with self._lock:
            account = self._account(key)
            new = account.seen.new_among(marks)
            if len(new) > account.tokens:
                new = self._take(key, account, marks, rate, now)
            account.tokens -= len(new)
            for mark in marks:
                account.seen.add(mark)
            account.unshared.extend(new)
        return len(new)

    def charge_unread(self, key: bytes, count: int, rate: Rate, now: datetime) -> int:
        """Pay for numbers that nobody can read or compare, all or none; return how many: each is new, each time.

        Nothing of them is remembered. Raises Refusal as `charge` does.
        """
        with self._lock:
            account = self._account(key)
            if count > account.tokens:
                self._take(key, account, (), rate, now, count)
            account.tokens -= count
        return count

    def _account(self, key: bytes) -> _Account:
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = _Account()
            if len(self._accounts) > self._callers:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(key)
        return account

    def _take(
        self, key: bytes, account: _Account, marks: Sequence[int], rate: Rate, now: datetime, unread: int = 0
    ) -> list[int]:
        """Get tokens and the shared memory; return the marks that are new even to that."""
        settled = _Settling(account, marks, rate, now, unread)
        self._shared.change(key, settled.change)
        account.seen, account.unshared = settled.seen, []
        if settled.wait is not None:
            if len(settled.new) + unread > rate.burst:
                detail = f"at most {rate.burst} numbers that are new to you can be asked for at once; ask for fewer"
            else:
                detail = "you have asked for too many numbers that are new to you; ask for fewer, or wait"
            raise Refusal(RefusalKind.QUOTA_EXCEEDED, detail, retry_after=settled.wait)
        account.tokens += settled.taken
        return settled.new


class _Settling:
    """One turn at the shared bucket: what this front end has noted goes in, and tokens come out."""

    def __init__(self, account: _Account, marks: Sequence[int], rate: Rate, now: datetime, unread: int) -> None:
        self._account = account
        self._unread = unread
        self._marks = marks
        self._rate = rate
        self._now = now
        self.seen = Seen()
        self.new: list[int] = []
        self.taken = 0
        self.wait: timedelta | None = None

    def change(self, kept: Kept) -> Kept:
        """Return what is to be kept. It may run twice, where the database asks for that."""
        self.seen = Seen(kept.seen)
        for mark in self._account.unshared:
            self.seen.add(mark)
        self.new = self.seen.new_among(self._marks)
        full_at = max(kept.full_at or self._now, self._now)
        full_at = self._pay(full_at, len(self.new) + self._unread - self._account.tokens)
        return Kept(self.seen.to_bytes(), full_at)

    def _pay(self, full_at: datetime, missing: int) -> datetime:
        """Take what is missing, or up to a share of the bucket while we are here; nothing where that is too little."""
        self.taken, self.wait = 0, None
        if missing <= 0:
            return full_at
        interval = self._rate.interval
        latest = self._now + interval * self._rate.burst
        there = (latest - full_at) // interval
        if there < missing:
            self.wait = full_at + interval * missing - latest
            return full_at
        self.taken = min(there, max(missing, self._rate.share))
        return full_at + interval * self.taken
