"""What a directory does with what owners sign: records and access lists, published, replaced and withdrawn.

A statement is looked at first, outside any transaction. One synced transaction then holds its number, compares it with
what counts so far, puts it in its place, makes anew who may see what, and queues its hash for the record log. What was
answered is there after a crash, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from number_directory.access_list import AccessList, SignedAccessList
from number_directory.errors import StatementError
from number_directory.move import SignedMove
from number_directory.record import MOST_APPS, SignedRecord
from number_directory.server.admission import Admission, Admitted
from number_directory.server.config import Records
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.storage import MOVE, Conflict, Entry, EntryState, Issuer, KeptNumber, Storage
from number_directory.server.visibility import visibilities
from number_directory.statement import SignedStatement, Succession
from stir.jws import encode_base64url
from stir.telephone_number import TelephoneNumber

_CLOCK_SKEW = timedelta(minutes=5)
MOST_VISIBLE = 8000
"""How many grants a number's records may have together, over all apps."""
_MAY_BE_SHOWN = frozenset({EntryState.LIVE, EntryState.UNADMITTED})
_WANTED = frozenset({EntryState.LIVE, EntryState.WITHDRAWN})


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
    return take_record(directory, signed)


def take_record(directory: Directory, signed: SignedRecord) -> Accepted:
    """Take a record that was read; see `publish`."""
    now = directory.clock()
    admitted = admitted_record(directory.admission, signed, now)
    charge_publisher(directory, signed, admitted, now)
    prepared = prepare(directory.config.records, signed, admitted, now)
    with directory.storage.transaction():
        accepted = store_record(directory.storage, prepared, now)
    directory.metrics.accepted("record")
    return raised(accepted)


def set_access_list(directory: Directory, token: str) -> Accepted:
    """Take an access list; return once that is durable. Raises Refusal."""
    try:
        signed = SignedAccessList.parse(token)
    except StatementError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    now = directory.clock()
    admitted = admitted_access_list(directory.admission, signed, now)
    charge_publisher(directory, signed, admitted, now)
    prepared = prepare_list(directory.config.records, signed, admitted)
    with directory.storage.transaction():
        accepted = store_access_list(directory.storage, signed, prepared, now)
    directory.metrics.accepted("access list")
    return raised(accepted)


def charge_publisher(directory: Directory, signed: SignedStatement, admitted: Admitted, now: datetime) -> None:
    """Have an owner pay for a statement that is new: what is taken stays in the record log. Raises Refusal."""
    quotas, rate = directory.quotas, directory.config.quotas.publisher.rate
    marks = quotas.marks([encode_base64url(signed.hash)])
    try:
        quotas.charge(quotas.key("publisher", admitted.number.digits), marks, rate, now)
    except Refusal as refusal:
        detail = "this number has published too much lately; publish less often"
        raise Refusal(RefusalKind.QUOTA_EXCEEDED, detail, retry_after=refusal.retry_after) from refusal


