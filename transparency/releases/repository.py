"""The publisher's half of The Update Framework: who may sign what, and the files that say so.

People sign two things, a threshold of them each: who signs (root), and which files are the newest (targets). That this
is still so (snapshot and timestamp), a machine signs that is always on. Whoever breaks into that machine can hold the
newest release back, and nothing else.

What waits for signatures is a file of its own, that travels to the signers and back.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import (
    Key,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from transparency.releases.errors import PublishingError
from transparency.releases.files import write_whole
from transparency.releases.release import AS_OF, SHA256, Target

ROOT: Final = "root"
TARGETS: Final = "targets"

_METADATA = "metadata"
_TARGET_FILES = "targets"
_TIMESTAMP = "timestamp.json"
_ROOT_FILE = re.compile(r"([1-9][0-9]{0,8})\.root\.json", re.ASCII)


@dataclass(frozen=True)
class Signers:
    """Who signs: `threshold` of `people` what people sign, and `online` that it still holds."""

    people: tuple[Ed25519PublicKey, ...]
    threshold: int
    online: Ed25519PublicKey

    def __post_init__(self) -> None:
        """Refuse a threshold that nobody could reach, or that asks for nobody."""
        if not 1 <= self.threshold <= len({_key(key).keyid for key in self.people}):
            msg = (
                f"{self.threshold} of {len(self.people)} signers: the threshold is at least 1, and at most all of them"
            )
            raise PublishingError(msg)
        if any(_key(key).keyid == _key(self.online).keyid for key in self.people):
            msg = "the online key is no signer's: whoever breaks into the server could sign a release"
            raise PublishingError(msg)


@dataclass(frozen=True)
class Lives:
    """How long each signature holds."""

    root: timedelta
    targets: timedelta
    timestamp: timedelta


@dataclass(frozen=True)
class NewFile:
    """A file to be released. `custom` is signed with it, and handed to whoever fetches it."""

    data: bytes = field(repr=False)
    custom: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Pending:
    """What waits for signatures: its role and version, how many signatures it has, and how many it needs.

    A new root needs those of the old signers as well; `have` and `need` are then of whoever lacks more.
    """

    role: str
    version: int
    have: int
    need: int

    @property
    def is_complete(self) -> bool:
        """Whether it can be released."""
        return self.have >= self.need


@dataclass(frozen=True)
class Published:
    """What is published now: the files by name, and until when each signature on them holds, in seconds since 1970."""

    files: Mapping[str, Target]
    as_of: int
    expires: int
    root_expires: int
    targets_expires: int


class SignedRepository:
    """The files of a repository below `public`: metadata, and what is signed as targets."""

    def __init__(self, public: Path) -> None:
        """Use a folder, which need not exist."""
        self._metadata = public / _METADATA
        self._targets = public / _TARGET_FILES

    # What is there

    @property
    def root(self) -> bytes:
        """The newest root metadata: what readers are given. Raises PublishingError where there is none."""
        return self._root_file().read_bytes()

    @property
    def has_root(self) -> bool:
        """Whether there is root metadata."""
        return self._previous_root() is not None

    @property
    def _is_published(self) -> bool:
        return (self._metadata / _TIMESTAMP).exists()

    def published(self) -> Published | None:
        """Return what is published; None before anything is."""
        if not self._is_published:
            return None
        timestamp, targets = self._timestamp().signed, self._published_targets().signed
        return Published(
            {name: Target.of(file) for name, file in targets.targets.items()},
            timestamp.unrecognized_fields[AS_OF],
            _seconds(timestamp.expires),
            _seconds(_read(self.root, Root).signed.expires),
            _seconds(targets.expires),
        )

    def has_published(self, pending: bytes) -> bool:
        """Tell whether metadata is the root, or the targets, that is published."""
        if self.has_root and pending == self.root:
            return True
        return self._is_published and pending == _read_file(self._published_targets_file())

    def file(self, name: str, sha256: str) -> bytes:
        """Return a file by its name and hash; raise PublishingError where it is missing."""
        return _read_file(self._target_file(name, sha256))

    # What is to be signed

    def new_root(self, signers: Signers, lives: Lives, now: float) -> bytes:
        """Return root metadata that names the signers, unsigned: the first, or the one after the newest."""
        previous = self._previous_root()
        root = Root(1 if previous is None else previous.version + 1, expires=_after(now, lives.root))
        for key in signers.people:
            root.add_key(_key(key), Root.type)
            root.add_key(_key(key), Targets.type)
        for role in (Snapshot.type, Timestamp.type):
            root.add_key(_key(signers.online), role)
        for role in (Root.type, Targets.type):
            root.roles[role] = Role(root.roles[role].keyids, signers.threshold)
        return Metadata(root).to_bytes()

    def new_targets(self, files: Mapping[str, NewFile], kept: Collection[str], lives: Lives, now: float) -> bytes:
        """Return targets metadata, unsigned, for new files, and write these.

        Of the files that are published, those that are `kept` stay.
        """
        before = self._published_targets().signed if self._is_published else None
        targets = Targets(1 if before is None else before.version + 1, expires=_after(now, lives.targets))
        if before is not None:
            targets.targets = {name: before.targets[name] for name in kept}
        for name, new in files.items():
            described = TargetFile.from_data(name, new.data, [SHA256])
            if new.custom is not None:
                described.unrecognized_fields["custom"] = dict(new.custom)
            targets.targets[name] = described
            place = self._target_file(name, described.hashes[SHA256])
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, new.data)
        return Metadata(targets).to_bytes()

    def renewed_targets(self, lives: Lives, now: float) -> bytes | None:
        """Return the targets metadata that is published, unsigned and with a new life; None before there is any."""
        if not self._is_published:
            return None
        targets = self._published_targets().signed
        targets.version += 1
        targets.expires = _after(now, lives.targets)
        return Metadata(targets).to_bytes()

    # What is signed

    def state_of(self, pending: bytes, new_root: bytes | None = None) -> Pending:
        """Tell how far what waits is signed; targets by the signers of `new_root` where that waits, too."""
        metadata = _read_any(pending)
        signed = metadata.signed
        if isinstance(signed, Root):
            previous = self._previous_root()
            if previous is not None and signed.version != previous.version + 1:
                msg = (
                    f"root {signed.version} does not follow root {previous.version}, which is the newest: make it anew"
                )
                raise PublishingError(msg)
            result = signed.get_root_verification_result(previous, metadata.signed_bytes, metadata.signatures)
            parts = (result.first, result.second)
            least = max(parts, key=lambda part: part.threshold - len(part.signed))
            return Pending(ROOT, signed.version, len(least.signed), least.threshold)
        root = _read(new_root if new_root is not None else self.root, Root).signed
        part = root.get_verification_result(Targets.type, metadata.signed_bytes, metadata.signatures)
        return Pending(TARGETS, signed.version, len(part.signed), part.threshold)

    def release(
        self, root: bytes | None, targets: bytes | None, online: Ed25519PrivateKey, lives: Lives, now: float
    ) -> None:
        """Publish what is completely signed: root, targets or both; raise PublishingError where it is not.

        The timestamp comes last: until then, readers have what was published before. Whoever asks between a new root
        with another online key, and the timestamp by that key, is refused, and keeps what it has.
        """
        for pending in filter(None, (root, targets)):
            state = self.state_of(pending, root)
            if not state.is_complete:
                msg = f"{state.role} {state.version} has {state.have} of {state.need} signatures: have more people sign"
                raise PublishingError(msg)
        self._require_online(_read(root or self.root, Root).signed, online)
        self._metadata.mkdir(parents=True, exist_ok=True)
        if targets is not None:
            self._require_newer(targets)
            write_whole(self._metadata / f"{_read(targets, Targets).signed.version}.targets.json", targets)
        self._stamp(online, lives, now, targets, root)

    def refresh(self, online: Ed25519PrivateKey, lives: Lives, now: float) -> Published:
        """Say anew that what is published is the newest."""
        self._require_online(_read(self.root, Root).signed, online)
        self._stamp(online, lives, now)
        published = self.published()
        if published is None:
            msg = "nothing is published yet: build a first release, and have it signed"
            raise PublishingError(msg)
        return published

    def prune(self, before: float) -> None:
        """Delete metadata and targets that are not published and were written before a time, in seconds since 1970.

        Roots stay: who has an old one is led to the newest by all those between.
        """
        targets = self._published_targets().signed
        kept = {self._target_file(name, target.hashes[SHA256]) for name, target in targets.targets.items()}
        version = self._timestamp().signed.snapshot_meta.version
        kept |= {self._published_targets_file(), self._metadata / f"{version}.snapshot.json"}
        for path in (
            *self._targets.rglob("*"),
            *self._metadata.glob("*.targets.json"),
            *self._metadata.glob("*.snapshot.json"),
        ):
            if path.is_file() and path not in kept and path.stat().st_mtime < before:
                path.unlink()

    def _stamp(
        self,
        online: Ed25519PrivateKey,
        lives: Lives,
        now: float,
        targets: bytes | None = None,
        root: bytes | None = None,
    ) -> None:
        """Sign snapshot and timestamp anew, and write a new root just before the timestamp."""
        signer = CryptoSigner(online, _key(online.public_key()))
        old = self._timestamp().signed if self._is_published else None
        if targets is None:
            if old is None:  # a first root, before any release
                self._write_root(root)
                return
            targets = _read_file(self._published_targets_file())
        snapshot_version = 1 if old is None else old.snapshot_meta.version + 1
        described = MetaFile.from_data(_read(targets, Targets).signed.version, targets, [SHA256])
        snapshot = Metadata(
            Snapshot(snapshot_version, expires=_after(now, lives.timestamp), meta={"targets.json": described})
        )
        snapshot.sign(signer)
        data = snapshot.to_bytes()
        write_whole(self._metadata / f"{snapshot_version}.snapshot.json", data)
        self._write_root(root)
        timestamp = Metadata(
            Timestamp(
                1 if old is None else old.version + 1,
                expires=_after(now, lives.timestamp),
                snapshot_meta=MetaFile.from_data(snapshot_version, data, [SHA256]),
                unrecognized_fields={AS_OF: int(now)},
            )
        )
        timestamp.sign(signer)
        write_whole(self._metadata / _TIMESTAMP, timestamp.to_bytes())

    def _write_root(self, root: bytes | None) -> None:
        if root is not None:
            write_whole(self._metadata / f"{_read(root, Root).signed.version}.root.json", root)

    def _require_newer(self, targets: bytes) -> None:
        """Refuse to publish what was made before something that is published already."""
        if self._is_published:
            published, new = self._published_targets().signed.version, _read(targets, Targets).signed.version
            if new != published + 1:
                msg = f"targets {new} do not follow targets {published}, which are published: make them anew"
                raise PublishingError(msg)

    @staticmethod
    def _require_online(root: Root, online: Ed25519PrivateKey) -> None:
        if _key(online.public_key()).keyid not in root.roles[Timestamp.type].keyids:
            msg = "the online key is not the one that the root names: rotate the keys, or restore it from your backup"
            raise PublishingError(msg)

    def _previous_root(self) -> Root | None:
        with contextlib.suppress(PublishingError):
            root: Root = _read(self.root, Root).signed
            return root
        return None

    def _root_file(self) -> Path:
        found = (match for path in self._metadata.glob("*.root.json") if (match := _ROOT_FILE.fullmatch(path.name)))
        newest = max((int(match[1]) for match in found), default=0)
        if not newest:
            msg = f"there is no root metadata in {self._metadata}: have the first root signed, or restore it"
            raise PublishingError(msg)
        return self._metadata / f"{newest}.root.json"

    def _timestamp(self) -> Metadata[Timestamp]:
        return _read(_read_file(self._metadata / _TIMESTAMP), Timestamp)

    def _published_targets_file(self) -> Path:
        version = self._timestamp().signed.snapshot_meta.version
        snapshot = _read(_read_file(self._metadata / f"{version}.snapshot.json"), Snapshot)
        return self._metadata / f"{snapshot.signed.meta['targets.json'].version}.targets.json"

    def _published_targets(self) -> Metadata[Targets]:
        return _read(_read_file(self._published_targets_file()), Targets)

    def _target_file(self, name: str, sha256: str) -> Path:
        folder, _, last = name.rpartition("/")
        return self._targets / folder / f"{sha256}.{last}"


def with_signature(pending: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return what waits for signatures with one more; nothing changes where the key has signed it already."""
    metadata = _read_any(pending)
    metadata.sign(CryptoSigner(key, _key(key.public_key())), append=True)
    return metadata.to_bytes()


