"""What a directory does with what owners sign: records and access lists, published, replaced and withdrawn.

A statement is looked at first, outside any transaction. One synced transaction then holds its number, compares it with
what counts so far, puts it in its place, makes anew who may see what, and queues its hash for the record log. What was
answered is there after a crash, and nothing else is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from number_directory.access_list import AccessList, SignedAccessList
from number_directory.errors import StatementError
from number_directory.move import SignedMove
from number_directory.record import MOST_APPS, SignedRecord
from number_directory.server.admission import Admitted
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.storage import MOVE, Conflict, Entry, EntryState, KeptNumber
from number_directory.server.visibility import visibilities
from number_directory.statement import SignedStatement, Succession
from stir.jws import encode_base64url
from stir.telephone_number import TelephoneNumber

_CLOCK_SKEW = timedelta(minutes=5)
_COUNTING = frozenset({EntryState.LIVE, EntryState.WITHDRAWN})
"""States that the owner wanted; what ended otherwise does not come back by being sent again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A statement that counts: `NEWER` than what counted before, or the `SAME`; and its hash in the record log."""

    succession: Succession
    leaf: bytes


def publish(directory: Directory, token: str) -> Accepted:
    """Take a record, which may withdraw one; return once that is durable. Raises Refusal."""
    try:
        signed = SignedRecord.parse(token)
    except StatementError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    return take_record(directory, signed, synced=True)


def take_record(directory: Directory, signed: SignedRecord, *, synced: bool) -> Accepted:
    """Take a record that was read; see `publish`."""
    admitted = admitted_record(directory, signed)
    with directory.storage.transaction(synced=synced):
        accepted = store_record(directory, signed, admitted)
    directory.metrics.accepted("record")
    return raised(accepted)


def set_access_list(directory: Directory, token: str) -> Accepted:
    """Take an access list; return once that is durable. Raises Refusal."""
    try:
        signed = SignedAccessList.parse(token)
    except StatementError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    return take_access_list(directory, signed, synced=True)


def take_access_list(directory: Directory, signed: SignedAccessList, *, synced: bool) -> Accepted:
    """Take an access list that was read; see `set_access_list`."""
    admitted = admitted_access_list(directory, signed)
    with directory.storage.transaction(synced=synced):
        accepted = store_access_list(directory, signed, admitted)
    directory.metrics.accepted("access list")
    return raised(accepted)


# Before the transaction: what can be told from the statement alone


def admitted_record(directory: Directory, signed: SignedRecord) -> Admitted:
    """Return the certificate of a record that may be taken, as far as it tells alone; raise Refusal."""
    now = directory.clock()
    if not signed.is_whole:
        detail = "the record comes without the disclosure of its media; publish it whole"
        raise Refusal(RefusalKind.MALFORMED, detail)
    require_signed_by_now(signed, now)
    if signed.record.expires_at <= now.timestamp():
        raise Refusal(RefusalKind.OUTDATED, "the record has expired; sign a new one")
    return directory.admission.admit(signed, signed.number, now)


def admitted_access_list(directory: Directory, signed: SignedAccessList) -> Admitted:
    """Return the certificate of an access list that may be taken, as far as it tells alone; raise Refusal."""
    now = directory.clock()
    require_signed_by_now(signed, now)
    return directory.admission.admit(signed, signed.number, now)


def require_signed_by_now(signed: SignedStatement, now: datetime) -> None:
    """Refuse what claims to be signed in the future."""
    if signed.issued_at > (now + _CLOCK_SKEW).timestamp():
        raise Refusal(RefusalKind.NOT_FRESH, "it was signed in the future: set the clock of the device that signs")


# Inside the transaction


def store_record(directory: Directory, signed: SignedRecord, admitted: Admitted) -> Accepted | Refusal:
    """Put a record in its place, in the caller's transaction; return a Refusal where that must not be.

    The caller commits either way: a conflict is noted for the owner.
    """
    now, storage = directory.clock(), directory.storage
    kept = storage.numbers.hold(signed.number)
    entries = {entry.app: entry for entry in storage.entries.of_number(signed.number)}
    old = entries.get(signed.app)
    refusal = against_number(kept, admitted) or against_move(entries.get(MOVE), now)
    if refusal is None and old is not None:
        met = meeting(directory, signed.number, signed.app, signed, (old.seq, old.content, old.leaf), now)
        if met is not None:
            return met if old.state in _COUNTING else _older(old.seq)
    if refusal is None and old is None and sum(app != MOVE for app in entries) >= MOST_APPS:
        detail = f"a number has records for at most {MOST_APPS} apps here, those lately withdrawn among them"
        refusal = Refusal(RefusalKind.TOO_MANY_APPS, detail)
    if refusal is not None:
        return refusal
    entry = _entry_of(directory, signed, admitted, now)
    storage.entries.put(entry)
    storage.tree.queue(entry.leaf, now)
    show(directory, kept, {**entries, entry.app: entry}, now)
    return Accepted(Succession.NEWER, entry.leaf)


def store_access_list(directory: Directory, signed: SignedAccessList, admitted: Admitted) -> Accepted | Refusal:
    """Put an access list in its place, in the caller's transaction; see `store_record`."""
    now, storage = directory.clock(), directory.storage
    kept = storage.numbers.hold(signed.number)
    entries = {entry.app: entry for entry in storage.entries.of_number(signed.number)}
    refusal = against_number(kept, admitted) or against_move(entries.get(MOVE), now)
    if refusal is not None:
        return refusal
    if kept.access_list is not None:
        before = SignedAccessList.parse(kept.access_list)
        met = meeting(directory, signed.number, MOVE, signed, (kept.access_seq, digest(before), before.hash), now)
        if met is not None:
            return met
    elif signed.sequence <= kept.access_seq:
        return _older(kept.access_seq)
    storage.numbers.set_access_list(
        signed.number, signed.token, signed.sequence, _forgotten_at(directory, admitted.not_after)
    )
    storage.tree.queue(signed.hash, now)
    show(directory, replace(kept, access_list=signed.token), entries, now)
    return Accepted(Succession.NEWER, signed.hash)


