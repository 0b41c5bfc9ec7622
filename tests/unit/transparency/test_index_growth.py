from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import plain_tree
from tests.fakes.index_files import IndexFiles, built
from transparency import index_growth
from transparency.checkpoint import Checkpoint
from transparency.errors import LabelIndexError, TileMissingError
from transparency.index_growth import LabelIndex
from transparency.label_bucket import Bucket, bucket_of
from transparency.label_index import NOWHERE, MapCheckpoint, Place, page_heights, page_size, path_of, read_bucket

ORIGIN = "log.example/1"


def label(name: object) -> bytes:
    """Return the label of this name."""
    return sha256(f"label {name}".encode()).digest()


def checkpoint_of(index: LabelIndex) -> MapCheckpoint:
    """Return the map checkpoint of an index, made from a log of its size."""
    root = sha256(b"root").digest() if index.size else plain_tree.root([])
    return index.checkpoint(Checkpoint(ORIGIN, index.size, root))


def expected(labels: Sequence[bytes]) -> dict[bytes, tuple[int, ...]]:
    """Return the leaves of each label, the plain way."""
    leaves: defaultdict[bytes, list[int]] = defaultdict(list)
    for index, found in enumerate(labels):
        leaves[found].append(index)
    return {found: tuple(indices) for found, indices in leaves.items()}


def found_in(checkpoint: MapCheckpoint, files: IndexFiles) -> dict[bytes, tuple[int, ...]]:
    """Return all leaves that a watcher of every bucket finds."""
    leaves: dict[bytes, tuple[int, ...]] = {}
    for number in range(1 << checkpoint.depth):
        first = (number << (32 - checkpoint.depth)).to_bytes(4, "big") + bytes(28)
        leaves |= read_bucket(checkpoint, first, files.fetch_part).leaves
    return leaves


def extended(index: LabelIndex, labels: Sequence[bytes], files: IndexFiles) -> LabelIndex:
    """Let an index grow, and drop what it needs no longer."""
    grown = index.extend(labels, files.read, files.put)
    for name in index.segments.keys() - grown.segments.keys():
        files.drop(path_of(name))
    return grown


def accounted(index: LabelIndex, files: IndexFiles) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, size and needed bytes of each segment, counted from the places."""
    needed: defaultdict[bytes, int] = defaultdict(int)
    for column in index.places:
        for position in range(len(column) // 16):
            place = Place.at(column, position)
            needed[place.segment] += place.length
    needed.pop(NOWHERE.segment, None)
    yield from ((name, len(files.kept[path_of(name)]), length) for name, length in needed.items() if length)


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have segments so small that an index of some thousand labels has many."""
    monkeypatch.setattr(index_growth, "SEGMENT_SIZE", 10_000)
    monkeypatch.setattr(index_growth, "LEAST_TIDIED", 4000)
    monkeypatch.setattr(index_growth, "_READ_AT_ONCE", 7)


LABELS = [label(number % 2500) for number in range(4000)]


# Building and growing


def test_buckets_are_the_leaves_of_rfc_6962s_tree() -> None:
    """Anybody's Merkle tree code computes the root from the buckets (RFC 6962 §2.1)."""
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    buckets = [index.bucket(number, files.fetch_part) for number in range(1 << index.depth)]
    assert plain_tree.root(buckets) == index.root
    leaves = dict(chain.from_iterable(Bucket.decode(bucket).leaves.items() for bucket in buckets))
    assert leaves == expected(LABELS)


@pytest.mark.usefixtures("small_segments")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=1500), st.lists(st.integers(0, 400), max_size=6))
def test_batches_make_no_difference(names: list[int], batches: list[int]) -> None:
    """An index is its entries: it is the same in whatever steps it grew, wherever its parts may be."""
    labels = [label(name) for name in names]
    index, files = LabelIndex.empty(), IndexFiles()
    for batch in [*batches, len(labels)]:
        index = extended(index, labels[index.size : index.size + batch], files)
    at_once, all_files = built(labels)
    assert index == at_once
    assert index.labels == len(set(labels))
    assert found_in(checkpoint_of(index), files) == expected(labels)
    assert found_in(checkpoint_of(at_once), IndexFiles(all_files)) == expected(labels)
    assert files.sizes().keys() == index.segments.keys()
    assert LabelIndex.load(checkpoint_of(index), files.read, files.sizes()) == index


