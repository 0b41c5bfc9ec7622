from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from number_directory.record import Medium, Record, sign_record
from policies.terms import Deny, Purpose
from stir.telephone_number import TelephoneNumber
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLED, CALLER, NOW, STRANGER, Authority, Held
from trust_store import Call, DirectoryRecord, Outcome, Rule, TrustStore

APP = "chat.example"


def record_of(held: Held, *, app: str = APP, issued_at: datetime = NOW, **record: object) -> str:
    """Return a record that a number's owner signed."""
    said = Record(
        number=held.number,
        app=app,
        uris=("https://chat.example/u/1",),
        media=frozenset({Medium.TEXT}),
        sequence=1,
        issued_at=int(issued_at.timestamp()),
        expires_at=int((NOW + timedelta(days=1)).timestamp()),
    )
    return sign_record(replace(said, **record), held.key, held.chain)  # type: ignore[arg-type]


def asked(token: str, *, number: TelephoneNumber = CALLER, app: str = APP, at: datetime = NOW) -> DirectoryRecord:
    """Return a record as a directory gives it out."""
    return DirectoryRecord(token, number, app, at)


def test_a_record_that_an_anchor_leads_to_is_verified(store: TrustStore, held: Held) -> None:
    """By the same rules about certificates as a call; each rule is asked once, in order."""
    found = store.explain(asked(record_of(held)))
    assert (found.verdict.outcome, found.verdict.rule) == (Outcome.VERIFIED, Rule.ANCHOR)
    of_calls = {
        Rule.KIND,
        Rule.CALLER,
        Rule.CALLED,
        Rule.FRESHNESS,
        Rule.MESSAGE_TEXT,
        Rule.DUPLICATE,
    }
    assert [one.rule for one in found.findings] == [rule for rule in Rule if rule not in of_calls]
    assert store.judge(asked(record_of(held))) == found.verdict
    assert store.judge(asked(record_of(held))).outcome is Outcome.VERIFIED


def test_a_record_without_its_media_is_judged_alike(store: TrustStore, held: Held) -> None:
    """What the owner does not let everybody see changes no verdict."""
    bare = record_of(held).split("~", 1)[0] + "~"
    assert store.judge(asked(bare)).outcome is Outcome.VERIFIED


REFUSED = [
    ({"number": STRANGER}, Rule.RECORD),
    ({"app": "mail.example"}, Rule.RECORD),
    ({"at": NOW + timedelta(days=1, seconds=1)}, Rule.IN_FORCE),
    ({"at": NOW - timedelta(seconds=11)}, Rule.IN_FORCE),
]


@pytest.mark.parametrize(("question", "rule"), REFUSED)
def test_a_record_of_something_else_or_another_time_is_refused(
    store: TrustStore, held: Held, question: dict[str, object], rule: Rule
) -> None:
    """A directory may not answer with what was not asked for, nor with what is over."""
    found = store.judge(asked(record_of(held), **question))  # type: ignore[arg-type]
    assert (found.outcome, found.rule) == (Outcome.REFUSED, rule)
    assert CALLER.digits not in found.reason
    assert STRANGER.digits not in found.reason


def test_a_record_is_in_force_within_the_skew_and_through_its_end(store: TrustStore, held: Held) -> None:
    """Its dates belong to it."""
    for at in (NOW - timedelta(seconds=10), NOW + timedelta(days=1)):
        assert store.judge(asked(record_of(held), at=at)).outcome is Outcome.VERIFIED


def test_what_is_no_record_is_refused(store: TrustStore, held: Held) -> None:
    """A call's token is none, and no more is anything else."""
    for token in ("", "a.b.c~", held.token(), record_of(held)[:-4] + "AAA~"):
        found = store.judge(asked(token))
        assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.TOKEN)
    call = Call(record_of(held), CALLER, CALLED, NOW)
    assert store.judge(call).rule is Rule.TOKEN


def test_a_record_that_another_key_signed_is_refused(store: TrustStore, held: Held) -> None:
    """A signature is checked against the certificate that comes with it."""
    signed, rest = record_of(held).split("~", 1)
    head, claims, signature = signed.split(".")
    flipped = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
    found = store.judge(asked(f"{head}.{claims}.{flipped}~{rest}"))
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.SIGNATURE)


def test_a_record_under_the_certificate_of_another_number_is_refused(store: TrustStore, issuing: Authority) -> None:
    """Whoever is certified for one number publishes nothing for another."""
    mallory = issuing.number(STRANGER, key_number=7)
    forged = record_of(replace(mallory, number=CALLER))
    found = store.judge(asked(forged))
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.CERTIFIED_NUMBER)
    assert "but the record is of" in found.reason


def test_denies_and_purposes_hold_for_records(root: Authority, held: Held) -> None:
    """A deny comes first; an anchor for calls alone says nothing of records."""
    denied = TrustStore([root.anchor()], [Deny("trust.toml:9", number=CALLER)])
    assert denied.judge(asked(record_of(held))).rule is Rule.DENIED_NUMBER
    calls = TrustStore([root.anchor(purposes=(Purpose.CALL, Purpose.MESSAGE))])
    assert calls.judge(asked(record_of(held))).rule is Rule.PURPOSE
    assert TrustStore([root.anchor(purposes=(Purpose.RECORD,))]).judge(asked(record_of(held))).outcome is (
        Outcome.VERIFIED
    )


def test_an_unknown_authoritys_record_is_unverified(held: Held) -> None:
    """As a call is."""
    other = TrustStore([small_pki.root("Another Root", key_number=50).anchor()])
    assert other.judge(asked(record_of(held))).outcome is Outcome.UNVERIFIED


def test_a_record_shows_nothing_and_needs_a_zone(held: Held) -> None:
    """Its question may stand in a traceback; a time without a zone is no time."""
    shown = repr(asked(record_of(held)))
    assert CALLER.digits not in shown
    assert "eyJ" not in shown
    with pytest.raises(ValueError, match="zone"):
        asked(record_of(held), at=NOW.replace(tzinfo=None))


def test_a_record_is_no_call(held: Held) -> None:
    """The two are asked about in their own ways."""
    with pytest.raises(ValueError, match="DirectoryRecord"):
        Call(held.token(), CALLER, CALLED, NOW, Purpose.RECORD)
