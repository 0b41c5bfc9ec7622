"""Read JSON that a stranger wrote: one object, of bounded depth, in UTF-8, in which no name stands twice (RFC 8259).

Two programs that read one text differently are a way past a check. A text that parsers are known to disagree on is
therefore refused: repeated names, unpaired surrogates, NaN, a byte order mark.
"""

from __future__ import annotations

import binascii
import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from serving.errors import CommonKind, Refusal

MAX_DEPTH = 10
"""No object of our protocols nests deeper than a handful of levels; a hostile one would exhaust the parser's stack."""

JsonObject = dict[str, Any]

_Shape = TypeVar("_Shape")

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_LAST_LETTERS = {0: frozenset(""), 2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
"""How a text may end that has so many letters beyond fours: the bits that no byte needs are 0 (RFC 4648 §3.5)."""
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = str.maketrans("-_", "+/")


def read_object(data: bytes, what: str) -> JsonObject:
    """Return the JSON object in `data`; refuse anything else as malformed. `what` names the text in the refusal."""
    if _is_too_deep(data):
        _refuse(f"{what} nests deeper than {MAX_DEPTH} levels")
    try:
        value = _DECODER.decode(data.decode("utf-8"))
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except _RepeatedNameError as error:
        raise Refusal(CommonKind.MALFORMED, f"{what} names a member twice") from error
    except ValueError as error:
        raise Refusal(CommonKind.MALFORMED, f"{what} is not JSON in UTF-8") from error
    if not isinstance(value, dict):
        _refuse(f"{what} is not a JSON object")
    return value


def read_as(value: JsonObject, shape: type[_Shape], what: str) -> _Shape:
    """Return the object as a `shape`; refuse wrong types and missing members as malformed, naming the member."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise Refusal(CommonKind.MALFORMED, f"{what}: {error}") from error


def read_base64url(text: str, what: str) -> bytes:
    """Return the bytes of a base64url text; refuse padding and second spellings."""
    beyond = len(text) % 4
    if not _BASE64URL.fullmatch(text) or beyond not in _LAST_LETTERS:
        _refuse(f"{what} is not base64url without padding")
    if beyond and text[-1] not in _LAST_LETTERS[beyond]:
        _refuse(f"{what} is not the canonical base64url of its bytes")
    return binascii.a2b_base64(text.translate(_FROM_URL) + "=" * (-beyond % 4))


def write_base64url(data: bytes) -> str:
    """Return the base64url text of the bytes, without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL, b"=").decode("ascii")


def _is_too_deep(data: bytes) -> bool:
    """Tell whether brackets outside strings nest beyond the limit, in time linear in the text and without recursion."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _BRACKETS.finditer(data):
        match token.group()[:1]:
            case b"[" | b"{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


class _RepeatedNameError(ValueError):
    """An object names a member twice."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatedNameError
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER = json.JSONDecoder(object_pairs_hook=_without_repeats, parse_constant=_no_constant)


def _refuse(detail: str) -> NoReturn:
    raise Refusal(CommonKind.MALFORMED, detail)
