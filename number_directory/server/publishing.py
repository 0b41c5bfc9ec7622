"""What a directory does with what owners sign: records and access lists, published, replaced and withdrawn.

A statement is looked at first, outside any transaction. One synced transaction then holds its number, compares it with
what counts so far, puts it in its place, makes anew who may see what, and queues its hash for the record log. What was
answered is there after a crash, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from number_directory.server.storage import (
    MOVE,
    Conflict,
    Entry,
    EntryState,
    Issuer,
    KeptNumber,
    KeptStatement,
    Storage,
    Visibility,
)
from number_directory.server.visibility import visibilities
from number_directory.statement import SignedStatement, Succession
from stir.jws import encode_base64url
from stir.telephone_number import TelephoneNumber

_CLOCK_SKEW = timedelta(minutes=5)
MOST_VISIBLE = 8000
"""How many grants a number's records may have together, over all apps."""
_MAY_BE_SHOWN = frozenset({EntryState.LIVE, EntryState.UNADMITTED})
_TAKE_NO_PLACE = frozenset({EntryState.REVOKED, EntryState.UNADMITTED})
_MOST_REMEMBERED = 4 * MOST_APPS
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
        accepted = store_access_list(directory.storage, prepared, now)
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

    @property
    def number(self) -> TelephoneNumber:
        """The number that it is of."""
        return self.entry.number

    @property
    def leaf(self) -> bytes:
        """Its hash in the record log."""
        return self.entry.leaf


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
        statement=KeptStatement.of(signed.without_media, admitted.authorities),
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
    """An access list that may be taken as far as it tells alone, how it will be kept, and what certifies it."""

    number: TelephoneNumber
    seq: int
    statement: KeptStatement
    content: bytes
    leaf: bytes
    issuer: Issuer
    serial: bytes
    not_before: datetime
    forget_at: datetime


def prepare_list(settings: Records, signed: SignedAccessList, admitted: Admitted) -> PreparedList:
    """Return an admitted access list as it will be kept."""
    return PreparedList(
        number=signed.number,
        seq=signed.sequence,
        statement=KeptStatement.of(signed.token, admitted.authorities),
        content=digest(signed),
        leaf=signed.hash,
        issuer=Issuer.of(admitted.authorities, admitted.crl_urls),
        serial=admitted.serial,
        not_before=admitted.not_before,
        forget_at=forgotten_at(settings, admitted),
    )


def forgotten_at(settings: Records, admitted: Admitted) -> datetime:
    """Return when a statement is forgotten: once no signature of its certificate could bring an older one back."""
    return admitted.not_after + timedelta(days=settings.remembered_days)


# Inside the transaction


def store_record(storage: Storage, prepared: Prepared, now: datetime) -> Accepted | Refusal:
    """Put a record in its place, in the caller's transaction; return a Refusal where that must not be.

    The caller commits either way: a conflict is noted for the owner.
    """
    return store_all(storage, [prepared], now)[0]


def store_access_list(storage: Storage, prepared: PreparedList, now: datetime) -> Accepted | Refusal:
    """Put an access list in its place, in the caller's transaction; see `store_record`."""
    return store_all(storage, [prepared], now)[0]


def store_all(
    storage: Storage, statements: Sequence[Prepared | PreparedList], now: datetime
) -> list[Accepted | Refusal]:
    """Put statements in their places one after the other, in the caller's transaction; see `store_record`.

    All their numbers are held at first, and what becomes of them is written at last.
    """
    numbers = list(dict.fromkeys(one.number for one in statements))
    kept, entries = storage.numbers.hold_all(numbers), storage.entries.of_numbers(numbers)
    held = {number: _Held(kept[number], {one.app: one for one in entries[number]}) for number in numbers}
    results = [_take(storage, held[one.number], one, now) for one in statements]
    _write(storage, [one for one in held.values() if one.leaves], now)
    return results


@dataclass
class _Held:
    """A number that is held: what counts of it, what was accepted and is yet to be written."""

    kept: KeptNumber
    entries: dict[str, Entry]
    put: list[Entry] = field(default_factory=list)
    lists: list[tuple[KeptNumber, datetime]] = field(default_factory=list)
    issuers: set[Issuer] = field(default_factory=set)
    leaves: list[bytes] = field(default_factory=list)

    def access_list(self) -> AccessList | None:
        """Return the access list that counts."""
        kept = self.kept.access_list
        return None if kept is None else SignedAccessList.parse(kept.text).access_list


