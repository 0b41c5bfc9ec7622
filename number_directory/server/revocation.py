"""Records whose certificates were revoked end: the worker asks for the lists, and looks for what they name.

Front ends use the lists that the worker has put beside the admission list, so that a revoked certificate publishes
nothing new. On each host that has front ends, a worker or a shared folder keeps them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit

from number_directory.access_list import SignedAccessList
from number_directory.move import SignedMove
from number_directory.record import SignedRecord
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal
from number_directory.server.number_events import statement_of
from number_directory.server.publishing import show
from number_directory.server.storage import MOVE, Entry, EntryState, Issuer, KeptAuthority, KeptNumber
from policies.facts import RevocationState
from serving.log import facts
from stir.certificate import AuthorityCertificate
from stir.errors import CertificateProfileError
from trust_store.errors import FetchError
from trust_store.revocation_lists import Fetch, RevocationList, RevocationLists

_log = logging.getLogger(__name__)

_AT_ONCE = 200
_LONG_ENOUGH = timedelta(minutes=5)
_SPARED_SECONDS = 240.0  # less than the five minutes after which a list is asked for again
_SILENT_SECONDS = 2.0


@dataclass
class Settled:
    """Which lists were dealt with. A long one is looked through for some minutes after it came, and then no more.

    Until then something may come in under a certificate that it names, by a front end that had not seen it yet.
    """

    _first: dict[tuple[bytes, str], tuple[datetime, datetime]] = field(default_factory=dict)
    _missed: dict[str, str] = field(default_factory=dict)

    def holds(self, authority: bytes, url: str, list_: RevocationList, now: datetime) -> bool:
        """Tell whether a list was dealt with for long enough; note that it is being dealt with."""
        this_update, since = self._first.get((authority, url), (None, now))
        if this_update != list_.this_update:
            self._first[authority, url] = list_.this_update, now
            return False
        return now - since > _LONG_ENOUGH

    def tell(self, url: str, list_: RevocationList | None, now: datetime) -> None:
        """Log that a list is missed, or there again: while it is missed, what its authority revokes stays."""
        why = missed(list_, now)
        if why is None:
            if self._missed.pop(url, None) is not None:
                _log.info("revocation_list_there", extra=facts(place=url))
        elif self._missed.get(url) != why:
            self._missed[url] = why
            _log.warning("revocation_list_missed", extra=facts(place=url, reason=why))


def missed(list_: RevocationList | None, now: datetime) -> str | None:
    """Return why the newest list that is at hand will not do; None where it does."""
    if list_ is None:
        return "it is not at hand: nobody answered, or what came is no list of this authority"
    if now > list_.next_update:
        return f"it is out of date since {list_.next_update:%Y-%m-%d %H:%M} UTC"
    return None


@dataclass
class Sparing:
    """Fetches lists, and leaves a host alone for some minutes that kept it waiting.

    An authority has many lists, in shards: if it is silent, those of the others wait for one of them only.
    """

    fetch: Fetch
    clock: Callable[[], float] = time.monotonic
    _silent: dict[str, float] = field(default_factory=dict)

    def __call__(self, url: str) -> bytes:
        """Return what stands at a URL; raise FetchError."""
        host, begin = urlsplit(url).netloc, self.clock()
        if begin - self._silent.get(host, -_SPARED_SECONDS) < _SPARED_SECONDS:
            msg = "its host did not answer a moment ago"
            raise FetchError(msg)
        try:
            return self.fetch(url)
        except FetchError:
            if self.clock() - begin >= _SILENT_SECONDS:  # one that says no at once keeps nobody waiting
                self._silent[host] = self.clock()
            raise


def end_revoked(directory: Directory, lists: RevocationLists, settled: Settled | None = None) -> int:
    """End the records whose certificates are on a newest list, or those of an authority above; return how many.

    `settled` remembers which lists were dealt with, from one turn to the next.
    """
    ended, settled = 0, settled or Settled()
    for authority in directory.storage.authorities.all():
        for entries, numbers in _affected(directory, authority, lists, settled):
            ended += sum(_end(directory, entry) for entry in entries)
            for number in numbers:
                _end_access_list(directory, number)
    directory.metrics.ended("revoked", ended)
    if ended:
        _log.info("records_revoked", extra=facts(records=ended))
    return ended


def _affected(
    directory: Directory, authority: KeptAuthority, lists: RevocationLists, settled: Settled
) -> Iterator[tuple[Sequence[Entry], Sequence[KeptNumber]]]:
    """Yield the live entries under an authority that a list names, and the numbers with such access lists."""
    entries, numbers, now = directory.storage.entries, directory.storage.numbers, directory.clock()
    if _is_revoked(authority, lists, now):
        while some := entries.of_authority(authority.id, _AT_ONCE):
            yield some, ()
        while lists_ := numbers.of_authority(authority.id, _AT_ONCE):
            yield (), lists_
        return
    for url in authority.crl_urls:
        found = lists.newest(url, authority.chain[0], now)
        settled.tell(url, found, now)
        if found is None or settled.holds(authority.id, url, found, now):
            continue
        serials = [_written(one.serial_number) for one in found.crl]
        for start in range(0, len(serials), _AT_ONCE):
            some_serials = serials[start : start + _AT_ONCE]
            yield (
                entries.of_certificates(authority.id, some_serials),
                numbers.of_certificates(authority.id, some_serials),
            )


def _written(serial: int) -> bytes:
    return serial.to_bytes((serial.bit_length() + 7) // 8, "big")


def _is_revoked(authority: KeptAuthority, lists: RevocationLists, now: datetime) -> bool:
    """Tell whether an authority of the chain was revoked by the next one."""
    for certificate, issuer in pairwise(authority.chain):
        try:
            urls = AuthorityCertificate.read(certificate).crl_urls
        except CertificateProfileError:
            continue
        if urls and lists.status(certificate, issuer, urls, now).state is RevocationState.REVOKED:
            return True
    return False


def _end(directory: Directory, found: Entry) -> bool:
    """End an entry, unless it stands by another of its certificates; tell whether it ended."""
    now, storage = directory.clock(), directory.storage
    with storage.transaction():
        kept = storage.numbers.hold(found.number)
        entries = {entry.app: entry for entry in storage.entries.of_number(found.number)}
        entry = entries.get(found.app)
        if entry is None or (entry.seq, entry.authority, entry.serial) != (found.seq, found.authority, found.serial):
            return False
        other = _other_certificate(directory, statement_of(entry), entry.authority, now)
        if other is not None:
            storage.entries.rest_on(entry, *other)
            return False
        storage.entries.end(entry, EntryState.REVOKED, now)
        entries[entry.app] = replace(entry, state=EntryState.REVOKED)
        if not (MOVE in entries and entries[MOVE].is_shown(now)):
            show(storage, kept, entries, now)
    return True


def _end_access_list(directory: Directory, found: KeptNumber) -> None:
    """End an access list, unless it stands by another of its certificates: whoever stole the key may have signed it.

    Nobody sees anything then, until the owner says anew who may.
    """
    now, storage = directory.clock(), directory.storage
    with storage.transaction():
        kept = storage.numbers.hold(found.number)
        if (kept.access_authority, kept.access_serial) != (found.access_authority, found.access_serial):
            return
        other = None
        if kept.access_list is not None and kept.access_authority is not None:
            signed = SignedAccessList.parse(kept.access_list.text)
            other = _other_certificate(directory, signed, kept.access_authority, now)
        if other is not None:
            storage.numbers.rest_on(kept.number, *other)
            return
        storage.numbers.end_access_list(kept.number)
        entries = {entry.app: entry for entry in storage.entries.of_number(kept.number)}
        if not (MOVE in entries and entries[MOVE].is_shown(now)):
            show(storage, replace(kept, access_list=None), entries, now)


def _other_certificate(
    directory: Directory, signed: SignedRecord | SignedMove | SignedAccessList, authority: bytes, now: datetime
) -> tuple[bytes, bytes] | None:
    """Return authority and serial of another certificate by which a statement is still admitted."""
    for chain in signed.chains:
        admitted = directory.admission.admit_by(chain, signed, signed.number, now)
        if isinstance(admitted, Refusal):
            continue
        issuer = Issuer.of(admitted.authorities, admitted.crl_urls)
        if issuer.id != authority:  # that one's list knows more than the admission has seen yet
            directory.storage.authorities.ensure(issuer)
            return issuer.id, admitted.serial
    return None
