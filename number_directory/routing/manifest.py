"""The manifest: what one version of a map consists of. It has one encoding, so that its hash names the version.

A replica that has put a delta into its own map makes the new manifest itself; where it has the hash that was signed, so
has every chunk.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import accumulate
from typing import Annotated, Final, Self

import msgspec

from number_directory.routing.chunk import LARGEST_CHUNK, MOST_SERVICES
from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import LeadingDigits, require_partition
from number_directory.routing.services import ResolutionService

FORMAT: Final = "answerback routing map v1"
LARGEST_MANIFEST: Final = 32 * 1024 * 1024
"""Bytes: enough for a map of 8 billion exceptions."""

_Version = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]
_Size = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_CHUNK)]
_ServiceNumber = Annotated[int, msgspec.Meta(ge=0, lt=MOST_SERVICES)]
_Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class ServiceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A service as the manifest writes it; chunks know it by `number`."""

    number: _ServiceNumber
    name: str
    operator: str
    url: str
    description: str | None = None

    @classmethod
    def of(cls, number: int, service: ResolutionService) -> Self:
        """Write a service down."""
        return cls(number, service.name, service.operator, service.url, service.description)

    @property
    def service(self) -> ResolutionService:
        """The service; raises MapFormatError where there can be none such."""
        return ResolutionService(self.name, self.operator, self.url, self.description)


class _ChunkEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A chunk as the manifest writes it: its numbers' leading digits, its bytes, and their SHA-256."""

    lead: str
    size: _Size
    hash: _Hash


class _ManifestFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    version: _Version
    built: _Seconds
    services: tuple[ServiceEntry, ...]
    chunks: tuple[_ChunkEntry, ...]


@dataclass(frozen=True, slots=True)
class ChunkEntry:
    """A chunk of a version: the leading digits of its numbers, its size in bytes, and its SHA-256 in hexadecimal."""

    lead: LeadingDigits
    size: int
    hash: str

    @classmethod
    def of(cls, lead: LeadingDigits, data: bytes) -> Self:
        """Describe a chunk."""
        return cls(lead, len(data), sha256(data).hexdigest())

    def matches(self, data: bytes | memoryview) -> bool:
        """Tell whether these are the chunk's bytes."""
        return len(data) == self.size and sha256(data).hexdigest() == self.hash


@dataclass(frozen=True)
class Manifest:
    """One version of a map. `built` is in seconds since 1970; `services` are by the number that chunks know them by."""

    version: int
    built: int
    services: dict[int, ResolutionService]
    chunks: tuple[ChunkEntry, ...]

    def __post_init__(self) -> None:
        """Refuse chunks that are not all of the numbers, and services that would be mistaken for one another."""
        require_partition([chunk.lead for chunk in self.chunks])
        if not self.services or len({service.name for service in self.services.values()}) < len(self.services):
            msg = "the services of a map have different names, and there is at least one"
            raise MapFormatError(msg)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a manifest; raise MapFormatError unless it is what `encode` makes of it."""
        try:
            file = msgspec.json.decode(data, type=_ManifestFile)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            msg = f"this is no manifest of a map: {error}"
            raise MapFormatError(msg) from error
        if file.format != FORMAT:
            msg = "a manifest of another format: a newer version of this program may read it"
            raise MapFormatError(msg)
        manifest = cls(
            file.version,
            file.built,
            {entry.number: entry.service for entry in file.services},
            tuple(ChunkEntry(LeadingDigits(entry.lead), entry.size, entry.hash) for entry in file.chunks),
        )
        if manifest.encode() != data:
            msg = "a manifest is written in another way than the only one"
            raise MapFormatError(msg)
        return manifest

    def encode(self) -> bytes:
        """Return the manifest's bytes: JSON without white space, services and chunks in order."""
        return msgspec.json.encode(
            _ManifestFile(
                FORMAT,
                self.version,
                self.built,
                tuple(ServiceEntry.of(number, self.services[number]) for number in sorted(self.services)),
                tuple(_ChunkEntry(chunk.lead.digits, chunk.size, chunk.hash) for chunk in self.chunks),
            )
        )

    @cached_property
    def hash(self) -> str:
        """The SHA-256 of the manifest's bytes, in hexadecimal."""
        return sha256(self.encode()).hexdigest()

    @property
    def size(self) -> int:
        """How many bytes all chunks have."""
        return sum(chunk.size for chunk in self.chunks)

    @property
    def offsets(self) -> tuple[int, ...]:
        """Where each chunk begins where all stand one after the other."""
        return tuple(accumulate((chunk.size for chunk in self.chunks[:-1]), initial=0))
