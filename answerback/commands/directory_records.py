"""A directory's record as data, and what of it stands in a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from number_directory.record import SignedRecord


def described_record(record: SignedRecord) -> dict[str, object]:
    """Return a record as data."""
    import base64

    stated = record.record
    return {
        "app": stated.app,
        "uris": list(stated.uris),
        "media": None if stated.media is None else sorted(stated.media),
        "section": None if stated.section is None else base64.b64encode(stated.section).decode("ascii"),
        "sequence": stated.sequence,
        "expires": iso(stated.expires_at),
    }


def media_in_words(record: SignedRecord) -> str:
    """Return the media that a record tells."""
    media = record.record.media
    return "hidden" if media is None else ",".join(sorted(media)) or "none"


def iso(seconds: int) -> str:
    """Return a time, given in seconds since 1970, as people and programs read it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError):  # a time beyond the calendar
        return str(seconds)
