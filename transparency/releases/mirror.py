"""What a mirror hands out, and what of it may be believed: The Update Framework decides, with python-tuf.

A mirror is not trusted. It can refuse to answer, and be found out; it cannot hand out what the signers did not sign,
nor an older release, nor parts of two releases, nor, for longer than a timestamp's life, withhold a newer one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

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
from tuf.api.metadata import Metadata, Root, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from transparency.releases.errors import (
    FrozenRefused,
    MirrorError,
    MismatchRefused,
    RollbackRefused,
    UnsignedRefused,
)
from transparency.releases.release import AS_OF, Target
from transparency.transport import Answer, Question, Transport, Unreachable

_LARGEST_METADATA = 512 * 1024
_PATIENCE = 60.0
_FIELD_OVERHEAD = len(": \r\n")
_STATUS_LINE = len("HTTP/1.1 200 OK\r\n\r\n")


@dataclass(frozen=True)
class Release:
    """What is signed to be the newest: files by name.

    `root` and `number` are the versions of the root and of the targets metadata. `as_of` is when a timestamp said that
    this is the newest, None where it does not say; `expires` until when that is good, and `signed_until` until when the
    people's own signatures are, in seconds since 1970.
    """

    files: Mapping[str, Target]
    root: int
    number: int
    as_of: int | None
    expires: int
    signed_until: int


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

    def __init__(self, folder: Path, url: str, root: bytes, transport: Transport, *, largest: int) -> None:
        """Keep what was last believed in `folder`; `largest` is the size of the largest file, in bytes.

        Raises UpdateRefused where `root` is no root metadata.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._url = url.rstrip("/")
        self._transport = transport
        self._largest = largest
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
                fetcher=_Fetcher(transport, max(largest, _LARGEST_METADATA)),
                config=config,
                bootstrap=root,
            )

    def refresh(self) -> Release:
        """Fetch and check all metadata; raise UpdateRefused or MirrorError."""
        with _explained():
            self._updater.refresh()
            root = Metadata[Root].from_file(str(self._folder / "root.json")).signed
            timestamp = Metadata[Timestamp].from_file(str(self._folder / "timestamp.json")).signed
            targets = Metadata[Targets].from_file(str(self._folder / "targets.json")).signed
        as_of = timestamp.unrecognized_fields.get(AS_OF)
        return Release(
            {name: Target.of(file) for name, file in targets.targets.items()},
            root.version,
            targets.version,
            as_of if isinstance(as_of, int) else None,
            int(timestamp.expires.timestamp()),
            int(min(root.expires, targets.expires).timestamp()),
        )

    def file(self, name: str, largest: int | None = None) -> bytes:
        """Fetch a file of the newest release; call `refresh` before. Raises UpdateRefused or MirrorError."""
        with _explained():
            target = self._updater.get_targetinfo(name)
            if target is None or target.length > (self._largest if largest is None else largest):
                msg = f"{name} is not among what is signed, or too large"
                raise MismatchRefused(msg)
            place = self._folder / "target"
            self._updater.download_target(target, str(place))
            data = place.read_bytes()
            place.unlink()
        return data

    def unsigned(self, path: str, size: int) -> Answer:
        """Ask for a file beside those that are signed; nobody has checked it. Raises MirrorError."""
        try:
            return self._transport.ask(Question(f"{self._url}/{path}", largest=size, patience=_PATIENCE))
        except Unreachable as error:
            raise MirrorError(str(error)) from error


class _Fetcher(FetcherInterface):
    """Has The Update Framework ask by our bounded transport."""

    def __init__(self, transport: Transport, largest: int) -> None:
        self._transport = transport
        self._largest = largest

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            answer = self._transport.ask(Question(url, largest=self._largest, patience=_PATIENCE))
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
