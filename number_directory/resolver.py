"""From a number to records that are believed, or not: find its directory, ask it, have each record judged.

A `Routing` tells which directory has a number, and only that one is asked: all of them are never polled. Where it is
down, those are asked that whoever calls named for that case, one after the other. Where the number has moved, the
signed move is verified like a record and followed. What went another way than usual is told in words.

`side_by_side` needs no routing: it asks a few named directories at once, until a deadline, and merges and compares what
they show, as the SPIN draft does with two vendors.

With a `Memory`, a verified record that is older than one that was verified before is refused, whichever directory shows
it, and so is another one of the same number: what was seen is brought along as evidence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Final, Protocol

from number_directory.client import DirectoryClient, DirectoryRefused, Shown, Signer
from number_directory.errors import DirectoryError, MoveError, RecordError
from number_directory.move import SignedMove
from number_directory.record import SignedRecord
from number_directory.remembered import Remembered
from number_directory.statement import Succession
from stir.certificate import NumberCertificate
from stir.errors import CertificateProfileError
from stir.jws import Chain, encode_base64url
from stir.telephone_number import TelephoneNumber
from transparency.transport import Unreachable

MOST_MOVES: Final = 3
"""How many moves of a number are followed."""
DEADLINE: Final = 5.0
"""Seconds after which directories that are asked side by side count as silent."""
OUTDATED: Final = "outdated"
"""The rule that refuses a record which is older than what was seen."""
CONFLICT: Final = "conflict"
"""The rule that refuses a record whose number another one had that was seen."""

_TRIES = 10


class Belief(StrEnum):
    """What the caller's own judge says."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict: by which rule, why, by which anchor, and in which line of the caller's own file that stands."""

    belief: Belief
    rule: str
    reason: str
    anchor: str | None = None
    source: str | None = None

    @property
    def is_verified(self) -> bool:
        """Whether it is believed."""
        return self.belief is Belief.VERIFIED


class Judge(Protocol):
    """Whom the caller believes: its trust store. A directory's word counts for nothing here."""

    def judge_record(self, signed: SignedRecord, number: TelephoneNumber, at: datetime) -> Judgement:
        """Return the verdict on a record that was shown for a number."""
        ...

    def judge_chains(self, chains: Sequence[Chain], at: datetime) -> Judgement:
        """Return the verdict on the certificates of one number and key, each with those above it.

        Whatever is believed is of the number and the key of the first.
        """
        ...


class Memory(Protocol):
    """What the caller remembers of records that its judge has verified: one of each number and app."""

    def recall(self, number: TelephoneNumber, app: str) -> Remembered | None:
        """Return what is remembered of a number and app."""
        ...

    def remember(self, new: Remembered, instead_of: Remembered | None) -> bool:
        """Remember a record in the place of another, at once; return False, changing nothing, where that is not there.

        So nobody who looks a number up at the same time takes an older record for the newest.
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a number is asked for: a directory's URL, and the SHA-256 of its description where it is known."""

    url: str
    sha256_hex: str | None = None


class RoutingFailed(Exception):
    """A routing could not tell where a number is, and why."""


class Routing(Protocol):
    """Who knows which directory has a number, such as the map of resolution services."""

    def place_of(self, number: TelephoneNumber) -> Place | None:
        """Return the directory of a number, None where the routing has none for it. Raises RoutingFailed."""
        ...


@dataclass(frozen=True, slots=True)
class OnePlace:
    """A routing that knows one directory, which has all numbers."""

    place: Place

    def place_of(self, number: TelephoneNumber) -> Place:  # noqa: ARG002  # the Protocol's
        """Return the one directory."""
        return self.place


