"""The per-user store of account keys, orders under way, and certificates with their keys.

    authorities/<host>-<hash of the index URL>/
        account-key.pem  account.json               one key for each authority
        <digits of the number>/
            pending.json                            an order under way, with the key of its certificate
            keys.json                               the hashes of the keys of all certificates so far
            current.json                            which of the folders below counts
            <start of the fingerprint>/key.pem  chain.pem

A file is written beside its name, flushed to the disk and renamed, so that a killed process leaves the old one or the
new one. `current.json` is written last: until then the former certificate counts, and its folder stays until the
certificate after the next one is in, for a reader may have opened it. Files are 0600 and folders 0700. Locks belong to
open files and end with their process; lock files stay, for to delete one would let two processes hold it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

import msgspec
import platformdirs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client.addresses import AuthorityAddress
from acme_client.errors import NotHeld, StoreBusy, StoreError
from acme_client.keys import key_from_pem, key_to_pem, new_key, same_key
from stir.errors import StirError
from stir.telephone_number import TelephoneNumber

HOME_VARIABLE = "ANSWERBACK_HOME"
"""The environment variable that names another folder than the user's own for all that Answerback keeps."""

_LOCK_PATIENCE = 30.0
_LOCK_PAUSE = 0.05
_RENEW_IN_LAST = 3
"""A certificate is due in the last third of its life."""
_MOST_KEYS = 1000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_TEMPORARY = ".new"

_T = TypeVar("_T")


class State(StrEnum):
    """What is to be done about a certificate that is held."""

    GOOD = "good"
    DUE = "due"
    EXPIRED = "expired"
    REVOKED = "revoked"


class StoredAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the account at one authority. `url` is None until the authority has confirmed it.

    `terms_agreed` is the URL of the terms of service that its holder agreed to. `ca_bundle` is the file of TLS roots by
    which the authority was reached, so that a renewal by night can do the same.
    """

    ca: str
    url: str | None = None
    terms_agreed: str | None = None
    ca_bundle: str | None = None


class PendingOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An order under way. `url` is None where the process was killed before it learned the order's URL.

    `key_pem` is the key that the certificate will be for.
    """

    created_at: datetime
    key_pem: bytes
    url: str | None = None

    def __repr__(self) -> str:
        """Hide the key."""
        return f"PendingOrder(created_at={self.created_at!r}, url={self.url!r})"

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        """The key that the certificate will be for."""
        return key_from_pem(self.key_pem)


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The SHA-256 of the SubjectPublicKeyInfo of each certificate's key, oldest first; and of those revoked here."""

    sha256: tuple[bytes, ...] = ()
    revoked: tuple[bytes, ...] = ()


