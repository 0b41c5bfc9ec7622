"""What a mirror hands out, and what of it may be believed: The Update Framework decides, with python-tuf.

A mirror is not trusted. It can refuse to answer, and be found out; it cannot hand out what the signers did not sign,
nor an older version, nor parts of two versions, nor, for longer than a timestamp's life, withhold a newer one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from number_directory.routing.delta import LARGEST_DELTA
from number_directory.routing.errors import (
    FrozenRefused,
    MirrorError,
    MismatchRefused,
    RollbackRefused,
    UnsignedRefused,
)
from number_directory.routing.manifest import LARGEST_MANIFEST
from transparency.transport import Answer, Question, Transport, Unreachable

MANIFEST_TARGET: Final = "manifest"
DELTA_TARGETS: Final = "deltas/"
"""Followed by the version that a delta is put into."""
AS_OF: Final = "x-answerback-as-of"
"""The member of a timestamp that says when it was signed, in seconds since 1970."""
VERSION: Final = "version"
"""The member of the manifest target's `custom` that says which version of the map it describes."""

_LARGEST_METADATA = 512 * 1024
_PATIENCE = 60.0
_FIELD_OVERHEAD = len(": \r\n")
_STATUS_LINE = len("HTTP/1.1 200 OK\r\n\r\n")


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


class CountingTransport:
    """Asks by another transport, and counts the bytes of the answers: bodies, header fields and status lines."""

    def __init__(self, transport: Transport) -> None:
        """Have moved nothing."""
        self._transport = transport
        self.moved = 0

    def ask(self, question: Question) -> Answer:
        """Return the answer, counted."""
        answer = self._transport.ask(question)
        fields = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in answer.headers.items())
        self.moved += len(answer.body) + fields + _STATUS_LINE
        return answer


class TrustedMirror:
    """A mirror, held to what the keys of `root` sign: metadata that came with the program or from a person."""

    def __init__(self, folder: Path, url: str, root: bytes, transport: Transport) -> None:
        """Keep what was last believed in `folder`. Raises UnsignedRefused where `root` is no root."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._url = url.rstrip("/")
        self._transport = transport
        config = UpdaterConfig(
            root_max_length=_LARGEST_METADATA,
            snapshot_max_length=_LARGEST_METADATA,
            targets_max_length=_LARGEST_METADATA,
        )
        with _explained():
            self._updater = Updater(
                str(folder),
                f"{self._url}/metadata/",
                target_base_url=f"{self._url}/targets/",
                fetcher=_Fetcher(transport),
                config=config,
                bootstrap=root,
            )

    def refresh(self) -> Offer:
        """Fetch and check all metadata; raise UpdateRefused or MirrorError."""
        with _explained():
            self._updater.refresh()
            timestamp = Metadata[Timestamp].from_file(str(self._folder / "timestamp.json")).signed
            targets = Metadata[Targets].from_file(str(self._folder / "targets.json")).signed.targets
            as_of, version = timestamp.unrecognized_fields.get(AS_OF), _version(targets)
        if not isinstance(as_of, int) or version is None:
            msg = "what is signed is no routing map: ask the publisher for the right root.json and address"
            raise MismatchRefused(msg)
        deltas = {
            int(base): target.length
            for path, target in targets.items()
            if (base := path.removeprefix(DELTA_TARGETS)) != path and base.isdecimal()
        }
        expires = int(timestamp.expires.timestamp())
        return Offer(version, targets[MANIFEST_TARGET].hashes["sha256"], deltas, as_of, expires)

    def manifest(self) -> bytes:
        """Fetch the manifest of the newest version; call `refresh` before."""
        return self._target(MANIFEST_TARGET, LARGEST_MANIFEST)

    def delta(self, base: int) -> bytes:
        """Fetch the delta that is put into a version; call `refresh` before."""
        return self._target(f"{DELTA_TARGETS}{base}", LARGEST_DELTA)

    def chunk(self, hash_: str, size: int) -> bytes:
        """Fetch the bytes that a mirror has for a chunk, which nobody has checked."""
        try:
            answer = self._transport.ask(Question(f"{self._url}/{chunk_path(hash_)}", largest=size, patience=_PATIENCE))
        except Unreachable as error:
            raise MirrorError(str(error)) from error
        if not answer.is_ok:
            msg = f"the mirror has not all chunks of the newest version: it answered {answer.status}; try again later"
            raise MirrorError(msg)
        return answer.body

    def _target(self, path: str, largest: int) -> bytes:
        with _explained():
            target = self._updater.get_targetinfo(path)
            if target is None or target.length > largest:
                msg = f"{path} is not among what is signed, or too large"
                raise MismatchRefused(msg)
            place = self._folder / "target"
            self._updater.download_target(target, str(place))
            data = place.read_bytes()
            place.unlink()
        return data


def chunk_path(hash_: str) -> str:
    """Return where a repository keeps a chunk."""
    return f"chunks/{hash_[:2]}/{hash_[2:]}"


def _version(targets: Mapping[str, TargetFile]) -> int | None:
    """Return the version that the manifest among these targets describes; None where there is none."""
    target = targets.get(MANIFEST_TARGET)
    custom = target.custom if target is not None and "sha256" in target.hashes else None
    version = custom.get(VERSION) if isinstance(custom, dict) else None
    return version if isinstance(version, int) else None


class _Fetcher(FetcherInterface):
    """Has The Update Framework ask by our bounded transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            answer = self._transport.ask(Question(url, largest=LARGEST_MANIFEST, patience=_PATIENCE))
        except Unreachable as error:
            raise DownloadError(str(error)) from error
        if answer.status != HTTPStatus.OK:
            msg = f"the mirror answered {answer.status} for {url}"
            raise DownloadHTTPError(msg, answer.status)
        return iter((answer.body,))


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say in our words, and for people, why The Update Framework refuses."""
    last = "the last good version stays in use"
    try:
        yield
    except BadVersionNumberError as error:
        msg = f"the mirror hands out something older than was seen before ({error}): {last}; try another mirror"
        raise RollbackRefused(msg) from error
    except ExpiredMetadataError as error:
        msg = f"the mirror has nothing that is still valid ({error}): it is being held back, or was forgotten; {last}"
        raise FrozenRefused(msg) from error
    except UnsignedMetadataError as error:
        msg = f"the mirror hands out what too few of the known keys signed ({error}): {last}; try another mirror"
        raise UnsignedRefused(msg) from error
    except (LengthOrHashMismatchError, DownloadLengthMismatchError) as error:
        msg = f"the mirror hands out parts that do not belong together ({error}): {last}; try another mirror"
        raise MismatchRefused(msg) from error
    except DownloadError as error:
        msg = f"the mirror could not be asked ({error}): {last}"
        raise MirrorError(msg) from error
    except (RepositoryError, DeserializationError) as error:
        msg = f"the mirror hands out something malformed ({error}): {last}; try another mirror"
        raise MismatchRefused(msg) from error
