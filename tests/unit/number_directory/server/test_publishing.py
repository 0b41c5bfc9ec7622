from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from number_directory.access_list import ANYONE, AppAccess, Grant
from number_directory.record import MOST_APPS, SignedRecord
from number_directory.server import publishing
from number_directory.server.config import Quota, Quotas
from number_directory.statement import Succession
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_world import CALLER, CHAT, OWNER, STRANGER, VIDEO, DirectoryWorld, accepted, refusal


def test_a_record_is_published_and_found_by_whom_the_owner_allows(world: DirectoryWorld) -> None:
    """What an owner publishes is shown, byte for byte, to those on its access list, and to nobody else."""
    token = world.record_token()
    assert accepted(world.post("/records", token)).succession is Succession.NEWER
    world.allow(Grant.to_number(CALLER))
    assert world.look_up(OWNER, caller=CALLER).records[OWNER] == (token,)
    assert world.look_up(OWNER, caller=STRANGER).records[OWNER] == ()
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()


def test_without_an_access_list_nobody_sees_a_record(world: DirectoryWorld) -> None:
    """A record is shown to nobody before its owner says to whom."""
    world.publish()
    assert world.look_up(OWNER).records[OWNER] == ()


def test_a_newer_record_takes_the_place_of_the_one_before(world: DirectoryWorld) -> None:
    """A higher seq replaces, and the lower one is refused from then on."""
    world.allow(ANYONE)
    old, new = world.record_token(seq=1), world.record_token(seq=2, uris=("https://chat.example/u/2",))
    accepted(world.post("/records", old))
    accepted(world.post("/records", new))
    assert world.look_up(OWNER).records[OWNER] == (new,)
    assert refusal(world.post("/records", old)) == (409, "outdated")
    assert world.look_up(OWNER).records[OWNER] == (new,)


def test_the_same_record_may_be_sent_again(world: DirectoryWorld) -> None:
    """Whoever did not hear the answer sends the same, and is told that all is well."""
    token = world.record_token()
    accepted(world.post("/records", token))
    assert accepted(world.post("/records", token)).succession is Succession.SAME


def test_another_record_of_the_same_seq_is_a_conflict_and_the_owner_is_told(world: DirectoryWorld) -> None:
    """The first statement of a seq counts; who sends another gets both hashes, and the owner finds the notice."""
    first, second = world.record_token(), world.record_token(uris=("https://chat.example/u/evil",))
    accepted(world.post("/records", first))
    result = world.post("/records", second)
    assert refusal(result) == (409, "conflict")
    assert result.json["accepted"] != result.json["refused"]
    notices = world.own().notices
    assert [notice.app for notice in notices] == [CHAT]
    assert result.json["refused"] in notices[0].text
    assert result.json["accepted"] in notices[0].text


def test_a_withdrawn_record_is_gone_and_does_not_come_back(world: DirectoryWorld) -> None:
    """After a withdrawal nothing is shown, and the withdrawn record is not taken again."""
    world.allow(ANYONE)
    old = world.record_token(seq=1)
    accepted(world.post("/records", old))
    accepted(world.post("/records", world.record_token(seq=2, uris=())))
    assert world.look_up(OWNER).records[OWNER] == ()
    assert refusal(world.post("/records", old)) == (409, "outdated")
    assert [own.record.record.is_withdrawn for own in world.own().records] == [True]


def test_a_record_dies_at_its_time(world: DirectoryWorld) -> None:
    """Nothing is shown of a record behind its exp, and its owner is told."""
    world.allow(ANYONE)
    accepted(world.post("/records", world.record_token(life=timedelta(hours=1))))
    world.clock.advance(timedelta(minutes=61))
    assert world.look_up(OWNER).records[OWNER] == ()
    assert "expired" in world.own().notices[0].text


def test_an_expired_record_is_refused(small_world: DirectoryWorld) -> None:
    """A record whose time is over is not taken."""
    token = small_world.record_token(life=timedelta(hours=1))
    small_world.clock.advance(timedelta(hours=2))
    assert refusal(small_world.post("/records", token)) == (409, "outdated")


def test_a_record_from_the_future_is_refused(small_world: DirectoryWorld) -> None:
    """A record that was signed after now is not taken: a later one could not replace it by its time."""
    small_world.clock.advance(timedelta(hours=1))
    token = small_world.record_token()
    small_world.clock.advance(-timedelta(hours=1))
    assert refusal(small_world.post("/records", token)) == (403, "notFresh")


