"""What is kept of a list: its newest version, and what the user agreed to.

    lists/<name>/root.json                  the root by which the user knows the list
    lists/<name>/<version>-<hash>.toml      the newest version that was believed, as its curators signed it
    lists/<name>/state.json                 which one that is, until when it is good, and what the user agreed to
    lists/<name>/metadata/                  what the mirror was last believed about

A version is written beside the former one and then named in `state.json`, which is replaced as a whole: a killed
process leaves the old state or the new one. The files are the user's alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from trust_store.entries import Sha256
from trust_store.errors import ListError
from trust_store.files import locked, unlink, write_file
from trust_store.home import TrustHome
from trust_store.subscriptions.consent import Agreed
from trust_store.subscriptions.list_file import CuratedList, parse

FORMAT: Final = "answerback-list-state-1"

_Count = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Seconds = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]


class Newest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest version that was believed, and the SHA-256 of its bytes.

    `number` and `root` are the versions of the metadata that name it. Its curators said at `as_of` that it is the
    newest, which is good until `expires`; times are in seconds since 1970.
    """

    version: _Count
    sha256: Sha256
    number: _Count
    root: _Count
    as_of: _Seconds
    expires: _Seconds


class ListState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `state.json` says. `root` is the SHA-256 of the root by which the list is known."""

    format: str
    root: Sha256
    newest: Newest
    agreed: Agreed = Agreed()


@dataclass(frozen=True)
class Kept:
    """What is kept of a list that was fetched: its state, and its newest version."""

    state: ListState
    newest: CuratedList


class ListFolder:
    """The folder of one list."""

    def __init__(self, home: TrustHome, name: str) -> None:
        """Use the folder, which need not exist yet."""
        self.path = home.lists / name
        self.metadata = self.path / "metadata"
        self.state_file = self.path / "state.json"
        self.root_file = self.path / "root.json"

    def root(self, sha256: str) -> bytes:
        """Return the root by which the user knows the list; raise ListError where it is not there."""
        try:
            data = self.root_file.read_bytes()
        except OSError as error:
            msg = f"{self.root_file} cannot be read: {error.strerror}; {_AGAIN}"
            raise ListError(msg) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            msg = f"{self.root_file} is not the root that you subscribed to: {_AGAIN}"
            raise ListError(msg)
        return data

    def state(self, root: str) -> ListState | None:
        """Return the state of the list by its root's SHA-256, None where it was never fetched. Raises ListError."""
        try:
            state = msgspec.json.decode(self.state_file.read_bytes(), type=ListState)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            msg = f"{self.state_file} cannot be read: {getattr(error, 'strerror', None) or error}; {_AGAIN}"
            raise ListError(msg) from error
        if (state.format, state.root) != (FORMAT, root):
            msg = f"{self.state_file} is of another list or format: {_AGAIN}"
            raise ListError(msg)
        return state

    def read(self, root: str) -> Kept | None:
        """Return what is kept of the list, None where it was never fetched. Raises ListError."""
        state = self.state(root)
        return None if state is None else Kept(state, self.parse(self.text(state.newest), state.newest.version))

    def files(self, kept: Kept | None) -> tuple[Path, ...]:
        """Return the files that were read: when one of them changes, what is kept may."""
        return (self.state_file,) if kept is None else (self.state_file, self.text_file(kept.state.newest))

    def text(self, newest: Newest) -> bytes:
        """Return the bytes of a version; raise ListError where they are missing or others."""
        path = self.text_file(newest)
        try:
            data = path.read_bytes()
        except OSError as error:
            msg = f"{path} cannot be read: {error.strerror}; {_FETCH}"
            raise ListError(msg) from error
        if hashlib.sha256(data).hexdigest() != newest.sha256:
            msg = f"{path} was changed since it was fetched; {_FETCH}"
            raise ListError(msg)
        return data

    def parse(self, data: bytes, version: int) -> CuratedList:
        """Read a version's bytes, whose places are told as those of its file. Raises ListError."""
        return parse(data, self._named(version, hashlib.sha256(data).hexdigest()))

    def write_root(self, data: bytes) -> None:
        """Keep the root by which the user knows the list."""
        write_file(self.root_file, data)

    def write(self, state: ListState, data: bytes) -> None:
        """Keep a state and the bytes of its newest version, and delete earlier versions."""
        text = self.text_file(state.newest)
        write_file(text, data)
        write_file(self.state_file, encoded(state))
        for path in self.path.glob("*.toml"):
            if path != text:
                unlink(path)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes from changing the folder."""
        with locked(self.state_file):
            yield

    def text_file(self, newest: Newest) -> Path:
        """Return the file of a version."""
        return self._named(newest.version, newest.sha256)

    def _named(self, version: int, sha256: str) -> Path:
        return self.path / f"{version}-{sha256[:8]}.toml"


def encoded(state: ListState) -> bytes:
    """Return a state as it is written."""
    return msgspec.json.format(msgspec.json.encode(state), indent=1)


_AGAIN = "unsubscribe and subscribe again, with the root from its curators"
_FETCH = "fetch it again with `answerback trust update`"
