"""Answering callers: who asks, whether it may ask for so many new numbers, and what it may see.

The work follows from the question alone: the same statement looks for the same number of keys whether a record is
absent or denied, and finds nothing either way. Quotas, replays and signatures come before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final, Protocol

from number_directory.errors import LookupRequestError
from number_directory.lookup import LookupAnswer, SignedLookup, read_lookup
from number_directory.server.directory import Directory
from number_directory.server.errors import Refusal, RefusalKind
from number_directory.server.publishing import against_number
from number_directory.server.quotas import Rate
from number_directory.server.replays import KEY_SIZE
from number_directory.server.storage import MOVE, Shown
from number_directory.server.storage.grants import names_of
from number_directory.statement import FRESH_SECONDS, SignedStatement
from stir.telephone_number import TelephoneNumber

SIGNED: Final = "signed"
OPEN: Final = "open"

_FRESH = timedelta(seconds=FRESH_SECONDS)
_NO_ROOM = timedelta(seconds=5)


def look_up(directory: Directory, body: bytes, address: str) -> bytes:
    """Return the answer to the body of a lookup that came from an address, signed or not. Raises Refusal."""
    try:
        asked = read_lookup(body)
    except LookupRequestError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error
    now = directory.clock()
    if isinstance(asked, SignedLookup):
        caller = signer_of(directory, asked, asked.request, now)
        numbers, tokens, kind = asked.request.numbers, asked.request.tokens, SIGNED
    else:
        caller, numbers, tokens, kind = None, asked.numbers, asked.tokens, OPEN
    marks = directory.quotas.marks(number.digits for number in numbers)
    charge(directory, caller, address, lambda key, rate: directory.quotas.charge(key, marks, rate, now))
    if isinstance(asked, SignedLookup) and caller is not None:  # what a quota refused may be sent again
        spend(directory, caller, asked.request.token_id, asked.request.issued_at, now)
    names = names_of(caller, [sha256(token.encode("ascii")).digest() for token in tokens])
    shown = directory.storage.grants.shown(numbers, names, now)
    answer, found = _answer(numbers, shown)
    directory.metrics.looked_up(kind, len(numbers), found)
    return answer.to_json()


class Once(Protocol):
    """What a caller signs to be answered by one directory, soon, and once."""

    @property
    def audience(self) -> str:
        """The directory's URL."""
        ...

    @property
    def issued_at(self) -> int:
        """When it was signed, in seconds since 1970."""
        ...

    @property
    def token_id(self) -> str:
        """What tells it apart."""
        ...


def signer_of(directory: Directory, asked: SignedStatement, request: Once, now: datetime) -> TelephoneNumber:
    """Return the number that signed a question for this directory, just now; `spend` tells whether it did before."""
    require_fresh(directory, request.audience, request.issued_at, now)
    admitted = directory.admission.admit(asked, None, now)
    kept = directory.storage.numbers.find_event(admitted.number)
    refusal = None if kept is None else against_number(kept, admitted.not_before)
    if refusal is not None:
        raise refusal
    directory.storage.authorities.note(admitted.authorities, admitted.crl_urls)
    return admitted.number


def require_fresh(directory: Directory, audience: str, issued_at: int, now: datetime) -> None:
    """Refuse a question for another directory, and one that was signed more than a minute ago or ahead."""
    if audience != directory.config.url:
        detail = f"aud is not this directory, which is {directory.config.url}"
        raise Refusal(RefusalKind.WRONG_AUDIENCE, detail)
    if abs(now.timestamp() - issued_at) > FRESH_SECONDS:
        detail = f"it was signed more than {FRESH_SECONDS} seconds ago or ahead: set your clock, and sign again"
        raise Refusal(RefusalKind.NOT_FRESH, detail)


def spend(directory: Directory, signer: TelephoneNumber, request_id: str, issued_at: int, now: datetime) -> None:
    """Refuse a question that was answered before."""
    key = sha256(f"{signer.digits} {request_id}".encode()).digest()[:KEY_SIZE]
    fresh_until = datetime.fromtimestamp(issued_at, UTC) + _FRESH
    first = directory.replays.spend(key, fresh_until, now)
    if first is None:
        detail = "too many requests at once; send the same again in a few seconds"
        raise Refusal(RefusalKind.DIRECTORY_BUSY, detail, retry_after=_NO_ROOM)
    if not first:
        raise Refusal(RefusalKind.REPLAYED, "this request was answered before: sign a new one, with another jti")


def charge(
    directory: Directory, caller: TelephoneNumber | None, address: str, pay: Callable[[bytes, Rate], int]
) -> None:
    """Have the caller and its address pay for the numbers that are new to them.

    `pay` charges one of them, by its key and rate, and returns for how many.
    """
    quotas, settings = directory.quotas, directory.config.quotas
    payers: list[tuple[str, str, Rate]] = [("address", address, settings.address.rate)]
    if caller is not None:
        payers.append(("caller", caller.digits, settings.caller.rate))
    for by, payer, rate in payers:
        try:
            new = pay(quotas.key(by, payer), rate)
        except Refusal:
            directory.metrics.limited(by)
            raise
        directory.metrics.charged(by, new)


def _answer(numbers: Sequence[TelephoneNumber], shown: Sequence[Shown]) -> tuple[LookupAnswer, int]:
    """Return the answer, and how many of the numbers something is shown of."""
    records: dict[TelephoneNumber, list[str]] = {number: [] for number in numbers}
    moves: dict[TelephoneNumber, str] = {}
    for one in sorted(shown, key=lambda one: one.app):
        number = TelephoneNumber(str(one.number))
        if one.app == MOVE:
            moves[number] = one.statement
        else:
            records[number].append(one.statement + (one.media or ""))
    found = sum(bool(texts) or number in moves for number, texts in records.items())
    return LookupAnswer.fitting(records, moves), found
