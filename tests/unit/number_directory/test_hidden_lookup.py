from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from number_directory.errors import AnswerError, HiddenQuestionError, StatementError
from number_directory.hidden import LARGEST_PLAIN, Bucket
from number_directory.hidden_lookup import (
    LARGEST_QUESTION,
    TYPE,
    HiddenAnswer,
    HiddenLayout,
    HiddenRecords,
    HiddenRequest,
    OpenHiddenRequest,
    SignedHiddenRequest,
    read_hidden_request,
)
from number_directory.lookup import SignedLookup
from number_directory.record import LARGEST_RECORD, MOST_APPS
from number_directory.statement import encode, statement_body
from stir.jws import encode_base64url
from tests.fakes.directory_statements import ASKER, ISSUED_AT, REQUEST_ID, SECOND, URL, forged
from tests.unit.number_directory.strategies import blinded, hidden_requests, json_values

ELEMENT = bytes(range(32))
REQUEST = HiddenRequest(URL, ISSUED_AT, REQUEST_ID, (ELEMENT,))
CLAIMS: dict[str, object] = {
    "aud": URL,
    "iat": ISSUED_AT,
    "jti": REQUEST_ID,
    "blinded": [encode_base64url(ELEMENT)],
}


@given(hidden_requests)
def test_a_question_survives_its_text(stated: HiddenRequest) -> None:
    """What is signed is read back from the body, and its key verifies it."""
    read = read_hidden_request(statement_body(stated.sign(ASKER.key, ASKER.chain)))
    assert isinstance(read, SignedHiddenRequest)
    read.verify(ASKER.key.public_key())
    assert read.request == stated
    assert (read.blinded, read.issued_at) == (stated.blinded, stated.issued_at)


@given(blinded)
def test_an_unsigned_question_survives_its_body(elements: tuple[bytes, ...]) -> None:
    """Whoever does not say who it is asks with the elements alone."""
    assert read_hidden_request(OpenHiddenRequest(elements).to_json()) == OpenHiddenRequest(elements)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_question_that_was_changed_is_found_out(at: int, difference: int) -> None:
    """No byte of a signed question can be changed without its reading or its signature failing."""
    token = bytearray(REQUEST.sign(ASKER.key, ASKER.chain).encode())
    at %= len(token)
    token[at] ^= difference
    with pytest.raises(HiddenQuestionError):
        SignedHiddenRequest.parse(token.decode("latin-1")).verify(ASKER.key.public_key())


@pytest.mark.parametrize(
    "change",
    [
        {"audience": "x"},
        {"issued_at": -1},
        {"token_id": "short"},
        {"blinded": ()},
        {"blinded": (ELEMENT, ELEMENT)},
        {"blinded": (ELEMENT[1:],)},
        {"blinded": tuple(number.to_bytes(32, "big") for number in range(101))},
    ],
)
def test_a_question_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """A value of HiddenRequest is one that can be signed; an unsigned question has the same bounds."""
    with pytest.raises(HiddenQuestionError):
        replace(REQUEST, **change)
    if "blinded" in change:
        with pytest.raises(HiddenQuestionError):
            OpenHiddenRequest(change["blinded"])  # type: ignore[arg-type]  # as wrong as it is meant to be


@given(st.dictionaries(st.sampled_from([*CLAIMS, "numbers"]), json_values, max_size=3))
@example({"numbers": ["+12025550123"]})
def test_any_claims_give_a_question_or_this_rooms_error(change: dict[str, object]) -> None:
    """Whatever stands in a claim, it is read or refused; a claim with numbers is refused."""
    with contextlib.suppress(HiddenQuestionError):
        assert SignedHiddenRequest.parse(forged(TYPE, CLAIMS | change, ASKER)).request
        assert "numbers" not in change


@given(st.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"statement":"a","blinded":["b"]}')
@example(b"{}")
@example(b'{"blinded":["+12025550123"]}')
@example(b" " * (LARGEST_QUESTION + 1))
def test_any_body_gives_this_rooms_error(body: bytes) -> None:
    """Whatever is sent in place of a question raises HiddenQuestionError."""
    with pytest.raises(HiddenQuestionError):
        read_hidden_request(body)


