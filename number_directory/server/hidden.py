"""Answering callers who do not show which numbers they ask for; see `number_directory.hidden`.

The directory evaluates what it cannot read, and hands out buckets of sealed records to anybody. A bucket is made when
it is asked for, of what an unsigned lookup would show at that moment: what is withdrawn, expired or denied is in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from number_directory.errors import HiddenQuestionError
from number_directory.hidden import LARGEST_BUCKET, Bucket, HiddenKey, HiddenNumber, entry_size, write_bucket
from number_directory.hidden_lookup import (
    HiddenAnswer,
    HiddenLayout,
    HiddenRecords,
    SignedHiddenRequest,
    read_hidden_request,
)
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.looking_up import OPEN, SIGNED, charge, signer_of, spend
from number_directory.server.storage import MOVE, Layout, Shown
from number_directory.server.storage.grants import ANYONE
from number_directory.server.storage.hidden import MOST_IN_A_BUCKET
from stir.telephone_number import TelephoneNumber

_AT_ONCE = 50
"""Of so many numbers all that is open is in memory at once: half a megabyte each, at most."""
_NOT_YET = timedelta(seconds=10)


def evaluate(directory: Directory, key: HiddenKey, body: bytes, address: str) -> bytes:
    """Return what the key makes of the blinded numbers in a question that came from an address. Raises Refusal."""
    try:
        asked = read_hidden_request(body)
    except HiddenQuestionError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    _layout(directory, key)
    now, count, quotas = directory.clock(), len(asked.blinded), directory.quotas
    if isinstance(asked, SignedHiddenRequest):
        caller, kind = signer_of(directory, asked, asked.request, now), SIGNED
        # Before it is paid for: whoever repeats another's question spends nothing of the other's quota.
        spend(directory, caller, asked.request.token_id, asked.request.issued_at, now)
    elif directory.config.hidden.unsigned:
        caller, kind = None, OPEN
    else:
        raise Refusal(RefusalKind.UNAUTHORIZED, "hidden numbers are for callers who sign here: sign the question")
    charge(directory, caller, address, lambda payer, rate: quotas.charge_unread(payer, count, rate, now))
    try:
        answer = HiddenAnswer(key.evaluate(asked.blinded))
    except HiddenQuestionError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    directory.metrics.evaluated(kind, count)
    return answer.to_json()


def layout(directory: Directory, key: HiddenKey) -> bytes:
    """Return how the buckets are laid out; raise Refusal while they are being made."""
    return HiddenLayout(_layout(directory, key).depth).to_json()


def bucket(directory: Directory, key: HiddenKey, name: str, address: str) -> bytes:
    """Return a bucket to an address: what anyone may see of the numbers in it, sealed under each. Raises Refusal."""
    asked = _asked(name, _layout(directory, key).depth)
    now = directory.clock()
    _charge(directory, address, now)
    hidden = dict(directory.storage.hidden.in_bucket(asked, MOST_IN_A_BUCKET))
    records = open_records(directory, list(hidden), now)
    entries = _fitting((hidden[number], records[number]) for number in hidden if number in records)
    missing = directory.config.hidden.smallest_bucket - len(entries)
    return write_bucket({**key.filling(asked, missing, int(now.timestamp())), **entries})


def _charge(directory: Directory, address: str, now: datetime) -> None:
    """Have an address pay for a bucket, also where it turns out to have that already: it was made all the same."""
    rate = directory.config.quotas.buckets.rate
    try:
        directory.quotas.charge_unread(directory.quotas.key("buckets", address), 1, rate, now)
    except Refusal as error:
        directory.metrics.limited("address")
        detail = "too many buckets were fetched from this address; wait, or keep those that you have"
        raise Refusal(error.kind, detail, retry_after=error.retry_after) from None


def open_records(
    directory: Directory, numbers: list[TelephoneNumber], now: datetime
) -> Mapping[TelephoneNumber, HiddenRecords]:
    """Return what anyone may see of numbers, of those of which that is anything: as an unsigned lookup shows it."""
    found: dict[TelephoneNumber, HiddenRecords] = {}
    for start in range(0, len(numbers), _AT_ONCE):
        shown: dict[TelephoneNumber, list[Shown]] = {}
        for one in directory.storage.grants.shown(numbers[start : start + _AT_ONCE], [ANYONE], now):
            shown.setdefault(TelephoneNumber(str(one.number)), []).append(one)
        found |= {number: _records(of_number) for number, of_number in shown.items()}
    return found


def _records(shown: Iterable[Shown]) -> HiddenRecords:
    by_app = {one.app: one.statement + (one.media or "") for one in sorted(shown, key=lambda one: one.app)}
    move = by_app.pop(MOVE, None)
    return HiddenRecords.fitting(list(by_app.values()), move)


def _fitting(found: Iterable[tuple[HiddenNumber, HiddenRecords]]) -> dict[bytes, bytes]:
    """Return the sealed entries, the largest left out where there are more than a bucket holds."""
    return dict(_within(sorted(_sealed(found), key=lambda entry: len(entry[1]))))


def _sealed(found: Iterable[tuple[HiddenNumber, HiddenRecords]]) -> Iterator[tuple[bytes, bytes]]:
    for hidden, records in found:
        yield hidden.label, hidden.seal(records.to_json())


def _within(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    room = LARGEST_BUCKET
    for label, sealed in entries:
        room -= entry_size(sealed)
        if room < 0:
            return
        yield label, sealed


def _layout(directory: Directory, key: HiddenKey) -> Layout:
    """Return the layout; raise Refusal while the worker makes the labels of this key."""
    found = directory.storage.hidden.layout()
    if found.key != key.public_key or not found.is_ready:
        detail = "the labels of hidden numbers are being made; try again in a while"
        raise Refusal(RefusalKind.DIRECTORY_BUSY, detail, retry_after=_NOT_YET)
    return found


def _asked(name: str, depth: int) -> Bucket:
    try:
        found = Bucket.parse(name)
    except ValueError as error:
        raise Refusal(RefusalKind.NOT_FOUND, str(error)) from error
    if found.depth != depth:
        detail = f"the buckets have depth {depth} now, as hidden/buckets says; ask for those"
        raise Refusal(RefusalKind.NOT_FOUND, detail)
    return found
