"""A number's move to another directory, and what this one does until callers know.

The number's records end here. For a while, those who could see one of them are shown the signed move instead, in an
answer of the same shape, where the move's key signed the access list, too; nobody else learns that the number was ever
here. A later move back ends that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from number_directory.access_list import SignedAccessList
from number_directory.errors import MoveError
from number_directory.move import SignedMove
from number_directory.server.admission import Admitted
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.publishing import (
    Accepted,
    Version,
    against_number,
    charge_publisher,
    digest,
    meeting,
    raised,
    require_signed_by_now,
    show,
)
from number_directory.server.storage import MOVE, Entry, EntryState, Issuer, KeptNumber, KeptStatement, Visibility
from number_directory.server.storage.grants import RECORD
from number_directory.statement import Succession

FRESH_MOVE: Final = timedelta(hours=1)
"""How long after its signing a move is taken: nobody keeps one for later."""


def move(directory: Directory, token: str) -> Accepted:
    """Take a move from this directory, or back to it; return once that is durable. Raises Refusal."""
    try:
        signed = SignedMove.parse(token)
    except MoveError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    here, now = directory.config.url, directory.clock()
    if here not in {signed.move.origin, signed.move.destination}:
        detail = f"the move neither leaves nor enters this directory, which is {here}"
        raise Refusal(RefusalKind.WRONG_AUDIENCE, detail)
    require_signed_by_now(signed, now)
    if now.timestamp() - signed.issued_at > FRESH_MOVE.total_seconds():
        detail = "a move is taken within an hour of its signing: sign a new one"
        raise Refusal(RefusalKind.NOT_FRESH, detail)
    admitted = directory.admission.admit(signed, signed.number, now)
    charge_publisher(directory, signed, admitted, now)
    with directory.storage.transaction():
        accepted = _store(directory, signed, admitted)
    directory.metrics.accepted("move")
    return raised(accepted)


def _store(directory: Directory, signed: SignedMove, admitted: Admitted) -> Accepted | Refusal:
    """Put a move in its place, in the caller's transaction; see `publishing.store_record`."""
    now, storage = directory.clock(), directory.storage
    kept = storage.numbers.hold(signed.number)
    entries = {entry.app: entry for entry in storage.entries.of_number(signed.number)}
    refusal = against_number(kept, admitted.not_before)
    if refusal is not None:
        return refusal
    leaves = signed.move.origin == directory.config.url
    issuer = Issuer.of(admitted.authorities, admitted.crl_urls)
    entry = _entry_of(directory, signed, admitted, issuer, leaves=leaves)
    old = entries.get(MOVE)
    met = None if old is None else meeting(storage, replace(Version.of(old), is_wanted=True), entry, now)
    if met is not None:
        return met
    storage.authorities.ensure(issuer)
    storage.entries.put([entry])
    storage.tree.queue([entry.leaf], now)
    if leaves:
        if old is None or not old.is_shown(now):  # what has expired lately still has its rows
            show(storage, kept, entries, now)
        grantees = storage.grants.grantees(signed.number) if _is_opened(kept, signed) else []
        for one in entries.values():
            if one.app != MOVE and one.is_shown(now):
                storage.entries.end(one, EntryState.MOVED, now)
        storage.grants.replace(signed.number, [Visibility(grantee, MOVE, RECORD) for grantee in grantees])
    elif old is not None:
        show(storage, kept, entries, now)
    return Accepted(Succession.NEWER, entry.leaf)


def _is_opened(kept: KeptNumber, signed: SignedMove) -> bool:
    """Tell whether the access list opens the move: one that another key signed may be a former holder's."""
    listed = kept.shown_access_list
    return listed is not None and SignedAccessList.parse(listed.text).shares_key_with(signed)


def _entry_of(directory: Directory, signed: SignedMove, admitted: Admitted, issuer: Issuer, *, leaves: bool) -> Entry:
    """Return a move as it is kept. It outlives its certificate: it was signed while that was good, as readers see."""
    now, records = directory.clock(), directory.config.records
    ends_at = now + timedelta(days=records.forwarding_days)
    return Entry(
        number=signed.number,
        app=MOVE,
        seq=signed.sequence,
        statement=KeptStatement.of(signed.token, admitted.authorities),
        media=None,
        content=digest(signed),
        leaf=signed.hash,
        ends_at=ends_at if leaves else now,
        state=EntryState.LIVE if leaves else EntryState.MOVED,
        authority=issuer.id,
        serial=admitted.serial,
        accepted_at=now,
        forget_at=max(ends_at, admitted.not_after) + timedelta(days=records.remembered_days),
    )
