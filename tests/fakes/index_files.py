"""The segments of a label index in memory, read and written as an index's maker and its watchers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from transparency.errors import TileMissingError
from transparency.index_growth import LabelIndex
from transparency.label_index import segment_at


@dataclass
class IndexFiles:
    """Files by their paths, and the parts of them that were asked for."""

    kept: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def sizes(self) -> dict[bytes, int]:
        """Return the names of the segments that are there, and how many bytes each has."""
        named = {segment_at(path): len(data) for path, data in self.kept.items()}
        return {name: size for name, size in named.items() if name is not None}

    def fetch_part(self, path: str, start: int, length: int) -> bytes:
        """Return a part of a file."""
        self.asked.append((path, start, length))
        if path not in self.kept:
            raise TileMissingError(path)
        return self.kept[path][start : start + length]

    def read(self, path: str, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return parts of a file."""
        return [self.fetch_part(path, *part) for part in parts]

    def put(self, path: str, data: bytes) -> None:
        """Keep a file."""
        assert self.kept.get(path, data) == data
        self.kept[path] = data

    def drop(self, path: str) -> None:
        """Forget a file."""
        self.kept.pop(path, None)


def built(labels: Sequence[bytes]) -> tuple[LabelIndex, dict[str, bytes]]:
    """Return the index of a whole log, given the label of each of its entries, and its files."""
    files = IndexFiles()
    return LabelIndex.build(labels, files.put), files.kept