def with_signatures_of(pending: bytes, others: Iterable[bytes]) -> bytes:
    """Return what waits with the signatures of copies of it too; raise PublishingError where one is no copy."""
    metadata = _read_any(pending)
    for other in map(_read_any, others):
        if other.signed_bytes != metadata.signed_bytes:
            msg = "a signed copy is not of what waits here: it was made anew in the meantime; have that signed"
            raise PublishingError(msg)
        metadata.signatures = {**other.signatures, **metadata.signatures}
    return metadata.to_bytes()


def role_of(pending: bytes) -> str:
    """Return the role of metadata: `ROOT`, `TARGETS`, or one that nobody signs by hand."""
    kind: str = _read_any(pending).signed.type
    return kind


def signers_of(root: bytes) -> Signers:
    """Return whom the root names."""
    signed = _read(root, Root).signed
    people = tuple(_public(signed.keys[keyid]) for keyid in signed.roles[Root.type].keyids)
    (online,) = signed.roles[Timestamp.type].keyids
    return Signers(people, signed.roles[Root.type].threshold, _public(signed.keys[online]))


def is_signer(root: bytes, key: Ed25519PublicKey) -> bool:
    """Tell whether the root names this key among those of people."""
    signed = _read(root, Root).signed
    return _key(key).keyid in {*signed.roles[Root.type].keyids, *signed.roles[Targets.type].keyids}


