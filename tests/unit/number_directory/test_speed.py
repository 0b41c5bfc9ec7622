from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from number_directory.access_list import LARGEST_ACCESS_LIST, SignedAccessList
from number_directory.access_list import TYPE as LIST_TYPE
from number_directory.description import LARGEST_DESCRIPTION, DirectoryDescription
from number_directory.errors import DirectoryError
from number_directory.lookup import LARGEST_ANSWER, LARGEST_QUESTION, LookupAnswer, read_lookup
from number_directory.own_listing import LARGEST_LISTING, OwnAnswer
from number_directory.record import LARGEST_RECORD, SignedRecord
from number_directory.record import TYPE as RECORD_TYPE
from number_directory.statement import read_statement_body
from tests.fakes.directory_statements import dumps, forged, published

ALLOWED_SECONDS_PER_BYTE = 0.001
ROOM = LARGEST_RECORD * 3 // 4 - 3000


def hostile() -> list[object]:
    """Return readers with inputs that make careless ones slow: long, nested, repeated, almost right."""
    signed = published().signed_text
    texts: dict[str, tuple[Callable[[str], object], str]] = {
        "a long record": (SignedRecord.parse, "A" * 100_000),
        "tildes": (SignedRecord.parse, signed + "~" * 100_000),
        "a long disclosure": (SignedRecord.parse, f"{signed}~{'A' * 100_000}~"),
        "a long app": (SignedRecord.parse, forged(RECORD_TYPE, dumps({"app": "a." * (ROOM // 2)})) + "~"),
        "a long label": (SignedRecord.parse, forged(RECORD_TYPE, dumps({"app": "a-" * (ROOM // 2)})) + "~"),
        "nested claims": (SignedRecord.parse, forged(RECORD_TYPE, b"[" * ROOM) + "~"),
        "many members": (SignedRecord.parse, forged(RECORD_TYPE, b"{" + b'"a":1,' * (ROOM // 6) + b'"b":1}') + "~"),
        "many grants": (
            SignedAccessList.parse,
            forged(LIST_TYPE, dumps({"default": {"allow": ["anyone"] * (LARGEST_ACCESS_LIST // 20)}})),
        ),
    }
    octets: dict[str, tuple[Callable[[bytes], object], bytes]] = {
        "a nested body": (read_statement_body, b"[" * 16_000),
        "a nested lookup": (read_lookup, b'{"numbers":' + b"[" * (LARGEST_QUESTION - 20)),
        "many numbers": (read_lookup, dumps({"numbers": ["+12025550123"] * (LARGEST_QUESTION // 16)})),
        "a nested answer": (LookupAnswer.parse, b"[" * 8192),
        "a large answer": (LookupAnswer.parse, b'{"answers":{"' + b"1" * (LARGEST_ANSWER - 13)),
        "a large listing": (
            OwnAnswer.parse,
            b'{"records":[' + b'{"record":""},' * (LARGEST_LISTING // 14 - 2) + b"{}]}",
        ),
        "a large description": (DirectoryDescription.from_json, b'{"name":"' + b"x" * (LARGEST_DESCRIPTION - 9)),
    }
    return [pytest.param(*case, id=name) for name, case in (texts | octets).items()]


@pytest.mark.parametrize(("read", "given"), hostile())
def test_no_input_takes_more_than_a_millisecond_per_byte(read: Callable[[object], object], given: str | bytes) -> None:
    """A malformed input costs at most 1 ms of CPU time per byte, and raises only this room's errors."""
    start = time.process_time()
    with contextlib.suppress(DirectoryError):
        read(given)
    assert time.process_time() - start <= min(ALLOWED_SECONDS_PER_BYTE * len(given), 5)
