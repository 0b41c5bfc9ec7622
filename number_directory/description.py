"""What others are told about a directory: who runs it, where it is, its keys and its limits.

A directory's operator hands out one JSON file, `directory.json`. It is believed only as far as the file itself is: the
map of resolution services names it by its SHA-256, or an owner gets it once and keeps it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final, Self

import msgspec

from number_directory.errors import DescriptionError
from number_directory.lookup import MOST_NUMBERS
from number_directory.record import MOST_APPS
from number_directory.statement import FRESH_SECONDS
from stir.web_url import is_base_url
from transparency.errors import NoteError
from transparency.signed_note import Ed25519Verifier

LARGEST_DESCRIPTION: Final = 16 * 1024
"""Bytes that a description may have."""
PATH: Final = "directory.json"
"""Where the description stands below a directory's URL."""

_VERSION = 1
_LONGEST_NAME = 100
_MOST = 2**31 - 1
_HIDDEN_KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Limits:
    """What a directory takes and does, for programs to plan by. Raises DescriptionError for what is out of bounds.

    `numbers` in one lookup; `apps` of one number; `fresh_seconds` between a question's time and the directory's; and
    `forwarding_days` during which it forwards callers of a number that has moved.
    """

    numbers: int = MOST_NUMBERS
    apps: int = MOST_APPS
    fresh_seconds: int = FRESH_SECONDS
    forwarding_days: int = 30

    def __post_init__(self) -> None:
        """Refuse limits beyond those of the formats."""
        if not 1 <= self.numbers <= MOST_NUMBERS or not 1 <= self.apps <= MOST_APPS:
            msg = (
                f"a directory takes lookups of at most {MOST_NUMBERS} numbers, and at most {MOST_APPS} apps of a number"
            )
            raise DescriptionError(msg)
        if not 1 <= self.fresh_seconds <= _MOST or not 0 <= self.forwarding_days <= _MOST:
            msg = "a directory's times are whole numbers, and its questions are fresh for a second at least"
            raise DescriptionError(msg)


@dataclass(frozen=True, slots=True)
class DirectoryDescription:
    """A directory: its name, who operates it, its URL, the key of its record log, its limits.

    `url` is the audience of what is signed for it, and does not end in a slash. `record_log` is named after the record
    log's origin; the log's checkpoint and tiles stand below the URL. `hidden_key` is the 32-byte public key with which
    it answers for hidden numbers (RFC 9497, ristretto255-SHA512), None where it does not. Raises DescriptionError.
    """

    name: str
    operator: str
    url: str
    record_log: Ed25519Verifier
    hidden_key: bytes | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse a directory that contradicts itself."""
        for text in (self.name, self.operator):
            if not text.isprintable() or text != text.strip() or not 0 < len(text) <= _LONGEST_NAME:
                msg = f"a directory's name and its operator's have 1 to {_LONGEST_NAME} printable characters"
                raise DescriptionError(msg)
        if not is_base_url(self.url):
            msg = "a directory's URL is http or https, without a query, a fragment or a slash at the end"
            raise DescriptionError(msg)
        if self.hidden_key is not None and len(self.hidden_key) != _HIDDEN_KEY_SIZE:
            msg = f"the key for hidden numbers has {_HIDDEN_KEY_SIZE} bytes"
            raise DescriptionError(msg)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read a `directory.json`; unknown fields are refused."""
        if len(data) > LARGEST_DESCRIPTION:
            msg = f"a directory's description has at most {LARGEST_DESCRIPTION} bytes"
            raise DescriptionError(msg)
        try:
            read = msgspec.json.decode(data, type=_Description)
            log = Ed25519Verifier.parse(read.record_log)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, NoteError) as error:
            said = str(error)
            msg = f"the directory's description cannot be read{f': {said}' if said.isprintable() else ''}"
            raise DescriptionError(msg) from error
        if read.version != _VERSION:
            msg = f"the directory's description is of version {read.version}, which is not known here"
            raise DescriptionError(msg)
        limits = Limits(**msgspec.structs.asdict(read.limits))
        hidden = None if read.hidden_key is None else _read_key(read.hidden_key)
        return cls(read.name, read.operator, read.url, log, hidden, limits)

    def to_json(self) -> bytes:
        """Return the description as the file that is handed out; the same bytes each time."""
        limits = self.limits
        description = _Description(
            version=_VERSION,
            name=self.name,
            operator=self.operator,
            url=self.url,
            record_log=self.record_log.format(),
            limits=_Limits(limits.numbers, limits.apps, limits.fresh_seconds, limits.forwarding_days),
            hidden_key=None if self.hidden_key is None else base64.b64encode(self.hidden_key).decode("ascii"),
        )
        return msgspec.json.format(msgspec.json.encode(description), indent=2) + b"\n"


class _Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The limits as they stand in the file."""

    numbers: int
    apps: int
    fresh_seconds: int
    forwarding_days: int


class _Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A directory as it stands in the file."""

    version: int
    name: str
    operator: str
    url: str
    record_log: str
    limits: _Limits
    hidden_key: str | None = None


def _read_key(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        msg = "a directory's key for hidden numbers is standard base64"
        raise DescriptionError(msg) from error
    if base64.b64encode(data).decode("ascii") != text:
        msg = "the base64 of a directory's key has bits that stand for nothing (RFC 4648 §3.5)"
        raise DescriptionError(msg)
    return data
