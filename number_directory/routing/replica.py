"""Keep a map on this machine up to date, from a mirror that nobody needs to trust.

Where deltas lead from the version that is here to the newest, they are all that is fetched; else the chunks that are
other ones. A version is put into use when all of it is there, checked and on the disk: whoever is killed on the way has
the old one, and what was fetched already is not fetched again.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Self

import msgspec
import platformdirs

from number_directory.routing.delta import Delta, Patch
from number_directory.routing.errors import DamagedMapError, MapFormatError, NoMapError
from number_directory.routing.manifest import ChunkEntry, Manifest
from number_directory.routing.map_folder import Current, MapFolder, Pack
from number_directory.routing.trusted_mirror import MapMirror, Offer
from transparency.releases.errors import MismatchRefused
from transparency.releases.files import write_whole
from transparency.releases.mirror import CountingTransport
from transparency.transport import HttpTransport, Transport

_log = logging.getLogger(__name__)

HOME_VARIABLE = "ANSWERBACK_HOME"
"""The environment variable that names another folder than the user's own for all that Answerback keeps."""

_ROOT = "root.json"
_SOURCE = "source.json"
_METADATA = "metadata"
_INCOMING = "incoming"
WORTH = 2
"""Deltas are taken where they are less than the map, so many times."""

Progress = Callable[[int, int], None]
"""Told how many chunks are there, and how many there will be."""


def default_folder() -> Path:
    """Return the user's own folder for a map: in `$ANSWERBACK_HOME`, or among the user's data."""
    named = os.environ.get(HOME_VARIABLE)
    return (Path(named) if named else platformdirs.user_data_path("answerback", appauthor=False)) / "map"


class Way(Enum):
    """How an update came about."""

    UNCHANGED = "unchanged"
    DELTAS = "deltas"
    CHUNKS = "chunks"


@dataclass(frozen=True)
class Update:
    """What an update did: the version now in use, the one before, how, and how many bytes were moved for it."""

    version: int
    before: int | None
    way: Way
    moved: int


class _Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: Annotated[str, msgspec.Meta(max_length=2000)]