@dataclass(frozen=True, slots=True)
class Listing:
    """One record that a directory showed, and what the caller's judge says of it.

    `record` is None where its text is no record; it is refused then. `directory` is the URL of who showed it. `before`
    is the record that was seen before and speaks against this one.
    """

    directory: str
    record: SignedRecord | None
    judgement: Judgement
    before: Remembered | None = None

    @property
    def app(self) -> str:
        """The app, empty where the text is no record."""
        return "" if self.record is None else self.record.app


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was found of a number.

    `listings` are by app, those that are verified first. `asked` are the URLs of the directories that answered, in
    order. `told` says in words what went another way than usual: a directory that is down, a move, a difference.
    """

    number: TelephoneNumber
    listings: tuple[Listing, ...]
    asked: tuple[str, ...]
    told: tuple[str, ...] = ()

    @property
    def is_answered(self) -> bool:
        """Whether some directory answered: if not, that nothing was found says nothing."""
        return bool(self.asked)

    @property
    def verified(self) -> Mapping[str, SignedRecord]:
        """The records that are believed, by app."""
        return {
            one.app: one.record
            for one in reversed(self.listings)
            if one.record is not None and one.judgement.is_verified
        }


@dataclass(slots=True)
class _Search:
    """What is found of one number on the way."""

    number: TelephoneNumber
    listings: list[Listing] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def resolved(self) -> Resolved:
        return Resolved(self.number, _in_order(self.listings), tuple(self.asked), tuple(self.told))


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Resolver:
    """Looks numbers up for one caller, and has what it finds judged by the caller's own judge.

    `connect` returns the client of a directory. `signer` and `tokens` are shown to each directory that is asked;
    without a signer, only what is open to anyone, or to the tokens, is seen. `fallbacks` are asked where a number's
    directory does not answer or the routing has none. With `hidden` no directory is shown a number: only what is open
    to anyone is seen then, and tokens are not shown; a directory that offers no hidden lookups gives no answer.
    Without a `memory`, each lookup is as if it were the first one.
    """

    connect: Callable[[Place], DirectoryClient]
    judge: Judge
    signer: Signer | None = None
    tokens: tuple[str, ...] = field(default=(), repr=False)
    fallbacks: tuple[Place, ...] = ()
    clock: Callable[[], datetime] = _now
    hidden: bool = False
    memory: Memory | None = None

    # One directory for each number

    def resolve(self, routing: Routing, numbers: Sequence[TelephoneNumber]) -> tuple[Resolved, ...]:
        """Return what is found of each number at the directory that the routing names."""
        searches = [_Search(number) for number in dict.fromkeys(numbers)]
        places: dict[Place | None, list[_Search]] = {}
        for search in searches:
            places.setdefault(_routed(routing, search), []).append(search)
        for place, of_place in places.items():
            if place is None or not self._ask(place, of_place):
                self._fall_back(place, of_place)
        return tuple(search.resolved() for search in searches)

    def _fall_back(self, failed: Place | None, searches: Sequence[_Search]) -> None:
        """Ask those who were named for the case, until one answers."""
        for place in self.fallbacks:
            if place != failed:
                for search in searches:
                    search.told.append(f"{place.url} was asked instead")
                if self._ask(place, searches):
                    return

    def _ask(self, place: Place, searches: Sequence[_Search], way: tuple[str, ...] = ()) -> bool:
        """Ask a directory for some numbers, follow those that moved; tell whether it answered."""
        shown = self._shown(place, [search.number for search in searches])
        if isinstance(shown, str):
            for search in searches:
                search.told.append(shown)
            return False
        for search in searches:
            search.asked.append(place.url)
            listings = self._compared(self._judged(place, search.number, shown.records[search.number]))
            search.listings += listings
            search.told += _evidence(listings)
            search.told += _left_out(place, search.number, shown)
            if search.number in shown.moves:
                self._follow(search, place.url, shown.moves[search.number], (*way, place.url))
        return True

    def _shown(self, place: Place, numbers: Sequence[TelephoneNumber]) -> Shown | str:
        """Return what a directory shows, or why it shows nothing, in words."""
        client = self.connect(place)
        try:
            if self.hidden:
                return client.look_up_hidden(numbers, self.signer)
            return client.look_up(numbers, self.signer, self.tokens)
        except DirectoryRefused as error:
            return str(error)
        except (Unreachable, DirectoryError) as error:
            return f"{place.url} gave no answer: {error}"

    # What it shows

    def _judged(self, place: Place, number: TelephoneNumber, texts: Iterable[str]) -> Iterator[Listing]:
        for text in texts:
            try:
                signed = SignedRecord.parse(text)
            except RecordError as error:
                yield Listing(place.url, None, Judgement(Belief.REFUSED, "token", str(error)))
            else:
                yield Listing(place.url, signed, self.judge.judge_record(signed, number, self.clock()))

    # What was seen before

    def _compared(self, shown: Iterable[Listing]) -> list[Listing]:
        """Return what is listed of a number, the newest records first: none that is withdrawn, unless it is refused."""
        ordered = sorted(shown, key=_sequence, reverse=True)
        compared = ordered if self.memory is None else [self._met(one, self.memory) for one in ordered]
        return [one for one in compared if one.before or one.record is None or not one.record.record.is_withdrawn]

    def _met(self, one: Listing, memory: Memory) -> Listing:
        """Return a listing, refused where it is verified and what was seen speaks against it; remember it otherwise."""
        record, now = one.record, self.clock()
        if record is None or not one.judgement.is_verified:
            return one
        seen = Remembered.of(record, one.directory, int(now.timestamp()))
        for _ in range(_TRIES):
            kept, new = memory.recall(record.number, record.app), seen
            if kept is not None:
                met = kept.met_by(record)
                if met in {Succession.NEWER, Succession.SAME}:
                    new = kept.followed_by(seen)
                elif self._is_still_believed(kept, now):
                    rule = CONFLICT if met is Succession.CONFLICT else OUTDATED
                    why = kept.against(record, one.directory)
                    return replace(one, judgement=Judgement(Belief.REFUSED, rule, why), before=kept)
            if new == kept or memory.remember(new, kept):
                break
        return one

    def _is_still_believed(self, kept: Remembered, now: datetime) -> bool:
        """Tell whether the judge believes whoever certified what is remembered: it may know better by now."""
        return self.judge.judge_chains(kept.record.chains, kept.judged_at(now)).is_verified

    def _follow(self, search: _Search, url: str, text: str, way: tuple[str, ...]) -> None:
        """Ask the directory to which a number has moved, if the number's certificate says so."""
        try:
            move = self._believed_move(search.number, url, text)
        except MoveError as error:
            search.told.append(f"{url} says that the number has moved, and that is not believed: {error}")
            return
        search.told.append(f"the number has moved from {url} to {move}")
        if move in way or len(way) > MOST_MOVES:
            search.told.append("it moves in a circle, or too often: no further directory was asked")
        else:
            self._ask(Place(move), [search], way)

    def _believed_move(self, number: TelephoneNumber, url: str, text: str) -> str:
        """Return where a number has moved to; raise MoveError where the judge does not believe the move.

        A move holds after its certificate has expired, as callers come for weeks: it is judged as of now, or as of the
        last second of a certificate that has expired since. What is known since its signing counts so: a revocation
        list says nothing of the time before it.
        """
        signed = SignedMove.parse(text)
        if (signed.number, signed.move.origin) != (number, url):
            msg = "it is about another number, or from another directory"
            raise MoveError(msg)
        if signed.issued_at > self.clock().timestamp() + _SKEW:
            msg = "it was signed in the future"
            raise MoveError(msg)
        if signed.issued_at < self.clock().timestamp() - _LONGEST_FORWARDING:
            msg = "it was signed more than a year ago"
            raise MoveError(msg)
        if signed.move.destination.startswith("http:") and not url.startswith("http:"):
            msg = "it leads to a place that is not asked over https"
            raise MoveError(msg)
        judgement = self.judge.judge_chains(signed.chains, _last_good(signed, self.clock()))
        if not judgement.is_verified:
            raise MoveError(judgement.reason)
        leaf = _leaf(signed.chain)
        if leaf is None or leaf.number != number:
            msg = "its certificate is another number's"
            raise MoveError(msg)
        if signed.issued_at < leaf.not_before.timestamp():
            msg = "it was signed before its certificate began"
            raise MoveError(msg)
        signed.verify(leaf.public_key)
        return signed.move.destination

    # Several directories at once

    def side_by_side(
        self, places: Sequence[Place], numbers: Sequence[TelephoneNumber], deadline: float = DEADLINE
    ) -> tuple[Resolved, ...]:
        """Return what is found of each number at all of these directories, asked at once, merged and compared.

        Those that have not answered after `deadline` seconds are told. Of an app that several show, the verified record
        with the highest number counts.
        """
        answers = self._gather(places, tuple(dict.fromkeys(numbers)), deadline)
        return tuple(self._merged(number, answers) for number in dict.fromkeys(numbers))

    def _gather(
        self, places: Sequence[Place], numbers: Sequence[TelephoneNumber], deadline: float
    ) -> dict[Place, Shown | str]:
        """Ask all at once. A thread that comes too late is left behind, and what it brings is not looked at."""
        answers: dict[Place, Shown | str] = {}
        ends = time.monotonic() + deadline

        def ask(place: Place) -> None:
            answers[place] = self._shown(place, numbers)

        asking = {place: threading.Thread(target=ask, args=(place,), daemon=True) for place in dict.fromkeys(places)}
        for thread in asking.values():
            thread.start()
        for thread in asking.values():
            thread.join(max(0.0, ends - time.monotonic()))
        came = dict(answers)
        return {place: came.get(place, f"{place.url} gave no answer within {deadline:g} seconds") for place in asking}

    def _merged(self, number: TelephoneNumber, answers: Mapping[Place, Shown | str]) -> Resolved:
        search = _Search(number)
        found: list[Listing] = []
        for place, shown in answers.items():
            if isinstance(shown, str):
                search.told.append(shown)
                continue
            search.asked.append(place.url)
            found += self._judged(place, number, shown.records[number])
            search.told += _left_out(place, number, shown)
            if number in shown.moves:
                search.told.append(f"{place.url} says that the number has moved")
        found = self._compared(found)
        search.told += _evidence(found)
        for app, listings in groupby(sorted(found, key=lambda one: one.app), key=lambda one: one.app):
            merged, differences = _merge(app, list(listings), search.asked)
            search.listings += merged
            search.told += differences
        return search.resolved()


