"""A curated list of authorities, from its curators' side: make it, change it, have it signed, hand it out.

    curator.toml   the settings: how long signatures hold, and where the keys' passphrase is
    list.toml      the list as it is to be published next; its curators may also edit it by hand
    keys/          the online key, and those of signers who sign here
    public/        what a web server hands out
    pending/       what waits for signatures

A list is released as the routing map is; see `transparency.releases`. It stands here and not in the trust store, since
it keeps keys, which a user's room does not.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from policies.errors import PolicyFileError
from policies.loading import load_toml
from serving.initialising import quoted, staged
from serving.key_files import KeyFiles
from serving.settings import Keys
from stir.certificate_chain import write_pem_chain
from transparency.releases.errors import PublishingError
from transparency.releases.files import changing, write_whole
from transparency.releases.publishing import Clock, SigningDesk, keys_of
from transparency.releases.repository import Lives, NewFile, Pending, Published
from trust_store.anchors import Anchor
from trust_store.editing import written_constraints
from trust_store.errors import ListError
from trust_store.fingerprints import key_sha256_of
from trust_store.logs import TrustedLog
from trust_store.subscriptions import list_file
from trust_store.subscriptions.list_file import LIST_NAME, VERSION, CuratedList, ListAnchorEntry, ListContent
from trust_store.toml_text import Block, TomlText, Value

CONFIG_NAME: Final = "curator.toml"

_SETTINGS = """\
# How long signatures hold. The timestamp must be renewed before: answerback trust list-publish timestamp
[valid]
timestamp_days = 7
list_days = 180
root_days = 730

[keys]
{keys}
"""
_BEGINNING = """\
# A curated list of authorities for telephone numbers.
# docs/reference/curated-lists.md explains every key. After a change: answerback trust list-publish release
[list]
name = {name}
curator = {curator}
"""

_Days = Annotated[int, msgspec.Meta(ge=1, le=366 * 10)]


class Valid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long signatures hold: people's on the list and on who signs, and the online key's that both still hold."""

    timestamp_days: _Days = 7
    list_days: _Days = 180
    root_days: _Days = 730

    @property
    def lives(self) -> Lives:
        """The same, as releases take it."""
        return Lives(
            timedelta(days=self.root_days), timedelta(days=self.list_days), timedelta(days=self.timestamp_days)
        )


class CuratorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings."""

    valid: Valid = Valid()
    keys: Keys = Keys()


@dataclass(frozen=True)
class NewList:
    """A list to be made. `people` are those who sign, `threshold` of them; none: one key, made here.

    `keys` says where the keys' passphrase comes from later, and `passphrase` is it.
    """

    name: str
    curator: str
    people: tuple[Ed25519PublicKey, ...] = ()
    threshold: int = 1
    keys: Keys = field(default_factory=Keys)
    passphrase: bytes | None = field(default=None, repr=False)


class ListCurator:
    """The curator of the list in a folder."""

    def __init__(self, folder: Path, clock: Clock = time.time, passphrase: bytes | None = None) -> None:
        """Use a curator's folder; raise PublishingError where its settings cannot be used.

        The keys' `passphrase` is where the settings say, unless given.
        """
        self.folder = folder
        self._list = folder / LIST_NAME
        self._passphrase = passphrase
        self.config = _load_config(folder)
        self._desk = SigningDesk(folder, lambda: self.keys, self.config.valid.lives, clock)

    @classmethod
    def create(cls, folder: Path, new: NewList, clock: Clock = time.time) -> Self:
        """Make a list in a new folder: settings, keys, an empty list, and the first root, which waits for signatures.

        Without public keys of signers, the curator signs alone, with a key that is made here. Raises PublishingError,
        ListError or ConfigurationError, and makes nothing, where that cannot be.
        """
        beginning = _BEGINNING.format(name=quoted(new.name), curator=quoted(new.curator))
        list_file.parse_content(beginning, folder / LIST_NAME)
        with staged(folder, last=CONFIG_NAME) as draft:
            write_whole(draft / CONFIG_NAME, _settings(new).encode())
            write_whole(draft / LIST_NAME, beginning.encode())
            drafted = cls(draft, clock, new.passphrase)
            with drafted._changing():
                drafted._desk.begin(new.people, new.threshold)
        return cls(folder, clock, new.passphrase)

    @property
    def public(self) -> Path:
        """The folder that a web server hands out."""
        return self._desk.public

    @property
    def keys(self) -> KeyFiles:
        """The keys that are here; raises KeyStoreError where their passphrase is missing."""
        return keys_of(self.folder, self.config.keys, self._passphrase)

    @property
    def root(self) -> bytes:
        """The newest root: what subscribers are given. Raises PublishingError before the first one is signed."""
        return self._desk.repository.root

    @property
    def pin(self) -> str:
        """The SHA-256 of the newest root, in hexadecimal."""
        return hashlib.sha256(self.root).hexdigest()

    def published(self) -> Published | None:
        """Return what is published; None before anything is."""
        return self._desk.repository.published()

    def version(self) -> int | None:
        """Return the version of the list that is published; None before any is."""
        published = self.published()
        return None if published is None else published.files[LIST_NAME].custom[VERSION]

    def pending(self) -> tuple[Pending, ...]:
        """Return what waits for signatures."""
        return self._desk.pending()

    # Changing the list

    def read(self) -> CuratedList:
        """Return the list as it is to be published next. Raises ListError."""
        return list_file.parse(self._data(), self._list)

    def is_changed(self) -> bool:
        """Tell whether the list is another one than is published."""
        published = self.published()
        return published is None or published.files[LIST_NAME].sha256 != hashlib.sha256(self._data()).hexdigest()

    def add(self, anchor: Anchor) -> None:
        """Name an authority, on the anchor's terms. Raises ListError where its name or its certificate is there."""
        terms = anchor.terms
        own: dict[str, Value | None] = {"name": terms.name, "operator": terms.operator, "sha256": anchor.sha256}
        pem: dict[str, Value | None] = {"certificate": Block(write_pem_chain([anchor.certificate]).decode("ascii"))}
        with self._editing() as text:
            self._put(text.with_entry("anchor", own | written_constraints(terms) | pem))

    def constrain(self, name: str, values: Mapping[str, Value | None]) -> None:
        """Set an authority's constraints, by the keys of the list; None takes one away. Raises ListError."""
        with self._editing() as text:
            index, _ = self._named(text, name)
            for key, value in values.items():
                text = text.with_value(("anchor", index, key), value)  # noqa: PLW2901  # each change makes another text
            self._put(text)

    def remove(self, name: str) -> None:
        """Name an authority no more; who has it of their own keeps it. Raises ListError."""
        with self._editing() as text:
            index, _ = self._named(text, name)
            self._put(text.without_entry("anchor", index))

    def revoke(self, name: str, note: str) -> None:
        """Have no subscriber believe an authority's key again, wherever they have it from. Raises ListError."""
        with self._editing() as text:
            index, entry = self._named(text, name)
            denied: dict[str, Value | None] = {"certificate": _key_of(entry), "note": note}
            self._put(text.without_entry("anchor", index).with_entry("deny", denied))

    def add_log(self, log: TrustedLog) -> None:
        """Name a log, or take its later description. Raises ListError."""
        values: dict[str, Value | None] = {"name": log.name, "operator": log.operator, "sha256": log.sha256}
        values["description"] = Block(log.data.decode())
        with self._editing() as text:
            for index, entry in enumerate(text.content.log):
                if entry.name == log.name:
                    for key, value in values.items():
                        text = text.with_value(("log", index, key), value)  # noqa: PLW2901  # as above
                    break
            else:
                text = text.with_entry("log", values)  # noqa: PLW2901  # as above
            self._put(text)

    # Releasing it: see the desk

    def release(self) -> int | None:
        """Have the list signed as it is now, and return its new version; None where it is the one that is published."""
        with self._changing():
            self.read()
            if not self.is_changed():
                return None
            version = (self.version() or 0) + 1
            self._desk.propose({LIST_NAME: NewFile(self._data(), {VERSION: version})})
            return version

    def sign(self, key: Ed25519PrivateKey) -> tuple[Pending, ...]:
        """Sign all that waits, publish what then is complete, and return what still waits. Raises PublishingError."""
        with self._changing():
            self._desk.sign(key)
        return self.pending()

    def merge(self, copies: Iterable[bytes]) -> tuple[Pending, ...]:
        """Take over the signatures of copies of what waits, that were signed elsewhere; then as `sign` does."""
        with self._changing():
            self._desk.merge(copies)
        return self.pending()

    def rotate(
        self, people: Sequence[Ed25519PublicKey] = (), threshold: int | None = None, *, new_online_key: bool = False
    ) -> tuple[Pending, ...]:
        """Have other people sign from now on, or a new online key: old and new signers sign the change."""
        with self._changing():
            self._desk.rotate(people, threshold, new_online_key=new_online_key)
        return self.pending()

    def renew(self) -> tuple[Pending, ...]:
        """Have the people sign what is published once more, before their signatures expire."""
        with self._changing():
            self._desk.renew()
        return self.pending()

    def refresh(self) -> Published:
        """Say anew, by the online key, that what is published is the newest."""
        with self._changing():
            return self._desk.refresh()

    # Files

    def _data(self) -> bytes:
        try:
            return self._list.read_bytes()
        except OSError as error:
            msg = f"{self._list} cannot be read: {error.strerror}; restore it from your backup"
            raise PublishingError(msg) from error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with changing(self.folder):
            yield

    @contextmanager
    def _editing(self) -> Iterator[TomlText[ListContent]]:
        with self._changing():
            self.read()
            yield TomlText(self._list, self._data().decode(), list_file.parse_content)

    def _put(self, text: TomlText[ListContent]) -> None:
        """Write the list, which must be one."""
        list_file.parse(text.text.encode(), self._list)
        write_whole(self._list, text.text.encode())

    def _named(self, text: TomlText[ListContent], name: str) -> tuple[int, ListAnchorEntry]:
        for index, entry in enumerate(text.content.anchor):
            if entry.name == name:
                return index, entry
        known = ", ".join(one.name for one in text.content.anchor) or "none"
        msg = f"{self._list} has no anchor {name!r}: it has {known}"
        raise ListError(msg)


def _key_of(entry: ListAnchorEntry) -> str:
    """Return the SHA-256 of an authority's key: a deny of a certificate would leave others of the key alone."""
    return key_sha256_of(x509.load_pem_x509_certificate(entry.certificate.encode()))


def _load_config(folder: Path) -> CuratorConfig:
    try:
        return load_toml(folder / CONFIG_NAME, CuratorConfig)
    except PolicyFileError as error:
        msg = f"{error}; name the folder of a list, or make one with `answerback trust list-publish init`"
        raise PublishingError(msg) from error


def _settings(new: NewList) -> str:
    keys = [f"unencrypted = {str(new.keys.unencrypted).lower()}"]
    if new.keys.passphrase_file is not None:
        keys.append(f"passphrase_file = {quoted(str(new.keys.passphrase_file.absolute()))}")
    return _SETTINGS.format(keys="\n".join(keys))