def test_a_question_is_no_lookup_and_the_other_way_round() -> None:
    """The `typ` keeps a signature for what it was given for (RFC 8725 §3.11)."""
    token = REQUEST.sign(ASKER.key, ASKER.chain)
    with pytest.raises(StatementError):
        SignedLookup.parse(token)
    with pytest.raises(HiddenQuestionError):
        SignedHiddenRequest.parse(forged("tn-lookup+jwt", CLAIMS, ASKER))


def test_a_question_may_bring_several_chains() -> None:
    """A caller whose authority one directory does not admit brings another's certificate of its key."""
    token = REQUEST.sign(SECOND.key, SECOND.chain, [SECOND.chain])
    assert len(SignedHiddenRequest.parse(token).chains) == 2


@given(st.lists(st.binary(min_size=96, max_size=96), min_size=1, max_size=5).map(tuple))
def test_an_answer_survives_its_body(evaluated: tuple[bytes, ...]) -> None:
    """Elements and proofs arrive as they were sent."""
    assert HiddenAnswer.parse(HiddenAnswer(evaluated).to_json()).evaluated == evaluated


@given(st.integers(0, 20))
def test_a_layout_survives_its_file_and_names_buckets(depth: int) -> None:
    """It says how many bits of a label name its bucket."""
    layout = HiddenLayout.parse(HiddenLayout(depth).to_json())
    assert layout.bucket(ELEMENT) == Bucket.of(ELEMENT, depth)


@pytest.mark.parametrize("depth", [-1, 21, 32, 256])
def test_a_directory_that_would_have_too_much_of_a_label_told_is_refused(depth: int) -> None:
    """A lying directory learns twenty bits of a number's label at most."""
    with pytest.raises(AnswerError, match="tell too much"):
        HiddenLayout.parse(b'{"depth":%d}' % depth)


@given(st.lists(st.text(), max_size=32).map(tuple), st.none() | st.text())
def test_records_survive_being_sealed(records: tuple[str, ...], move: str | None) -> None:
    """What anyone may see of a number, or where it has moved, is read back."""
    read = HiddenRecords.parse(HiddenRecords.fitting(records, move).to_json())
    assert read == HiddenRecords(records, move)


def test_records_that_find_no_room_are_told_of() -> None:
    """What is sealed is bounded; the last apps are left out, and counted."""
    found = HiddenRecords.fitting(("r" * 16_000,) * 6)
    assert (len(found.records), found.omitted) == (4, 2)
    assert len(found.to_json()) <= LARGEST_PLAIN
    assert HiddenRecords.fitting((), "m" * 70_000) == HiddenRecords(())


def test_what_finds_no_room_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that publishes 32 of the largest records has them encoded twice, and not once for each left out."""
    encoded: list[int] = []

    def counting(value: object) -> bytes:
        data = encode(value)
        encoded.append(len(data))
        return data

    monkeypatch.setattr("number_directory.hidden_lookup.encode", counting)
    records = ("r" * LARGEST_RECORD,) * MOST_APPS
    assert HiddenRecords.fitting(records, "m" * 1000).omitted == MOST_APPS - 3
    assert sum(encoded) < 2.1 * sum(map(len, records))


@given(st.lists(st.integers(1000, LARGEST_RECORD), max_size=MOST_APPS), st.integers(0, LARGEST_RECORD))
def test_as_many_records_are_sealed_as_find_room(sizes: list[int], move: int) -> None:
    """Those that come first; another one would be too much, but for two bytes."""
    records = [chr(0x20AC) + "r" * (size - 1) for size in sizes]
    found = HiddenRecords.fitting(records, "m" * move)
    count = len(found.records)
    assert found == HiddenRecords(tuple(records[:count]), "m" * move, len(records) - count)
    assert len(found.to_json()) <= LARGEST_PLAIN
    if found.omitted:
        assert len(replace(found, records=tuple(records[: count + 1])).to_json()) > LARGEST_PLAIN - 3


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b'{"records":[],"omitted":-1}')
@example(json.dumps({"records": ["r"] * 33}).encode())
@example(json.dumps({"evaluated": ["AA"]}).encode())
@example(b'{"evaluated":["\xc3\xa9"]}')
@example(b'{"evaluated":[]}')
def test_an_answer_that_is_none_is_refused(data: bytes) -> None:
    """Whatever a directory sends in place of one of its answers raises AnswerError."""
    for read in (HiddenAnswer.parse, HiddenLayout.parse, HiddenRecords.parse):
        with pytest.raises(AnswerError):
            read(data)
