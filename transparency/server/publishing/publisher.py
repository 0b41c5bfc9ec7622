"""What the sequencer asks of the place that its files go to, and how each kind of file is delivered to readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

BINARY = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

_FOR_GOOD = "public, max-age=31536000, immutable"
_FOR_A_MOMENT = "public, max-age=1"
_TILES = "/tile/"
_INDEX = "/index/"
_SEGMENTS = "/index/segment/"
_CHECKPOINT = "checkpoint"


@dataclass(frozen=True, slots=True)
class Delivery:
    """The headers that a file is served with."""

    content_type: str
    cache_control: str


def delivery_of(path: str) -> Delivery:
    """Return how the file at a path such as `2027h1/tile/0/000` is served (C2SP tlog-tiles, static-ct-api).

    Tiles and entry bundles are immutable, partial ones too: a wider one stands at another path. So are the files of the
    label index but for its checkpoint: segments are named after their content.
    """
    if path.endswith(_CHECKPOINT):
        return Delivery(TEXT, _FOR_A_MOMENT)
    return Delivery(BINARY, _FOR_GOOD if _TILES in path or _INDEX in path else _FOR_A_MOMENT)


def is_tile(path: str) -> bool:
    """Tell whether a path is that of a part of the tree, which never has two contents."""
    return _TILES in path


def is_segment(path: str) -> bool:
    """Tell whether a path is that of a segment of the label index."""
    return _SEGMENTS in path


class Publisher(Protocol):
    """A place for files. What a method wrote is synced when it returns, and each file is there wholly or not at all.

    Paths are relative, with `/`. Each method raises PublishingError where the place cannot be used now.
    """

    def read(self, path: str) -> bytes | None:
        """Return the file at a path, None where there is none."""

    def read_parts(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes] | None:
        """Return parts of a file that never changes, None where there is none: from which byte on, and how many, each.

        What is beyond the file's end is left out.
        """

    def size(self, path: str) -> int | None:
        """Return how many bytes a file has, None where there is none."""

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write files, over what is there; raise HistoryError where a tile is there with other content."""

    def delete(self, paths: Iterable[str]) -> None:
        """Delete files, those that are there, and of a path that ends in `/` all below it."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return how many bytes each file below a folder has, whose path ends in `/`."""

    def stage(self, name: str, data: bytes) -> None:
        """Keep data under a name, out of the readers' sight where that is possible."""

    def staged(self, name: str) -> bytes | None:
        """Return what is kept under a name, None where there is nothing."""

    def staged_names(self, prefix: str) -> tuple[str, ...]:
        """Return the names with this prefix under which something is kept."""

    def unstage(self, names: Iterable[str]) -> None:
        """Drop what is kept under these names."""
