from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import plain_tree
from tests.fakes.index_files import IndexFiles, built
from tests.unit.transparency.strategies import hashes
from transparency import label_index
from transparency.checkpoint import Checkpoint
from transparency.errors import CheckpointError, LabelIndexError, NoteError
from transparency.index_growth import LabelIndex
from transparency.label_bucket import EMPTY_SIZE, GREATEST_DEPTH, LARGEST_BUCKET, bucket_of
from transparency.label_index import (
    HERE,
    MEAN_BUCKET,
    NOWHERE,
    MapCheckpoint,
    Place,
    decode_page,
    depth_for,
    encode_page,
    page_heights,
    page_size,
    read_bucket,
    root_of,
    segment_at,
    segment_name,
)
from transparency.signed_note import Ed25519Signer, Note

ORIGIN = "log.example/1"
LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AUDITOR = Ed25519Signer("auditor.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def label(name: object) -> bytes:
    """Return the label of this name."""
    return sha256(f"label {name}".encode()).digest()


def checkpoint_of(index: LabelIndex) -> MapCheckpoint:
    """Return the map checkpoint of an index, made from a log of its size."""
    root = sha256(b"root").digest() if index.size else plain_tree.root([])
    return index.checkpoint(Checkpoint(ORIGIN, index.size, root))


LABELS = [label(number % 2500) for number in range(4000)]
INDEX, SEGMENTS = built(LABELS)
FILES = IndexFiles(SEGMENTS)
CHECKPOINT = checkpoint_of(INDEX)


def asked_for(wanted: bytes) -> list[tuple[str, int, int]]:
    """Return the parts that a lookup fetches."""
    FILES.asked.clear()
    read_bucket(CHECKPOINT, wanted, FILES.fetch_part)
    return list(FILES.asked)


def with_part(part: tuple[str, int, int], data: bytes) -> Callable[[str, int, int], bytes]:
    """Return the index's files, of which one part is another."""
    return lambda *asked: data if asked == part else FILES.fetch_part(*asked)


# Looking up


def test_every_label_is_found_with_all_its_leaves() -> None:
    """Membership: the owner sees each entry of its number."""
    assert INDEX.depth > 4
    for number in range(2500):
        expected = tuple(place for place in (number, number + 2500) if place < 4000)
        assert read_bucket(CHECKPOINT, label(number), FILES.fetch_part).indices_of(label(number)) == expected


def test_a_label_that_is_not_there_is_shown_not_to_be() -> None:
    """Absence: a whole bucket leaves no room for what it does not show."""
    for number in range(50):
        other = label(f"other {number}")
        assert read_bucket(CHECKPOINT, other, FILES.fetch_part).indices_of(other) == ()


def test_a_lookup_fetches_a_page_for_four_bits_and_the_bucket() -> None:
    """Parts of one segment, and no more than is needed of it."""
    *pages, bucket = asked_for(LABELS[0])
    assert [length for _, _, length in pages] == [page_size(height) for height in page_heights(INDEX.depth)]
    beside = [one for one in LABELS if bucket_of(one, INDEX.depth) == bucket_of(LABELS[0], INDEX.depth)]
    assert bucket[2] == EMPTY_SIZE + 36 * len(set(beside)) + 5 * len(beside)
    assert {path for path, _, _ in (*pages, bucket)} == SEGMENTS.keys()


def test_a_segment_is_named_after_its_content() -> None:
    """Whoever has the whole of one can tell whether it is what its name says."""
    for path, data in SEGMENTS.items():
        assert segment_at(path) == segment_name(data) == sha256(data).digest()[:8]
        assert path == f"index/segment/{segment_name(data).hex()}"


@pytest.mark.parametrize("path", ["index/checkpoint", "index/segment/", f"index/segment/{'0' * 15}", "index/ab/cd"])
def test_another_path_is_no_segments(path: str) -> None:
    """What lies beside the segments is not taken for one."""
    assert segment_at(path) is None


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_label_has_32_bytes(wrong: bytes) -> None:
    """Anything else is refused."""
    with pytest.raises(LabelIndexError, match="32 bytes"):
        read_bucket(CHECKPOINT, wrong, FILES.fetch_part)


# Depth


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_index_never_gets_shallower(labels: int, more: int, new_labels: int, new_entries: int) -> None:
    """As a log grows, so does the depth, or it stays."""
    entries = labels + more
    assert depth_for(labels, entries) <= depth_for(labels + new_labels, entries + new_labels + new_entries)


@given(st.integers(1, 10**8), st.integers(0, 10**8))
def test_the_mean_bucket_stays_small(labels: int, more: int) -> None:
    """On average a bucket has at most MEAN_BUCKET bytes beside its header, and no bucket more than is needed."""
    size = labels * 36 + (labels + more) * 5
    depth = depth_for(labels, labels + more)
    assert size <= MEAN_BUCKET << depth
    assert depth == 0 or size > MEAN_BUCKET << (depth - 1)


def test_depth_has_an_end() -> None:
    """A bucket is chosen by 32 bits at most."""
    assert depth_for(2**40, 2**40) == GREATEST_DEPTH


def test_a_lookup_in_four_million_labels_is_small() -> None:
    """Map checkpoint, the pages on the way and the bucket fit in 8 kB, by the sizes that follow from the depth."""
    depth = depth_for(4_000_000, 4_000_000)
    pages = sum(map(page_size, page_heights(depth)))
    mean = 4_000_000 / 2**depth
    fullest = mean + 5 * mean**0.5
    assert 600 + pages + 10 + 41 * fullest <= 8000


# Lies


@settings(max_examples=200)
@given(st.data())
def test_a_corrupt_byte_in_any_part_is_found(data: st.DataObject) -> None:
    """No byte of what a lookup fetches can change without the watcher noticing, be it about its own bucket or not."""
    part = data.draw(st.sampled_from(asked_for(data.draw(st.sampled_from(LABELS)))))
    broken = bytearray(FILES.fetch_part(*part))
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    wanted = next(one for one in LABELS if part in asked_for(one))
    with pytest.raises(LabelIndexError, match="not what its hash"):
        read_bucket(CHECKPOINT, wanted, with_part(part, bytes(broken)))


@pytest.mark.parametrize("alter", [lambda data: data[:-1], lambda data: data + b"\0", lambda _: b""])
def test_a_part_of_another_length_is_found(alter: Callable[[bytes], bytes]) -> None:
    """A segment that is cut short is noticed, and a server that sends more than was asked for."""
    for part in asked_for(LABELS[0]):
        with pytest.raises(LabelIndexError, match="not what its hash"):
            read_bucket(CHECKPOINT, LABELS[0], with_part(part, alter(FILES.fetch_part(*part))))


# Lies that a log can sign


LABELS_BY_HAND = sorted(label(f"by hand {number}") for number in range(200))
DEPTH_BY_HAND = 2


class ByHand:
    """An index of 200 labels and one page, in which anything may be another than it should be."""

    def __init__(self) -> None:
        """Make it as it should be."""
        parts = [[one for one in LABELS_BY_HAND if bucket_of(one, 2) == number] for number in range(4)]
        self.buckets = [self.bucket(number, part) for number, part in enumerate(parts)]
        self.places: dict[int, Place] = {}

    def bucket(self, number: int, labels: list[bytes]) -> bytes:
        """Return a bucket in which each label has the leaf of its place among all."""
        head = bytes([1, 2]) + number.to_bytes(4, "big") + len(labels).to_bytes(4, "big")
        leaves = b"".join(LABELS_BY_HAND.index(one).to_bytes(5, "big") for one in labels)
        return head + b"".join(labels) + (1).to_bytes(4, "big") * len(labels) + leaves

    def read(self, wanted: bytes) -> tuple[int, ...]:
        """Look a label up in what the log signed."""
        segment, places = b"", bytearray(16 * 4)
        for number, bucket in enumerate(self.buckets):
            self.places.get(number, Place(HERE, len(segment), len(bucket))).put(places, number)
            segment += bucket
        names = b"".join(sha256(b"\x00" + bucket).digest() for bucket in self.buckets)
        page = encode_page(names, bytes(places))
        top = Place(segment_name(segment + page), len(segment), len(page))
        checkpoint = MapCheckpoint(Checkpoint(ORIGIN, 200, bytes(32)), 200, root_of(names), top)
        files = IndexFiles({top.path: segment + page})
        return read_bucket(checkpoint, wanted, files.fetch_part).indices_of(wanted)


def test_an_index_made_by_hand_is_read() -> None:
    """The format is the reference's, and not only what this code writes."""
    assert depth_for(200, 200) == DEPTH_BY_HAND
    assert [ByHand().read(one) for one in LABELS_BY_HAND] == [(place,) for place in range(200)]


def test_a_watcher_is_not_given_another_bucket() -> None:
    """A log that puts a bucket in another's place is caught, though its own root says so."""
    lying = ByHand()
    lying.buckets[0] = lying.buckets[1]
    with pytest.raises(LabelIndexError, match="not what its hash"):
        lying.read(LABELS_BY_HAND[0])


def test_an_index_names_leaves_of_its_log_only() -> None:
    """A leaf that the log's checkpoint does not have cannot be looked at."""
    lying = ByHand()
    lying.buckets[0] = lying.buckets[0][:-5] + (200).to_bytes(5, "big")
    with pytest.raises(LabelIndexError, match="does not have yet"):
        lying.read(LABELS_BY_HAND[0])


def test_a_bucket_without_labels_has_no_bytes() -> None:
    """Only a bucket that is known to be empty is not fetched, and an empty one is not fetched from anywhere."""
    empty = ByHand()
    empty.buckets[0] = empty.bucket(0, [])
    with pytest.raises(LabelIndexError, match="has 10 to"):
        empty.read(LABELS_BY_HAND[0])
    empty.places[0] = NOWHERE
    assert empty.read(LABELS_BY_HAND[0]) == ()
    hiding = ByHand()
    hiding.places[0] = NOWHERE
    with pytest.raises(LabelIndexError, match="not what its hash"):
        hiding.read(LABELS_BY_HAND[0])


@pytest.mark.parametrize("length", [EMPTY_SIZE, LARGEST_BUCKET + 1, 2**32 - 1])
def test_no_watcher_is_made_to_fetch_much(length: int) -> None:
    """A bucket has 4 MiB at most, and a page one length."""
    lying = ByHand()
    lying.places[0] = Place(segment_name(b"anywhere"), 0, length)
    with pytest.raises(LabelIndexError, match=f"not {length}"):
        lying.read(LABELS_BY_HAND[0])


def test_a_page_has_one_length() -> None:
    """A page that leads to a longer or shorter one is refused before anything is fetched."""
    wanted = LABELS[0]
    part = asked_for(wanted)[0]
    data = FILES.fetch_part(*part)
    cut = len(data) // 48 * 32
    places = bytearray(data[cut:-8])
    for position in range(len(places) // 16):
        Place.at(places, position)._replace(length=10).put(places, position)
    with pytest.raises(LabelIndexError, match="has 776 bytes, not 10"):
        read_bucket(CHECKPOINT, wanted, with_part(part, encode_page(data[:cut], bytes(places))))


@given(st.binary(max_size=900) | st.just(bytes(page_size(4))), st.integers(1, 4), hashes)
def test_any_bytes_give_a_page_or_this_rooms_error(data: bytes, height: int, name: bytes) -> None:
    """Reading raises this room's error and nothing else."""
    with pytest.raises(LabelIndexError):
        decode_page(data, height, name)


@given(st.integers(1, 4), st.data())
def test_a_page_is_read_as_it_is_written(height: int, data: st.DataObject) -> None:
    """Hashes and places come back."""
    names = b"".join(data.draw(st.lists(hashes, min_size=1 << height, max_size=1 << height)))
    places = data.draw(st.binary(min_size=16 << height, max_size=16 << height))
    page = encode_page(names, places)
    assert len(page) == page_size(height)
    assert decode_page(page, height, root_of(names)) == (names, places)


# Map checkpoints


def test_a_map_checkpoint_is_opened_with_the_logs_key() -> None:
    """It names the log checkpoint that it was made from."""
    read = MapCheckpoint.from_note(CHECKPOINT.to_note([LOG]), LOG.verifier)
    assert read == CHECKPOINT
    assert (read.log.origin, read.log.size, read.depth) == (ORIGIN, 4000, INDEX.depth)


def test_an_auditor_cosigns_the_map() -> None:
    """Whoever made the index anew from the entries signs the same text."""
    note = Note.parse(CHECKPOINT.to_note([LOG, AUDITOR]))
    assert MapCheckpoint.of_note(note, LOG.verifier) == CHECKPOINT
    assert len(note.verified_by([LOG.verifier, AUDITOR.verifier])) == 2


@given(st.data())
def test_a_corrupt_byte_anywhere_in_a_map_checkpoint_is_found(data: st.DataObject) -> None:
    """No byte of a signed map checkpoint is free."""
    broken = bytearray(CHECKPOINT.to_note([LOG]))
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NoteError):
        MapCheckpoint.from_note(bytes(broken), LOG.verifier)


def test_a_log_signs_its_own_map_only() -> None:
    """One log's key cannot speak for another's index."""
    with pytest.raises(CheckpointError, match=r"not of auditor\.example"):
        MapCheckpoint.from_note(CHECKPOINT.to_note([AUDITOR]), AUDITOR.verifier)


def test_neither_checkpoint_passes_for_the_other() -> None:
    """One key signs both, and nobody can mistake them."""
    with pytest.raises(CheckpointError):
        Checkpoint.from_note(CHECKPOINT.to_note([LOG]), LOG.verifier)
    with pytest.raises(CheckpointError):
        MapCheckpoint.from_note(Checkpoint(ORIGIN, 5, bytes(32)).to_note([LOG]), LOG.verifier)


@given(st.integers(1, 10**6), st.integers(0, 10**6), hashes, hashes, st.integers(0, 2**31))
def test_a_map_checkpoint_survives_its_text(labels: int, more: int, root: bytes, log_root: bytes, start: int) -> None:
    """Every map checkpoint has one text."""
    heights = list(page_heights(depth_for(labels, labels + more)))
    place = Place(segment_name(root), start, page_size(heights[0]) if heights else EMPTY_SIZE + 41)
    checkpoint = MapCheckpoint(Checkpoint(ORIGIN, labels + more, log_root), labels, root, place)
    assert MapCheckpoint.parse(checkpoint.text) == checkpoint
    assert MapCheckpoint.parse(checkpoint.text).top == place


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda tail: f"{label_index.FORMAT}\n{tail}"))
def test_any_text_gives_a_map_checkpoint_or_this_rooms_error(text: str) -> None:
    """Reading raises this room's error and nothing else."""
    with pytest.raises(CheckpointError):
        MapCheckpoint.parse(text)


