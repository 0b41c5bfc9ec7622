"""A caller that remembers what its judge verified, and directories that show something older, or something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from number_directory.client import DirectoryClient, Signer
from number_directory.record import SignedRecord, sign_record
from number_directory.record_memory import RecordMemory
from number_directory.remembered import Remembered
from number_directory.resolver import Belief, Listing, OnePlace, Place, Resolved, Resolver
from stir.jws import encode_base64url
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_simulator import Directories, DirectorySimulator
from tests.fakes.directory_statements import (
    ASKER,
    CHAT,
    ISSUED_AT,
    OTHER_URL,
    OWNER,
    URL,
    VIDEO,
    published,
    record,
    withdrawn,
)
from tests.fakes.root_judge import RootJudge
from tests.fakes.small_pki import CALLED, NOW, Held, root

HERE, THERE = Place(URL), Place(OTHER_URL)
ROGUE = root("Rogue", key_number=77)
THIEF = ROGUE.number(CALLED, key_number=78)
ELSEWHERE = ("https://elsewhere.example/u",)


@dataclass
class Caller:
    """One caller with its memory, its judge and its clock."""

    memory: RecordMemory
    directories: tuple[DirectorySimulator, ...]
    judge: RootJudge = field(default_factory=RootJudge)
    now: datetime = NOW
    hidden: bool = False

    def resolver(self) -> Resolver:
        """Return what it asks with."""
        transport = Directories(self.directories)
        return Resolver(
            lambda place: DirectoryClient(place.url, transport, lambda: ISSUED_AT, place.sha256_hex),
            self.judge,
            Signer(ASKER.number, ASKER.key, ASKER.chain),
            clock=lambda: self.now,
            hidden=self.hidden,
            memory=self.memory,
        )

    def finds(self, place: Place = HERE) -> Resolved:
        """Return what it finds at one directory."""
        (found,) = self.resolver().resolve(OnePlace(place), [CALLED])
        return found

    def shown(self, *texts: SignedRecord, at: int = 0) -> list[Listing]:
        """Return what it makes of records that a directory shows."""
        directory = self.directories[at]
        directory.shows_instead[CALLED] = tuple(one.token for one in texts)
        return list(self.finds(Place(directory.url)).listings)

    def compares(self, here: SignedRecord, there: SignedRecord) -> Resolved:
        """Return what it makes of what two directories show side by side."""
        for directory, one in zip(self.directories, (here, there), strict=True):
            directory.shows_instead[CALLED] = (one.token,)
        (found,) = self.resolver().side_by_side([HERE, THERE], [CALLED])
        return found


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    """Return a caller who has seen nothing, and knows two directories."""
    with RecordMemory(tmp_path) as memory:
        yield Caller(memory, (DirectorySimulator(), DirectorySimulator(OTHER_URL)))


def signed(sequence: int, by: Held = OWNER, **stated: object) -> SignedRecord:
    """Return a record with a number, which says something else than those with others."""
    plain = record(sequence=sequence, uris=(f"https://chat.example/u/{sequence}",))
    return published(replace(plain, **stated), by)  # type: ignore[arg-type]


def verdicts(listings: list[Listing]) -> list[tuple[Belief, str]]:
    """Return the verdicts and the rules that decided."""
    return [(one.judgement.belief, one.judgement.rule) for one in listings]


VERIFIED = [(Belief.VERIFIED, "anchor")]
OUTDATED = [(Belief.REFUSED, "outdated")]


def test_an_older_record_is_refused(caller: Caller) -> None:
    """A directory that set one caller back to what the owner has replaced is found out by that caller, at once."""
    new, old = signed(5), signed(3, uris=ELSEWHERE)
    assert verdicts(caller.shown(new)) == VERIFIED
    (refused,) = caller.shown(old)
    assert verdicts([refused]) == OUTDATED
    assert refused.judgement.reason.startswith(
        "the directory shows an older record than it showed before: seq 3, where seq 5 was seen on 2026-06-01 12:00 UTC"
    )
    assert refused.before is not None
    assert (refused.before.record.hash, refused.before.directory) == (new.hash, URL)
    assert verdicts(caller.shown(new)) == VERIFIED
    assert verdicts(caller.shown(signed(6))) == VERIFIED
    assert verdicts(caller.shown(new)) == OUTDATED


def test_another_record_of_the_same_number_is_refused_with_both_as_evidence(caller: Caller) -> None:
    """Its owner signed twice, or somebody else has the key: the hashes of both are told, and both are brought."""
    first, second = signed(5), signed(5, uris=ELSEWHERE)
    caller.shown(first)
    caller.directories[0].shows_instead[CALLED] = (second.token,)
    found = caller.finds()
    assert verdicts(list(found.listings)) == [(Belief.REFUSED, "conflict")]
    assert found.verified == {}
    assert all(encode_base64url(one.hash) in found.told[0] for one in (first, second))
    assert found.listings[0].before == Remembered.of(first, URL, ISSUED_AT)


def test_an_owner_at_two_directories_is_found_at_both(caller: Caller) -> None:
    """Whoever publishes the same at one after the other is refused nowhere, and the newest stays remembered."""
    for sequence in (5, 3, 4, 5):
        salted = SignedRecord.parse(sign_record(record(sequence=sequence), OWNER.key, OWNER.chain))
        assert verdicts(caller.shown(salted)) == VERIFIED
    assert kept(caller) == 5
    assert verdicts(caller.shown(signed(4))) == OUTDATED


def test_each_app_is_remembered_by_itself(caller: Caller) -> None:
    """Another app's numbers say nothing."""
    caller.shown(signed(5))
    assert verdicts(caller.shown(signed(3, app=VIDEO))) == VERIFIED