def test_a_number_has_a_record_for_each_app(world: DirectoryWorld) -> None:
    """Records of two apps stand side by side, in the order of the apps."""
    world.allow(ANYONE)
    tokens = tuple(world.record_token(app=app) for app in (CHAT, VIDEO))
    for token in tokens:
        accepted(world.post("/records", token))
    assert world.look_up(OWNER).records[OWNER] == tokens


def test_a_number_has_records_for_at_most_32_apps(small_world: DirectoryWorld) -> None:
    """The thirty-third app is refused, and a record of one of the others is not."""
    for index in range(MOST_APPS):
        small_world.publish(app=f"app{index}.example")
    result = small_world.post("/records", small_world.record_token(app="one-more.example"))
    assert refusal(result) == (403, "tooManyApps")
    small_world.publish(app="app0.example", seq=2)


def test_a_stolen_key_cannot_use_up_the_numbers(small_world: DirectoryWorld) -> None:
    """A seq may be a time in microseconds and not more, so that the owner always has a higher one."""
    now = int(small_world.clock().timestamp() * 1_000_000)
    for path, token in (
        ("/records", small_world.record_token(seq=2**53 - 1)),
        ("/access-lists", small_world.access_list_token(seq=2**53 - 1)),
        ("/moves", small_world.move_token("https://other.example", seq=2**53 - 1)),
    ):
        assert refusal(small_world.post(path, token)) == (403, "notFresh")
    small_world.publish(seq=now)
    small_world.publish(seq=now + 1)


def test_an_owner_publishes_as_often_as_its_quota_says(tmp_path: Path) -> None:
    """Each statement stays in the record log, so that an owner cannot add to it without end; a repeated one is free."""
    world = DirectoryWorld.make(tmp_path, quotas=Quotas(publisher=Quota(burst=2, per_day=24)))
    try:
        for seq in (1, 1, 1, 2, 2):
            world.publish(seq=seq)
        for path, token in (
            ("/records", world.record_token(seq=3)),
            ("/access-lists", world.access_list_token()),
            ("/moves", world.move_token("https://other.example")),
        ):
            assert refusal(world.post(path, token)) == (429, "quotaExceeded")
        world.publish(STRANGER)
        world.clock.advance(timedelta(hours=1))
        world.publish(seq=3)
    finally:
        world.close()


def test_grants_and_apps_do_not_multiply_without_end(
    small_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long access list for all apps is refused once there are too many apps for it, and so is an app too many."""
    monkeypatch.setattr(publishing, "MOST_VISIBLE", 20)
    grants = frozenset(Grant.to_number(TelephoneNumber(f"1303555{index:04}")) for index in range(10))
    access_list = small_world.access_list_token(default=AppAccess(grants))
    accepted(small_world.post("/access-lists", access_list))
    small_world.publish(app="one.example")
    small_world.publish(app="two.example")
    assert refusal(small_world.post("/records", small_world.record_token(app="three.example"))) == (
        403,
        "tooManyGrants",
    )
    longer = AppAccess(frozenset({*grants, Grant.to_number(CALLER)}))
    result = small_world.post("/access-lists", small_world.access_list_token(default=longer, seq=2))
    assert refusal(result) == (403, "tooManyGrants")
    accepted(small_world.post("/records", small_world.record_token(app="two.example", seq=2, uris=())))
    accepted(small_world.post("/access-lists", small_world.access_list_token(default=longer, seq=2)))


def test_a_record_without_its_media_is_not_taken(small_world: DirectoryWorld) -> None:
    """A caller that was shown a record without its media cannot publish it so."""
    token = SignedRecord.parse(small_world.record_token()).without_media
    assert refusal(small_world.post("/records", token)) == (400, "malformed")


def test_a_strangers_certificate_is_refused(small_world: DirectoryWorld) -> None:
    """A record of one number, signed with the certificate of another, is refused."""
    small_world.hold(OWNER, small_world.held(STRANGER))
    assert refusal(small_world.post("/records", small_world.record_token())) == (403, "notAdmitted")


def test_front_ends_share_what_was_published(world: DirectoryWorld) -> None:
    """What one front end has taken, another refuses as a conflict."""
    other = world.front_end()
    accepted(world.post("/records", world.record_token()))
    second = world.record_token(uris=("https://chat.example/u/2",))
    assert refusal(world.post("/records", second, other)) == (409, "conflict")
