from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from number_directory.access_list import ANYONE, Grant
from number_directory.errors import AnswerError, LookupRequestError
from number_directory.lookup import (
    LARGEST_ANSWER,
    LARGEST_QUESTION,
    MOST_NUMBERS,
    SMALLEST_ANSWER,
    TYPE,
    LookupAnswer,
    LookupRequest,
    OpenLookup,
    SignedLookup,
    read_lookup,
)
from number_directory.record import LARGEST_RECORD
from number_directory.statement import statement_body
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_statements import ASKER, ISSUED_AT, REQUEST_ID, SECOND, URL, dumps, forged, published
from tests.fakes.small_pki import CALLED, CALLER, STRANGER, root
from tests.unit.number_directory.strategies import answers, json_values, lookups

TOKEN = "a-bearer-token-of-the-owner"
REQUEST = LookupRequest(URL, ISSUED_AT, REQUEST_ID, (CALLED,))
CLAIMS: dict[str, object] = {"aud": URL, "iat": ISSUED_AT, "jti": REQUEST_ID, "numbers": [CALLED.e164]}
SIZES = [SMALLEST_ANSWER * 2**doublings for doublings in range(9)]


def many(count: int) -> tuple[TelephoneNumber, ...]:
    """Return so many numbers."""
    return tuple(TelephoneNumber(f"{12025550000 + number}") for number in range(count))


# Questions


@given(lookups)
def test_a_lookup_survives_its_text(asked: LookupRequest) -> None:
    """What is signed is read back, and its key verifies it."""
    again = root("Second Root", key_number=31).number(CALLER, key_number=22)
    read = read_lookup(statement_body(asked.sign(ASKER.key, ASKER.chain, [again.chain])))
    assert isinstance(read, SignedLookup)
    read.verify(ASKER.key.public_key())
    assert read.request == asked
    assert (read.numbers, read.issued_at) == (asked.numbers, asked.issued_at)
    assert len(read.chains) == 2


@given(lookups)
def test_an_unsigned_lookup_survives_its_body(asked: LookupRequest) -> None:
    """What is asked without a signature is read back."""
    question = OpenLookup(asked.numbers, asked.tokens)
    assert read_lookup(question.to_json()) == question


def test_a_hundred_numbers_fit() -> None:
    """A lookup asks for 100 numbers, and shows 16 tokens, with room to spare for chains."""
    asked = replace(REQUEST, numbers=many(MOST_NUMBERS), tokens=tuple(f"{TOKEN}{number}" for number in range(16)))
    text = asked.sign(ASKER.key, ASKER.chain)
    assert len(statement_body(text)) < LARGEST_QUESTION / 2
    assert SignedLookup.parse(text).request == asked


def test_whoever_asks_holds_what_admits_it() -> None:
    """A signed lookup is its caller's, an unsigned one is anyone's; both may show tokens."""
    signed = SignedLookup.parse(replace(REQUEST, tokens=(TOKEN,)).sign(ASKER.key, ASKER.chain))
    assert {ANYONE, Grant.to_number(CALLER), Grant.to_token(TOKEN)} <= signed.grants(CALLER)
    assert OpenLookup((CALLED,), (TOKEN,)).grants() == {ANYONE, Grant.to_token(TOKEN)}


