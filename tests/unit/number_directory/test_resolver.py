from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from number_directory.access_list import ANYONE, AccessList, AppAccess, sign_access_list
from number_directory.client import DirectoryClient, Signer
from number_directory.move import Move
from number_directory.record import Medium, Record, sign_record
from number_directory.resolver import Belief, Judgement, OnePlace, Place, Resolved, Resolver, RoutingFailed
from stir.certificate import NumberCertificate
from stir.errors import CertificateProfileError
from stir.jws import Chain
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_simulator import Directories, DirectorySimulator
from tests.fakes.directory_statements import (
    ASKER,
    CHAT,
    ISSUED_AT,
    OTHER_KEY,
    OTHER_URL,
    OWNER,
    SECOND,
    URL,
    VIDEO,
    published,
    record,
    withdrawn,
)
from tests.fakes.root_judge import RootJudge
from tests.fakes.small_pki import CALLED, CALLER, NOW, STRANGER, Held, root
from transparency.transport import Answer, Question

THIRD_URL = "https://third-rs.example"
HERE, THERE, THIRD = Place(URL), Place(OTHER_URL), Place(THIRD_URL)


@dataclass
class FakeRouting:
    """Tells where numbers are, or why it cannot."""

    places: Mapping[TelephoneNumber, Place | None]
    asked: list[TelephoneNumber] = field(default_factory=list)

    def place_of(self, number: TelephoneNumber) -> Place | None:
        """Return the place of a number."""
        self.asked.append(number)
        if number not in self.places:
            msg = "the map is damaged"
            raise RoutingFailed(msg)
        return self.places[number]


@pytest.fixture
def here() -> DirectorySimulator:
    """Return a directory that shows the owner's chat to anyone."""
    return with_record(DirectorySimulator(), record())


@pytest.fixture
def there() -> DirectorySimulator:
    """Return another directory, which has nothing yet."""
    return DirectorySimulator(OTHER_URL)


def with_record(directory: DirectorySimulator, stated: Record, by: Held = OWNER) -> DirectorySimulator:
    """Publish a record in a directory, for anyone to see."""
    client = DirectoryClient(directory.url, directory, lambda: ISSUED_AT)
    client.publish(sign_record(stated, by.key, by.chain, salt=bytes(16)))
    access = AccessList(stated.number, 1, ISSUED_AT, AppAccess(frozenset({ANYONE})))
    client.set_access_list(sign_access_list(access, by.key, by.chain))
    return directory


def resolver(
    *directories: DirectorySimulator, fallbacks: tuple[Place, ...] = (), judge: RootJudge | None = None
) -> Resolver:
    """Return the resolver of a caller that signs."""
    transport = Directories(directories)
    return Resolver(
        lambda place: DirectoryClient(place.url, transport, lambda: ISSUED_AT, place.sha256_hex),
        judge or RootJudge(),
        Signer(ASKER.number, ASKER.key, ASKER.chain),
        fallbacks=fallbacks,
        clock=lambda: NOW,
    )


def resolve(asker: Resolver, place: Place = HERE, number: TelephoneNumber = CALLED) -> Resolved:
    """Resolve one number by a routing that knows one place."""
    (found,) = asker.resolve(OnePlace(place), [number])
    return found


