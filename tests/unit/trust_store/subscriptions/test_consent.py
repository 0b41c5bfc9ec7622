from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.fakes import list_text, small_pki
from tests.fakes.list_text import read
from tests.fakes.sealed_log import SealedLog
from tests.fakes.sealed_log import witness as made_witness
from tests.fakes.small_pki import NOW
from trust_store.fingerprints import key_sha256_of, sha256_of
from trust_store.subscriptions.consent import Agreed, Change, ChangeKind, agree, agree_by_itself, reckon

A, B, C, D = (small_pki.root(f"Root {name}", key_number=40 + place) for place, name in enumerate("ABCD"))
NAMES = {"a": A, "b": B, "c": C, "d": D}
LOG, GROWN, OTHER = SealedLog(), SealedLog(shards=("2026h1", "2026h2")), SealedLog(shards=("2026h1", "2026h2"))
OTHER.description = replace(OTHER.description, shards=OTHER.description.shards[1:])
KEY = made_witness().verifier.format()


def anchors(*names: str, more: str = "") -> str:
    """Write these authorities down, with these constraints."""
    return "".join(list_text.anchor(NAMES[name], name, more, f"Operator {name}") for name in names)


def agreed_to(*entries: str) -> Agreed:
    """Return the agreement to a list of these entries."""
    return Agreed.to_all_of(read(*entries).content)


def kinds(changes: tuple[Change, ...]) -> list[tuple[str, str, bool]]:
    """Return each change's kind, name, and whether it waits."""
    return [(change.kind.value, change.name, change.waits) for change in changes]


def left(agreed: Agreed, *entries: str) -> list[str]:
    """Return the names of the authorities that are left when a newer version has these entries."""
    return [entry.name for entry in reckon(agreed, read(*entries), NOW).agreed.anchor]


def test_what_is_as_it_was_changes_nothing() -> None:
    """A list that was signed anew, or is written in another order, is the same."""
    whole = (anchors("a", "b"), list_text.log(LOG), list_text.witness(KEY), list_text.deny('prefix = "+1900"'))
    agreed = agreed_to(*whole)
    found = reckon(agreed, read(*whole), NOW)
    assert (found.agreed, found.changes) == (agreed, ())
    assert reckon(agreed, read(anchors("b", "a"), *whole[1:]), NOW).changes == ()


def test_a_new_authority_waits() -> None:
    """Nobody is believed whom the user did not agree to."""
    found = reckon(agreed_to(anchors("a")), read(anchors("a", "b")), NOW)
    assert kinds(found.changes) == [("new", "b", True)]
    assert found.waiting == found.changes
    assert [entry.name for entry in found.agreed.anchor] == ["a"]


@pytest.mark.parametrize("certificate", ["sha256", "key"])
def test_a_revoked_authority_goes_at_once(certificate: str) -> None:
    """All of them, where all are revoked: that is said, and not merely left out."""
    fingerprint = sha256_of(A.certificate) if certificate == "sha256" else key_sha256_of(A.certificate)
    found = reckon(agreed_to(anchors("a")), read(list_text.deny(f'certificate = "{fingerprint}"')), NOW)
    assert kinds(found.changes) == [("revoked", "a", False), ("denied", fingerprint, False)]
    assert found.agreed.anchor == ()


def test_an_authority_that_is_dropped_goes_at_once() -> None:
    """As long as most stay."""
    found = reckon(agreed_to(anchors("a", "b")), read(anchors("a")), NOW)
    assert kinds(found.changes) == [("gone", "b", False)]
    assert [entry.name for entry in found.agreed.anchor] == ["a"]


@pytest.mark.parametrize(("before", "after"), [("a", ""), ("abc", "a"), ("abcd", ""), ("ab", "")])
def test_a_list_that_drops_most_is_not_followed_unseen(before: str, after: str) -> None:
    """They stay as the user agreed to them, and the user is asked; a new one in their place makes it no better."""
    agreed = agreed_to(anchors(*before))
    found = reckon(agreed, read(anchors(*after)), NOW)
    gone = sorted(set(before) - set(after))
    assert sorted(kinds(found.changes)) == [("gone", name, True) for name in gone]
    assert sorted(entry.name for entry in found.agreed.anchor) == sorted(before)
    assert sorted(left(agreed, anchors(*after, "d"))) == sorted(before)
    assert left(found.agreed, anchors(*before)) == list(before)


def test_dropping_and_revoking_are_told_apart() -> None:
    """One that is revoked does not count among those that were dropped."""
    agreed = agreed_to(anchors("a", "b", "c"))
    revoked = list_text.deny(f'certificate = "{sha256_of(A.certificate)}"')
    assert left(agreed, anchors("b"), revoked) == ["b"]
    assert left(agreed, revoked) == ["b", "c"]


CONSTRAINTS = [
    ('prefixes = ["+1202"]', 'prefixes = ["+1"]', "prefixes"),
    ('prefixes = ["+1202"]', 'prefixes = ["+1202", "+44"]', "prefixes"),
    ('purposes = ["call"]', 'purposes = ["call", "message"]', "purposes"),
    ("issued_not_after = 2026-01-01", "issued_not_after = 2026-01-02", "issued_not_after"),
    ("until = 2026-01-01", "until = 2026-01-02", "until"),
    ('methods = ["sms-code"]', 'methods = ["sms-code", "sms-reply"]', "methods"),
    ("longest_life_hours = 24", "longest_life_hours = 25", "longest_life"),
    ('authority_keys = ["p384"]', 'authority_keys = ["p256", "p384"]', "authority_keys"),
    ("scts = 2", "scts = 1", "scts"),
    ('logs = ["one"]', 'logs = ["one", "two"]', "logs"),
    ('log_operators = ["One"]', 'log_operators = ["One", "Two"]', "log_operators"),
]
LOGS = list_text.log(LOG, "one") + list_text.log(OTHER, "two")


