"""A number that somebody else has now, in a directory to which nobody told that."""

from __future__ import annotations

import pytest

from number_directory.access_list import ANYONE, Grant
from number_directory.server.hidden import open_records
from tests.fakes.directory_world import CALLER, CHAT, OWNER, STRANGER, VIDEO, DirectoryWorld, accepted

FRIEND = CALLER
OTHER_URL = "https://other.example"


@pytest.fixture
def recycled(world: DirectoryWorld) -> DirectoryWorld:
    """Return a directory in which a former holder has let a friend and anyone see its chat, and has lost the number."""
    world.publish()
    world.allow(Grant.to_number(FRIEND), ANYONE)
    world.hold(OWNER, world.authority.number(OWNER, serial=2000, key_number=8))
    return world


def seen_by_friend(world: DirectoryWorld) -> tuple[str, ...]:
    """Return what the former holder's friend sees of the number."""
    return world.look_up(OWNER, caller=FRIEND).records[OWNER]


def test_a_former_holders_list_opens_nothing_of_the_new_holders(recycled: DirectoryWorld) -> None:
    """Neither friends, nor anyone, shown or hidden, see what the new holder publishes before it says who may."""
    assert seen_by_friend(recycled)
    recycled.publish(seq=2)
    recycled.publish(app=VIDEO)
    assert seen_by_friend(recycled) == ()
    assert recycled.look_up(OWNER, caller=None).records[OWNER] == ()
    assert open_records(recycled.directory, [OWNER], recycled.clock()) == {}


def test_a_new_holder_is_told_why_nobody_sees_its_records(recycled: DirectoryWorld) -> None:
    """A notice for each app, until the list is the new holder's own."""
    recycled.publish(seq=2)
    assert [(one.app, "another key" in one.text) for one in recycled.own().notices] == [(CHAT, True)]
    recycled.allow(Grant.to_number(STRANGER), seq=2)
    assert recycled.own().notices == ()


def test_a_new_holders_list_is_its_own(recycled: DirectoryWorld) -> None:
    """Once it says who may see what, these do, and the former holder's friend does not."""
    token = recycled.record_token(seq=2)
    accepted(recycled.post("/records", token))
    recycled.allow(Grant.to_number(STRANGER), seq=2)
    assert recycled.look_up(OWNER, caller=STRANGER).records[OWNER] == (token,)
    assert seen_by_friend(recycled) == ()


def test_a_new_holder_opens_nothing_of_the_former_holders(recycled: DirectoryWorld) -> None:
    """What the former holder showed to friends is not shown to those whom the new one allows."""
    recycled.allow(Grant.to_number(STRANGER), seq=2)
    assert recycled.look_up(OWNER, caller=STRANGER).records[OWNER] == ()
    assert seen_by_friend(recycled) == ()


def test_a_former_holders_friends_are_not_sent_after_the_number(recycled: DirectoryWorld) -> None:
    """Where the new holder moves to, only those learn whom the new holder lets see something."""
    accepted(recycled.post("/moves", recycled.move_token(OTHER_URL)))
    assert recycled.look_up(OWNER, caller=FRIEND).moves == {}
    assert recycled.look_up(OWNER, caller=None).moves == {}


def test_a_strangers_list_opens_nothing(world: DirectoryWorld) -> None:
    """Whoever gets a certificate for the number from some admitted authority closes its records, and opens none."""
    world.publish()
    world.allow(Grant.to_number(FRIEND))
    world.hold(OWNER, world.authority.number(OWNER, serial=2000, key_number=8))
    world.allow(ANYONE, seq=2)
    assert world.look_up(OWNER, caller=None).records[OWNER] == ()