@pytest.mark.usefixtures("small_segments")
def test_waste_is_bounded_however_long_an_index_grows() -> None:
    """Updates copy what is needed out of old segments, so that these go: little more than twice the index is kept."""
    random = Random(3)  # noqa: S311 - a test's own dice
    index, files = LabelIndex.empty(), IndexFiles()
    labels = [label(number) for number in range(6000)]
    copied = 0
    index = extended(index, labels[:3000], files)
    for start in range(3000, 6000, 20):
        before = sum(files.sizes().values())
        index = extended(index, labels[start : start + 20], files)
        used = index.segments.values()
        assert {(name, use.size, use.needed) for name, use in index.segments.items()} == set(accounted(index, files))
        assert files.sizes() == {name: use.size for name, use in index.segments.items()}
        assert sum(use.size for use in used) <= 2.5 * sum(use.needed for use in used)
        copied += sum(files.sizes().values()) < before
    assert copied > 3
    wanted = random.sample(labels, 20)
    assert all(read_bucket(checkpoint_of(index), one, files.fetch_part).indices_of(one) for one in wanted)
    assert LabelIndex.load(checkpoint_of(index), files.read, files.sizes()).segments == index.segments


def test_an_update_copies_half_of_what_it_writes_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to tidy up, no update takes much longer than another."""
    monkeypatch.setattr(index_growth, "LEAST_TIDIED", 0)
    monkeypatch.setattr(index_growth, "MOST_SEGMENTS", 0)
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    grown = index.extend([label("new")], files.read, files.put)
    assert len(files.asked) == 2  # its own bucket, and another
    assert len(grown.segments) == 2


def test_a_name_is_found_where_a_place_begins() -> None:
    """A segment's name that appears across two places by chance names nothing."""
    places = bytearray(48)
    Place(b"segment1", 5, 6).put(places, 0)
    Place(b"segment1", 7, 8).put(places, 2)
    places[20:28] = b"segment1"
    assert list(index_growth._positions(bytes(places), b"segment1")) == [0, 2]


