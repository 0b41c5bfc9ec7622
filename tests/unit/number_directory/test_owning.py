from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from number_directory.access_list import ANYONE, AccessList, AppAccess, Grant, SignedAccessList, sign_access_list
from number_directory.client import DirectoryClient, DirectoryRefused, Signer
from number_directory.errors import AccessListError
from number_directory.hidden_lookup import HiddenRecords
from number_directory.move import SignedMove
from number_directory.owning import RECEIPT_SECONDS, Check, NewRecord, Owner, Viewer
from number_directory.record import Medium, SignedRecord, latest_expiry
from number_directory.statement import Succession
from tests.fakes.directory_simulator import DirectorySimulator, problem
from tests.fakes.directory_statements import (
    ASKER,
    CHAT,
    EXPIRES_AT,
    ISSUED_AT,
    OTHER_KEY,
    OTHER_URL,
    OWNER,
    SECOND,
    VIDEO,
    published,
    record,
)
from tests.fakes.small_pki import CALLED, CALLER, Held, root

NEW = NewRecord(CHAT, ("https://chat.example/u/1",), frozenset({Medium.MESSAGE}))
NEW_VIDEO = NewRecord(VIDEO, ("https://video.example/u/1",), frozenset({Medium.VIDEO}), b"own use", EXPIRES_AT)


@pytest.fixture
def directory() -> DirectorySimulator:
    """Return an empty directory."""
    return DirectorySimulator()


def is_own(key: ec.EllipticCurvePublicKey) -> bool:
    """Know the owner's key, and no other."""
    return key == OWNER.key.public_key()


def client_of(directory: DirectorySimulator, now: int = ISSUED_AT) -> DirectoryClient:
    """Return a client of a directory."""
    return DirectoryClient(directory.url, directory, lambda: now)


def owner_at(directory: DirectorySimulator, now: int = ISSUED_AT, by: Held = OWNER) -> Owner:
    """Return the owner at a directory."""
    return Owner(client_of(directory, now), Signer(by.number, by.key, by.chain, (SECOND.chain,)), is_own)


def opened(access: AccessList) -> AccessList:
    """Let anyone see the chat, and one caller the video, without its media."""
    video = AppAccess(frozenset({Grant.to_number(CALLER)}), frozenset())
    return replace(access, apps={CHAT: AppAccess(frozenset({ANYONE})), VIDEO: video})


def viewers(directory: DirectorySimulator) -> list[Viewer]:
    """Return anyone, and the caller."""
    return [
        Viewer("anyone", client_of(directory)),
        Viewer("the caller", client_of(directory), Signer(ASKER.number, ASKER.key, ASKER.chain)),
    ]


@pytest.fixture
def owner(directory: DirectorySimulator) -> Owner:
    """Return an owner who has published twice, and lets some see it."""
    made = owner_at(directory)
    made.publish(NEW)
    made.publish(NEW_VIDEO)
    made.grant(opened)
    return made


# Publishing


def test_an_owner_publishes_and_replaces(directory: DirectorySimulator) -> None:
    """A number that grows with the time, also for an owner who remembers nothing."""
    first, acceptance = owner_at(directory).publish(NEW)
    assert acceptance.succession is Succession.NEWER
    assert first.record.expires_at == latest_expiry([OWNER.chain])
    assert len(first.chains) == 2
    assert first.sequence == ISSUED_AT
    second, _ = owner_at(directory).publish(replace(NEW, uris=("https://chat.example/u/2",)))
    assert second.sequence == ISSUED_AT + 1
    third, _ = owner_at(directory, ISSUED_AT + 60).publish(NEW)
    assert third.sequence == ISSUED_AT + 60
    assert directory.records[CALLED, CHAT] == third


def test_an_owner_withdraws(owner: Owner, directory: DirectorySimulator) -> None:
    """One app; the others stay."""
    gone, _ = owner.withdraw(CHAT)
    assert gone.record.is_withdrawn
    assert directory.records[CALLED, CHAT] == gone
    assert not directory.records[CALLED, VIDEO].record.is_withdrawn


def test_a_record_ends_with_the_certificate_at_the_latest(owner: Owner) -> None:
    """Whoever asks for longer gets as long as can be."""
    lasting, _ = owner.publish(replace(NEW, expires_at=10**11))
    assert lasting.record.expires_at == latest_expiry([OWNER.chain])
    assert owner.listing().record(VIDEO).record.expires_at == EXPIRES_AT  # type: ignore[union-attr]
    assert owner.listing().record(VIDEO).record.section == b"own use"  # type: ignore[union-attr]