def _take(storage: Storage, held: _Held, new: Prepared | PreparedList, now: datetime) -> Accepted | Refusal:
    refusal = against_number(held.kept, new.not_before) or against_move(held.entries.get(MOVE), now)
    if refusal is not None:
        return refusal
    if isinstance(new, Prepared):
        met = _take_record(storage, held, new.entry, now)
    else:
        met = _take_access_list(storage, held, new, now)
    if met is not None:
        return met
    held.issuers.add(new.issuer)
    held.leaves.append(new.leaf)
    return Accepted(Succession.NEWER, new.leaf)


def _take_record(storage: Storage, held: _Held, new: Entry, now: datetime) -> Accepted | Refusal | None:
    """Take a record as the one that counts; return None, or what became of it where it does not count anew."""
    old = held.entries.get(new.app)
    met = None if old is None else meeting(storage, Version.of(old), new, now)
    if met is not None:
        return met
    if not has_room(held.entries, new.app):
        detail = f"a number has records for at most {MOST_APPS} apps here, those lately withdrawn among them"
        return Refusal(RefusalKind.TOO_MANY_APPS, detail)
    after = {**held.entries, new.app: new}
    access_list = held.access_list() if new.state is EntryState.LIVE else None
    too_many = None if access_list is None else against_grants(access_list, after.values())
    if too_many is not None:
        return too_many
    held.entries = after
    held.put.append(new)
    return None


def has_room(entries: Mapping[str, Entry], app: str) -> bool:
    """Tell whether an app has one of a number's places, or can have one.

    Those of a thief whose certificate was revoked, and of a rogue authority, are free: they keep the owner from none.
    """
    taken = {one.app for one in entries.values() if one.app != MOVE and one.state not in _TAKE_NO_PLACE}
    if app in taken:
        return True
    return len(taken) < MOST_APPS and (app in entries or len(entries) < _MOST_REMEMBERED)


def _take_access_list(storage: Storage, held: _Held, new: PreparedList, now: datetime) -> Accepted | Refusal | None:
    """Take an access list as the one that counts; see `_take_record`."""
    kept = held.kept
    if kept.access_list is not None:
        old = SignedAccessList.parse(kept.access_list.text)
        met = meeting(storage, Version.of_statement(old), Version.of_list(new), now)
        if met is not None:
            return met
    elif new.seq <= kept.access_seq:
        return _older(kept.access_seq)
    after = replace(
        kept,
        access_list=new.statement,
        access_seq=new.seq,
        access_authority=new.issuer.id,
        access_serial=new.serial,
        access_hidden=False,
    )
    too_many = against_grants(SignedAccessList.parse(new.statement.text).access_list, held.entries.values())
    if too_many is not None:
        return too_many
    held.kept = after
    held.lists.append((after, new.forget_at))
    return None


def _write(storage: Storage, changed: Sequence[_Held], now: datetime) -> None:
    """Write what was accepted of numbers that are held, and who may see what of them now."""
    for issuer in {issuer for one in changed for issuer in one.issuers}:
        storage.authorities.ensure(issuer)
    storage.entries.put([entry for one in changed for entry in one.put])
    for one in changed:
        for kept, forget_at in one.lists:
            storage.numbers.set_access_list(kept, forget_at)
    storage.tree.queue({leaf for one in changed for leaf in one.leaves}, now)
    shown = {one.kept.number: _shown(one.kept, one.entries, now) for one in changed}
    storage.grants.replace_all(shown)


def show(storage: Storage, kept: KeptNumber, entries: dict[str, Entry], now: datetime) -> None:
    """Make anew who may see what of a number, in the caller's transaction."""
    storage.grants.replace(kept.number, _shown(kept, entries, now))


def _shown(kept: KeptNumber, entries: dict[str, Entry], now: datetime) -> list[Visibility]:
    """Return who may see what of a number.

    An access list opens what the key that signed it has signed, and nothing else: a number may have another holder.
    """
    if kept.shown_access_list is None:
        return []
    signed = SignedAccessList.parse(kept.shown_access_list.text)
    shown = [entry for entry in entries.values() if entry.app != MOVE and entry.is_shown(now)]
    apps = [entry.app for entry in shown if signed.shares_key_with(SignedRecord.parse(entry.statement.text))]
    return visibilities(signed.access_list, apps)


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

    @classmethod
    def of_list(cls, new: PreparedList) -> Version:
        """Return a new access list's."""
        return cls(new.number, MOVE, new.seq, new.content, new.leaf)


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
