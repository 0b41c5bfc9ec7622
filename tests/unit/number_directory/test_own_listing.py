from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from number_directory.access_list import AccessList, SignedAccessList, sign_access_list
from number_directory.errors import AnswerError, OwnListingError
from number_directory.move import Move, SignedMove
from number_directory.own_listing import (
    LONGEST_NOTICE,
    MOST_NOTICES,
    TYPE,
    Notice,
    OwnAnswer,
    OwnListing,
    OwnRecord,
    SignedOwnListing,
)
from tests.fakes.directory_statements import (
    CHAT,
    ISSUED_AT,
    OTHER_URL,
    OWNER,
    REQUEST_ID,
    SECOND,
    URL,
    VIDEO,
    dumps,
    forged,
    published,
    record,
    withdrawn,
)
from tests.fakes.record_log import FakeRecordLog
from tests.fakes.small_pki import CALLED
from tests.unit.number_directory.strategies import json_values, notices, own_listings

QUESTION = OwnListing(URL, ISSUED_AT, REQUEST_ID, CALLED)
CLAIMS: dict[str, object] = {"aud": URL, "iat": ISSUED_AT, "jti": REQUEST_ID, "tn": CALLED.e164}
RECORD = published()
GONE = published(withdrawn(VIDEO))
LOG = FakeRecordLog()
LOG.add(RECORD)
ANSWER = OwnAnswer(
    (OwnRecord(RECORD, LOG.receipt(RECORD)), OwnRecord(GONE)),
    SignedAccessList.parse(sign_access_list(AccessList(CALLED, 1, ISSUED_AT), OWNER.key, OWNER.chain)),
    SignedMove.parse(Move(CALLED, URL, OTHER_URL, 1, ISSUED_AT).sign(OWNER.key, OWNER.chain)),
    (Notice(ISSUED_AT, "a record with the same seq was refused", CHAT), Notice(ISSUED_AT, "something else")),
)


@given(own_listings)
def test_a_question_survives_its_text(stated: OwnListing) -> None:
    """What is signed is read back, and its key verifies it."""
    read = SignedOwnListing.parse(stated.sign(OWNER.key, OWNER.chain, [SECOND.chain]))
    read.verify(OWNER.key.public_key())
    assert read.question == stated
    assert (read.number, read.issued_at) == (stated.number, stated.issued_at)


@pytest.mark.parametrize("change", [{"audience": "x"}, {"issued_at": -1}, {"token_id": "short"}])
def test_a_question_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """A value of OwnListing is one that can be signed."""
    with pytest.raises(OwnListingError):
        replace(QUESTION, **change)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "x"]), json_values, max_size=3))
def test_any_claims_give_a_question_or_this_rooms_error(change: dict[str, object]) -> None:
    """Whatever stands in a claim, it is read or refused."""
    with contextlib.suppress(OwnListingError):
        assert SignedOwnListing.parse(forged(TYPE, CLAIMS | change)).question


@given(st.lists(notices, max_size=3))
def test_an_answer_survives_its_body(told: list[Notice]) -> None:
    """What is sent is read back, receipts and notices too."""
    for answer in (ANSWER, OwnAnswer(notices=tuple(told))):
        assert OwnAnswer.parse(answer.to_json()) == answer


def test_an_owner_finds_its_record_for_an_app() -> None:
    """Withdrawn ones are among them: the next one needs a higher number."""
    assert ANSWER.record(CHAT) == RECORD
    assert ANSWER.record(VIDEO) == GONE
    assert ANSWER.record("other.example") is None


def test_an_answer_that_contradicts_itself_cannot_exist() -> None:
    """One record for each app, and no flood of notices."""
    with pytest.raises(AnswerError, match="one record"):
        OwnAnswer((OwnRecord(RECORD), OwnRecord(published(record(sequence=2)))))
    with pytest.raises(AnswerError, match="notices"):
        OwnAnswer(notices=(Notice(0, "again"),) * (MOST_NOTICES + 1))


@pytest.mark.parametrize("notice", [(-1, "a", None), (0, "", None), (0, "\x1b[2J", None), (0, "a" * 501, None)])
def test_a_notice_is_a_line_of_text(notice: tuple[int, str, str | None]) -> None:
    """A directory's words are shown at a terminal, which must not obey them."""
    with pytest.raises(AnswerError):
        Notice(*notice)
    with pytest.raises(AnswerError):
        Notice(0, "a", "b" * (LONGEST_NOTICE + 1))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        dumps({"records": [], "more": 1}),
        dumps({"records": [{"record": "x"}]}),
        dumps({"records": [{"record": RECORD.token, "receipt": "x"}]}),
        dumps({"records": [], "access_list": RECORD.token}),
        dumps({"records": [], "moved": "x"}),
        dumps({"records": [], "notices": [{"at": 0, "text": ""}]}),
        dumps({"records": [{"record": RECORD.token}] * 2}),
    ],
)
def test_an_answer_has_one_form(data: bytes) -> None:
    """Anything else cannot be read."""
    with pytest.raises(AnswerError):
        OwnAnswer.parse(data)


@given(st.binary(max_size=60))
@example(b" " * (4 * 1024 * 1024 + 1))
def test_any_bytes_give_this_rooms_error(data: bytes) -> None:
    """No answer makes the reader raise anything else."""
    with pytest.raises(AnswerError):
        OwnAnswer.parse(data)
