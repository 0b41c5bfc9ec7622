"""Make a map, have it signed, and hand it out: all of a publisher's work, in one folder.

    map.toml      the settings, with the resolution services
    keys/         the online key, and those of signers who sign here
    public/       what a web server hands out: metadata/, targets/, chunks/
    pending/      what waits for signatures
    map/          the map that is published, for the publisher's own server

Everything in `public` that could be mistaken is named after its hash or its version, but for the timestamp. That is
written last: a publisher that is killed on the way has published the old version.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Final, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from number_directory.routing.building import MapBuilder
from number_directory.routing.chunk import LARGEST_CHUNK, MOST_SERVICES, Change
from number_directory.routing.delta import LARGEST_DELTA, Delta, Patch, difference
from number_directory.routing.entries import Entry, Progress, read_entries
from number_directory.routing.errors import BuildError, MapFormatError
from number_directory.routing.manifest import ChunkEntry, Manifest
from number_directory.routing.map_folder import Current, MapFolder
from number_directory.routing.publisher_config import CONFIG_NAME, PublisherConfig, load_config
from number_directory.routing.replica import WORTH
from number_directory.routing.routing_map import Clock
from number_directory.routing.services import ResolutionService
from number_directory.routing.trusted_mirror import DELTA_TARGETS, MANIFEST_TARGET, VERSION, chunk_path, deltas_of
from serving.initialising import quoted, staged
from serving.key_files import KeyFiles
from serving.settings import Keys, Listener
from stir.telephone_number import TelephoneNumber
from transparency.releases.errors import PublishingError
from transparency.releases.files import write_whole
from transparency.releases.publishing import GRACE_SECONDS, SigningDesk, keys_of
from transparency.releases.repository import NewFile, Pending, Published

MOST_DELTAS: Final = 24
"""So many versions back a replica can be, and still be brought up to date by deltas."""
_MAP = "map"
_SETTINGS = """\
# A publisher of a routing map: which resolution service has which number.
name = {name}

# Numbers that no prefix covers are given out among these services: every number resolves.
defaults = []

# Each resolution service. A name stays, whatever else of a service changes.
# [[services]]
# name = "rs.example"
# operator = "Example Ltd"
# url = "https://rs.example"
# description_sha256 = "the SHA-256 of its directory.json, in hexadecimal"

# How long signatures hold. The timestamp must be renewed before: answerback directory map timestamp
[valid]
timestamp_hours = 48
map_days = 90
root_days = 730

[keys]
{keys}