@pytest.mark.parametrize(
    "change",
    [
        {"audience": "https://rs.example/"},
        {"audience": "rs.example"},
        {"issued_at": -1},
        {"issued_at": 2**53},
        {"token_id": "short"},
        {"token_id": "a" * 65},
        {"token_id": "a" * 15 + "="},
        {"numbers": ()},
        {"numbers": (CALLED, CALLED)},
        {"numbers": many(MOST_NUMBERS + 1)},
        {"tokens": ("short",)},
        {"tokens": ("a" * 129,)},
        {"tokens": ("a" * 21 + "é",)},
        {"tokens": (TOKEN,) * 17},
    ],
)
def test_a_lookup_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """A value of LookupRequest is one that can be signed."""
    with pytest.raises(LookupRequestError):
        replace(REQUEST, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": []},
        {"tokens": None},
        {"numbers": [CALLED.digits]},
        {"numbers": CALLED.e164},
        {"numbers": [CALLED.e164] * 2},
        {"aud": [URL]},
        {"jti": 1},
        {"exp": ISSUED_AT},
    ],
)
def test_claims_outside_the_format_are_refused(change: dict[str, object]) -> None:
    """The claims are those four, and perhaps tokens."""
    with pytest.raises(LookupRequestError):
        SignedLookup.parse(forged(TYPE, CLAIMS | change, ASKER))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        dumps({"statement": "a.b.c"}),
        dumps({"statement": 1}),
        dumps({"numbers": []}),
        dumps({"numbers": [CALLED.digits]}),
        dumps({"tokens": [TOKEN]}),
        dumps({"numbers": [CALLED.e164], "tokens": ["short"]}),
        dumps({"numbers": [CALLED.e164], "statement": REQUEST.sign(ASKER.key, ASKER.chain)}),
        dumps({"tokens": [TOKEN], "statement": REQUEST.sign(ASKER.key, ASKER.chain)}),
        dumps({"numbers": [CALLED.e164], "more": 1}),
        b'{"numbers":["+12025550123"]}' + b" " * LARGEST_QUESTION,
        b"[" * 9000,
        b'{"numbers":["\xff"]}',
    ],
)
def test_a_body_that_is_no_lookup_is_refused(body: bytes) -> None:
    """It has a statement, or numbers, and not both."""
    with pytest.raises(LookupRequestError) as caught:
        read_lookup(body)
    assert CALLED.digits not in str(caught.value)


@given(st.text())
def test_any_text_gives_this_rooms_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(LookupRequestError):
        SignedLookup.parse(text)


@given(st.dictionaries(st.sampled_from([*CLAIMS, "tokens", "x"]), json_values, max_size=3))
def test_any_claims_give_a_lookup_or_this_rooms_error(change: dict[str, object]) -> None:
    """Whatever stands in a claim or a body, it is read or refused."""
    with contextlib.suppress(LookupRequestError):
        assert SignedLookup.parse(forged(TYPE, CLAIMS | change)).request
    with contextlib.suppress(LookupRequestError):
        assert read_lookup(dumps({"numbers": [CALLED.e164]} | change))


def test_a_lookup_is_hidden_in_its_repr() -> None:
    """No repr carries a number or a token into a log."""
    for value in (replace(REQUEST, tokens=(TOKEN,)), OpenLookup((CALLED,), (TOKEN,))):
        assert CALLED.digits not in repr(value)
        assert TOKEN not in repr(value)


# Answers


@given(answers)
def test_an_answer_survives_its_body_in_one_of_a_few_sizes(answer: LookupAnswer) -> None:
    """What is sent is read back, filled up to 8 KiB or a double of that."""
    data = answer.to_json()
    assert len(data) in SIZES
    assert LookupAnswer.parse(data) == answer
    assert LookupAnswer.parse(data).to_json() == data


def test_absent_and_denied_are_the_same_bytes() -> None:
    """Nothing to be shown is one answer, whatever the reason; and one record more is as long."""
    nothing = LookupAnswer({CALLED: ()}).to_json()
    assert len(nothing) == len(LookupAnswer({CALLED: (published().token,)}).to_json()) == SMALLEST_ANSWER
    assert nothing == LookupAnswer.fitting({CALLED: []}, {}).to_json()


def test_an_answer_has_a_largest_size() -> None:
    """What does not fit is omitted by number, to be asked for again; all records of one number fit."""
    large = tuple("x" * LARGEST_RECORD for _ in range(32))
    one = LookupAnswer.fitting({CALLED: large})
    assert not one.omitted
    assert len(one.to_json()) <= LARGEST_ANSWER / 2
    all_ = many(MOST_NUMBERS)
    answer = LookupAnswer.fitting(dict.fromkeys(all_, large), {all_[0]: "move", all_[-1]: "move"})
    assert tuple(answer.records) + answer.omitted == all_
    assert len(answer.records) == 3
    assert dict(answer.moves) == {all_[0]: "move"}
    assert len(answer.to_json()) == LARGEST_ANSWER
    with pytest.raises(AnswerError, match="at most"):
        LookupAnswer(dict.fromkeys(all_, large)).to_json()


