"""What a caller remembers of a number's records, so that no directory sets it back to an older one.

Only what the caller's own judge has verified is remembered: a directory could else show a record of its own with the
highest of all numbers, and blind the caller for what the owner signs. What is remembered speaks against a record only
while the judge goes on believing it: see `resolver`.

`seq` grows for as long as a number has one holder. A new holder may begin below: its certificate began after the
remembered record was signed, so that no record under it can be an older one, and the number begins anew. What was
certified before that is then of the time before.

An older record that says the same sets nobody back: an owner who publishes the same at two directories, one after the
other, is found at both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Self

from number_directory.record import SignedRecord, latest_expiry
from number_directory.statement import Succession, supersedes

KEPT_SECONDS: Final = 30 * 86400
"""How long a record is remembered after its certificate has ended, as an older one may be under another's."""
LONGEST_KEPT: Final = 366 * 86400
"""How long it is remembered at most, whatever its certificates say."""

_BEHIND = frozenset({Succession.OLDER, Succession.CONFLICT})


@dataclass(frozen=True, slots=True)
class Remembered:
    """The newest record of a number and app that was verified, and which directory showed it first, and when.

    Times are in seconds since 1970. Certificates that began before `since` are of the time before the number began
    anew. Nothing of it is needed after `keep_until`.
    """

    record: SignedRecord = field(repr=False)
    directory: str
    seen_at: int
    keep_until: int
    since: int = 0

    @classmethod
    def of(cls, record: SignedRecord, directory: str, at: int) -> Self:
        """Return what is remembered of a record that was verified at a time."""
        ends = max(_seconds(chain[0].not_valid_after_utc for chain in record.chains))
        keep_until = min(ends + KEPT_SECONDS, at + LONGEST_KEPT)
        return cls(record, directory, at, keep_until)

    def met_by(self, shown: SignedRecord) -> Succession:
        """Tell how a record that is shown now, and is of the same number and app, relates to this one."""
        if _began(shown) < self.since:
            return Succession.OLDER
        found = supersedes(self.record, shown)
        if found in _BEHIND and self._is_followed_anew_by(shown):
            return Succession.NEWER
        return Succession.SAME if found in _BEHIND and self._says_what(shown) else found

    def followed_by(self, seen: Remembered) -> Remembered:
        """Return what is remembered once a record was verified that is newer, or says the same."""
        found, since = supersedes(self.record, seen.record), self.since
        is_same = seen.record.signed_text == self.record.signed_text
        if is_same and (self.record.is_whole or not seen.record.is_whole):
            return self
        if found in _BEHIND:
            if not self._is_followed_anew_by(seen.record):
                return self
            since = _began(seen.record)
        return replace(seen, since=since, keep_until=max(self.keep_until, seen.keep_until))

    def _is_followed_anew_by(self, shown: SignedRecord) -> bool:
        """Tell whether a record was surely signed after this one, whatever its number is."""
        return _began(shown) > self.record.issued_at

    def _says_what(self, shown: SignedRecord) -> bool:
        """Tell whether a record says what this one does, or less: it may be shown without its media."""
        mine, other = self.record.record, shown.record
        return (mine.uris, mine.section) == (other.uris, other.section) and other.media in {None, mine.media}

    def judged_at(self, now: datetime) -> datetime:
        """Return as of when to ask whether it is still believed: now, or the last second of its certificates."""
        return min(now, datetime.fromtimestamp(latest_expiry(self.record.chains) - 1, UTC))

    def against(self, shown: SignedRecord, directory: str) -> str:
        """Return in words why a record that is older, or of the same number, is not believed."""
        by = "it" if directory == self.directory else self.directory
        day = f"{datetime.fromtimestamp(self.seen_at, UTC):%Y-%m-%d %H:%M} UTC"
        if shown.sequence == self.record.sequence:
            return (
                f"the directory shows another record with seq {shown.sequence} than {by} showed before, on {day}: its "
                "owner signed both, or somebody else has the key"
            )
        if shown.sequence > self.record.sequence:
            return f"the directory shows a record from before the number began anew; {by} showed that on {day}"
        return (
            f"the directory shows an older record than {by} showed before: seq {shown.sequence}, where seq "
            f"{self.record.sequence} was seen on {day}"
        )


def _began(record: SignedRecord) -> int:
    """Return when the first of a record's certificates began: if after some moment, it was signed after that."""
    return min(_seconds(chain[0].not_valid_before_utc for chain in record.chains))


def _seconds(times: Iterable[datetime]) -> list[int]:
    return [int(time.timestamp()) for time in times]