def test_what_is_not_believed_is_not_remembered(caller: Caller) -> None:
    """Else a directory could blind a caller for good with the highest number there is."""
    assert verdicts(caller.shown(signed(2**53 - 1, THIEF))) == [(Belief.UNVERIFIED, "anchor")]
    other_number = signed(2**53 - 1, ASKER, number=ASKER.number)
    assert verdicts(caller.shown(other_number)) == [(Belief.REFUSED, "certified-number")]
    assert verdicts(caller.shown(signed(1))) == VERIFIED


def test_what_is_believed_no_more_speaks_against_nothing(caller: Caller) -> None:
    """Once the caller has taken a rogue authority out, what that certified is forgotten; before, it stands."""
    caller.judge.roots.append(ROGUE.certificate)
    assert verdicts(caller.shown(signed(2**53 - 1, THIEF))) == VERIFIED
    assert verdicts(caller.shown(signed(1))) == OUTDATED
    caller.judge.roots.remove(ROGUE.certificate)
    assert verdicts(caller.shown(signed(2))) == VERIFIED
    assert verdicts(caller.shown(signed(1))) == OUTDATED


def test_a_certificate_that_has_ended_still_speaks_against_older_records(caller: Caller) -> None:
    """An older record may be under a certificate that lasts longer."""
    lasting = root().number(CALLED, key_number=23, not_after=NOW + timedelta(days=30))
    old = signed(3, lasting, expires_at=ISSUED_AT + 29 * 86400)
    caller.shown(signed(5))
    caller.now = NOW + timedelta(days=8)
    assert verdicts(caller.shown(old)) == OUTDATED


def test_a_number_that_changed_hands_begins_anew(caller: Caller) -> None:
    """The new holder's client may count from 1; what the former one signed does not come back after that."""
    later = NOW + timedelta(hours=6)
    holder = root().number(CALLED, key_number=24, not_before=later, not_after=later + timedelta(days=7))
    then = int(later.timestamp())
    caller.shown(signed(5))
    caller.now = later + timedelta(hours=1)
    anew = signed(1, holder, issued_at=then + 60, expires_at=then + 86400)
    assert verdicts(caller.shown(anew)) == VERIFIED
    (former,) = caller.shown(signed(6))
    assert verdicts([former]) == OUTDATED
    assert "from before the number began anew" in former.judgement.reason
    assert verdicts(caller.shown(anew)) == VERIFIED


def test_a_withdrawal_is_remembered(caller: Caller) -> None:
    """Where a directory shows one: what was withdrawn does not come back, and an old withdrawal hides nothing new."""
    assert caller.shown(published(withdrawn(sequence=5))) == []
    assert verdicts(caller.shown(signed(3))) == OUTDATED
    assert verdicts(caller.shown(signed(6))) == VERIFIED
    assert verdicts(caller.shown(published(withdrawn(sequence=5)))) == OUTDATED
    assert caller.shown(published(withdrawn(sequence=9), THIEF)) == []
    assert verdicts(caller.shown(signed(6))) == VERIFIED


def test_of_several_at_once_the_newest_counts(caller: Caller) -> None:
    """In whatever order a directory shows them."""
    for texts in ((signed(3), signed(5)), (signed(5), signed(3))):
        assert verdicts(caller.shown(*texts)) == VERIFIED + OUTDATED
    assert verdicts(caller.shown(published(withdrawn(sequence=7)), signed(5))) == OUTDATED


def test_a_caller_that_is_not_shown_remembers_too(caller: Caller) -> None:
    """By a hidden lookup what comes is the same, and so is what was seen."""
    directory = caller.directories[0]
    directory.offer_hidden()
    with_new = signed(5)
    directory.records[CALLED, CHAT] = with_new
    caller.shown(with_new)
    caller.hidden = True
    assert verdicts(caller.shown(with_new)) == VERIFIED
    assert verdicts(caller.shown(signed(3))) == OUTDATED


# Side by side