class MapReplica:
    """A replica of a map in a folder: where it comes from, and whom to believe about it.

    `root` is the root metadata of The Update Framework that came with the program, or from a person.
    """

    def __init__(self, folder: Path, url: str, root: bytes, transport: Transport | None = None) -> None:
        """Prepare to ask the mirror at `url`."""
        self._files = MapFolder(folder)
        self._url = url
        self._root = root
        self._transport = CountingTransport(transport or HttpTransport())
        self._incoming = folder / _INCOMING

    @classmethod
    def create(cls, folder: Path, url: str, root: bytes, transport: Transport | None = None) -> Self:
        """Remember in the folder from where its map comes, and whom to believe; nothing is fetched yet.

        Raises UnsignedRefused where `root` is no root metadata.
        """
        replica = cls(folder, url, root, transport)
        with tempfile.TemporaryDirectory() as scratch:
            MapMirror(Path(scratch), url, root, replica._transport)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _ROOT).exists() or (folder / _ROOT).read_bytes() != root:
            shutil.rmtree(folder / _METADATA, ignore_errors=True)  # what another root's signers said is nobody's word
        write_whole(folder / _ROOT, root)
        write_whole(folder / _SOURCE, msgspec.json.encode(_Source(url)))
        return replica

    @classmethod
    def open(cls, folder: Path, transport: Transport | None = None) -> Self:
        """Open the replica of a folder; raise NoMapError where there is none."""
        try:
            source = msgspec.json.decode((folder / _SOURCE).read_bytes(), type=_Source)
            root = (folder / _ROOT).read_bytes()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{folder} is no replica of a map: say where it comes from, with --mirror and --root"
            raise NoMapError(msg) from error
        return cls(folder, source.url, root, transport)

    def update(self, progress: Progress = lambda _, __: None) -> Update:
        """Bring the map up to date, and mend what is damaged.

        Raises UpdateRefused where what the mirror hands out is not believed, and MirrorError where it cannot be asked;
        the last good version stays in use.
        """
        with self._files.changing():
            self._transport.moved = 0
            mirror = MapMirror(self._files.path / _METADATA, self._url, self._root, self._transport)
            offer = mirror.refresh()
            here = self._here()
            way = self._bring(mirror, offer, here, progress)
            self._files.use(Current(offer.manifest, offer.as_of, offer.expires))
            shutil.rmtree(self._incoming, ignore_errors=True)
        return Update(offer.version, None if here is None else here.pack.manifest.version, way, self._transport.moved)

    def _bring(self, mirror: MapMirror, offer: Offer, here: _Here | None, progress: Progress) -> Way:
        """Write the version that is offered, unless it is here."""
        if here is not None and not here.is_damaged:
            if here.pack.manifest.hash == offer.manifest:
                return Way.UNCHANGED
            if self._patch(mirror, offer, here):
                return Way.DELTAS
        self._fetch(mirror, here, progress)
        return Way.CHUNKS

    def _here(self) -> _Here | None:
        """Look at the version in use; None where there is none, or nothing of it can be used."""
        try:
            pack = self._files.open(self._files.current())
        except NoMapError:
            return None
        except DamagedMapError as error:
            _log.warning("%s", error)
            return None
        return _Here.of(pack)

    def _patch(self, mirror: MapMirror, offer: Offer, here: _Here) -> bool:
        """Write the new version by deltas; return False where none lead there, or they would not be worth it."""
        bases = range(here.pack.manifest.version, offer.version)
        if not bases or any(base not in offer.deltas for base in bases):
            return False
        if WORTH * sum(offer.deltas[base] for base in bases) > here.pack.manifest.size:
            return False
        try:
            patch = Patch(here.pack.manifest, [Delta.decode(mirror.delta(base)) for base in bases])
            self._files.write(
                patch.chunks(lambda entry: bytes(here.chunks[entry])), lambda: patch.manifest, offer.manifest
            )
        except MapFormatError as error:
            _log.warning(
                "the deltas of the map lead elsewhere than to what is signed; its chunks are fetched: %s", error
            )
            return False
        return True

    def _fetch(self, mirror: MapMirror, here: _Here | None, progress: Progress) -> None:
        """Write the new version out of chunks: those that are here, and those of the mirror."""
        try:
            manifest = Manifest.decode(mirror.manifest())
        except MapFormatError as error:
            msg = f"the manifest that is signed cannot be used: {error}; the last good version stays in use"
            raise MismatchRefused(msg) from error
        self._incoming.mkdir(exist_ok=True)
        self._files.write(self._chunks(mirror, manifest, here, progress), lambda: manifest)

    def _chunks(
        self, mirror: MapMirror, manifest: Manifest, here: _Here | None, progress: Progress
    ) -> Iterator[tuple[ChunkEntry, bytes]]:
        have = {} if here is None else {entry.hash: data for entry, data in here.chunks.items()}
        for done, entry in enumerate(manifest.chunks):
            progress(done, len(manifest.chunks))
            data = have.get(entry.hash)
            yield entry, self._incoming_chunk(mirror, entry) if data is None else bytes(data)
        progress(len(manifest.chunks), len(manifest.chunks))

    def _incoming_chunk(self, mirror: MapMirror, entry: ChunkEntry) -> bytes:
        """Return a chunk that an update that was cut off has fetched already, or fetch it."""
        place = self._incoming / entry.hash
        if place.exists() and entry.matches(data := place.read_bytes()):
            return data
        for _ in range(2):  # a single bad transfer is no reason to give up
            data = mirror.chunk(entry.hash, entry.size)
            if entry.matches(data):
                draft = place.with_suffix(".draft")
                draft.write_bytes(data)
                draft.replace(place)
                return data
        msg = (
            f"the mirror's chunk of the numbers that begin with +{entry.lead.digits} is not what was signed: "
            "the last good version stays in use; try another mirror"
        )
        raise MismatchRefused(msg)


@dataclass(frozen=True)
class _Here:
    """The version in use, and those of its chunks that are what was signed."""

    pack: Pack
    chunks: dict[ChunkEntry, memoryview]

    @classmethod
    def of(cls, pack: Pack) -> Self:
        chunks = {entry: data for entry, data in pack.slices() if entry.matches(data)}
        for entry in pack.manifest.chunks:
            if entry not in chunks:
                _log.warning(
                    "the chunk of the numbers that begin with +%s is damaged; it is fetched again", entry.lead.digits
                )
        return cls(pack, chunks)

    @property
    def is_damaged(self) -> bool:
        return len(self.chunks) < len(self.pack.manifest.chunks)