def test_a_quiet_log_joins_its_small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry at each update makes one small segment, and there are not many of them at any time."""
    monkeypatch.setattr(index_growth, "MOST_SEGMENTS", 20)
    index, files = LabelIndex.empty(), IndexFiles()
    index = extended(index, LABELS[:2000], files)
    for one in LABELS[2000:2200]:
        index = extended(index, [one], files)
        assert len(files.kept) <= 22
    assert found_in(checkpoint_of(index), files) == expected(LABELS[:2200])


def test_an_update_touches_only_the_buckets_of_its_labels() -> None:
    """What an update reads and writes does not grow with the map."""
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    added = [label("new"), label("newer")]
    grown = index.extend(added, files.read, files.put)
    assert len(files.asked) == 2
    (new,) = files.kept.keys() - segments.keys() | {path_of(name) for name in grown.segments.keys() - index.segments}
    buckets = sum(len(grown.bucket(bucket_of(one, index.depth), files.fetch_part)) for one in added)
    assert len(files.kept[new]) == buckets + sum(_pages_above(index.depth, added))


def _pages_above(depth: int, labels: Sequence[bytes]) -> Iterator[int]:
    row = 0
    for height in reversed(list(page_heights(depth))):
        row += height
        yield page_size(height) * len({bucket_of(one, depth) >> row for one in labels})


def test_nothing_new_changes_nothing() -> None:
    """An update without entries writes no file."""
    index, segments = built(LABELS)
    files = IndexFiles(dict(segments))
    assert index.extend([], files.read, files.put) is index
    assert files.kept == segments


def test_an_index_is_a_value() -> None:
    """The index that was extended is still what it was: an update that fails loses nothing."""
    index, segments = built(LABELS)
    files, before = IndexFiles(segments), (index.root, index.places)
    assert index.extend([label("new")], files.read, files.put).root != before[0]
    assert (index.root, index.places) == before


def test_an_update_whose_segment_is_not_written_fails() -> None:
    """Nothing is told of a segment that is not there."""
    index, segments = built(LABELS)

    def full(_path: str, _data: bytes) -> None:
        raise OSError

    with pytest.raises(OSError, match=r"^$"):
        index.extend([label("new")], IndexFiles(segments).read, full)


@pytest.mark.usefixtures("small_segments")
def test_buckets_are_split_with_little_in_memory() -> None:
    """While all buckets are written anew, few are read at once, and each segment is written when it is full."""
    labels = [label(number) for number in range(4100)]
    assert index_growth.depth_for(3900, 3900) < index_growth.depth_for(4100, 4100)
    index, segments = built(labels[:3900])
    files, order = IndexFiles(segments), list[str]()

    def read(path: str, parts: Sequence[tuple[int, int]]) -> list[bytes]:
        order.append("read")
        assert sum(length for _, length in parts) <= 7 * 5000
        return files.read(path, parts)

    def put(path: str, data: bytes) -> None:
        order.append("put")
        assert len(data) <= 10_000
        files.put(path, data)

    grown = index.extend(labels[3900:], read, put)
    assert grown.depth == index.depth + 1
    assert order.count("put") > 15
    assert order[order.index("put") :].count("read") > 15
    assert grown == built(labels)[0]


def test_labels_are_counted_before_an_index_gets_deeper() -> None:
    """Entries under known labels make an index larger by less, and the depth follows from what there really is."""
    labels = [label(number) for number in range(1990)]
    index, segments = built(labels)
    again, fresh = labels[:60], [label(f"fresh {number}") for number in range(60)]
    assert index_growth.depth_for(1990, 2050) < index_growth.depth_for(2050, 2050)
    for added in (again, fresh):
        files = IndexFiles(dict(segments))
        assert index.extend(added, files.read, files.put) == built([*labels, *added])[0]


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_small_index_is_one_bucket(count: int) -> None:
    """Its root is the bucket's hash, and there are no pages."""
    index, segments = built(LABELS[:count])
    files = IndexFiles(segments)
    assert (index.depth, len(files.kept)) == (0, min(count, 1))
    assert LabelIndex.load(checkpoint_of(index), files.read, files.sizes()) == index
    assert len(read_bucket(checkpoint_of(index), LABELS[0], files.fetch_part).leaves) == count


def test_a_sparse_index_has_all_its_pages() -> None:
    """Buckets without labels have no bytes, and still have hashes that lead to the root."""
    few = [label(number % 3) for number in range(20_000)]
    index, segments = built(few)
    assert index.depth == 6
    assert found_in(checkpoint_of(index), IndexFiles(segments)) == expected(few)
    files = IndexFiles()
    assert extended(extended(LabelIndex.empty(), few[:9000], files), few[9000:], files) == index


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_label_has_32_bytes(wrong: bytes) -> None:
    """Anything else is refused."""
    files = IndexFiles()
    with pytest.raises(LabelIndexError, match="32 bytes"):
        LabelIndex.empty().extend([wrong], files.read, files.put)


def test_an_index_has_room_for_as_many_leaves_as_an_sct_can_name() -> None:
    """Indices have 40 bits, as in SCTs (C2SP static-ct-api)."""
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    full = LabelIndex(2**40 - 1, 1, index.rows, index.places, index.segments)
    with pytest.raises(LabelIndexError, match=r"2\*\*40"):
        full.extend([label("one too many")], files.read, files.put)


