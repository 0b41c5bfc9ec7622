"""The desk at which releases are signed: what waits, whose signatures it has, and what is published once it has enough.

    keys/         the online key, and those of signers who sign here
    public/       what a web server hands out: metadata/, targets/
    pending/      what waits for signatures

Everything in `public` that could be mistaken is named after its hash or its version, but for the timestamp. That is
written last: a publisher that is killed on the way has published the old release.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving.key_files import KeyFiles, passphrase_of, write_key
from serving.settings import Keys
from transparency.releases.errors import PublishingError
from transparency.releases.files import write_whole
from transparency.releases.repository import (
    ROOT,
    TARGETS,
    Lives,
    NewFile,
    Pending,
    Published,
    SignedRepository,
    Signers,
    is_signer,
    role_of,
    signers_of,
    with_signature,
    with_signatures_of,
)

ONLINE_KEY: Final = "online"
"""The name of the key that says that what is published still holds."""
SIGNER_KEY: Final = "signer"
"""The name of the key of a publisher who signs alone."""
GRACE_SECONDS: Final = 24 * 3600
"""What is published no longer stays so long, for readers that are on the way."""

_PUBLIC, _PENDING = "public", "pending"
_PENDING_FILES: Mapping[str, str] = {ROOT: "root.json", TARGETS: "targets.json"}

Clock: TypeAlias = Callable[[], float]


class SigningDesk:
    """The desk in a publisher's folder. Whoever calls keeps others from changing the folder meanwhile."""

    def __init__(
        self,
        folder: Path,
        keys: Callable[[], KeyFiles],
        lives: Lives,
        clock: Clock,
        released: Callable[[Published], None] = lambda _: None,
    ) -> None:
        """Use a folder; `keys` opens the keys that are here, and `released` is told of each release that is public."""
        self.public = folder / _PUBLIC
        self.repository = SignedRepository(self.public)
        self._pending = folder / _PENDING
        self._keys = keys
        self._lives = lives
        self._clock = clock
        self._released = released

    def begin(self, people: Sequence[Ed25519PublicKey], threshold: int) -> None:
        """Make the keys and the first root; without people, one signs alone with a key that is made here."""
        if not people and threshold != 1:
            msg = "name the signers, each by a file with a public key, or let the threshold be 1"
            raise PublishingError(msg)
        keys = self._keys()
        for name in (ONLINE_KEY,) if people else (ONLINE_KEY, SIGNER_KEY):
            keys.write(name, Ed25519PrivateKey.generate())
        signers = tuple(people) or (keys.ed25519(SIGNER_KEY).public_key(),)
        self._appoint(Signers(signers, threshold, keys.ed25519(ONLINE_KEY).public_key()))

    def pending(self) -> tuple[Pending, ...]:
        """Return what waits for signatures."""
        waiting = self._waiting()
        return tuple(self.repository.state_of(data, waiting.get(ROOT)) for data in waiting.values())

    def propose(self, files: Mapping[str, NewFile], kept: Collection[str] = ()) -> None:
        """Write down what is to be signed, sign it by the keys that are here, and publish it if that is enough.

        Of the files that are published, those that are `kept` stay.
        """
        self._wait(TARGETS, self.repository.new_targets(files, kept, self._lives, self._clock()))
        self._sign_here()

    def sign(self, key: Ed25519PrivateKey) -> None:
        """Sign all that waits, and publish what then is complete. Raises PublishingError for the key of no signer."""
        self._sign([key])

    def merge(self, copies: Iterable[bytes]) -> None:
        """Take over the signatures of copies of what waits, that were signed elsewhere; then as `sign` does."""
        given = list(copies)
        for role, data in self._waiting().items():
            fitting = [copy for copy in given if role_of(copy) == role]
            self._wait(role, with_signatures_of(data, fitting))
        self._release()

    def rotate(
        self, people: Sequence[Ed25519PublicKey] = (), threshold: int | None = None, *, new_online_key: bool = False
    ) -> None:
        """Have other people sign from now on, or a new online key: old and new signers sign the change.

        What is not given stays. What is published is signed anew as well, for the old signatures count no longer.
        """
        now = signers_of(self.repository.root)
        online = now.online
        if new_online_key:
            key = Ed25519PrivateKey.generate()
            self._keys().write(f"{ONLINE_KEY}-{secrets.token_hex(4)}", key)
            online = key.public_key()
        self._appoint(Signers(tuple(people) or now.people, threshold or now.threshold, online))

    def renew(self) -> None:
        """Have the people sign what is published once more, before their signatures expire."""
        again = self.repository.renewed_targets(self._lives, self._clock())
        if again is None:
            msg = "nothing is published yet: build a first release, and have it signed"
            raise PublishingError(msg)
        self._wait(TARGETS, again)
        self._sign_here()

    def refresh(self) -> Published:
        """Say anew, by the online key, that what is published is the newest: the timestamp lives on.

        What somebody was killed at while publishing it is published first.
        """
        self._release()
        online = self._online_key(self.repository.root)
        if online is None:
            msg = "the online key that the root names is not here: restore it from your backup, or rotate the keys"
            raise PublishingError(msg)
        return self.repository.refresh(online, self._lives, self._clock())

    def _appoint(self, signers: Signers) -> None:
        """Write down who signs from now on, and have that signed, and what is published too."""
        now = self._clock()
        self._wait(ROOT, self.repository.new_root(signers, self._lives, now))
        again = self.repository.renewed_targets(self._lives, now)
        if again is not None:
            self._wait(TARGETS, again)
        self._sign_here()

    def _online_key(self, root: bytes) -> Ed25519PrivateKey | None:
        """Return the online key that a root names; None where it is not here."""
        keys, wanted = self._keys(), signers_of(root).online
        here = (keys.ed25519(name) for name in keys.names() if _is_online(name))
        return next((key for key in here if key.public_key() == wanted), None)

    def _sign_here(self) -> None:
        """Sign by all keys of signers that are here."""
        keys = self._keys()
        self._sign([keys.ed25519(name) for name in keys.names() if not _is_online(name)], are_asked=False)

    def _sign(self, keys: Iterable[Ed25519PrivateKey], *, are_asked: bool = True) -> None:
        waiting = self._waiting()
        roots = [waiting[ROOT]] if ROOT in waiting else []
        if self.repository.has_root:
            roots.append(self.repository.root)
        for key in keys:
            if any(is_signer(root, key.public_key()) for root in roots):
                waiting = {role: with_signature(data, key) for role, data in waiting.items()}
            elif are_asked:
                msg = "this key is no signer's: use the one whose public key the root names, or rotate"
                raise PublishingError(msg)
        for role, data in waiting.items():
            self._wait(role, data)
        self._release()

    def _release(self) -> None:
        """Publish what waits if all of it is complete and the online key is here."""
        waiting, now = self._waiting(), self._clock()
        states = [self.repository.state_of(data, waiting.get(ROOT)) for data in waiting.values()]
        if not waiting or not all(state.is_complete for state in states):
            return
        online = self._online_key(waiting.get(ROOT) or self.repository.root)
        if online is None:
            return
        self.repository.release(waiting.get(ROOT), waiting.get(TARGETS), online, self._lives, now)
        for role in waiting:
            self._pending_file(role).unlink()
        published = self.repository.published()
        if published is not None:
            self._released(published)
            self.repository.prune(now - GRACE_SECONDS)

    def _waiting(self) -> dict[str, bytes]:
        """Return what waits for signatures, the root first.

        What is published already waits no longer, even where somebody was killed before it was taken away.
        """
        found = {role: path.read_bytes() for role in _PENDING_FILES if (path := self._pending_file(role)).exists()}
        return {role: data for role, data in found.items() if not self.repository.has_published(data)}

    def _wait(self, role: str, data: bytes) -> None:
        path = self._pending_file(role)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)

    def _pending_file(self, role: str) -> Path:
        return self._pending / _PENDING_FILES[role]


def keys_of(folder: Path, keys: Keys, passphrase: bytes | None = None) -> KeyFiles:
    """Open the keys of a publisher's folder; raise KeyStoreError where their passphrase is missing.

    The `passphrase` is where the settings say, unless given.
    """
    if keys.passphrase_file is not None:
        keys = msgspec.structs.replace(keys, passphrase_file=folder / keys.passphrase_file)
    return KeyFiles(folder / keys.directory, passphrase or passphrase_of(keys))


def key_pair(path: Path, passphrase: bytes | None) -> Path:
    """Make a signer's key in a new file, and beside it one with the public key, which is returned."""
    key = Ed25519PrivateKey.generate()
    write_key(path, key, passphrase)
    public = path.with_suffix(".pub")
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def sign_file(path: Path, key: Ed25519PrivateKey) -> None:
    """Sign a copy of what waits for signatures, anywhere; raise PublishingError where it is none."""
    try:
        pending = path.read_bytes()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise PublishingError(msg) from error
    write_whole(path, with_signature(pending, key))


def _is_online(name: str) -> bool:
    return name == ONLINE_KEY or name.startswith(f"{ONLINE_KEY}-")