@pytest.mark.parametrize(
    ("records", "moves", "omitted"),
    [
        (dict.fromkeys(many(101), ()), {}, ()),
        (dict.fromkeys(many(99), ()), {}, (CALLED, CALLER)),
        ({CALLED: ()}, {CALLER: ""}, ()),
        ({CALLED: ()}, {}, (CALLED,)),
        ({}, {}, (CALLED, CALLED)),
        ({CALLED: ("a",) * 33}, {}, ()),
        ({CALLED: ("a" * (LARGEST_RECORD + 1),)}, {}, ()),
    ],
)
def test_an_answer_to_no_question_cannot_exist(
    records: dict[TelephoneNumber, tuple[str, ...]],
    moves: dict[TelephoneNumber, str],
    omitted: tuple[TelephoneNumber, ...],
) -> None:
    """An answer is about at most a hundred numbers, each once."""
    with pytest.raises(AnswerError):
        LookupAnswer(records, moves, omitted)


def padded(answer: bytes, size: int = SMALLEST_ANSWER, filling: bytes = b"0") -> bytes:
    """Return an answer filled up as one should be, whatever it says."""
    head = answer + b',"padding":"'
    return head + filling * (size - len(head) - 2) + b'"}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        padded(b'{"answers":{},"moved":{},"omitted":[]', SMALLEST_ANSWER + 1),
        padded(b'{"answers":{},"moved":{},"omitted":[]', 2 * SMALLEST_ANSWER),
        padded(b'{"answers":{},"moved":{},"omitted":[]', filling=b"1"),
        padded(b'{"moved":{},"answers":{},"omitted":[]'),
        padded(b'{"answers": {},"moved":{},"omitted":[]'),
        padded(b'{"answers":{"+12025550123":["a"],"+12025550123":[]},"moved":{},"omitted":[]'),
        padded(b'{"answers":{"12025550123":[]},"moved":{},"omitted":[]'),
        padded(b'{"answers":{},"moved":{},"omitted":["+"]'),
        padded(b'{"answers":{},"moved":{},"omitted":[],"more":1'),
        padded(b'{"answers":[]'),
        padded(b"[" * 5000),
        b"\xff" * SMALLEST_ANSWER,
    ],
)
def test_an_answer_has_one_form(data: bytes) -> None:
    """A directory whose answers tell by their length what is in them is not read."""
    with pytest.raises(AnswerError) as caught:
        LookupAnswer.parse(data)
    assert "2025550123" not in str(caught.value)


def test_the_smallest_answer_is_read() -> None:
    """The helper above makes answers that are read, but for what is wrong in them."""
    assert LookupAnswer.parse(padded(b'{"answers":{},"moved":{},"omitted":[]')) == LookupAnswer({})


@given(st.binary(max_size=60))
@example(b'{"answers":{},"moved":{},"omitted":[]')
@example(b'{"answers":{"+12025550123":["\\ud800"]},"moved":{},"omitted":[]')
def test_any_bytes_give_an_answer_or_this_rooms_error(data: bytes) -> None:
    """Nothing that a directory sends makes the reader raise anything else."""
    with contextlib.suppress(AnswerError):
        LookupAnswer.parse(data)
    with contextlib.suppress(AnswerError):
        assert LookupAnswer.parse(padded(data)).to_json() == padded(data)


def test_an_answer_cannot_be_changed() -> None:
    """What was read stays as it was sent."""
    records = {STRANGER: ("a",)}
    answer = LookupAnswer(records)
    records[CALLED] = ()
    assert CALLED not in answer.records
    assert SECOND.number not in answer.records