# Before the transaction: what can be told from the statement alone


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record that may be taken as far as it tells alone: how it will be kept, and what certifies it."""

    entry: Entry
    issuer: Issuer
    not_before: datetime


def admitted_record(admission: Admission, signed: SignedRecord, now: datetime) -> Admitted:
    """Return the certificate of a record that may be taken, as far as it tells alone; raise Refusal."""
    if not signed.is_whole:
        detail = "the record comes without the disclosure of its media; publish it whole"
        raise Refusal(RefusalKind.MALFORMED, detail)
    require_signed_by_now(signed, now)
    if signed.record.expires_at <= now.timestamp():
        raise Refusal(RefusalKind.OUTDATED, "the record has expired; sign a new one")
    return admission.admit(signed, signed.number, now)


def admitted_access_list(admission: Admission, signed: SignedAccessList, now: datetime) -> Admitted:
    """Return the certificate of an access list that may be taken, as far as it tells alone; raise Refusal."""
    require_signed_by_now(signed, now)
    return admission.admit(signed, signed.number, now)


def require_signed_by_now(signed: SignedRecord | SignedAccessList | SignedMove, now: datetime) -> None:
    """Refuse what claims to be signed in the future, and a `seq` beyond all times up to now, in whatever unit.

    So whoever steals a key cannot use up the numbers that its owner needs for the next statement.
    """
    latest = (now + _CLOCK_SKEW).timestamp()
    if signed.issued_at > latest:
        raise Refusal(RefusalKind.NOT_FRESH, "it was signed in the future: set the clock of the device that signs")
    if signed.sequence > latest * 1_000_000:
        detail = "its seq is higher than the microseconds since 1970: count, or take the time"
        raise Refusal(RefusalKind.NOT_FRESH, detail)


def prepare(settings: Records, signed: SignedRecord, admitted: Admitted, now: datetime) -> Prepared:
    """Return an admitted record as it will be kept."""
    record = signed.record
    issuer = Issuer.of(admitted.authorities, admitted.crl_urls)
    entry = Entry(
        number=record.number,
        app=record.app,
        seq=record.sequence,
        statement=signed.without_media,
        media=signed.token.removeprefix(signed.without_media) or None,
        content=digest(signed),
        leaf=signed.hash,
        ends_at=datetime.fromtimestamp(record.expires_at, UTC),
        state=EntryState.WITHDRAWN if record.is_withdrawn else EntryState.LIVE,
        authority=issuer.id,
        serial=admitted.serial,
        accepted_at=now,
        forget_at=forgotten_at(settings, admitted),
    )
    return Prepared(entry, issuer, admitted.not_before)


@dataclass(frozen=True, slots=True)
class PreparedList:
    """An access list that may be taken as far as it tells alone, and what certifies it."""

    token: str
    issuer: Issuer
    serial: bytes
    not_before: datetime
    forget_at: datetime


def prepare_list(settings: Records, signed: SignedAccessList, admitted: Admitted) -> PreparedList:
    """Return an admitted access list as it will be kept."""
    issuer = Issuer.of(admitted.authorities, admitted.crl_urls)
    return PreparedList(signed.token, issuer, admitted.serial, admitted.not_before, forgotten_at(settings, admitted))


def forgotten_at(settings: Records, admitted: Admitted) -> datetime:
    """Return when a statement is forgotten: once no signature of its certificate could bring an older one back."""
    return admitted.not_after + timedelta(days=settings.remembered_days)


# Inside the transaction


def store_record(storage: Storage, prepared: Prepared, now: datetime) -> Accepted | Refusal:
    """Put a record in its place, in the caller's transaction; return a Refusal where that must not be.

    The caller commits either way: a conflict is noted for the owner.
    """
    new = prepared.entry
    kept = storage.numbers.hold(new.number)
    entries = {entry.app: entry for entry in storage.entries.of_number(new.number)}
    old = entries.get(new.app)
    refusal = against_number(kept, prepared.not_before) or against_move(entries.get(MOVE), now)
    if refusal is not None:
        return refusal
    met = None if old is None else meeting(storage, Version.of(old), new, now)
    if met is not None:
        return met
    if old is None and sum(app != MOVE for app in entries) >= MOST_APPS:
        detail = f"a number has records for at most {MOST_APPS} apps here, those lately withdrawn among them"
        return Refusal(RefusalKind.TOO_MANY_APPS, detail)
    if kept.access_list is not None and new.state is EntryState.LIVE:
        after = {**entries, new.app: new}.values()
        too_many = against_grants(SignedAccessList.parse(kept.access_list).access_list, after)
        if too_many is not None:
            return too_many
    storage.authorities.ensure(prepared.issuer)
    storage.entries.put(new)
    storage.tree.queue(new.leaf, now)
    show(storage, kept, {**entries, new.app: new}, now)
    return Accepted(Succession.NEWER, new.leaf)


def store_access_list(
    storage: Storage, signed: SignedAccessList, prepared: PreparedList, now: datetime
) -> Accepted | Refusal:
    """Put an access list in its place, in the caller's transaction; see `store_record`."""
    kept = storage.numbers.hold(signed.number)
    entries = {entry.app: entry for entry in storage.entries.of_number(signed.number)}
    refusal = against_number(kept, prepared.not_before) or against_move(entries.get(MOVE), now)
    if refusal is not None:
        return refusal
    if kept.access_list is not None:
        old, new = SignedAccessList.parse(kept.access_list), Version.of_statement(signed)
        met = meeting(storage, Version.of_statement(old), new, now)
        if met is not None:
            return met
    elif signed.sequence <= kept.access_seq:
        return _older(kept.access_seq)
    too_many = against_grants(signed.access_list, entries.values())
    if too_many is not None:
        return too_many
    storage.authorities.ensure(prepared.issuer)
    new_kept = replace(
        kept,
        access_list=signed.token,
        access_seq=signed.sequence,
        access_authority=prepared.issuer.id,
        access_serial=prepared.serial,
        access_hidden=False,
    )
    storage.numbers.set_access_list(new_kept, prepared.forget_at)
    storage.tree.queue(signed.hash, now)
    show(storage, new_kept, entries, now)
    return Accepted(Succession.NEWER, signed.hash)


