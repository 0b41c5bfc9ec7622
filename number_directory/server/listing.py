"""What an owner is shown of its own number: everything that is kept, with receipts, and what it should know."""

from __future__ import annotations

from datetime import datetime

from number_directory.access_list import SignedAccessList
from number_directory.errors import OwnListingError
from number_directory.move import SignedMove
from number_directory.own_listing import Notice, OwnAnswer, OwnRecord, SignedOwnListing
from number_directory.receipt import PublishReceipt
from number_directory.record import SignedRecord
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.looking_up import require_fresh, spend
from number_directory.server.publishing import against_number
from number_directory.server.record_log import receipt
from number_directory.server.storage import MOVE, Conflict, Entry, EntryState, KeptNumber
from stir.jws import encode_base64url


def list_own(directory: Directory, token: str) -> OwnAnswer:
    """Return what the directory keeps of a number, to whoever holds its certificate now. Raises Refusal."""
    try:
        signed = SignedOwnListing.parse(token)
    except OwnListingError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    question, now, storage = signed.question, directory.clock(), directory.storage
    require_fresh(directory, question.audience, question.issued_at, now)
    admitted = directory.admission.admit(signed, question.number, now)
    spend(directory, admitted.number, question.token_id, question.issued_at, now)
    kept = storage.numbers.find(question.number)
    if kept is None:
        return OwnAnswer()
    refusal = against_number(kept, admitted.not_before)
    if refusal is not None:
        raise refusal
    entries = storage.entries.of_number(question.number)
    return OwnAnswer(
        records=tuple(_own(directory, entry) for entry in entries if entry.app != MOVE),
        access_list=None if kept.access_list is None else SignedAccessList.parse(kept.access_list.text),
        move=next((_move(entry) for entry in entries if entry.app == MOVE and entry.is_shown(now)), None),
        notices=tuple(_notices(kept, entries, storage.conflicts.of_number(question.number), now)),
    )


def _own(directory: Directory, entry: Entry) -> OwnRecord:
    proof = receipt(directory, entry.leaf, wait=False)
    record = SignedRecord.parse(entry.statement.text + (entry.media or ""))
    return OwnRecord(record, None if proof is None else PublishReceipt.parse(proof))


def _move(entry: Entry) -> SignedMove:
    return SignedMove.parse(entry.statement.text)


_ENDED = {
    EntryState.REVOKED: "ended, for its certificate was revoked; enrol again, and publish with a higher seq",
    EntryState.MOVED: "ended, for the number moved to another directory",
    EntryState.UNADMITTED: "is hidden, for this directory does not admit its authority any more; enrol with another",
}


def _notices(kept: KeptNumber, entries: list[Entry], conflicts: list[Conflict], now: datetime) -> list[Notice]:
    """Return what happened that the owner did not do, or must see done: the latest first."""
    notices = [
        Notice(int(min(now, entry.ends_at).timestamp()), f"the record {_ENDED[entry.state]}", entry.app)
        for entry in entries
        if entry.app != MOVE and entry.state in _ENDED
    ]
    notices += [
        Notice(int(entry.ends_at.timestamp()), "the record has expired; publish it again", entry.app)
        for entry in entries
        if entry.app != MOVE and entry.state is EntryState.LIVE and not entry.is_shown(now)
    ]
    notices += [_told(conflict) for conflict in conflicts]
    notices += _not_opened(kept, entries, now)
    if kept.access_list is None and kept.access_seq >= 0:
        notices.append(Notice(int(now.timestamp()), "the access list ended with its certificate; set it anew"))
    if kept.access_hidden:
        notices.append(Notice(int(now.timestamp()), f"the access list {_ENDED[EntryState.UNADMITTED]}"))
    if kept.event is not None:
        at = int(kept.certified_after.timestamp())
        text = f"the number was {kept.event}: certificates from before that count no more, and what they signed is gone"
        notices.append(Notice(at, text))
    return sorted(notices, key=lambda notice: notice.at, reverse=True)


def _not_opened(kept: KeptNumber, entries: list[Entry], now: datetime) -> list[Notice]:
    """Return which records nobody sees, since the access list is of another key: see `publishing.show`."""
    if kept.shown_access_list is None:
        return []
    signed = SignedAccessList.parse(kept.shown_access_list.text)
    return [
        Notice(int(now.timestamp()), "the access list was signed with another key, and does not open it", entry.app)
        for entry in entries
        if entry.app != MOVE and entry.is_shown(now)
        if not signed.shares_key_with(SignedRecord.parse(entry.statement.text))
    ]


def _told(conflict: Conflict) -> Notice:
    what = "record" if conflict.app else "access list or move"
    text = (
        f"another {what} with seq {conflict.seq} was refused: {encode_base64url(conflict.refused)}, where "
        f"{encode_base64url(conflict.kept)} counts; if you did not sign both, somebody else has your key"
    )
    return Notice(int(conflict.noticed_at.timestamp()), text, conflict.app or None)