def test_a_directory_does_not_use_up_the_numbers(directory: DirectorySimulator) -> None:
    """What the owner did not sign is counted on from only while many are left."""
    directory.records[CALLED, CHAT] = published(record(sequence=2**40), by=OTHER_KEY)
    assert owner_at(directory).publish(NEW)[0].sequence == 2**40 + 1
    liar = published(record(sequence=2**53 - 1), by=OTHER_KEY)
    directory.records[CALLED, CHAT] = liar
    made = owner_at(directory)
    assert not made.is_own(liar)
    directory.rewrites = lambda path, answer: directory.records.clear() or answer if path == "own" else answer  # type: ignore[func-returns-value]
    assert made.publish(NEW)[0].sequence == ISSUED_AT


def test_a_statement_is_the_owners_or_not(directory: DirectorySimulator) -> None:
    """By its number, its key and its signature."""
    made = owner_at(directory)
    assert made.is_own(published())
    assert not made.is_own(published(record(number=CALLER)))
    assert not made.is_own(published(by=ASKER))
    signed, other = published(), published(record(sequence=2))
    mixed = f"{signed.signed_text.rpartition('.')[0]}.{other.signed_text.rpartition('.')[2]}~"
    assert not made.is_own(SignedRecord.parse(mixed))
    strange = root(key_number=21)
    assert not made.is_own(published(by=Held(CALLED, strange.key, strange.chain)))


# Access lists


def test_an_owner_changes_its_access_list(owner: Owner) -> None:
    """Each change starts from what counts."""
    before = owner.access_list()
    assert set(before.apps) == {CHAT, VIDEO}
    signed, acceptance = owner.grant(lambda list_: replace(list_, default=AppAccess(frozenset({ANYONE}))))
    assert acceptance.succession is Succession.NEWER
    assert signed.sequence == before.sequence + 1
    assert owner.access_list().apps == before.apps
    assert owner.access_list().default.allow == {ANYONE}


def test_an_access_list_that_somebody_else_signed_is_not_signed_again(
    owner: Owner, directory: DirectorySimulator
) -> None:
    """A directory cannot have the owner open its records to others."""
    forged = AccessList(CALLED, 9, ISSUED_AT, AppAccess(frozenset({ANYONE})))
    directory.access[CALLED] = SignedAccessList.parse(sign_access_list(forged, OTHER_KEY.key, OTHER_KEY.chain))
    with pytest.raises(AccessListError, match="no key of yours"):
        owner.grant(opened)
    signed, _ = owner.grant(opened, from_scratch=True)
    assert signed.access_list.default == AppAccess()


def test_an_owner_counts_on_from_a_list_that_ended(directory: DirectorySimulator) -> None:
    """A list that a thief signed ended with its certificate, its number is remembered, and the owner gets above it."""
    directory.remembers[SignedAccessList] = 2**50
    signed, acceptance = owner_at(directory).grant(opened)
    assert (signed.sequence, acceptance.succession) == (2**50 + 1, Succession.NEWER)
    assert set(signed.access_list.apps) == {CHAT, VIDEO}


@pytest.mark.parametrize("seq", [2**52, 2**53 - 1])
def test_a_refusal_does_not_use_up_the_numbers(directory: DirectorySimulator, seq: int) -> None:
    """A directory that says to remember the last of all numbers is not followed there."""
    directory.remembers[SignedAccessList] = seq
    with pytest.raises(DirectoryRefused, match="a newer one ended"):
        owner_at(directory).grant(opened)


def test_another_refusal_is_passed_on(owner: Owner, directory: DirectorySimulator) -> None:
    """Only a list that ended is counted on from: a quota's refusal is the caller's to hear."""
    refused = problem(HTTPStatus.TOO_MANY_REQUESTS, "quotaExceeded", "too often", seq=3)
    directory.rewrites = lambda path, answer: refused if path == "access-lists" else answer
    with pytest.raises(DirectoryRefused, match="too often"):
        owner.grant(opened)


# After a renewal


def renewed(directory: DirectorySimulator, told: list[str] | None = None) -> Owner:
    """Return the owner with the key of its next certificate, who knows the former one's."""
    keys = [OWNER.key.public_key(), OTHER_KEY.key.public_key()]
    signer = Signer(OTHER_KEY.number, OTHER_KEY.key, OTHER_KEY.chain)
    return Owner(client_of(directory, ISSUED_AT + 60), signer, keys.__contains__, ([] if told is None else told).append)