def show(storage: Storage, kept: KeptNumber, entries: dict[str, Entry], now: datetime) -> None:
    """Make anew who may see what of a number, in the caller's transaction."""
    apps = [app for app, entry in entries.items() if app != MOVE and entry.is_shown(now)]
    shown = kept.shown_access_list
    access_list = None if shown is None else SignedAccessList.parse(shown).access_list
    storage.grants.replace(kept.number, visibilities(access_list, apps))


def against_grants(access_list: AccessList, entries: Iterable[Entry]) -> Refusal | None:
    """Return what speaks against so many grants for so many apps: each of them is a row, made anew at every change."""
    apps = [entry.app for entry in entries if entry.app != MOVE and entry.state in _MAY_BE_SHOWN]
    if sum(access_list.of_app(app).size for app in apps) <= MOST_VISIBLE:
        return None
    detail = (
        f"the grants of all apps with records are at most {MOST_VISIBLE} together, those of `default` counted for each "
        "app that has no list of its own: grant to prefixes or by a token, or withdraw an app"
    )
    return Refusal(RefusalKind.TOO_MANY_GRANTS, detail)


def digest(signed: SignedStatement) -> bytes:
    """Return what stands for the content of a statement: the SHA-256 of its claims."""
    return sha256(signed.content).digest()


def against_number(kept: KeptNumber, not_before: datetime) -> Refusal | None:
    """Return what speaks against a certificate from before the number's last port or reassignment."""
    if not_before > kept.certified_after:
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


@dataclass(frozen=True, slots=True)
class Version:
    """What two statements about one thing are compared by. `app` is empty where they are no records."""

    number: TelephoneNumber
    app: str
    seq: int
    content: bytes
    leaf: bytes
    is_wanted: bool = True
    """Whether the owner wanted it to be as it is: what ended otherwise does not come back by being sent again."""

    @classmethod
    def of(cls, entry: Entry) -> Version:
        """Return an entry's."""
        return cls(entry.number, entry.app, entry.seq, entry.content, entry.leaf, entry.state in _WANTED)

    @classmethod
    def of_statement(cls, signed: SignedAccessList) -> Version:
        """Return an access list's."""
        return cls(signed.number, MOVE, signed.sequence, digest(signed), signed.hash)


def meeting(storage: Storage, old: Version, new: Version | Entry, now: datetime) -> Accepted | Refusal | None:
    """Compare a statement with the one that counts; return None where it takes the place of that."""
    if new.seq > old.seq:
        return None
    if new.seq < old.seq:
        return _older(old.seq)
    if new.content == old.content:
        return Accepted(Succession.SAME, old.leaf) if old.is_wanted else _older(old.seq)
    storage.conflicts.add(old.number, Conflict(old.app, old.seq, old.leaf, new.leaf, now))
    detail = (
        "another statement with this seq was accepted before, and counts: sign the newest state with a higher seq; "
        "if you did not sign both, somebody else has your key"
    )
    members = {"seq": old.seq, "accepted": encode_base64url(old.leaf), "refused": encode_base64url(new.leaf)}
    return Refusal(RefusalKind.CONFLICT, detail, members=members)


def _older(seq: int) -> Refusal:
    detail = f"a newer statement, with seq {seq}, was accepted before: sign with a higher one"
    return Refusal(RefusalKind.OUTDATED, detail, members={"seq": seq})


def raised(result: Accepted | Refusal) -> Accepted:
    """Return what was accepted; raise what was refused, now that the transaction is over."""
    if isinstance(result, Refusal):
        raise result
    return result