ONE_BUCKET = Place(segment_name(b""), 7, 100)


@pytest.mark.parametrize(
    ("log", "labels", "root", "top"),
    [
        (Checkpoint(ORIGIN, 5, bytes(32)), 6, bytes(32), ONE_BUCKET),
        (Checkpoint(ORIGIN, 5, bytes(32)), 0, bytes(32), NOWHERE),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(31), ONE_BUCKET),
        (Checkpoint(ORIGIN, 5, bytes(32), ("more",)), 5, bytes(32), ONE_BUCKET),
        (Checkpoint(ORIGIN, 0, plain_tree.root([])), 0, bytes(32), ONE_BUCKET),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), NOWHERE),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), ONE_BUCKET._replace(segment=HERE)),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), ONE_BUCKET._replace(segment=b"short")),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), ONE_BUCKET._replace(start=-1)),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), ONE_BUCKET._replace(start=2**32 - 99)),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), ONE_BUCKET._replace(length=EMPTY_SIZE)),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(32), ONE_BUCKET._replace(length=LARGEST_BUCKET + 1)),
        (Checkpoint(ORIGIN, 9999, bytes(32)), 9999, bytes(32), ONE_BUCKET),
    ],
)
def test_a_map_checkpoint_that_contradicts_itself_cannot_exist(
    log: Checkpoint, labels: int, root: bytes, top: Place
) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(CheckpointError):
        MapCheckpoint(log, labels, root, top)


def test_where_an_index_is_is_no_part_of_what_it_says() -> None:
    """An auditor that keeps the same index elsewhere agrees with the log."""
    elsewhere = MapCheckpoint(CHECKPOINT.log, CHECKPOINT.labels, CHECKPOINT.root, CHECKPOINT.top._replace(start=0))
    assert elsewhere == CHECKPOINT
    assert elsewhere.text != CHECKPOINT.text


def test_an_index_is_of_a_checkpoint_of_its_size() -> None:
    """An index cannot be signed for more entries, or fewer, than it has."""
    with pytest.raises(LabelIndexError, match="covers 4000 entries"):
        INDEX.checkpoint(Checkpoint(ORIGIN, 4001, bytes(32)))


def test_a_map_checkpoint_leaves_extension_lines_out() -> None:
    """A log's extension lines are not part of its tree."""
    extended = Checkpoint(ORIGIN, 4000, CHECKPOINT.log.root, ("more",))
    assert INDEX.checkpoint(extended) == CHECKPOINT
