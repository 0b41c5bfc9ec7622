from __future__ import annotations

import contextlib
import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import CommonKind, Refusal
from serving.strict_json import MAX_DEPTH, read_as, read_base64url, read_object, write_base64url

texts = st.text(st.characters(codec="utf-8"))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
json_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=3)


def refusal_of(data: bytes) -> Refusal:
    """Return why the text is refused as malformed."""
    with pytest.raises(Refusal) as refused:
        read_object(data, "the text")
    assert refused.value.kind is CommonKind.MALFORMED
    return refused.value


@given(st.dictionaries(texts, json_values, max_size=4))
def test_an_object_reads_as_it_was_written(value: dict[str, object]) -> None:
    """Every shallow JSON object reads back equal, with its characters escaped or not."""
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only).encode()
        assert read_object(text, "the text") == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]",:\\u0d1ae ', max_size=60).map(str.encode))
def test_any_bytes_are_an_object_or_malformed(data: bytes) -> None:
    """Whatever the bytes, the answer is an object or the refusal `malformed`, never another exception."""
    with contextlib.suppress(Refusal):
        assert isinstance(read_object(data, "the text"), dict)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'"text"',
        b"{",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1,}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\n"}',
        b"{'a':1}",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_what_parsers_disagree_on_is_malformed(data: bytes) -> None:
    """Other types, other encodings, loose syntax, unpaired surrogates and endless integers are refused."""
    refusal_of(data)


@pytest.mark.parametrize("data", [b'{"a":1,"a":2}', b'{"o":{"b":1,"b":1}}', b'{"a":1,"\\u0061":1}'])
def test_a_name_that_stands_twice_is_malformed(data: bytes) -> None:
    """A repeated member name is refused at every level, however it is spelled."""
    assert "twice" in refusal_of(data).detail


def test_depth_is_limited_where_brackets_count() -> None:
    """The deepest allowed object reads; one level more does not; brackets in strings are no levels."""
    deepest = b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH
    assert read_object(deepest, "the text")
    assert "deeper" in refusal_of(b'{"a":' + deepest + b"}").detail
    in_strings = json.dumps({"a": "[{" * 100, "b": '"[\\' * 100}).encode()
    assert read_object(in_strings, "the text")
    side_by_side = json.dumps({"a": [[]] * 100}).encode()
    assert read_object(side_by_side, "the text")


@pytest.mark.parametrize("unit", [b"[", b'{"a":', b'["', b'"\\', b"[]", b'{"a":[{}],'])
def test_hostile_nesting_is_refused_in_linear_time(unit: bytes) -> None:
    """64 KiB of brackets and quotes is refused without recursion, in far less than a second."""
    started = time.process_time()
    refusal_of(unit * (65536 // len(unit)))
    assert time.process_time() - started < 1


class Shape(msgspec.Struct):
    """A payload."""

    name: str
    size: int = 0


def test_a_wrong_member_is_named() -> None:
    """A member of a wrong type, and one that is missing, is named in the refusal."""
    assert read_as({"name": "x", "other": 1}, Shape, "the payload") == Shape("x")
    with pytest.raises(Refusal, match=r"the payload: .*size"):
        read_as({"name": "x", "size": "large"}, Shape, "the payload")
    with pytest.raises(Refusal, match="name"):
        read_as({}, Shape, "the payload")


@given(st.binary(max_size=70))
def test_base64url_reads_as_it_was_written(data: bytes) -> None:
    """Bytes written as base64url read back equal."""
    assert read_base64url(write_base64url(data), "it") == data


@given(st.text(alphabet="AB_-9=+/ \n\u00e9", max_size=12))
def test_no_two_texts_are_the_same_bytes(text: str) -> None:
    """A text that reads at all is the one that its bytes are written as."""
    with contextlib.suppress(Refusal):
        assert write_base64url(read_base64url(text, "it")) == text


@pytest.mark.parametrize("text", ["QQ==", "Q", "QR", "Q+", "QQ\n", "QUE="])
def test_padding_and_loose_base64url_are_malformed(text: str) -> None:
    """RFC 8555 §6.1: a text with trailing = MUST be rejected; so are other alphabets and stray bits."""
    with pytest.raises(Refusal, match="base64url"):
        read_base64url(text, "it")