def seen(directory: DirectorySimulator, by: Held = ASKER) -> dict[str, SignedRecord]:
    """Return what a caller sees, by app."""
    client = client_of(directory)
    texts = client.look_up([CALLED], Signer(by.number, by.key, by.chain)).records[CALLED]
    return {one.app: one for one in map(SignedRecord.parse, texts)}


@pytest.mark.usefixtures("owner")
def test_what_a_former_key_signed_is_signed_anew(directory: DirectorySimulator) -> None:
    """An access list opens what its own key signed: after a renewal, the next record takes all along with it."""
    told: list[str] = []
    video = directory.records[CALLED, VIDEO]
    before = seen(directory)
    renewed(directory, told).publish(NEW)
    after = seen(directory)
    assert after.keys() == before.keys() == {CHAT, VIDEO}
    assert all(one.shares_key_with(directory.access[CALLED]) for one in after.values())
    assert after[VIDEO].chain == OTHER_KEY.chain
    brought = directory.records[CALLED, VIDEO].record
    assert brought == replace(video.record, sequence=brought.sequence, issued_at=ISSUED_AT + 60)
    assert told == [f"signed with your present key, too: {VIDEO}, the access list"]
    renewed(directory, told).publish(NEW)
    assert len(told) == 1


@pytest.mark.usefixtures("owner")
def test_whoever_says_anew_who_may_see_closes_nothing_by_it(directory: DirectorySimulator) -> None:
    """The records of a former key are signed anew before the list is; also where one begins from scratch."""
    told: list[str] = []
    renewed(directory, told).grant(opened, from_scratch=True)
    assert seen(directory).keys() == {CHAT, VIDEO}
    assert told == [f"signed with your present key, too: {CHAT}, {VIDEO}"]


@pytest.mark.usefixtures("owner")
def test_what_was_left_half_signed_is_mended(directory: DirectorySimulator) -> None:
    """A process that ends between record and list leaves records that nobody sees, until the next one."""
    half = renewed(directory)
    directory.access_is_shut = True
    with pytest.raises(DirectoryRefused):
        half.publish(NEW)
    assert seen(directory) == {}
    directory.access_is_shut = False
    half.publish(NEW)
    assert seen(directory).keys() == {CHAT, VIDEO}


def test_what_is_gone_is_not_signed_anew(owner: Owner, directory: DirectorySimulator) -> None:
    """Neither a withdrawn record, nor an expired one, nor one of which the directory holds something back."""
    owner.withdraw(CHAT)
    renewed(directory).publish(replace(NEW, app="another.example"))
    assert directory.records[CALLED, CHAT].record.is_withdrawn
    assert directory.records[CALLED, VIDEO].chain == OTHER_KEY.chain
    directory.records[CALLED, CHAT] = SignedRecord.parse(published(record()).without_media)
    directory.records[CALLED, VIDEO] = published(record(VIDEO, issued_at=ISSUED_AT - 60, expires_at=ISSUED_AT))
    renewed(directory).publish(replace(NEW, app="another.example"))
    assert {directory.records[CALLED, app].chain for app in (CHAT, VIDEO)} == {OWNER.chain}


def test_what_ended_with_its_certificate_is_not_signed_anew(owner: Owner, directory: DirectorySimulator) -> None:
    """Where the list of a former key ended, since that was stolen, what the key signed beside it stays ended."""
    assert owner.listing().access_list
    del directory.access[CALLED]
    renewed(directory).publish(NEW)
    renewed(directory).grant(opened)
    assert directory.records[CALLED, VIDEO].chain == OWNER.chain
    assert seen(directory).keys() == {CHAT}


@pytest.mark.usefixtures("owner")
def test_what_a_lost_key_signed_is_not_signed_anew(directory: DirectorySimulator) -> None:
    """A thief's list and records are not taken along, though a directory that lies keeps them on."""
    told: list[str] = []
    careful = replace(renewed(directory, told), is_lost_key=OWNER.key.public_key().__eq__)
    careful.publish(NEW)
    assert "whose certificate you revoked" in told[0]
    with pytest.raises(AccessListError, match="from scratch"):
        careful.grant(opened)
    careful.grant(opened, from_scratch=True)
    assert directory.records[CALLED, VIDEO].chain == OWNER.chain
    assert seen(directory).keys() == {CHAT}