@pytest.mark.parametrize("behind_first", [True, False])
def test_it_is_told_which_of_two_directories_is_behind(caller: Caller, behind_first: bool) -> None:
    """At first and again; the one that shows the newest is followed."""
    old, new = signed(3), signed(5)
    behind, ahead = (URL, OTHER_URL) if behind_first else (OTHER_URL, URL)
    for _ in range(2):
        found = caller.compares(*((old, new) if behind_first else (new, old)))
        assert [one.directory for one in found.listings] == [ahead]
        assert found.verified[CHAT].sequence == 5
        assert found.told == (f"{CHAT}: {behind} shows an older record, 2 behind; {ahead} is followed",)


def test_two_directories_that_are_behind_what_was_seen_are_both_refused(caller: Caller) -> None:
    """Though they agree."""
    caller.shown(signed(5))
    found = caller.compares(signed(3), signed(3))
    assert verdicts(list(found.listings)) == OUTDATED * 2
    assert f"than {URL} showed before" in {one.directory: one.judgement.reason for one in found.listings}[OTHER_URL]


def test_a_directory_that_contradicts_what_was_seen_is_shown_beside_the_other(caller: Caller) -> None:
    """What was seen is followed, and the other one is refused, with the evidence."""
    first, second = signed(5), signed(5, uris=ELSEWHERE)
    caller.shown(first, at=1)
    found = caller.compares(second, first)
    assert [(one.directory, one.judgement.rule) for one in found.listings] == [(OTHER_URL, "anchor"), (URL, "conflict")]
    assert found.verified == {CHAT: first}
    assert any(encode_base64url(second.hash) in words for words in found.told)
    assert any("somebody else has the key" in words for words in found.told)


def test_a_former_holders_record_is_refused_whatever_its_number_is(caller: Caller) -> None:
    """Beside the new holder's, it is told as what it is, and not as one that is ahead."""
    later = NOW + timedelta(hours=6)
    holder = root().number(CALLED, key_number=24, not_before=later, not_after=later + timedelta(days=7))
    then = int(later.timestamp())
    anew = signed(1, holder, issued_at=then + 60, expires_at=then + 86400)
    caller.shown(signed(5))
    caller.now = later + timedelta(hours=1)
    caller.shown(anew)
    found = caller.compares(anew, signed(6))
    assert found.verified == {CHAT: anew}
    assert "shows a record that is refused (the directory shows a record from before" in found.told[0]


# Two lookups at once


@dataclass
class Crowded:
    """A memory that others write to, too: before each of the first attempts somebody else remembers something."""

    memory: RecordMemory
    others: list[Remembered]

    def recall(self, number: TelephoneNumber, app: str) -> Remembered | None:
        """Return what is remembered by now."""
        return self.memory.recall(number, app)

    def remember(self, new: Remembered, instead_of: Remembered | None) -> bool:
        """Have somebody else be first."""
        if self.others:
            assert self.memory.remember(self.others.pop(), instead_of)
        return self.memory.remember(new, instead_of)


def met_at_once(caller: Caller, *others: int) -> list[Listing]:
    """Return what a caller makes of record 5 while others see these."""
    crowd = Crowded(caller.memory, [Remembered.of(signed(one), OTHER_URL, ISSUED_AT) for one in reversed(others)])
    directory = caller.directories[0]
    directory.shows_instead[CALLED] = (signed(5).token,)
    resolver = replace(caller.resolver(), memory=crowd)
    (found,) = resolver.resolve(OnePlace(HERE), [CALLED])
    return list(found.listings)


def test_two_lookups_at_once_leave_the_newest(caller: Caller) -> None:
    """Whoever comes second compares again, with what the first one saw."""
    assert verdicts(met_at_once(caller, 3)) == VERIFIED
    assert kept(caller) == 5
    assert verdicts(met_at_once(caller)) == VERIFIED
    caller.memory.forget([CALLED])
    assert verdicts(met_at_once(caller, 3, 9)) == OUTDATED
    assert kept(caller) == 9


def kept(caller: Caller) -> int:
    """Return the number that is remembered."""
    found = caller.memory.recall(CALLED, CHAT)
    assert found is not None
    return found.record.sequence


class Unwilling(RecordMemory):
    """A memory in which nothing can be kept, as somebody else was always first."""

    def remember(self, new: Remembered, instead_of: Remembered | None) -> bool:  # noqa: ARG002  # the Protocol's
        """Keep nothing."""
        return False


def test_a_lookup_ends_where_others_always_come_first(tmp_path: Path) -> None:
    """After some attempts, with the verdict that it has."""
    with Unwilling(tmp_path) as memory:
        caller = Caller(memory, (DirectorySimulator(),))
        assert verdicts(caller.shown(signed(5))) == VERIFIED


def test_without_a_memory_each_lookup_is_the_first(caller: Caller) -> None:
    """As for a program that keeps none."""
    forgetful = replace(caller.resolver(), memory=None)
    for one in (signed(5), signed(3)):
        caller.directories[0].shows_instead[CALLED] = (one.token,)
        (found,) = forgetful.resolve(OnePlace(HERE), [CALLED])
        assert found.verified == {CHAT: one}