def show(directory: Directory, kept: KeptNumber, entries: dict[str, Entry], now: datetime) -> None:
    """Make anew who may see what of a number, in the caller's transaction."""
    apps = [app for app, entry in entries.items() if app != MOVE and entry.is_shown(now)]
    access_list = None if kept.access_list is None else SignedAccessList.parse(kept.access_list).access_list
    directory.storage.grants.replace(kept.number, visibilities(access_list, apps))


def access_list_of(kept: KeptNumber) -> AccessList | None:
    """Return the access list of a number."""
    return None if kept.access_list is None else SignedAccessList.parse(kept.access_list).access_list


def digest(signed: SignedStatement) -> bytes:
    """Return what stands for the content of a statement: the SHA-256 of its claims."""
    return sha256(signed.content).digest()


def _entry_of(directory: Directory, signed: SignedRecord, admitted: Admitted, now: datetime) -> Entry:
    record = signed.record
    authority = directory.storage.authorities.ensure(admitted.chain[1:], admitted.crl_urls)
    return Entry(
        number=record.number,
        app=record.app,
        seq=record.sequence,
        statement=signed.without_media,
        media=signed.token.removeprefix(signed.without_media) or None,
        content=digest(signed),
        leaf=signed.hash,
        ends_at=datetime.fromtimestamp(record.expires_at, UTC),
        state=EntryState.WITHDRAWN if record.is_withdrawn else EntryState.LIVE,
        authority=authority,
        serial=admitted.serial,
        accepted_at=now,
        forget_at=_forgotten_at(directory, admitted.not_after),
    )


def _forgotten_at(directory: Directory, not_after: datetime) -> datetime:
    return not_after + timedelta(days=directory.config.records.remembered_days)


def against_number(kept: KeptNumber, admitted: Admitted) -> Refusal | None:
    """Return what speaks against a certificate from before the number's last port or reassignment."""
    if admitted.not_before > kept.certified_after:
        return None
    what = kept.event or "reassigned"
    detail = f"the number was {what} after this certificate began: enrol again, and sign with the new one"
    return Refusal(RefusalKind.CERTIFICATE_ENDED, detail)


def against_move(move: Entry | None, now: datetime) -> Refusal | None:
    """Return what speaks against statements while the number's callers are sent on."""
    if move is None or not move.is_shown(now):
        return None
    detail = "the number has moved to another directory: publish there, or move it back here first"
    return Refusal(RefusalKind.MOVED, detail)


def meeting(
    directory: Directory,
    number: TelephoneNumber,
    app: str,
    new: SignedRecord | SignedAccessList | SignedMove,
    old: tuple[int, bytes, bytes],
    now: datetime,
) -> Accepted | Refusal | None:
    """Compare a statement with the one that counts; return None where it takes the place of that."""
    seq, content, leaf = old
    if new.sequence > seq:
        return None
    if new.sequence < seq:
        return _older(seq)
    if digest(new) == content:
        return Accepted(Succession.SAME, leaf)
    directory.storage.conflicts.add(number, Conflict(app, seq, leaf, new.hash, now))
    detail = (
        "another statement with this seq was accepted before, and counts: sign the newest state with a higher seq; "
        "if you did not sign both, somebody else has your key"
    )
    members: dict[str, str | int] = {
        "seq": seq,
        "accepted": encode_base64url(leaf),
        "refused": encode_base64url(new.hash),
    }
    return Refusal(RefusalKind.CONFLICT, detail, members=members)


def _older(seq: int) -> Refusal:
    detail = f"a newer statement, with seq {seq}, was accepted before: sign with a higher one"
    return Refusal(RefusalKind.OUTDATED, detail, members={"seq": seq})


def raised(result: Accepted | Refusal) -> Accepted:
    """Return what was accepted; raise what was refused, now that the transaction is over."""
    if isinstance(result, Refusal):
        raise result
    return result