class _Current(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The metadata file: which folder counts, and what its certificate says."""

    ca: str
    number: str
    folder: str
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    obtained_at: datetime
    validation: tuple[str, ...]
    former_folder: str | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EnrolledCertificate:
    """A certificate that is held, with its key. Times are aware; `serial` and `fingerprint` (SHA-256) are hexadecimal.

    `ca` is the index URL of the authority, `validation` how the number was proved (`sms-code`, …).
    """

    number: TelephoneNumber
    ca: str
    chain_path: Path = field(repr=False)  # the paths spell the whole number
    key_path: Path = field(repr=False)
    serial: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    obtained_at: datetime
    validation: tuple[str, ...]
    revoked_at: datetime | None = None

    @property
    def due_at(self) -> datetime:
        """When the last third of its life begins."""
        return self.not_after - (self.not_after - self.not_before) / _RENEW_IN_LAST

    def state(self, now: datetime) -> State:
        """Tell what is to be done about it."""
        if self.revoked_at is not None:
            return State.REVOKED
        if now >= self.not_after:
            return State.EXPIRED
        return State.DUE if now >= self.due_at else State.GOOD

    def is_valid(self, now: datetime) -> bool:
        """Tell whether it can be signed with: it has begun, has not ended, and was not revoked."""
        return self.not_before <= now and self.state(now) in {State.GOOD, State.DUE}

    def chain(self) -> tuple[x509.Certificate, ...]:
        """Read the certificate and those above it, the number's own first."""
        try:
            return tuple(x509.load_pem_x509_certificates(_read(self.chain_path)))
        except ValueError as error:
            msg = f"{self.chain_path} is damaged: enrol the number again"
            raise StoreError(msg) from error

    def former_chains(self) -> tuple[tuple[x509.Certificate, ...], ...]:
        """Read what is still there beside this chain: that in whose place it came. What is damaged is passed over."""
        found: list[tuple[x509.Certificate, ...]] = []
        for path in self.chain_path.parent.parent.glob("*/chain.pem"):
            if path != self.chain_path:
                with contextlib.suppress(OSError, ValueError):
                    found.append(tuple(x509.load_pem_x509_certificates(path.read_bytes())))
        return tuple(found)

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Read the key to sign calls and messages with."""
        return key_from_pem(_read(self.key_path))


class Store:
    """One user's keys, orders and certificates, in one folder. Every method raises StoreError.

    Two processes may share a store: hold `account_lock` while an account is made or changed, and `enrolment_lock`
    while a certificate is.
    """

    def __init__(self, home: Path) -> None:
        """Use the folder `home`, which need not exist yet."""
        self._home = home
        self._authorities = home / "authorities"

    @classmethod
    def open(cls) -> Self:
        """Use `$ANSWERBACK_HOME`, or the user's own data folder."""
        named = os.environ.get(HOME_VARIABLE)
        return cls(Path(named) if named else Path(platformdirs.user_data_dir("answerback", appauthor=False)))

    # The account at one authority.

    @contextlib.contextmanager
    def account_lock(self, ca: AuthorityAddress) -> Iterator[None]:
        """Keep other processes from making or changing this account; wait for one that does."""
        folder = self._made(ca)
        with _locked(folder / "account.lock", patience=_LOCK_PATIENCE, doing="changing this account"):
            _sweep_temporary(folder)
            yield

    def account(self, ca: AuthorityAddress) -> StoredAccount | None:
        """Return what is known of the account at an authority."""
        return _load(self._folder(ca) / "account.json", StoredAccount)

    def accounts(self) -> list[StoredAccount]:
        """Return all accounts, by their authorities' folders."""
        found = (_load(path, StoredAccount) for path in sorted(self._authorities.glob("*/account.json")))
        return [account for account in found if account is not None]

    def account_key(self, ca: AuthorityAddress) -> ec.EllipticCurvePrivateKey | None:
        """Return the key of the account at an authority, where there is one."""
        path = self._folder(ca) / "account-key.pem"
        return key_from_pem(_read(path)) if path.exists() else None

    def make_account_key(self, ca: AuthorityAddress) -> ec.EllipticCurvePrivateKey:
        """Return the key of the account at an authority; make it where there is none."""
        key = self.account_key(ca)
        if key is None:
            key = new_key()
            _write(self._made(ca) / "account-key.pem", key_to_pem(key))
        return key

    def keep_account(self, ca: AuthorityAddress, account: StoredAccount) -> None:
        """Remember the account at an authority."""
        _save(self._made(ca) / "account.json", account)

    def forget_account(self, ca: AuthorityAddress) -> None:
        """Delete an account and its key for good, with the orders that it had under way."""
        folder = self._folder(ca)
        for path in (folder / "account.json", *folder.glob("*/pending.json"), folder / "account-key.pem"):
            path.unlink(missing_ok=True)
        _flush_folder(folder)

    # An order under way.

    @contextlib.contextmanager
    def enrolment_lock(self, ca: AuthorityAddress, number: TelephoneNumber) -> Iterator[None]:
        """Keep other processes from enrolling this number here; raise StoreBusy where one does."""
        folder = self._made(ca, number)
        with _locked(folder / "enrolment.lock", patience=0, doing="enrolling this number"):
            _sweep_temporary(folder)
            yield

    def pending(self, ca: AuthorityAddress, number: TelephoneNumber) -> PendingOrder | None:
        """Return the order under way."""
        return _load(self._folder(ca, number) / "pending.json", PendingOrder)

    def keep_pending(self, ca: AuthorityAddress, number: TelephoneNumber, order: PendingOrder) -> None:
        """Remember the order under way."""
        _save(self._made(ca, number) / "pending.json", order)

    def drop_pending(self, ca: AuthorityAddress, number: TelephoneNumber) -> None:
        """Forget the order under way, and its key."""
        (self._folder(ca, number) / "pending.json").unlink(missing_ok=True)

    # Certificates.

    def certificates(self) -> list[EnrolledCertificate]:
        """Return the certificates that are held: at most one for each number and authority, by number."""
        found = (self._read_current(path.parent) for path in self._authorities.glob("*/*/current.json"))
        return sorted((held for held in found if held is not None), key=lambda held: (held.number, held.ca))

    def certificate(self, ca: AuthorityAddress, number: TelephoneNumber) -> EnrolledCertificate | None:
        """Return the certificate for a number that is held from one authority."""
        return self._read_current(self._folder(ca, number))

    def install(
        self,
        ca: AuthorityAddress,
        number: TelephoneNumber,
        chain: Sequence[x509.Certificate],
        key: ec.EllipticCurvePrivateKey,
        *,
        validation: Sequence[str],
        now: datetime,
    ) -> EnrolledCertificate:
        """Make this certificate the one that counts; the former one counts until this returns.

        The chain is the caller's to have checked. A key that is an account's is refused.
        """
        account_key = self.account_key(ca)
        if account_key is not None and same_key(account_key, key.public_key()):
            msg = "a certificate's key must not be the account's key (RFC 8555 §11.1)"
            raise StoreError(msg)
        folder, former = self._made(ca, number), _load(self._folder(ca, number) / "current.json", _Current)
        current = _described(ca, number, chain[0], validation, now, former)
        place = _make_folder(folder / current.folder)
        _sweep_temporary(place)
        _write(place / "key.pem", key_to_pem(key))
        _write(place / "chain.pem", b"".join(link.public_bytes(serialization.Encoding.PEM) for link in chain))
        _flush_folder(folder)
        _remember_key(folder / "keys.json", key_hash(key.public_key()))
        _save(folder / "current.json", current)
        _sweep(folder, keep={current.folder, current.former_folder})
        return self._held(folder, current)

    def own_keys(self, number: TelephoneNumber) -> frozenset[bytes]:
        """Return the SHA-256 of each key that certificates for a number were, or are about to be, for.

        Keys of certificates that are gone are among them: so their holder knows them as its own for good.
        """
        folders = list(self._authorities.glob(f"*/{number.digits}"))
        histories = (_load(folder / "keys.json", _Keys) or _Keys() for folder in folders)
        pending = (_load(folder / "pending.json", PendingOrder) for folder in folders)
        under_way = {key_hash(order.key.public_key()) for order in pending if order is not None}
        return frozenset(hash_ for history in histories for hash_ in history.sha256) | under_way

    def revoked_keys(self, number: TelephoneNumber) -> frozenset[bytes]:
        """Return the SHA-256 of each key of a certificate for a number that was revoked here: others may have it."""
        histories = (_load(path, _Keys) or _Keys() for path in self._authorities.glob(f"*/{number.digits}/keys.json"))
        return frozenset(hash_ for history in histories for hash_ in history.revoked)

    def mark_revoked(self, held: EnrolledCertificate, at: datetime) -> EnrolledCertificate:
        """Remember that a certificate was revoked; raise NotHeld where another has taken its place."""
        folder = held.chain_path.parent.parent
        current = _load(folder / "current.json", _Current)
        if current is None or current.fingerprint != held.fingerprint:
            msg = "the certificate was replaced in the meantime: look at `answerback certificates`"
            raise NotHeld(msg)
        _remember_revoked(folder / "keys.json", key_hash(held.key().public_key()))
        revoked = msgspec.structs.replace(current, revoked_at=at)
        _save(folder / "current.json", revoked)
        return self._held(folder, revoked)

    def _read_current(self, folder: Path) -> EnrolledCertificate | None:
        current = _load(folder / "current.json", _Current)
        return None if current is None else self._held(folder, current)

    @staticmethod
    def _held(folder: Path, current: _Current) -> EnrolledCertificate:
        place = folder / current.folder
        if place.parent != folder:
            msg = f"{folder / 'current.json'} is damaged: it names a folder that is not beside it"
            raise StoreError(msg)
        try:
            number = TelephoneNumber.parse(current.number)
        except StirError as error:
            msg = f"{folder / 'current.json'} is damaged: it names no telephone number"
            raise StoreError(msg) from error
        return EnrolledCertificate(
            number=number,
            ca=current.ca,
            chain_path=place / "chain.pem",
            key_path=place / "key.pem",
            serial=current.serial,
            fingerprint=current.fingerprint,
            not_before=current.not_before,
            not_after=current.not_after,
            obtained_at=current.obtained_at,
            validation=current.validation,
            revoked_at=current.revoked_at,
        )

    def _folder(self, ca: AuthorityAddress, number: TelephoneNumber | None = None) -> Path:
        folder = self._authorities / ca.slug
        return folder / number.digits if number is not None else folder

    def _made(self, ca: AuthorityAddress, number: TelephoneNumber | None = None) -> Path:
        """Return the folder, made where it is missing; refuse one that others may look into."""
        _make_folder(self._home, parents=True)
        _make_folder(self._authorities)
        if stat.S_IMODE(self._authorities.stat().st_mode) & _OTHERS:
            msg = f"{self._authorities} holds keys but is open to other users: run chmod 700 on it"
            raise StoreError(msg)
        folder = _make_folder(self._folder(ca))
        return folder if number is None else _make_folder(self._folder(ca, number))


def _described(
    ca: AuthorityAddress,
    number: TelephoneNumber,
    leaf: x509.Certificate,
    validation: Sequence[str],
    now: datetime,
    former: _Current | None,
) -> _Current:
    fingerprint = leaf.fingerprint(hashes.SHA256()).hex()
    folder = fingerprint[:16]
    former_folder = None if former is None else former.folder
    if former is not None and former_folder == folder:  # the same certificate, fetched again after a killed process
        former_folder = former.former_folder
    return _Current(
        ca=ca.index_url,
        number=number.e164,
        folder=folder,
        serial=format(leaf.serial_number, "x"),
        fingerprint=fingerprint,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        obtained_at=now,
        validation=tuple(validation),
        former_folder=former_folder,
    )


def key_hash(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo."""
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).digest()


def _remember_key(path: Path, hash_: bytes) -> None:
    known = _load(path, _Keys) or _Keys()
    if hash_ not in known.sha256:
        _save(path, msgspec.structs.replace(known, sha256=(*known.sha256[1 - _MOST_KEYS :], hash_)))


def _remember_revoked(path: Path, hash_: bytes) -> None:
    known = _load(path, _Keys) or _Keys()
    if hash_ not in known.revoked:
        _save(path, msgspec.structs.replace(known, revoked=(*known.revoked[1 - _MOST_KEYS :], hash_)))


def _sweep(folder: Path, keep: set[str | None]) -> None:
    for place in folder.iterdir():
        if place.is_dir() and place.name not in keep:
            shutil.rmtree(place, ignore_errors=True)


def _sweep_temporary(folder: Path) -> None:
    """Remove the half-written files of a killed process; the caller holds the folder's lock."""
    for left_behind in folder.glob(f".*{_TEMPORARY}"):
        left_behind.unlink(missing_ok=True)


def _make_folder(path: Path, *, parents: bool = False) -> Path:
    # pathlib makes missing parents with everyone's permissions, so each folder of ours is made by itself.
    with _explained(path):
        path.mkdir(mode=0o700, parents=parents, exist_ok=True)
    return path


def _load(path: Path, type_: type[_T]) -> _T | None:
    """Read a JSON file; None where there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=type_)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        msg = f"{path} is damaged: {error}"
        raise StoreError(msg) from error
    except OSError as error:
        raise _unusable(path, error) from error


def _save(path: Path, value: msgspec.Struct) -> None:
    _write(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _read(path: Path) -> bytes:
    with _explained(path):
        return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    """Put a file in its place, or leave the old one there: never half of it, and never open to others."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_TEMPORARY}")
    with _explained(path):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        _flush_folder(path.parent)


def _flush_folder(path: Path) -> None:
    """Make renames in a folder outlive a power cut."""
    with _explained(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"cannot use {path}: {error.strerror}; set {HOME_VARIABLE} to a folder that you own")


@contextlib.contextmanager
def _locked(path: Path, *, patience: float, doing: str) -> Iterator[None]:
    with _explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, time.monotonic() + patience, doing)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, until: float, doing: str) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                msg = f"another process is {doing}: wait for it to end, or stop it"
                raise StoreBusy(msg) from error
            time.sleep(_LOCK_PAUSE)
        else:
            return