_SKEW = 300
_LONGEST_FORWARDING = 366 * 86400


def _last_good(signed: SignedMove, now: datetime) -> datetime:
    """Return the latest time at which a move's certificates may be good, and never one before its signing."""
    ends = min(chain[0].not_valid_after_utc for chain in signed.chains) - timedelta(seconds=1)
    return max(min(now, ends), datetime.fromtimestamp(signed.issued_at, UTC))


def _left_out(place: Place, number: TelephoneNumber, shown: Shown) -> list[str]:
    """Return in words what a bucket had no room for."""
    if number not in shown.omitted:
        return []
    return [f"{place.url} has {shown.omitted[number]} more records, which a lookup that shows the number would find"]


def _routed(routing: Routing, search: _Search) -> Place | None:
    try:
        place = routing.place_of(search.number)
    except RoutingFailed as error:
        search.told.append(f"the number's directory could not be found: {error}")
        return None
    if place is None:
        search.told.append("no directory is known for the number")
    return place


def _evidence(listings: Iterable[Listing]) -> Iterator[str]:
    """Yield in words what shows that one key has signed two records with one number."""
    for one in listings:
        if one.record is not None and one.before is not None and one.judgement.rule == CONFLICT:
            shown, before = encode_base64url(one.record.hash), encode_base64url(one.before.record.hash)
            yield (
                f"{one.app}: {one.directory} shows the record with the hash {shown}, and {one.before.directory} showed "
                f"{before}: what a directory has accepted stands by this hash in its record log"
            )


