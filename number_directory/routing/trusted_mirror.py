"""A mirror of a routing map: what it hands out, held to what the map's signers signed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from number_directory.routing.delta import LARGEST_DELTA
from number_directory.routing.manifest import LARGEST_MANIFEST
from transparency.releases.errors import MirrorError, MismatchRefused
from transparency.releases.mirror import TrustedMirror
from transparency.releases.release import Target
from transparency.transport import Transport

MANIFEST_TARGET: Final = "manifest"
DELTA_TARGETS: Final = "deltas/"
"""Followed by the version that a delta is put into."""
VERSION: Final = "version"
"""The member of the manifest target's `custom` that says which version of the map it describes."""


@dataclass(frozen=True)
class Offer:
    """What is signed to be the newest: the version, its manifest, and the deltas that lead there, with their sizes.

    `as_of` is when that was said, `expires` until when it is good, in seconds since 1970.
    """

    version: int
    manifest: str
    deltas: Mapping[int, int]
    as_of: int
    expires: int


class MapMirror:
    """A mirror, held to what the keys of `root` sign: metadata that came with the program or from a person."""

    def __init__(self, folder: Path, url: str, root: bytes, transport: Transport) -> None:
        """Keep what was last believed in `folder`. Raises UpdateRefused where `root` is no root."""
        self._mirror = TrustedMirror(folder, url, root, transport, largest=LARGEST_MANIFEST)

    def refresh(self) -> Offer:
        """Fetch and check all metadata; raise UpdateRefused or MirrorError."""
        release = self._mirror.refresh()
        manifest = release.files.get(MANIFEST_TARGET)
        version = None if manifest is None else manifest.custom.get(VERSION)
        if manifest is None or not manifest.sha256 or not isinstance(version, int) or release.as_of is None:
            msg = "what is signed is no routing map: ask the publisher for the right root.json and address"
            raise MismatchRefused(msg)
        return Offer(version, manifest.sha256, deltas_of(release.files), release.as_of, release.expires)

    def manifest(self) -> bytes:
        """Fetch the manifest of the newest version; call `refresh` before."""
        return self._mirror.file(MANIFEST_TARGET)

    def delta(self, base: int) -> bytes:
        """Fetch the delta that is put into a version; call `refresh` before."""
        return self._mirror.file(f"{DELTA_TARGETS}{base}", LARGEST_DELTA)

    def chunk(self, hash_: str, size: int) -> bytes:
        """Fetch the bytes that a mirror has for a chunk, which nobody has checked."""
        answer = self._mirror.unsigned(chunk_path(hash_), size)
        if not answer.is_ok:
            msg = f"the mirror has not all chunks of the newest version: it answered {answer.status}; try again later"
            raise MirrorError(msg)
        return answer.body


def deltas_of(files: Mapping[str, Target]) -> dict[int, int]:
    """Return the sizes of the deltas among signed files, by the version that each is put into."""
    return {
        int(base): file.size
        for name, file in files.items()
        if (base := name.removeprefix(DELTA_TARGETS)) != name and base.isdecimal()
    }


def chunk_path(hash_: str) -> str:
    """Return where a repository keeps a chunk."""
    return f"chunks/{hash_[:2]}/{hash_[2:]}"
