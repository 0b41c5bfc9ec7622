from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from number_directory.access_list import ANYONE, AppAccess, Grant
from number_directory.lookup import OpenLookup
from number_directory.owning import NewRecord
from number_directory.server.revocation import end_revoked
from number_directory.statement import Succession
from tests.fakes.directory_world import CALLER, CHAT, OWNER, STRANGER, URL, VIDEO, DirectoryWorld, accepted, refusal
from tests.fakes.small_pki import CRL_URL
from tests.unit.number_directory.server.test_ending import crl, lists

ELSEWHERE = "https://other.example"
TOKEN = "a-bearer-token-of-22-or-more"


def test_those_who_could_see_a_moved_number_are_sent_on(world: DirectoryWorld) -> None:
    """Callers who saw a record are shown the signed move; the records are gone, and others see nothing."""
    world.publish()
    world.allow(Grant.to_number(CALLER))
    move = world.move_token(ELSEWHERE)
    accepted(world.post("/moves", move))
    answer = world.look_up(OWNER)
    assert answer.records[OWNER] == ()
    assert answer.moves == {OWNER: move}
    assert world.look_up(OWNER, caller=STRANGER).moves == {}


def test_whoever_sees_no_record_does_not_see_the_move(world: DirectoryWorld) -> None:
    """Neither a grantee of the media alone, nor one of a record that has expired, learns that the number was here."""
    accepted(world.post("/records", world.record_token(life=timedelta(hours=1))))
    world.publish(app=VIDEO)
    apps = {
        CHAT: AppAccess(frozenset({ANYONE})),
        VIDEO: AppAccess(frozenset({Grant.to_token(TOKEN)}), frozenset({Grant.to_number(CALLER)})),
    }
    accepted(world.post("/access-lists", world.access_list_token(apps=apps)))
    world.clock.advance(timedelta(hours=2))
    assert world.look_up(OWNER).records[OWNER] == ()
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    assert world.look_up(OWNER).moves == {}
    assert world.look_up(OWNER, caller=STRANGER, tokens=[TOKEN]).moves.keys() == {OWNER}


def test_those_who_are_sent_on_are_sent_on_by_the_next_move_too(world: DirectoryWorld) -> None:
    """A number that moves elsewhere again while callers are sent on sends the same ones there."""
    world.publish()
    world.allow(Grant.to_number(CALLER))
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    again = world.move_token("https://third.example", seq=2)
    accepted(world.post("/moves", again))
    assert world.look_up(OWNER).moves == {OWNER: again}
    assert world.look_up(OWNER, caller=STRANGER).moves == {}


def test_an_answer_about_a_moved_number_has_the_size_of_any_other(world: DirectoryWorld) -> None:
    """Whoever sees encrypted answers go by cannot tell that a number has moved."""
    world.publish()
    world.allow(ANYONE)
    body = OpenLookup((OWNER,)).to_json()
    before = world.send("/lookup", body).content
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    assert len(world.send("/lookup", body).content) == len(before)


def test_nothing_is_published_while_callers_are_sent_on(world: DirectoryWorld) -> None:
    """Records and access lists of a moved number belong to where it went."""
    world.publish()
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    assert refusal(world.post("/records", world.record_token(seq=2))) == (409, "moved")
    assert refusal(world.post("/access-lists", world.access_list_token())) == (409, "moved")


def test_callers_are_sent_on_for_a_while(world: DirectoryWorld) -> None:
    """Behind the time for forwarding nothing is left to be seen, and the number may publish here again."""
    world.publish()
    world.allow(ANYONE)
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    world.clock.advance(timedelta(days=world.config.records.forwarding_days, seconds=1))
    assert world.look_up(OWNER, caller=None).moves == {}
    world.hold(OWNER, world.authority.number(OWNER, serial=9, not_after=world.clock() + timedelta(days=6)))
    world.publish(seq=2)
    assert world.look_up(OWNER, caller=None).records[OWNER]


def test_a_number_may_move_back(world: DirectoryWorld) -> None:
    """A later move to here ends the forwarding; an earlier one that is sent again changes nothing."""
    world.publish()
    world.allow(ANYONE)
    away = world.move_token(ELSEWHERE)
    accepted(world.post("/moves", away))
    assert accepted(world.post("/moves", away)).succession is Succession.SAME
    accepted(world.post("/moves", world.move_token(URL, origin=ELSEWHERE, seq=2)))
    assert world.look_up(OWNER).moves == {}
    assert refusal(world.post("/moves", away)) == (409, "outdated")
    world.publish(seq=2)
    assert world.look_up(OWNER).records[OWNER]