def read_public_key(path: Path) -> Ed25519PublicKey:
    """Read a signer's public key, in PEM; raise PublishingError."""
    try:
        key = load_pem_public_key(_read_file(path))
    except ValueError as error:
        msg = f"{path} is no public key in PEM"
        raise PublishingError(msg) from error
    if not isinstance(key, Ed25519PublicKey):
        msg = f"{path} is no Ed25519 key; the command `key` makes one, and its public half beside it"
        raise PublishingError(msg)
    return key


def _key(key: Ed25519PublicKey) -> SSlibKey:
    return SSlibKey.from_crypto(key)


def _public(key: Key) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))


def _read(data: bytes, kind: type[Any]) -> Metadata[Any]:
    metadata = _read_any(data)
    if not isinstance(metadata.signed, kind):
        msg = f"metadata of {metadata.signed.type} where {kind.type} should be"
        raise PublishingError(msg)
    return metadata


def _read_any(data: bytes) -> Metadata[Any]:
    try:
        return Metadata.from_bytes(data)
    except DeserializationError as error:
        msg = f"this is no metadata of The Update Framework: {error}"
        raise PublishingError(msg) from error


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}; restore it from your backup"
        raise PublishingError(msg) from error


def _after(now: float, life: timedelta) -> datetime:
    return datetime.fromtimestamp(int(now), UTC) + life


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