def test_an_index_is_of_a_checkpoint_of_its_size() -> None:
    """An index cannot be signed for more entries, or fewer, than it has."""
    with pytest.raises(LabelIndexError, match="covers 4000 entries"):
        built(LABELS)[0].checkpoint(Checkpoint(ORIGIN, 4001, bytes(32)))


def test_a_map_checkpoint_leaves_extension_lines_out() -> None:
    """A log's extension lines are not part of its tree."""
    index, _ = built(LABELS)
    checkpoint = checkpoint_of(index)
    assert index.checkpoint(Checkpoint(ORIGIN, 4000, checkpoint.log.root, ("more",))) == checkpoint


# Loading, and what a disk has lost


def test_an_index_is_loaded_from_its_pages() -> None:
    """A server that starts anew reads no bucket."""
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    loaded = LabelIndex.load(checkpoint_of(index), files.read, files.sizes())
    assert (loaded, loaded.places, loaded.segments) == (index, index.places, index.segments)
    assert len(files.asked) < (1 << index.depth) / 8


def test_a_segment_that_is_missing_or_short_is_noticed_at_the_start() -> None:
    """No bucket has to be read to see that it cannot be there."""
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    index = index.extend([label("new")], files.read, files.put)
    for name in index.segments:
        sizes = files.sizes()
        with pytest.raises(LabelIndexError, match="missing, or too short"):
            LabelIndex.load(checkpoint_of(index), files.read, {**sizes, name: sizes[name] // 2})
        del sizes[name]
        with pytest.raises(LabelIndexError, match="missing, or too short"):
            LabelIndex.load(checkpoint_of(index), files.read, sizes)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_corrupt_byte_anywhere_is_found_by_who_reads_all(data: st.DataObject) -> None:
    """Every byte of every segment that is needed belongs to a bucket or a page, and none can change unnoticed."""
    index, segments = built(LABELS)
    files = IndexFiles(segments)
    (path,) = segments
    broken = bytearray(segments[path])
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    files.kept[path] = bytes(broken)

    def read_all() -> None:
        loaded = LabelIndex.load(checkpoint_of(index), files.read, files.sizes())
        for number in range(1 << loaded.depth):
            loaded.bucket(number, files.fetch_part)

    with pytest.raises(LabelIndexError, match="not what its hash"):
        read_all()


def test_a_disk_that_lost_a_write_is_noticed_before_it_is_built_on() -> None:
    """An update reads the buckets that it changes, and trusts none; so it is with those that it copies."""
    index, segments = built(LABELS)
    (path,) = segments
    lost = IndexFiles({path: bytes(len(segments[path]))})
    with pytest.raises(LabelIndexError, match="not what its hash"):
        index.extend([LABELS[0]], lost.read, lost.put)
    with pytest.raises(TileMissingError):
        index.extend([LABELS[0]], IndexFiles().read, lost.put)


def test_a_new_index_asks_for_no_file() -> None:
    """Where nothing can be, nothing is read."""
    with pytest.raises(LabelIndexError, match="without entries has no file"):
        index_growth._no_file("index/segment/aa", [])


# Two indices


def test_two_indices_differ_where_their_buckets_do() -> None:
    """Whoever compares fetches pages where the trees differ, and nowhere else."""
    ours, _ = built(LABELS)
    other = [*LABELS[:-1], label("another")]
    theirs, segments = built(other)
    files = IndexFiles(segments)
    assert ours.depth == theirs.depth
    differing = dict(ours.differing(checkpoint_of(theirs), files.fetch_part))
    assert differing.keys() == {bucket_of(one, ours.depth) for one in (LABELS[-1], other[-1])}
    assert all(theirs.bucket(number, files.fetch_part) == data for number, data in differing.items())
    pages = [length for _, _, length in files.asked if length in {page_size(height) for height in range(1, 5)}]
    assert len(pages) <= 2 * len(list(page_heights(ours.depth)))
    assert list(theirs.differing(checkpoint_of(theirs), files.fetch_part)) == []
