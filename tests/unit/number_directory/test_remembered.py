from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.record import Medium, Record, SignedRecord
from number_directory.remembered import KEPT_SECONDS, LONGEST_KEPT, Remembered
from number_directory.statement import Succession
from tests.fakes.directory_statements import (
    EXPIRES_AT,
    ISSUED_AT,
    OTHER_KEY,
    OTHER_URL,
    OWNER,
    SECOND,
    URL,
    published,
    record,
)
from tests.fakes.small_pki import CALLED, NOW, Held, root

LATER = NOW + timedelta(days=1)
NEXT: Held = root().number(CALLED, key_number=24, not_before=LATER, not_after=LATER + timedelta(days=7))
"""The number's next holder, or its owner after a renewal: certified after all that OWNER signs here."""


def remembered(stated: Record | None = None, by: Held = OWNER, at: int = ISSUED_AT) -> Remembered:
    """Return what is remembered of a record that was seen at a time."""
    return Remembered.of(published(stated, by), URL, at)


def by_next(sequence: int) -> Record:
    """Return a record that the next holder signs."""
    then = int(LATER.timestamp())
    return record(sequence=sequence, issued_at=then + 60, expires_at=then + 86400)


@given(st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_of_one_holder_the_higher_number_is_newer(old: int, new: int, differs: bool) -> None:
    """As everywhere; but what says the same is the same, however old."""
    shown = published(record(sequence=new, uris=("https://chat.example/u/2",) if differs else ("sip:u@chat.example",)))
    met = remembered(record(sequence=old, uris=("sip:u@chat.example",))).met_by(shown)
    if new > old:
        assert met is Succession.NEWER
    elif differs:
        assert met is (Succession.CONFLICT if old == new else Succession.OLDER)
    else:
        assert met is Succession.SAME


@pytest.mark.parametrize("sequence", [4, 5])
def test_a_number_begins_anew_under_a_later_certificate(sequence: int) -> None:
    """What a certificate signs that began after the remembered record was signed is no older record."""
    kept = remembered(record(sequence=5))
    shown = published(by_next(sequence), NEXT)
    assert kept.met_by(shown) is Succession.NEWER
    anew = kept.followed_by(Remembered.of(shown, OTHER_URL, ISSUED_AT + 100_000))
    assert (anew.record.sequence, anew.since, anew.directory) == (sequence, int(LATER.timestamp()), OTHER_URL)


def test_what_is_of_the_time_before_does_not_come_back() -> None:
    """However high its number is, also behind further records of the new holder."""
    kept = remembered(record(sequence=5))
    for sequence in (1, 2):
        kept = kept.followed_by(Remembered.of(published(by_next(sequence), NEXT), URL, ISSUED_AT + 100_000))
    former = published(record(sequence=9))
    assert kept.met_by(former) is Succession.OLDER
    assert "from before the number began anew; it showed that on" in kept.against(former, URL)
    assert kept.met_by(published(by_next(3), NEXT)) is Succession.NEWER
    older = replace(by_next(1), uris=("https://chat.example/u/2",))
    assert kept.met_by(published(older, NEXT)) is Succession.OLDER


def test_a_certificate_of_the_same_time_begins_nothing_anew() -> None:
    """Another key is not enough: whoever has two certificates counts on."""
    shown = published(record(sequence=4, uris=("https://chat.example/u/2",)), OTHER_KEY)
    assert remembered(record(sequence=5)).met_by(shown) is Succession.OLDER


def test_a_renewal_that_counts_on_begins_nothing_anew() -> None:
    """A record of an older certificate may follow one of a newer, where its number is higher."""
    kept = remembered(record(sequence=5)).followed_by(Remembered.of(published(by_next(6), NEXT), URL, ISSUED_AT))
    assert kept.since == 0
    assert kept.met_by(published(record(sequence=7))) is Succession.NEWER


def test_the_same_record_is_remembered_as_it_was() -> None:
    """From when it was first seen; the same statement under another chain takes its place."""
    kept = remembered()
    again = Remembered.of(published(), OTHER_URL, ISSUED_AT + 60)
    assert kept.followed_by(again) is kept
    other = Remembered.of(published(by=SECOND), OTHER_URL, ISSUED_AT + 60)
    assert kept.met_by(other.record) is Succession.SAME
    assert kept.followed_by(other).record == other.record


AUDIO = frozenset({Medium.AUDIO})


@pytest.mark.parametrize(
    ("stated", "met"),
    [
        (record(sequence=4), Succession.SAME),
        (record(sequence=5, issued_at=ISSUED_AT - 60), Succession.SAME),
        (record(sequence=4, media=AUDIO), Succession.OLDER),
        (record(sequence=5, media=AUDIO), Succession.CONFLICT),
        (record(sequence=4, section=b"other"), Succession.OLDER),
    ],
)
def test_what_says_the_same_sets_nobody_back(stated: Record, met: Succession) -> None:
    """Places, media and section are what counts of a record; the newest stays what is remembered."""
    kept = remembered(record(sequence=5))
    shown = published(stated)
    assert kept.met_by(shown) is met
    assert kept.followed_by(Remembered.of(shown, OTHER_URL, ISSUED_AT)) is kept


def test_media_are_compared_where_both_are_shown() -> None:
    """An older record without its media says less; one with media of which nothing is known may say something else."""
    older, newer = published(record(sequence=4)), published(record(sequence=5))
    bare = {one.sequence: SignedRecord.parse(one.without_media) for one in (older, newer)}
    kept = Remembered.of(newer, URL, ISSUED_AT)
    assert kept.met_by(bare[4]) is Succession.SAME
    knows_none = Remembered.of(bare[5], URL, ISSUED_AT)
    assert knows_none.met_by(older) is Succession.OLDER
    assert knows_none.met_by(newer) is Succession.SAME
    assert knows_none.followed_by(kept).record == newer
    assert kept.followed_by(knows_none) is kept


def test_it_prints_no_number() -> None:
    """Nor a place where somebody is reached."""
    assert "4420" not in repr(remembered())
    assert "chat.example" not in repr(remembered())


def test_it_is_kept_for_a_month_behind_the_last_certificate() -> None:
    """By then nothing older is verified; a further one does not shorten that, and nothing is kept for years."""
    ends = int(OWNER.chain[0].not_valid_after_utc.timestamp())
    kept = remembered()
    assert kept.keep_until == ends + KEPT_SECONDS
    long = replace(kept, keep_until=kept.keep_until + 5)
    assert long.followed_by(remembered(record(sequence=2))).keep_until == kept.keep_until + 5
    lasting = root().number(CALLED, key_number=21, not_after=NOW + timedelta(days=5000))
    assert remembered(by=lasting).keep_until == ISSUED_AT + LONGEST_KEPT


def test_it_is_judged_as_of_now_or_its_certificates_end() -> None:
    """A certificate that has ended since is no reason to forget what it certified."""
    kept = remembered()
    ends = OWNER.chain[0].not_valid_after_utc
    assert kept.judged_at(NOW) == NOW
    assert kept.judged_at(ends + timedelta(days=1)) == ends - timedelta(seconds=1)
    assert kept.judged_at(datetime.fromtimestamp(EXPIRES_AT + 5, UTC)).timestamp() == EXPIRES_AT + 5


@pytest.mark.parametrize(
    ("sequence", "url", "why"),
    [
        (3, URL, "the directory shows an older record than it showed before: seq 3, where seq 5 was seen on 2026-"),
        (3, OTHER_URL, f"an older record than {URL} showed before: seq 3"),
        (5, URL, "another record with seq 5 than it showed before, on 2026-"),
        (5, OTHER_URL, f"than {URL} showed before"),
    ],
)
def test_it_says_why_in_words(sequence: int, url: str, why: str) -> None:
    """Who shows what, who showed what before, and when."""
    assert why in remembered(record(sequence=5)).against(published(record(sequence=sequence)), url)
