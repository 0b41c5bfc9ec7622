"""Records and access lists whose authority the operator no longer admits are hidden, and count again once it is.

Admission keeps spam out. An operator that takes an authority off the list wants what came by it gone, and one that made
a mistake in the list wants it back: what is hidden keeps its place, its `seq` and its time. A record that another of
its certificates still brings in stays. A move goes on sending callers on: it brings nothing in.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

from number_directory.access_list import SignedAccessList
from number_directory.move import SignedMove
from number_directory.record import SignedRecord
from number_directory.server.admission import Admitted
from number_directory.server.directory import Directory
from number_directory.server.number_events import statement_of
from number_directory.server.publishing import against_number, has_room, show
from number_directory.server.storage import MOVE, Entry, EntryState, Issuer, KeptAuthority, KeptNumber
from serving.log import facts

_log = logging.getLogger(__name__)

_AT_ONCE = 200
_MOMENT = timedelta(seconds=1)
_MOST_A_TURN = 20_000
"""What is looked at in one turn, so that other work is not kept waiting; the rest comes in the next."""


class AdmissionKeeper:
    """Follows the admission list. It remembers which authorities were dealt with as the list is."""

    def __init__(self, directory: Directory) -> None:
        """Take the directory; nothing was dealt with yet."""
        self._directory = directory
        self._version: object = None
        self._settled: set[bytes] = set()

    def follow(self) -> int:
        """Hide what came by authorities that are no longer admitted, show what is admitted again; return how many."""
        directory = self._directory
        now = directory.clock()
        changed, left = 0, _MOST_A_TURN
        for authority in directory.storage.authorities.all():
            is_admitted = directory.admission.admits(authority.chain[-1], now)
            if self._version is not directory.admission.version:
                self._version = directory.admission.version
                self._settled.clear()
            if authority.id in self._settled or left <= 0:
                continue
            for settle in self._of(authority, hidden=is_admitted):
                changed += settle()
                left -= 1
                if left <= 0:
                    break
            else:
                self._settled.add(authority.id)
        if changed:
            _log.info("admission_followed", extra=facts(records=changed))
        return changed

    def _of(self, authority: KeptAuthority, *, hidden: bool) -> Iterator[Callable[[], bool]]:
        """Yield what settles each access list and each record of an authority: the lists first, for they may open."""
        directory, numbers, entries = self._directory, self._directory.storage.numbers, self._directory.storage.entries
        after = b""
        while lists := numbers.lists_of_authority(authority.id, after, _AT_ONCE, hidden=hidden):
            yield from (partial(_settle_list, directory, kept) for kept in lists)
            after = lists[-1].access_serial or b""
        after = b""
        while records := entries.records_of_authority(authority.id, after, _AT_ONCE, hidden=hidden):
            yield from (partial(_settle, directory, entry) for entry in records)
            after = records[-1].serial


def _settle(directory: Directory, found: Entry) -> bool:
    """Hide a record that nothing brings in any more, or show one that something does again; tell whether it changed."""
    now, storage = directory.clock(), directory.storage
    with storage.transaction():
        kept = storage.numbers.hold(found.number)
        entries = {entry.app: entry for entry in storage.entries.of_number(found.number)}
        entry = entries.get(found.app)
        if entry is None or (entry.seq, entry.state) != (found.seq, found.state) or entry.ends_at <= now:
            return False
        admitted = _admitted(directory, kept, statement_of(entry))
        if admitted is not None:
            issuer = Issuer.of(admitted.authorities, admitted.crl_urls)
            storage.authorities.ensure(issuer)
            storage.entries.rest_on(entry, issuer.id, admitted.serial)
        is_shown = admitted is not None and has_room(entries, entry.app)
        state = EntryState.LIVE if is_shown else EntryState.UNADMITTED
        if state is entry.state:
            return False
        has_moved = MOVE in entries and entries[MOVE].is_shown(now)
        if state is EntryState.UNADMITTED:
            storage.entries.hide(entry)
        elif has_moved:
            storage.entries.end(entry, EntryState.MOVED, now)
        else:
            storage.entries.show_again(entry)
        if not has_moved:
            show(storage, kept, {**entries, entry.app: replace(entry, state=state)}, now)
    return True


def _settle_list(directory: Directory, found: KeptNumber) -> bool:
    """Hide an access list that nothing brings in any more, or have one count again; tell whether it changed."""
    now, storage = directory.clock(), directory.storage
    with storage.transaction():
        kept = storage.numbers.hold(found.number)
        if kept.access_list is None or (kept.access_list, kept.access_hidden) != (
            found.access_list,
            found.access_hidden,
        ):
            return False
        admitted = _admitted(directory, kept, SignedAccessList.parse(kept.access_list.text))
        if admitted is not None:
            issuer = Issuer.of(admitted.authorities, admitted.crl_urls)
            storage.authorities.ensure(issuer)
            storage.numbers.rest_on(kept.number, issuer.id, admitted.serial)
        kept = replace(kept, access_hidden=admitted is None)
        if kept.access_hidden is found.access_hidden:
            return False
        storage.numbers.hide_access_list(kept.number, hidden=kept.access_hidden)
        entries = {entry.app: entry for entry in storage.entries.of_number(kept.number)}
        if not (MOVE in entries and entries[MOVE].is_shown(now)):
            show(storage, kept, entries, now)
    return True


def _admitted(
    directory: Directory, kept: KeptNumber, signed: SignedRecord | SignedMove | SignedAccessList
) -> Admitted | None:
    """Return a certificate by which a statement would be taken now; an access list outlives its certificates."""
    now = directory.clock()
    for chain in signed.chains:
        at = min(now, chain[0].not_valid_after_utc - _MOMENT) if isinstance(signed, SignedAccessList) else now
        found = directory.admission.admit_by(chain, signed, signed.number, at)
        if isinstance(found, Admitted) and against_number(kept, found.not_before) is None:
            return found
    return None
