"""Revocation lists: what an authority says of the certificates that it took back (RFC 5280 §5, §6.3).

`RevocationLists` keeps the lists in a folder, and asks for new ones where it was given a way to. What a list means is
decided by `RevocationList`, which asks nobody.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from policies.facts import RevocationFacts, RevocationState
from trust_store.errors import FetchError

ASKED_AGAIN_AFTER = timedelta(minutes=5)
"""A list older than this is asked for again, though it is still good: authorities sign anew when they revoke.

It is also how long a server is left alone that had nothing newer, or did not answer.
"""

_KEPT_IN_MEMORY = 64
_CLOCK_SKEW = timedelta(minutes=5)
_FOREIGN_ERRORS = (
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    Warning,  # a program that runs with -W error gets these where `cryptography` tolerates a fault
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_UNDERSTOOD = frozenset({ExtensionOID.ISSUING_DISTRIBUTION_POINT})
"""The critical extensions that are understood; a delta CRL's indicator is not (RFC 5280 §5.2.4)."""

Fetch: TypeAlias = Callable[[str], bytes]
_Stamp: TypeAlias = tuple[int, int, int]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class UnusableList(ValueError):
    """Bytes that are no revocation list of this authority for this place. The message goes into a verdict's reason."""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """An authority's list, its signature verified, from one distribution point."""

    crl: x509.CertificateRevocationList
    this_update: datetime
    next_update: datetime
    scope: x509.IssuingDistributionPoint | None

    @classmethod
    def read(cls, data: bytes, url: str, issuer: x509.Certificate) -> Self:
        """Read the DER of the list that `issuer` publishes at `url`; raise UnusableList."""
        try:
            return cls._read(data, url, issuer)
        except UnusableList:
            raise
        except _FOREIGN_ERRORS as error:
            msg = "what stands there is no revocation list"
            raise UnusableList(msg) from error

    @classmethod
    def _read(cls, data: bytes, url: str, issuer: x509.Certificate) -> Self:
        crl = x509.load_der_x509_crl(data)
        if crl.issuer != issuer.subject or not _is_signed_by(crl, issuer):
            msg = "the revocation list is not signed by the authority that issued the certificate"
            raise UnusableList(msg)
        if any(extension.critical and extension.oid not in _UNDERSTOOD for extension in crl.extensions):
            msg = "the revocation list has a critical extension that is not understood here (RFC 5280 §5.2)"
            raise UnusableList(msg)
        next_update = crl.next_update_utc
        if next_update is None:
            msg = "the revocation list does not say when the next one comes (RFC 5280 §5.1.2.5)"
            raise UnusableList(msg)
        return cls(crl, crl.last_update_utc, next_update, _scope(crl, url))

    def speaks_for(self, certificate: x509.Certificate) -> bool:
        """Tell whether the list's scope takes in a certificate: numbers', authorities' or both (RFC 5280 §5.2.5)."""
        if self.scope is None:
            return True
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        return not (self.scope.only_contains_user_certs if constraints.ca else self.scope.only_contains_ca_certs)

    def on(self, certificate: x509.Certificate, at: datetime) -> RevocationFacts:
        """Return what the list says of a certificate of its issuer's.

        A revocation stands though the list is out of date; silence does not.
        """
        if not self.speaks_for(certificate):
            return _unknown("the revocation list is not for certificates of this kind")
        entry = self.crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            told = f"{entry.revocation_date_utc:%Y-%m-%d %H:%M} UTC{_why(entry)}"
            return RevocationFacts(RevocationState.REVOKED, f"the certificate was revoked on {told}")
        if at > self.next_update:
            return _unknown(f"the revocation list is out of date since {self.next_update:%Y-%m-%d %H:%M} UTC")
        if at < self.this_update - _CLOCK_SKEW:
            ahead = f"{self.this_update:%Y-%m-%d %H:%M} UTC, ahead of this clock"
            return _unknown(f"the revocation list is dated {ahead}: the clock is behind, or the authority's is ahead")
        told = f"the certificate is not on its authority's revocation list as of {self.this_update:%Y-%m-%d %H:%M} UTC"
        return RevocationFacts(RevocationState.GOOD, told, self.this_update)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A list in memory, and the state of the file that it was read from; None where it could not be written."""

    found: RevocationList
    stamp: _Stamp | None


class RevocationLists:
    """The revocation lists that are at hand. Threads may share it.

    `fetch` returns the document at a URL or raises FetchError; without it, nothing is asked and the lists in the folder
    are used. The folder is a cache: to delete it does no harm.
    """

    def __init__(self, folder: Path, fetch: Fetch | None = None) -> None:
        """Use the folder, which need not exist yet."""
        self._folder = folder
        self._fetch = fetch
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, x509.Certificate], _Kept] = {}
        self._asked: dict[tuple[str, x509.Certificate], datetime] = {}

    def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return what is known of a certificate whose issuer publishes its list at each of the URLs."""
        return self._status(certificate, issuer, urls, at, ask=True)

    def status_at_hand(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return what is known by the lists at hand, and ask nobody."""
        return self._status(certificate, issuer, urls, at, ask=False)

    def _status(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        urls: tuple[str, ...],
        at: datetime,
        *,
        ask: bool,
    ) -> RevocationFacts:
        unknown = _unknown("the certificate does not say where its revocation list is")
        for url in urls:
            found, trouble = self._newest(url, issuer, at, ask=ask)
            facts = _unknown(trouble) if found is None else found.on(certificate, at)
            if facts.state is not RevocationState.UNKNOWN:
                return facts
            unknown = facts
        return unknown

    def newest(self, url: str, issuer: x509.Certificate, at: datetime) -> RevocationList | None:
        """Return the list that an issuer publishes at a URL, asked for if that is due; None where there is none."""
        return self._newest(url, issuer, at, ask=True)[0]

    def _newest(
        self, url: str, issuer: x509.Certificate, at: datetime, *, ask: bool
    ) -> tuple[RevocationList | None, str]:
        """Return the newest list that can be had, and what is told where there is none."""
        found = self._at_hand(url, issuer)
        trouble = "its revocation list is not at hand"
        if ask and self._fetch is not None and self._is_to_be_asked(url, issuer, found, at):
            try:
                found = self._newer(self._fetch(url), url, issuer, found)
            except (FetchError, UnusableList) as error:
                trouble = f"its revocation list could not be had: {error}"
        return found, trouble

    def _is_to_be_asked(self, url: str, issuer: x509.Certificate, found: RevocationList | None, at: datetime) -> bool:
        if found is not None and at - found.this_update < ASKED_AGAIN_AFTER:
            return False
        place = (url, issuer)  # by the URL alone, an authority that names another's would keep that list from being had
        with self._lock:
            asked = self._asked.get(place)
            if asked is not None and abs(at - asked) < ASKED_AGAIN_AFTER:
                return False
            _remember(self._asked, place, at)
        return True

    def _newer(self, data: bytes, url: str, issuer: x509.Certificate, former: RevocationList | None) -> RevocationList:
        """Read and keep a list that came; an older one than is at hand is not taken, lest a revocation be undone."""
        found = RevocationList.read(data, url, issuer)
        if former is not None and found.this_update < former.this_update:
            return former
        stamp = self._write(url, data)
        with self._lock:
            _remember(self._kept, (url, issuer), _Kept(found, stamp))
        return found

    def _at_hand(self, url: str, issuer: x509.Certificate) -> RevocationList | None:
        """Return the list in memory, or the one in the folder where that is another."""
        with self._lock:
            kept = self._kept.get((url, issuer))
        try:
            stamp = _stamp(self._path(url))
            if kept is not None and kept.stamp == stamp:
                return kept.found
            found = RevocationList.read(self._path(url).read_bytes(), url, issuer)
        except (OSError, UnusableList):
            return None if kept is None else kept.found
        with self._lock:
            _remember(self._kept, (url, issuer), _Kept(found, stamp))
        return found

    def _write(self, url: str, data: bytes) -> _Stamp | None:
        path = self._path(url)
        beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.write_bytes(data)
            stamp = _stamp(beside)
            beside.replace(path)
        except OSError:
            return None  # a cache that cannot be written costs another request, not a wrong verdict
        return stamp

    def _path(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()}.crl"


class NoRevocationList(ValueError):
    """Bytes that are no revocation list at all."""


def read_unverified(data: bytes) -> x509.CertificateRevocationList:
    """Read a list whose signature nobody has looked at, to look at its dates; raise NoRevocationList."""
    try:
        return x509.load_der_x509_crl(data)
    except _FOREIGN_ERRORS as error:
        msg = "this is no revocation list"
        raise NoRevocationList(msg) from error


def _scope(crl: x509.CertificateRevocationList, url: str) -> x509.IssuingDistributionPoint | None:
    """Return the list's scope; refuse a list for another place, or one that is not its issuer's whole word.

    RFC 5280 §6.3.3 (b)(2): one of the names in the list is the one in the certificate. A list without a scope speaks
    for all certificates of its issuer.
    """
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None
    if x509.UniformResourceIdentifier(url) not in (scope.full_name or ()):
        msg = "the revocation list is one for another place than the certificate names"
        raise UnusableList(msg)
    if scope.indirect_crl or scope.only_contains_attribute_certs or scope.only_some_reasons is not None:
        msg = "the revocation list is indirect, or not for all reasons"
        raise UnusableList(msg)
    return scope


def _is_signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    return isinstance(key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(key)


def _why(entry: x509.RevokedCertificate) -> str:
    try:
        reason = entry.extensions.get_extension_for_oid(CRLEntryExtensionOID.CRL_REASON).value
    except (x509.ExtensionNotFound, *_FOREIGN_ERRORS):
        return ""
    return f" ({reason.reason.value})" if isinstance(reason, x509.CRLReason) else ""


def _unknown(reason: str) -> RevocationFacts:
    return RevocationFacts(RevocationState.UNKNOWN, reason)


def _stamp(path: Path) -> _Stamp:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Put a value into a memory that forgets its oldest when it is full."""
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _KEPT_IN_MEMORY:
        del memory[next(iter(memory))]
