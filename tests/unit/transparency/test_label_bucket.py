from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.transparency.strategies import hashes
from transparency.errors import LabelIndexError
from transparency.label_bucket import LARGEST_BUCKET, Bucket, bucket_of, empty_bucket, is_bucket, merged, split


def label(name: object) -> bytes:
    """Return the label of this name."""
    return sha256(f"label {name}".encode()).digest()


def encoded(depth: int, number: int, leaves: dict[bytes, tuple[int, ...]]) -> bytes:
    """Return a bucket, put together by hand."""
    found = sorted(leaves.items())
    head = bytes([1, depth]) + number.to_bytes(4, "big") + len(found).to_bytes(4, "big")
    counts = b"".join(len(places).to_bytes(4, "big") for _, places in found)
    indices = b"".join(place.to_bytes(5, "big") for _, places in found for place in places)
    return head + b"".join(one for one, _ in found) + counts + indices


leaves_of_labels = st.dictionaries(hashes, st.sets(st.integers(0, 2**40 - 1), min_size=1, max_size=4), max_size=8)


@given(st.binary(max_size=120) | st.binary(max_size=100).map(lambda tail: b"\x01\x00" + bytes(4) + tail))
def test_any_bytes_give_a_bucket_or_this_rooms_error(data: bytes) -> None:
    """Reading raises this room's error and nothing else."""
    try:
        bucket = Bucket.decode(data)
    except LabelIndexError:
        return
    assert bucket_of(min(bucket.leaves, default=bytes(32)), bucket.depth) == bucket.number or not bucket.leaves


@settings(max_examples=50)
@given(leaves_of_labels)
def test_a_bucket_is_read_as_it_is_written(found: dict[bytes, set[int]]) -> None:
    """Labels and indices come back sorted, as they must be."""
    leaves = {one: tuple(sorted(places)) for one, places in sorted(found.items())}
    assert Bucket.decode(encoded(0, 0, leaves)) == Bucket(0, 0, leaves)


@settings(max_examples=100)
@given(leaves_of_labels, st.lists(st.tuples(st.integers(0, 9), hashes), max_size=12))
def test_leaves_are_put_in_where_they_belong(found: dict[bytes, set[int]], more: list[tuple[int, bytes]]) -> None:
    """A bucket with additions is the one that is made of all its leaves, whatever was there before."""
    before = {one: tuple(sorted({index % 2**39 for index in places})) for one, places in found.items()}
    known = sorted(before)
    added = [(known[at] if at < len(known) else other, 2**39 + leaf) for leaf, (at, other) in enumerate(more)]
    bucket, fresh = merged(encoded(0, 0, before), sorted(added))
    after = dict(before)
    for one, leaf in added:
        after[one] = (*after.get(one, ()), leaf)
    assert bucket == encoded(0, 0, after)
    assert fresh == len(after) - len(before)


@settings(max_examples=50)
@given(st.lists(hashes, max_size=20, unique=True), st.integers(0, 3))
def test_a_bucket_is_split_into_those_that_its_labels_fall_into(labels: list[bytes], more: int) -> None:
    """Each part has the labels that begin with its bits, and no label is lost."""
    leaves = {one: (place, place + 100) for place, one in enumerate(labels)}
    for number, part in enumerate(split(encoded(0, 0, leaves), more)):
        assert part == encoded(more, number, {one: leaves[one] for one in labels if bucket_of(one, more) == number})


def test_a_bucket_speaks_for_its_own_labels_only() -> None:
    """Of another bucket's labels it says nothing, not even that they are absent."""
    bucket = Bucket(1, 0, {})
    assert bucket.indices_of(bytes(32)) == ()
    with pytest.raises(LabelIndexError, match="another bucket"):
        bucket.indices_of(b"\xff" * 32)


def test_an_empty_bucket_follows_from_where_it_stands() -> None:
    """Nobody need keep a bucket without labels."""
    assert Bucket.decode(empty_bucket(16, 77)) == Bucket(16, 77, {})
    assert is_bucket(encoded(16, 77, {}), 16, 77)
    assert not is_bucket(empty_bucket(16, 76), 16, 77)


def test_a_bucket_has_an_end() -> None:
    """A watcher reads no more than 4 MiB."""
    with pytest.raises(LabelIndexError, match="at most"):
        Bucket.decode(bytes(LARGEST_BUCKET + 1))