# Without TLS on this machine only: put a proxy that speaks TLS before it, or set tls.
[server]
bind = {bind}
# tls = {{ certificate = "tls.pem", key = "tls.key" }}
"""


@dataclass(frozen=True)
class Built:
    """What a build came to: the version, its numbers and chunks, and the bytes of the delta to it, None without one."""

    version: int
    chunks: int
    size: int
    delta: int | None


@dataclass(frozen=True)
class PublishedMap:
    """What is published now: the map's version and its manifest's hash, and until when each signature on it holds.

    `deltas` are the sizes of the deltas by the version that they are put into; times are in seconds since 1970.
    """

    version: int
    manifest: str
    deltas: Mapping[int, int]
    as_of: int
    expires: int
    root_expires: int
    targets_expires: int

    @classmethod
    def of(cls, published: Published) -> Self:
        """Read what is published as a map."""
        manifest = published.files[MANIFEST_TARGET]
        return cls(
            manifest.custom[VERSION],
            manifest.sha256,
            deltas_of(published.files),
            published.as_of,
            published.expires,
            published.root_expires,
            published.targets_expires,
        )


@dataclass(frozen=True)
class NewMap:
    """A publisher to be made. `people` are those who sign, `threshold` of them; none: one key, made here.

    `keys` says where the keys' passphrase comes from later, and `passphrase` is it; `bind` is where its server listens.
    """

    name: str
    people: tuple[Ed25519PublicKey, ...] = ()
    threshold: int = 1
    keys: Keys = field(default_factory=Keys)
    passphrase: bytes | None = field(default=None, repr=False)
    bind: str = "127.0.0.1:14300"


class MapPublisher:
    """The publisher of the map in a folder."""

    def __init__(self, folder: Path, clock: Clock = time.time, passphrase: bytes | None = None) -> None:
        """Use a publisher's folder; raise PublishingError where its settings cannot be used.

        The keys' `passphrase` is where the settings say, unless given.
        """
        self._passphrase = passphrase
        self.folder = folder
        self.config: PublisherConfig = load_config(folder)
        self._clock = clock
        self._desk = SigningDesk(folder, lambda: self.keys, self.config.valid.lives, clock, self._released)
        self._map = MapFolder(folder / _MAP)

    @classmethod
    def create(cls, folder: Path, new: NewMap, clock: Clock = time.time) -> Self:
        """Make a publisher in a new folder: settings, keys, and the first root, which waits for signatures.

        Without public keys of signers, the publisher signs alone, with a key that is made here. Raises PublishingError
        or ConfigurationError, and makes nothing, where that cannot be.
        """
        settings = _settings(new)
        with staged(folder, last=CONFIG_NAME) as draft:
            write_whole(draft / CONFIG_NAME, settings.encode())
            draft_publisher = cls(draft, clock, new.passphrase)
            with draft_publisher._map.changing():
                draft_publisher._desk.begin(new.people, new.threshold)
        return cls(folder, clock, new.passphrase)

    @property
    def root(self) -> bytes:
        """The newest root metadata, which replicas are given."""
        return self._desk.repository.root

    @property
    def public(self) -> Path:
        """The folder that a web server hands out."""
        return self._desk.public

    @property
    def map_folder(self) -> Path:
        """The folder of the published map, which the publisher's own server answers from."""
        return self._map.path

    @property
    def listener(self) -> Listener:
        """Where the publisher's server listens, with absolute paths."""
        server = self.config.server
        return server if server.tls is None else msgspec.structs.replace(server, tls=server.tls.resolved(self.folder))

    @property
    def keys(self) -> KeyFiles:
        """The keys that are here; raises KeyStoreError where their passphrase is missing."""
        return keys_of(self.folder, self.config.keys, self._passphrase)

    def published(self) -> PublishedMap | None:
        """Return what is published; None before anything is."""
        published = self._desk.repository.published()
        return None if published is None else PublishedMap.of(published)

    def pending(self) -> tuple[Pending, ...]:
        """Return what waits for signatures."""
        return self._desk.pending()

    # Building

    def build(self, files: Sequence[Path], progress: Progress = lambda _: None) -> Built | None:
        """Make a new version of all entries of these files; None where it would be the one that is published.

        Raises BuildError where the entries make no map.
        """
        with self._map.changing():
            old = self._published_manifest()
            services = self._numbered(old)
            numbers = {service.name: number for number, service in services.items()}
            defaults = {name: numbers[name] for name in self.config.defaults}
            with tempfile.TemporaryDirectory(prefix="answerback-map-") as scratch:
                builder = MapBuilder(Path(scratch), defaults)
                for path in files:
                    builder.add(read_entries(path, numbers, progress=progress))
                entries = tuple(self._stored(builder.chunks()))
            new = Manifest(*self._following(old), services, entries)
            if old is None:
                return self._propose(new, None)
            if (old.services, old.chunks) == (new.services, new.chunks):
                return None
            return self._propose(new, difference(old, self._chunk, new, self._chunk))

    def change(self, files: Sequence[Path], progress: Progress = lambda _: None) -> Built | None:
        """Make a new version of the published one and the changes in these files; None where nothing changes.

        Raises BuildError where a change cannot be made: prefixes change with the whole map.
        """
        with self._map.changing():
            old = self._published_manifest()
            if old is None:
                msg = "there is no map yet that could change: build one of all entries first"
                raise BuildError(msg)
            services = self._numbered(old)
            numbers = {service.name: number for number, service in services.items()}
            changes = _changes(
                entry for path in files for entry in read_entries(path, numbers, are_changes=True, progress=progress)
            )
            delta = Delta(
                old.hash,
                old.version,
                *self._following(old),
                {number: service for number, service in services.items() if old.services.get(number) != service},
                tuple(sorted(old.services.keys() - services.keys())),
                changes=changes,
            )
            delta, new = self._patched(old, delta)
            if (old.services, old.chunks) == (new.services, new.chunks):
                return None
            return self._propose(new, delta)

    def _patched(self, old: Manifest, delta: Delta) -> tuple[Delta, Manifest]:
        """Put a delta into the published map, cutting chunks that have become too large."""
        while True:
            patch = Patch(old, [delta])
            too_large = []
            for entry, data in patch.chunks(self._chunk):
                if len(data) > LARGEST_CHUNK:
                    too_large.append(entry.lead)
                else:
                    self._store(entry, data)
            if not too_large:
                return delta, patch.manifest
            leads = {*delta.leads, *(child for lead in too_large for child in lead.children())} - set(too_large)
            gone = {*delta.leads_gone, *too_large} & {chunk.lead for chunk in old.chunks}
            delta = replace(delta, leads=tuple(sorted(leads)), leads_gone=tuple(sorted(gone)))

    def _propose(self, new: Manifest, delta: Delta | None) -> Built:
        """Write down what is to be signed, sign it by the keys that are here, and publish it if that is enough."""
        data = None if delta is None else self._worthwhile(new, delta)
        published = self.published()
        before = {} if published is None else published.deltas
        kept = _kept(before, new, 0 if data is None else len(data))
        files = {MANIFEST_TARGET: NewFile(new.encode(), {VERSION: new.version})}
        if data is not None and delta is not None:
            files[f"{DELTA_TARGETS}{delta.base_version}"] = NewFile(data)
        self._desk.propose(files, [f"{DELTA_TARGETS}{base}" for base in kept])
        return Built(new.version, len(new.chunks), new.size, None if data is None else len(data))

    def _worthwhile(self, new: Manifest, delta: Delta) -> bytes | None:
        """Return the delta as it is sent, tried out; None where the chunks would be less to fetch."""
        old = self._published_manifest()
        data = delta.encode()
        others = set() if old is None else set(old.chunks)
        if old is None or len(data) > min(
            LARGEST_DELTA, sum(chunk.size for chunk in new.chunks if chunk not in others)
        ):
            return None
        patch = Patch(old, [Delta.decode(data)])
        for _ in patch.chunks(self._chunk):
            pass
        if patch.manifest != new:
            msg = "this is a bug: the delta does not lead to the new version; please report it with the two versions"
            raise PublishingError(msg)
        return data

    # Signing: see the desk

    def sign(self, key: Ed25519PrivateKey) -> tuple[Pending, ...]:
        """Sign all that waits, publish what then is complete, and return what still waits.

        Raises PublishingError where the key is no signer's.
        """
        with self._map.changing():
            self._desk.sign(key)
        return self.pending()

    def merge(self, copies: Iterable[bytes]) -> tuple[Pending, ...]:
        """Take over the signatures of copies of what waits, that were signed elsewhere; then as `sign` does."""
        with self._map.changing():
            self._desk.merge(copies)
        return self.pending()

    def rotate(
        self, people: Sequence[Ed25519PublicKey] = (), threshold: int | None = None, *, new_online_key: bool = False
    ) -> tuple[Pending, ...]:
        """Have other people sign from now on, or a new online key: old and new signers sign the change.

        What is not given stays. What is published is signed anew as well, for the old signatures count no longer.
        """
        with self._map.changing():
            self._desk.rotate(people, threshold, new_online_key=new_online_key)
        return self.pending()

    def renew(self) -> tuple[Pending, ...]:
        """Have the people sign what is published once more, before their signatures expire."""
        with self._map.changing():
            self._desk.renew()
        return self.pending()

    def refresh(self) -> PublishedMap:
        """Say anew, by the online key, that what is published is the newest: the timestamp lives on.

        What somebody was killed at while publishing it is published first.
        """
        with self._map.changing():
            published = PublishedMap.of(self._desk.refresh())
            self._use(published)
            return published

    # Files

    def _released(self, published: Published) -> None:
        """Bring the publisher's own map to what is published, and delete the chunks that are published no longer."""
        self._prune(self._use(PublishedMap.of(published)), self._clock() - GRACE_SECONDS)

    def _use(self, published: PublishedMap) -> Manifest:
        manifest = self._manifest_of(published)
        if not self._map.holds(manifest):
            self._map.write(((entry, self._chunk(entry)) for entry in manifest.chunks), lambda: manifest)
        self._map.use(Current(published.manifest, published.as_of, published.expires))
        return manifest

    def _published_manifest(self) -> Manifest | None:
        published = self.published()
        return None if published is None else self._manifest_of(published)

    def _manifest_of(self, published: PublishedMap) -> Manifest:
        try:
            return Manifest.decode(self._desk.repository.file(MANIFEST_TARGET, published.manifest))
        except MapFormatError as error:
            msg = f"the manifest that is published is damaged ({error}): restore it from your backup"
            raise PublishingError(msg) from error

    def _following(self, old: Manifest | None) -> tuple[int, int]:
        """Return the version after the published one, and the time."""
        return 1 if old is None else old.version + 1, int(self._clock())

    def _numbered(self, old: Manifest | None) -> dict[int, ResolutionService]:
        """Return the services by the numbers that they had before; new ones get numbers that none had."""
        services = self.config.resolution_services()
        before = {} if old is None else {service.name: number for number, service in old.services.items()}
        free = iter(number for number in range(MOST_SERVICES) if number not in set(before.values()))
        try:
            return {before[name] if name in before else next(free): service for name, service in services.items()}
        except StopIteration as error:
            msg = f"{CONFIG_NAME}: services: a map has up to {MOST_SERVICES} of them"
            raise BuildError(msg) from error

    def _stored(self, chunks: Iterable[tuple[ChunkEntry, bytes]]) -> Iterator[ChunkEntry]:
        for entry, data in chunks:
            self._store(entry, data)
            yield entry

    def _store(self, entry: ChunkEntry, data: bytes) -> None:
        path = self._chunk_file(entry)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)

    def _chunk(self, entry: ChunkEntry) -> bytes:
        try:
            data = self._chunk_file(entry).read_bytes()
        except OSError as error:
            msg = f"{self._chunk_file(entry)} cannot be read: {error.strerror}; restore it, or build the map anew"
            raise PublishingError(msg) from error
        if not entry.matches(data):
            msg = f"{self._chunk_file(entry)} is damaged: delete it, and build the map anew"
            raise PublishingError(msg)
        return data

    def _chunk_file(self, entry: ChunkEntry) -> Path:
        return self.public / chunk_path(entry.hash)

    def _prune(self, manifest: Manifest, before: float) -> None:
        """Delete what is published no longer, and was written before a time."""
        kept = {self._chunk_file(entry) for entry in manifest.chunks}
        for path in (self.public / "chunks").rglob("*"):
            if path.is_file() and path not in kept and path.stat().st_mtime < before:
                path.unlink()


