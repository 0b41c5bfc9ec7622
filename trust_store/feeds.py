"""Feeds of number transitions: text files that somebody fills with numbers that changed hands.

    # number,date,kind
    +12025550123,2026-05-01,port
    +442079460018,2026-05-01T12:00:00Z,reassignment

A day counts to its end. A line that is none of these makes the whole feed an error: one that is skipped would be a
change that is not noticed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from policies.transitions import Transition, TransitionKind
from stir.errors import TelephoneNumberError
from stir.telephone_number import TelephoneNumber
from trust_store.errors import TrustFileError
from trust_store.trust_file import end_of

LARGEST_FEED = 64 * 1024 * 1024
"""In bytes: some two million numbers."""


def read_feed(path: Path, named_at: Path) -> Iterator[Transition]:
    """Yield the transitions of a feed that is named at a line of `trust.toml`. Raises TrustFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FEED + 1)
        text = data.decode("ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not plain text"
        msg = f"{named_at}: the feed {path} cannot be read: {reason}"
        raise TrustFileError(msg) from error
    if len(data) > LARGEST_FEED:
        msg = f"{named_at}: the feed {path} is larger than {LARGEST_FEED // 1024 // 1024} MiB"
        raise TrustFileError(msg)
    for number, line in enumerate(text.splitlines(), start=1):
        written = line.strip()
        if written and not written.startswith("#"):
            yield _read(written, path, number)


def _read(line: str, path: Path, number: int) -> Transition:
    try:
        who, when, kind = (part.strip() for part in line.split(","))
        return Transition(TelephoneNumber.parse(who), _moment(when), TransitionKind(kind), f"{path.name}:{number}")
    except (OverflowError, TelephoneNumberError, ValueError) as error:  # a zone may lead out of the calendar
        kinds = " or ".join(TransitionKind)
        msg = f"{path}:{number}: a line is a number, a date and {kinds}, such as +12025550123,2026-05-01,port"
        raise TrustFileError(msg) from error


def _moment(text: str) -> datetime:
    """Read a day, which counts to its end, or a time with its zone."""
    if "T" not in text:
        return end_of(date.fromisoformat(text))
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = "a time has a zone"
        raise ValueError(msg)
    return moment.astimezone(UTC)
