from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing.errors import MapFormatError
from number_directory.routing.leading_digits import ROOTS
from number_directory.routing.manifest import ChunkEntry, Manifest
from tests.unit.number_directory.routing.strategies import SERVICES

CHUNKS = tuple(ChunkEntry.of(lead, lead.digits.encode() * 10) for lead in ROOTS)
EXAMPLE = Manifest(7, 1_800_000_000, SERVICES, CHUNKS)


def test_a_manifest_is_read_back() -> None:
    """What was written is read, and its hash names it."""
    again = Manifest.decode(EXAMPLE.encode())
    assert again == EXAMPLE
    assert again.hash == EXAMPLE.hash
    assert (again.size, again.offsets) == (90, tuple(range(0, 90, 10)))


def test_a_chunk_is_known_by_size_and_hash() -> None:
    """Other bytes, or more of them, are another chunk."""
    assert CHUNKS[0].matches(b"1" * 10)
    assert not CHUNKS[0].matches(b"1" * 11)
    assert not CHUNKS[0].matches(b"2" * 10)


@given(st.binary(max_size=60))
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    """Whatever comes, it is a manifest or MapFormatError."""
    for given_bytes in (data, b"{" + data, EXAMPLE.encode() + data + b" "):
        with pytest.raises(MapFormatError):
            Manifest.decode(given_bytes)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"map v1", b"map v2"),
        (b'"version":7', b'"version":0'),
        (b'"version":7', b'"version": 7'),
        (b'"version":7', b'"version":7,"more":1'),
        (b'[["1",', b'[["2",'),
        (b'["9",10', b'["9",0'),
        (b'"name":"rs-1.example"', b'"name":"rs-0.example"'),
        (b'"number":5', b'"number":20000'),
        (b"https://rs-0.example", b"http://rs-0.example"),
        (b'"services":[{"number":0', b'"services":[{"number":1'),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(old: bytes, new: bytes) -> None:
    """Other formats, needless white space, gaps, repetitions and unsafe places are refused."""
    data = EXAMPLE.encode()
    assert old in data
    with pytest.raises(MapFormatError):
        Manifest.decode(data.replace(old, new))


def test_a_map_without_services_is_none() -> None:
    """A map leads somewhere."""
    with pytest.raises(MapFormatError, match="at least one"):
        Manifest(1, 1, {}, CHUNKS)