def test_a_former_holders_list_is_told_and_opens_nothing(directory: DirectorySimulator) -> None:
    """Whoever publishes a recycled number learns that a list is there, and of no record that somebody sees it."""
    listed = AccessList(CALLED, 9, ISSUED_AT, AppAccess(frozenset({ANYONE})))
    directory.access[CALLED] = SignedAccessList.parse(sign_access_list(listed, OTHER_KEY.key, OTHER_KEY.chain))
    told: list[str] = []
    newcomer = replace(owner_at(directory), tell=told.append)
    newcomer.publish(NEW)
    assert "no key of yours has signed, perhaps a former holder's" in told[0]
    assert seen(directory) == {}
    assert found(newcomer, directory)["anyone"].told == "sees what you allow: nothing"
    newcomer.grant(opened, from_scratch=True)
    assert seen(directory).keys() == {CHAT}


@pytest.mark.usefixtures("owner")
def test_a_renewed_number_moves_with_all_that_it_has(directory: DirectorySimulator) -> None:
    """The move is of the present key, and those who may see a record are sent on only by a list of the same."""
    there = DirectorySimulator(OTHER_URL)
    move, apps = renewed(directory).move_to(client_of(there))
    assert set(apps) == {CHAT, VIDEO}
    assert move.shares_key_with(directory.access[CALLED])
    assert {one.app for one in there.records.values() if one.shares_key_with(there.access[CALLED])} == {CHAT, VIDEO}


# Moving


def test_a_number_moves_with_all_that_it_has(owner: Owner, directory: DirectorySimulator) -> None:
    """Its records go along as they are, then the old directory sends callers on; and back again."""
    there = DirectorySimulator(OTHER_URL)
    chat = directory.records[CALLED, CHAT]
    owner.withdraw(VIDEO)
    move, apps = owner.move_to(client_of(there))
    assert apps == (CHAT,)
    assert there.records == {(CALLED, CHAT): chat}
    assert there.access[CALLED] == directory.access[CALLED]
    assert directory.moves[CALLED] == there.moves[CALLED] == move
    back, _ = owner_at(there).move_to(client_of(directory))
    assert back.sequence == move.sequence + 1
    again = directory.records[CALLED, CHAT]
    assert again.sequence > chat.sequence
    assert replace(again.record, sequence=chat.sequence) == chat.record


def test_a_number_moves_past_what_ended(owner: Owner, directory: DirectorySimulator) -> None:
    """What a thief signed and lost is remembered at either directory: the owner's move and list get above it."""
    there = DirectorySimulator(OTHER_URL, remembers={SignedMove: 2**49, SignedAccessList: 2**48})
    directory.remembers[SignedMove] = 2**50
    move, apps = owner.move_to(client_of(there))
    assert apps == (CHAT, VIDEO)
    assert move.sequence == 2**50 + 1
    assert directory.moves[CALLED] == there.moves[CALLED] == move
    assert there.access[CALLED].sequence == 2**48 + 1
    assert there.access[CALLED].access_list.apps == directory.access[CALLED].access_list.apps


def test_what_the_owner_did_not_sign_does_not_move(directory: DirectorySimulator) -> None:
    """Nothing of a lying directory is carried along."""
    directory.records[CALLED, CHAT] = published(by=OTHER_KEY)
    forged = AccessList(CALLED, 9, ISSUED_AT)
    directory.access[CALLED] = SignedAccessList.parse(sign_access_list(forged, OTHER_KEY.key, OTHER_KEY.chain))
    there = DirectorySimulator(OTHER_URL)
    _, apps = owner_at(directory).move_to(client_of(there))
    assert apps == ()
    assert there.records == {}
    assert there.access == {}
    there = DirectorySimulator("https://third-rs.example")
    directory.access.clear()
    directory.moves.clear()
    assert owner_at(directory).move_to(client_of(there))[1] == ()


# Holding the directory to account


def found(owner: Owner, directory: DirectorySimulator) -> dict[str, Check]:
    """Return what an owner finds, by what it is about."""
    return {check.what: check for check in owner.examine(viewers(directory))[1]}


def test_an_honest_directory_passes(owner: Owner, directory: DirectorySimulator) -> None:
    """Records in the log, the list as signed, and everybody sees what is allowed."""
    checks = found(owner, directory)
    assert all(check.is_good for check in checks.values())
    assert checks[CHAT].told == "proved to be in the record log, which has 3 entries now"
    assert checks["access list"].told == "signed by you"
    assert checks["anyone"].told == f"sees what you allow: {CHAT}"
    assert checks["the caller"].told == f"sees what you allow: {CHAT}, {VIDEO}"