@pytest.mark.parametrize(("narrow", "wide", "key"), CONSTRAINTS)
def test_what_limits_counts_at_once_and_what_widens_waits(narrow: str, wide: str, key: str) -> None:
    """Constraint by constraint; to have none is to be limited by nothing."""
    strict, loose, none = (read(anchors("a", more=f"{more}\n" if more else ""), LOGS) for more in (narrow, wide, ""))
    for before, after in ((strict, loose), (loose, none), (strict, none)):
        widening = reckon(Agreed.to_all_of(before.content), after, NOW)
        assert widening.changes == (Change(ChangeKind.WIDER, "anchor", "a", key, waits=True),)
        assert widening.agreed.anchor == before.content.anchor
        narrowing = reckon(Agreed.to_all_of(after.content), before, NOW)
        assert narrowing.changes == (Change(ChangeKind.NARROWER, "anchor", "a", key),)


def test_one_constraint_may_widen_while_another_limits() -> None:
    """Both are told, and only the one waits."""
    agreed = agreed_to(anchors("a", more='prefixes = ["+1202"]\n'))
    found = reckon(agreed, read(anchors("a", more="until = 2027-01-01\n")), NOW)
    assert kinds(found.changes) == [("wider", "a", True), ("narrower", "a", False)]


def test_another_name_or_operator_waits() -> None:
    """A quorum names anchors, and counts operators."""
    for changed in (list_text.anchor(A, "z", operator="Operator a"), list_text.anchor(A, "a", operator="Z")):
        assert kinds(reckon(agreed_to(anchors("a")), read(changed), NOW).changes) == [("wider", "a", True)]


def test_a_log_that_grows_needs_no_word() -> None:
    """Its description may have more shards, as long as those in use stay; and fewer, when they are over."""
    agreed = agreed_to(list_text.log(LOG))
    found = reckon(agreed, read(list_text.log(GROWN)), NOW)
    assert found.changes == ()
    assert found.agreed.log[0].sha256 == GROWN.trusted().sha256
    assert reckon(agreed_to(list_text.log(GROWN)), read(list_text.log(OTHER)), NOW).waiting
    assert not reckon(agreed_to(list_text.log(GROWN)), read(list_text.log(OTHER)), NOW + timedelta(days=100)).waiting


def test_another_log_under_a_known_name_waits() -> None:
    """So does one that somebody else runs from now on, and a new one; one that is gone counts no more."""
    agreed = agreed_to(list_text.log(LOG))
    for changed in (list_text.log(SealedLog("other-log")), list_text.log(LOG, operator="Z")):
        found = reckon(agreed, read(changed), NOW)
        assert kinds(found.changes) == [("wider", "north-log", True)]
        assert found.agreed == agreed
    found = reckon(agreed, read(list_text.log(OTHER, "south-log")), NOW)
    assert kinds(found.changes) == [("gone", "north-log", False), ("new", "south-log", True)]
    assert found.agreed.log == ()


def test_witnesses_wait_and_go_like_logs() -> None:
    """By their keys."""
    other = made_witness("other.example").verifier.format()
    agreed = agreed_to(list_text.witness(KEY))
    assert kinds(reckon(agreed, read(list_text.witness(KEY, operator="Z")), NOW).changes) == [
        ("wider", "library", True)
    ]
    found = reckon(agreed, read(list_text.witness(other, "archive")), NOW)
    assert kinds(found.changes) == [("gone", "library", False), ("new", "archive", True)]
    assert found.agreed.witness == ()


def test_a_deny_counts_at_once_and_is_lifted_by_the_user_alone() -> None:
    """To lift a deny is to widen."""
    agreed = agreed_to(list_text.deny('prefix = "+1900"'))
    found = reckon(agreed, read(list_text.deny('number = "+12025550123"')), NOW)
    assert kinds(found.changes) == [("lifted", "+1900", True), ("denied", "+12025550123", False)]
    assert [deny.prefix or deny.number for deny in found.agreed.deny] == ["+12025550123", "+1900"]


def test_the_user_may_agree_to_a_part() -> None:
    """By name; the rest goes on waiting."""
    agreed = agreed_to(anchors("a"), list_text.deny('prefix = "+1900"'))
    new = read(anchors("b", "c", "d"), list_text.log(LOG), list_text.witness(KEY))
    part = agree(agreed, new, {"b", "library"})
    assert [entry.name for entry in part.anchor] == ["a", "b"]
    assert ([entry.name for entry in part.log], [entry.name for entry in part.witness]) == ([], ["library"])
    assert len(part.deny) == 1
    more = agree(part, new, {"a", "c", "north-log", "+1900"})
    assert [entry.name for entry in more.anchor] == ["b", "c"]
    assert ([entry.name for entry in more.log], more.deny) == (["north-log"], ())


def test_a_part_may_be_an_authority_that_has_another_name_now() -> None:
    """By the name that the user knows, or the new one."""
    new = read(list_text.anchor(A, "z"))
    for name in "az":
        assert [entry.name for entry in agree(agreed_to(anchors("a")), new, {name}).anchor] == ["z"]


def test_whoever_agrees_beforehand_is_asked_about_an_empty_list_alone() -> None:
    """All else counts at once."""
    agreed = agreed_to(anchors("a", more='prefixes = ["+1202"]\n'), list_text.deny('prefix = "+1900"'))
    new = read(anchors("a", "b"), list_text.log(LOG))
    assert agree_by_itself(agreed, new, NOW) == Agreed.to_all_of(new.content)
    assert [entry.name for entry in agree_by_itself(agreed, read(anchors("b")), NOW).anchor] == ["b", "a"]