def _leaf(chain: Chain) -> NumberCertificate | None:
    try:
        return NumberCertificate.read(chain[0])
    except CertificateProfileError:
        return None


def _in_order(listings: Iterable[Listing]) -> tuple[Listing, ...]:
    """Return the listings by app, in each the verified ones first, then by number, the highest first."""

    def place(one: Listing) -> tuple[bool, str, bool, int]:
        return (one.record is None, one.app, not one.judgement.is_verified, -_sequence(one))

    return tuple(sorted(listings, key=place))


def _sequence(one: Listing) -> int:
    return 0 if one.record is None else one.record.sequence


def _merge(app: str, listings: Sequence[Listing], asked: Sequence[str]) -> tuple[list[Listing], list[str]]:
    """Return which listings of an app count, and in what the directories differ, in words."""
    ordered = _in_order(listings)
    best = ordered[0]
    if best.record is None or not best.judgement.is_verified:
        return list(ordered), []
    rest = [one for one in ordered[1:] if one.record is None or one.record.content != best.record.content]
    rivals = [
        one for one in rest if _sequence(one) == best.record.sequence and (one.before or one.judgement.is_verified)
    ]
    differences = [
        f"{app}: {one.directory} shows {_difference(one, best.record.sequence)}; {best.directory} is followed"
        for one in rest
    ]
    silent = [url for url in asked if url not in {one.directory for one in listings}]
    differences += [f"{app}: {url} shows none" for url in silent]
    return [_fullest(best, best.record.content, ordered), *rivals], differences


def _fullest(best: Listing, content: bytes, ordered: Iterable[Listing]) -> Listing:
    """Return the best listing, or one of the same record that comes with the media that the best was shown without."""
    for one in ordered:
        if (
            one.judgement.is_verified
            and one.record is not None
            and one.record.content == content
            and one.record.is_whole
        ):
            return one
    return best


def _difference(one: Listing, sequence: int) -> str:
    is_known = one.judgement.is_verified or one.before is not None
    if one.record is None or not is_known or one.record.sequence > sequence:
        return f"a record that is {one.judgement.belief.value} ({one.judgement.reason})"
    if one.record.sequence == sequence:
        return "another record with the same number: its owner signed both, or somebody else has the key"
    return f"an older record, {sequence - one.record.sequence} behind"