def test_an_owner_looks_itself_up_without_being_shown(owner: Owner, directory: DirectorySimulator) -> None:
    """Buckets hold what anyone may see; what was published a moment ago may still be missing, and is no fault."""
    directory.offer_hidden()
    everybody = [Viewer("hidden", client_of(directory), hidden=True)]
    assert owner.examine(everybody)[1][-1] == Check("hidden", is_good=True, told=f"sees what you allow: {CHAT}")
    directory.seals_instead = HiddenRecords((directory.records[CALLED, VIDEO].token,))
    assert owner.examine(everybody)[1][-1].told.startswith("not yet as you published it lately")
    later = owner_at(directory, ISSUED_AT + 2 * RECEIPT_SECONDS)
    fault = later.examine(everybody)[1][-1]
    assert not fault.is_good
    assert fault.told == f"sees {VIDEO}, which you do not allow; does not see {CHAT}, which you allow"


def test_a_new_owner_has_nothing_to_look_at() -> None:
    """And sees that nobody sees anything."""
    empty = DirectorySimulator()
    checks = found(owner_at(empty), empty)
    assert [(check.what, check.told) for check in checks.values()] == [
        ("anyone", "sees what you allow: nothing"),
        ("the caller", "sees what you allow: nothing"),
    ]


def test_a_moved_number_shows_nothing(owner: Owner, directory: DirectorySimulator) -> None:
    """Those who may see it are sent on."""
    owner.move_to(client_of(DirectorySimulator(OTHER_URL)))
    assert found(owner, directory)["anyone"].told == "sees what you allow: nothing"


def _swapped(directory: DirectorySimulator) -> None:
    directory.shows_instead[CALLED] = (published(by=OTHER_KEY).token,)


def _garbage(directory: DirectorySimulator) -> None:
    directory.shows_instead[CALLED] = ("no record",)


def _open_video(directory: DirectorySimulator) -> None:
    directory.shows_instead[CALLED] = tuple(
        directory.records[CALLED, app].token if app == CHAT else directory.records[CALLED, app].without_media
        for app in (CHAT, VIDEO)
    )


def _all_media(directory: DirectorySimulator) -> None:
    directory.shows_instead[CALLED] = tuple(directory.records[CALLED, app].token for app in (CHAT, VIDEO))


def _no_media(directory: DirectorySimulator) -> None:
    directory.shows_instead[CALLED] = (directory.records[CALLED, CHAT].without_media,)


def _foreign_record(directory: DirectorySimulator) -> None:
    directory.records[CALLED, CHAT] = published(by=OTHER_KEY)


def _foreign_list(directory: DirectorySimulator) -> None:
    forged = AccessList(CALLED, 9, ISSUED_AT)
    directory.access[CALLED] = SignedAccessList.parse(sign_access_list(forged, OTHER_KEY.key, OTHER_KEY.chain))


def _forgetful(directory: DirectorySimulator) -> None:
    own = directory.rewrites

    def forget(path: str, answer: object) -> object:
        if path == "own":
            directory.record_log.hashes[:] = []
            directory.record_log.rebuild()
        return own(path, answer)  # type: ignore[arg-type]

    directory.rewrites = forget  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("lie", "what", "told"),
    [
        (_swapped, "anyone", f"is shown another record for {CHAT} than yours"),
        (_garbage, "anyone", f"is shown something that is no record; does not see {CHAT}, which you allow"),
        (_open_video, "anyone", f"sees {VIDEO}, which you do not allow"),
        (_all_media, "the caller", f"sees the media of {VIDEO}, against what you allow"),
        (_no_media, "anyone", f"does not see the media of {CHAT}, against what you allow"),
        (_no_media, "the caller", f"does not see {VIDEO}, which you allow"),
        (_foreign_record, CHAT, "no key of yours has signed this record"),
        (_foreign_list, "access list", "no key of yours has signed it"),
        (_forgetful, CHAT, "shows fewer entries"),
    ],
)
def test_a_lying_directory_is_found_out(
    owner: Owner,
    directory: DirectorySimulator,
    lie: Callable[[DirectorySimulator], None],
    what: str,
    told: str,
) -> None:
    """What it keeps, what its log shows, and what others are shown."""
    lie(directory)
    check = found(owner, directory)[what]
    assert not check.is_good
    assert told in check.told


@pytest.mark.parametrize(("age", "is_good"), [(RECEIPT_SECONDS - 1, True), (RECEIPT_SECONDS, False)])
def test_a_receipt_may_be_late_for_a_while(directory: DirectorySimulator, age: int, is_good: bool) -> None:
    """The record log takes a moment, and no more."""
    directory.logs = False
    owner_at(directory).publish(NEW)
    kept = owner_at(directory, ISSUED_AT + age).examine([])[1]
    assert kept == (Check(CHAT, is_good, "the record log does not have it yet"),)