def _settings(new: NewMap) -> str:
    """Write the settings of a new publisher."""
    keys = ["unencrypted = true" if new.keys.unencrypted else "unencrypted = false"]
    if new.keys.passphrase_file is not None:
        keys.append(f"passphrase_file = {quoted(str(new.keys.passphrase_file.absolute()))}")
    return _SETTINGS.format(name=quoted(new.name), bind=quoted(new.bind), keys="\n".join(keys))


def _changes(entries: Iterable[Entry]) -> dict[int, list[Change]]:
    """Sort changes by the numbers' length, and by number; raise BuildError for two that contradict one another."""
    found: dict[int, dict[int, int | None]] = {}
    for key, service in entries:
        if not isinstance(key, int):
            msg = f"the prefix {key.e164} cannot be among changes: build the map anew of all entries"
            raise BuildError(msg)
        if found.setdefault(len(str(key)), {}).setdefault(key, service) != service:
            msg = f"the number {TelephoneNumber(str(key)).masked} is given to two services: leave one"
            raise BuildError(msg)
    return {length: sorted(changes.items(), key=itemgetter(0)) for length, changes in found.items()}


def _kept(before: Mapping[int, int], new: Manifest, size: int) -> list[int]:
    """Return which deltas that were published stay: the latest, as long as they are less to fetch than the map."""
    kept: list[int] = []
    base = new.version - 2
    while size and base in before and len(kept) < MOST_DELTAS - 1:
        size += before[base]
        if WORTH * size > new.size:
            break
        kept.append(base)
        base -= 1
    return kept