def test_a_number_is_resolved_through_its_directory(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """Number, directory, records, verdicts; no other directory is asked."""
    found = resolve(resolver(here, there, fallbacks=(THERE,)))
    assert found.verified == {CHAT: here.records[CALLED, CHAT]}
    assert [one.judgement.anchor for one in found.listings] == ["example-ca"]
    assert (found.asked, found.told, found.is_answered) == ((URL,), (), True)
    assert [path for path, _ in here.questions[2:]] == ["lookup"]
    assert there.questions == []


def test_a_caller_gets_all_records_and_picks(here: DirectorySimulator) -> None:
    """R4: one record for each app, by app."""
    with_record(here, record(VIDEO, media=frozenset({Medium.VIDEO})))
    found = resolve(resolver(here))
    assert [one.app for one in found.listings] == [CHAT, VIDEO]
    assert found.verified[VIDEO].record.media == {Medium.VIDEO}


def test_numbers_of_one_directory_are_asked_for_at_once(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """A question for each directory, not for each number."""
    routing = FakeRouting({CALLED: HERE, STRANGER: HERE, CALLER: THERE})
    found = resolver(here, there).resolve(routing, [CALLED, CALLER, STRANGER, CALLED])
    assert [one.number for one in found] == [CALLED, CALLER, STRANGER]
    assert [one.asked for one in found] == [(URL,), (OTHER_URL,), (URL,)]
    assert len(here.questions) == 3
    assert len(there.questions) == 1


def test_a_directory_that_lies_is_refused(here: DirectorySimulator) -> None:
    """A record swapped for the directory's own, another number's, and what is no record."""
    own = root("Directory's own", key_number=77).number(CALLED, key_number=78)
    foreign = sign_record(record(number=STRANGER), ASKER.key, ASKER.chain)
    here.shows_instead[CALLED] = (published(by=own).token, foreign, "no record\x1b[2J")
    found = resolve(resolver(here))
    assert found.verified == {}
    assert [one.judgement.belief for one in found.listings] == [Belief.UNVERIFIED, Belief.REFUSED, Belief.REFUSED]
    assert found.listings[-1].record is None
    assert found.listings[-1].app == ""


def test_a_withdrawn_record_is_none(here: DirectorySimulator) -> None:
    """A directory need not show it; if it does, the number is not on the app."""
    here.shows_instead[CALLED] = (published(withdrawn()).token,)
    assert resolve(resolver(here)).listings == ()


def test_the_verified_record_comes_first(here: DirectorySimulator) -> None:
    """Of several for one app, those that are believed, then by number."""
    stranger = published(record(sequence=9), by=SECOND).token
    here.shows_instead[CALLED] = (stranger, published().token, published(record(sequence=3)).token)
    found = resolve(resolver(here))
    assert [one.record.sequence for one in found.listings if one.record] == [3, 1, 9]
    assert found.verified[CHAT].sequence == 3


# When the directory is down


def test_a_directory_that_is_down_is_told(here: DirectorySimulator) -> None:
    """Nothing found is then no answer."""
    here.is_down = True
    found = resolve(resolver(here))
    assert not found.is_answered
    assert found.listings == ()
    assert found.told == (f"{URL} gave no answer: nobody answers",)


def test_those_are_asked_instead_that_were_named(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """One after the other, never the failed one again, and told."""
    with_record(there, record())
    here.is_down = True
    third = DirectorySimulator(THIRD_URL, is_down=True)
    found = resolve(resolver(here, there, third, fallbacks=(HERE, THIRD, THERE)))
    assert found.asked == (OTHER_URL,)
    assert CHAT in found.verified
    assert [told for told in found.told if "instead" in told] == [
        f"{THIRD_URL} was asked instead",
        f"{OTHER_URL} was asked instead",
    ]


@pytest.mark.parametrize(("places", "told"), [({CALLED: None}, "no directory is known"), ({}, "the map is damaged")])
def test_a_number_without_a_place_is_told(
    here: DirectorySimulator, places: dict[TelephoneNumber, Place | None], told: str
) -> None:
    """The routing has none, or cannot tell."""
    (found,) = resolver(here).resolve(FakeRouting(places), [CALLED])
    assert not found.is_answered
    assert told in found.told[0]
    (found,) = resolver(here, fallbacks=(HERE,)).resolve(FakeRouting(places), [CALLED])
    assert CHAT in found.verified


def test_a_refusal_is_told(here: DirectorySimulator) -> None:
    """A quota or an unknown certificate is a reason, not an absence."""
    refusing = resolve(replace(resolver(here), connect=lambda _: DirectoryClient(URL, Renamed(here))))
    assert not refusing.is_answered
    assert "refused (HTTP status 403)" in refusing.told[0]


@dataclass
class Renamed:
    """A way to a directory under another name than its own."""

    directory: DirectorySimulator

    def ask(self, question: Question) -> Answer:
        """Have the directory believe that it has another URL."""
        renamed = replace(self.directory, url=THIRD_URL, questions=[])
        return renamed.ask(replace(question, url=question.url.replace(URL, THIRD_URL)))


# Moves


def moved(
    directory: DirectorySimulator,
    to: str = OTHER_URL,
    *,
    by: Held = OWNER,
    number: TelephoneNumber = CALLED,
    issued_at: int = ISSUED_AT,
    more_chains: tuple[Chain, ...] = (),
    origin: str | None = None,
) -> None:
    """Have a directory show a move."""
    move = Move(number, origin or directory.url, to, 1, issued_at)
    directory.moves_instead[CALLED] = move.sign(by.key, by.chain, more_chains)


def test_a_moved_number_is_followed(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """The signed move is verified, and the new directory asked."""
    with_record(there, record(sequence=5))
    client = DirectoryClient(URL, here, lambda: ISSUED_AT)
    client.move(Move(CALLED, URL, OTHER_URL, 1, ISSUED_AT).sign(OWNER.key, OWNER.chain))
    found = resolve(resolver(here, there))
    assert found.asked == (URL, OTHER_URL)
    assert found.verified[CHAT].sequence == 5
    assert found.told == (f"the number has moved from {URL} to {OTHER_URL}",)


@pytest.mark.parametrize(
    ("ends", "judged"),
    [
        (timedelta(days=6), NOW),
        (-timedelta(minutes=30), NOW - timedelta(minutes=30, seconds=1)),
        (-timedelta(hours=2), NOW - timedelta(hours=1)),
    ],
)
def test_a_move_is_judged_as_late_as_its_certificate_was_good(
    here: DirectorySimulator, there: DirectorySimulator, ends: timedelta, judged: datetime
) -> None:
    """It outlives its certificate, as callers are forwarded for weeks; what is known since its signing counts."""
    with_record(there, record())
    judge, by = RootJudge(), root().number(CALLED, not_after=NOW + ends)
    moved(here, by=by, issued_at=ISSUED_AT - 3600)
    found = resolve(resolver(here, there, judge=judge))
    assert (OTHER_URL in found.asked) is (judged < NOW + ends)
    assert judge.at[1] == judged


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (lambda here: here.moves_instead.__setitem__(CALLED, "no move"), "three base64url parts"),
        (lambda here: moved(here, by=root("Own", key_number=77).number(CALLED)), "no anchor"),
        (lambda here: moved(here, by=ASKER), "another number's"),
        (lambda here: moved(here, number=STRANGER), "another number, or from another directory"),
        (lambda here: moved(here, origin=THIRD_URL), "another number, or from another directory"),
        (lambda here: moved(here, issued_at=ISSUED_AT + 3600), "in the future"),
        (lambda here: moved(here, issued_at=ISSUED_AT - 2 * 86400), "before its certificate began"),
        (lambda here: moved(here, issued_at=ISSUED_AT - 367 * 86400), "more than a year ago"),
        (lambda here: moved(here, "http://127.0.0.1:8080"), "not asked over https"),
    ],
)
def test_a_directory_sends_nobody_away(
    here: DirectorySimulator, there: DirectorySimulator, lie: Callable[[DirectorySimulator], None], why: str
) -> None:
    """A move that the number's certificate did not sign is told, and not followed."""
    lie(here)
    found = resolve(resolver(here, there))
    assert there.questions == []
    assert len(found.told) == 1
    assert why in found.told[0]


def test_a_forged_signature_moves_nobody(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """The chain may be right: the key must have signed."""
    moved(here)
    header, payload, _ = here.moves_instead[CALLED].split(".")
    here.moves_instead[CALLED] = f"{header}.{payload}.{published(by=OTHER_KEY).signed_text.split('.')[2]}"
    found = resolve(resolver(here, there))
    assert "not signed by the key" in found.told[0]
    assert there.questions == []


def test_a_move_may_bring_several_chains(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """One that the caller believes is enough."""
    moved(here, by=SECOND, more_chains=(OWNER.chain,))
    assert OTHER_URL in resolve(resolver(here, there)).asked


def test_a_certificate_that_the_profile_does_not_know_moves_nobody(here: DirectorySimulator) -> None:
    """Whatever the judge says of it."""
    with pytest.raises(CertificateProfileError):
        NumberCertificate.read(root().certificate)
    strange = root(key_number=21)
    moved(here, by=Held(CALLED, strange.key, strange.chain))
    believing = resolver(here)
    object.__setattr__(believing, "judge", Gullible())
    assert "another number's" in resolve(believing).told[0]


class Gullible(RootJudge):
    """Believes everything."""

    def judge_chains(self, chains: Sequence[Chain], at: datetime) -> Judgement:  # noqa: ARG002  # the Protocol's
        """Believe it."""
        return Judgement(Belief.VERIFIED, "anchor", "why not")


def test_a_circle_of_moves_ends(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """Neither a circle nor a long way is followed to its end."""
    moved(here)
    moved(there, URL)
    found = resolve(resolver(here, there))
    assert found.asked == (URL, OTHER_URL)
    assert "in a circle" in found.told[-1]
    chain = [DirectorySimulator(f"https://rs{number}.example") for number in range(6)]
    for one, following in pairwise(chain):
        moved(one, following.url)
    assert len(resolve(resolver(*chain), Place(chain[0].url)).asked) == 4


# Side by side


def test_two_directories_are_asked_side_by_side(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """R10: merged by app; what one alone has is told."""
    with_record(there, record(VIDEO))
    (found,) = resolver(here, there).side_by_side([HERE, THERE, HERE], [CALLED, CALLED])
    assert set(found.verified) == {VIDEO, CHAT}
    assert found.asked == (URL, OTHER_URL)
    assert found.told == (f"{CHAT}: {OTHER_URL} shows none", f"{VIDEO}: {URL} shows none")
    assert len(here.questions) == 3


def test_the_newest_record_counts(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """A directory that is behind is told, and not followed."""
    with_record(there, record(sequence=3))
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert [(one.directory, one.record and one.record.sequence) for one in found.listings] == [(OTHER_URL, 3)]
    assert found.told == (f"{CHAT}: {URL} shows an older record, 2 behind; {OTHER_URL} is followed",)


def test_the_same_record_is_shown_once_with_its_media(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """One directory may have been told to hide the media, and the other not."""
    with_record(there, record())
    here.shows_instead[CALLED] = (here.records[CALLED, CHAT].without_media,)
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert [one.directory for one in found.listings] == [OTHER_URL]
    assert found.told == ()
    there.shows_instead[CALLED] = here.shows_instead[CALLED]
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert [one.directory for one in found.listings] == [URL]


def test_two_records_with_one_number_are_both_shown(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """Somebody signed twice: the caller should know."""
    with_record(there, record(uris=("https://elsewhere.example/u",)))
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert len(found.listings) == 2
    assert "somebody else has the key" in found.told[0]


def test_a_lie_beside_the_truth_is_told(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """What is believed counts; what is not is told, or shown where there is nothing else."""
    own = root("Directory's own", key_number=77).number(CALLED, key_number=78)
    there.shows_instead[CALLED] = (published(record(sequence=9), by=own).token, published(record(VIDEO), by=own).token)
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert [(one.app, one.judgement.belief) for one in found.listings] == [
        (CHAT, Belief.VERIFIED),
        (VIDEO, Belief.UNVERIFIED),
    ]
    assert found.told == (
        f"{CHAT}: {OTHER_URL} shows a record that is unverified (no anchor leads to it); {URL} is followed",
    )
    there.shows_instead[CALLED] = ("no record",)
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert [one.record is None for one in found.listings] == [False, True]


def test_a_silent_directory_is_not_waited_for(here: DirectorySimulator) -> None:
    """After the deadline the answer is what came, and the others are told."""
    silent, down = DirectorySimulator(OTHER_URL, hangs=threading.Event()), DirectorySimulator(THIRD_URL, is_down=True)
    (found,) = resolver(here, silent, down).side_by_side([HERE, THERE, THIRD], [CALLED], deadline=0.5)
    silent.hangs.set()  # type: ignore[union-attr]
    assert found.asked == (URL,)
    assert CHAT in found.verified
    assert found.told[:2] == (
        f"{OTHER_URL} gave no answer within 0.5 seconds",
        f"{THIRD_URL} gave no answer: nobody answers",
    )


def test_a_move_is_told_side_by_side(here: DirectorySimulator, there: DirectorySimulator) -> None:
    """Nobody else is asked than was named."""
    moved(here, THIRD_URL)
    (found,) = resolver(here, there).side_by_side([HERE, THERE], [CALLED])
    assert f"{URL} says that the number has moved" in found.told


def test_now_is_the_systems_unless_given(here: DirectorySimulator) -> None:
    """A caller's clock is its own."""
    assert Resolver(lambda place: DirectoryClient(place.url, here), RootJudge()).clock().tzinfo is not None