def test_a_later_move_to_here_hides_nothing(world: DirectoryWorld) -> None:
    """What a number has published since it came stays to be seen when it says again that it is here."""
    accepted(world.post("/moves", world.move_token(URL, origin=ELSEWHERE)))
    world.publish()
    world.allow(ANYONE)
    accepted(world.post("/moves", world.move_token(URL, origin=ELSEWHERE, seq=2)))
    assert world.look_up(OWNER).records[OWNER]


def test_the_record_of_a_moved_number_does_not_come_back_by_itself(world: DirectoryWorld) -> None:
    """After a move away and back, the old record is not taken again: its owner signs a newer one."""
    token = world.record_token()
    accepted(world.post("/records", token))
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    accepted(world.post("/moves", world.move_token(URL, origin=ELSEWHERE, seq=2)))
    assert refusal(world.post("/records", token)) == (409, "outdated")


def test_an_owner_comes_back_with_its_records(world: DirectoryWorld, tmp_path: Path) -> None:
    """A number that moved away and back is found as before: its owner signs anew what had ended here."""
    other = DirectoryWorld.make(tmp_path / "other", url=ELSEWHERE)
    try:
        world.owner().publish(NewRecord(CHAT, ("https://chat.example/u/1",)))
        world.owner().grant(lambda list_: replace(list_, default=AppAccess(frozenset({ANYONE}))))
        world.owner().move_to(other.owner().client)
        assert other.look_up(OWNER, caller=None).records[OWNER]
        for one in (world, other):
            one.clock.advance(timedelta(hours=1))
        _, apps = other.owner().move_to(world.owner().client)
        assert apps == (CHAT,)
        answer = world.look_up(OWNER, caller=None)
        assert (len(answer.records[OWNER]), answer.moves) == (1, {})
        assert other.look_up(OWNER, caller=None).moves.keys() == {OWNER}
    finally:
        other.close()


def test_an_owner_gets_past_what_a_thief_signed(world: DirectoryWorld, tmp_path: Path) -> None:
    """List and move of a stolen key end with its certificate; that their seq was high keeps the owner from nothing."""
    other = DirectoryWorld.make(tmp_path / "other", url=ELSEWHERE)
    seq = int(world.clock().timestamp()) * 1_000_000
    try:
        world.allow(ANYONE, seq=seq)
        accepted(world.post("/moves", world.move_token("https://evil.example", seq=seq)))
        revoked = {CRL_URL: crl(world.authority, world.clock(), 1000)}
        end_revoked(world.directory, lists(world, revoked))
        world.hold(OWNER, world.authority.number(OWNER, serial=2000, key_number=9))
        other.hold(OWNER, world.held())
        world.owner().grant(lambda list_: replace(list_, default=AppAccess(frozenset({ANYONE}))))
        world.owner().publish(NewRecord(CHAT, ("https://chat.example/u/1",)))
        assert world.look_up(OWNER, caller=None).records[OWNER]
        assert world.owner().move_to(other.owner().client)[1] == (CHAT,)
        assert other.look_up(OWNER, caller=None).records[OWNER]
    finally:
        other.close()


def test_two_moves_of_one_seq_are_a_conflict(world: DirectoryWorld) -> None:
    """The first move of a seq counts, and the owner is told of the other."""
    world.publish()
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
    assert refusal(world.post("/moves", world.move_token("https://evil.example"))) == (409, "conflict")
    assert any("was refused" in notice.text for notice in world.own().notices)


def test_a_move_that_does_not_concern_this_directory_is_refused(small_world: DirectoryWorld) -> None:
    """A move between two other directories is none of our business."""
    token = small_world.move_token("https://a.example", origin=ELSEWHERE)
    assert refusal(small_world.post("/moves", token)) == (403, "wrongAudience")


def test_the_owner_sees_its_move(world: DirectoryWorld) -> None:
    """While callers are sent on, the owner's listing has the move."""
    world.publish()
    move = world.move_token(ELSEWHERE)
    accepted(world.post("/moves", move))
    own = world.own()
    assert own.move is not None
    assert own.move.token == move
    assert any("moved" in notice.text for notice in own.notices)


def test_a_move_is_not_kept_for_later(world: DirectoryWorld) -> None:
    """A move that was signed hours ago, and perhaps never meant, is not taken: its owner signs a new one."""
    world.publish()
    kept = world.move_token(ELSEWHERE)
    world.clock.advance(timedelta(hours=1, seconds=1))
    assert refusal(world.post("/moves", kept)) == (403, "notFresh")
    accepted(world.post("/moves", world.move_token(ELSEWHERE)))
