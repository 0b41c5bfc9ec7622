from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import plain_tree
from tests.unit.transparency.strategies import hashes
from transparency import label_index
from transparency.checkpoint import Checkpoint
from transparency.errors import CheckpointError, LabelIndexError, NoteError, TileMissingError
from transparency.label_index import (
    GREATEST_DEPTH,
    LARGEST_BUCKET,
    MEAN_BUCKET,
    Bucket,
    IndexGrowth,
    LabelIndex,
    MapCheckpoint,
    bucket_of,
    depth_for,
    path_of,
    read_bucket,
)
from transparency.signed_note import Ed25519Signer, Note

ORIGIN = "log.example/1"
LOG = Ed25519Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
AUDITOR = Ed25519Signer("auditor.example", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def label(name: object) -> bytes:
    """Return the label of this name."""
    return sha256(f"label {name}".encode()).digest()


class Files:
    """The files of an index, and which were asked for."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def fetch(self, path: str) -> bytes:
        """Return a file."""
        self.fetched.append(path)
        try:
            return self.files[path]
        except KeyError:
            raise TileMissingError(path) from None

    def take(self, growth: IndexGrowth) -> LabelIndex:
        """Hold what an index needs, and nothing else."""
        for path in growth.obsolete - growth.files.keys():
            self.files.pop(path, None)
        self.files.update(growth.files)
        return growth.index


def built(labels: Sequence[bytes]) -> tuple[LabelIndex, Files]:
    """Return the index of these entries, and its files."""
    files = Files()
    return files.take(LabelIndex.build(labels)), files


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


LABELS = [label(number % 2500) for number in range(4000)]
INDEX, FILES = built(LABELS)
CHECKPOINT = checkpoint_of(INDEX)


# Building and growing


def test_every_label_is_found_with_all_its_leaves() -> None:
    """Membership: the owner sees each entry of its number."""
    assert INDEX.depth > 4
    for found, indices in expected(LABELS).items():
        assert read_bucket(CHECKPOINT, found, FILES.fetch).indices_of(found) == indices


def test_a_label_that_is_not_there_is_shown_not_to_be() -> None:
    """Absence: a whole bucket leaves no room for what it does not show."""
    for number in range(50):
        other = label(f"other {number}")
        assert read_bucket(CHECKPOINT, other, FILES.fetch).indices_of(other) == ()


def test_buckets_are_the_leaves_of_rfc_6962s_tree() -> None:
    """Anybody's Merkle tree code computes the root from the buckets (RFC 6962 §2.1)."""
    buckets = [_bucket_bytes(INDEX.depth, number, LABELS) for number in range(1 << INDEX.depth)]
    assert plain_tree.root(buckets) == INDEX.root
    assert {path_of(sha256(b"\x00" + bucket).digest()) for bucket in buckets} <= FILES.files.keys()


def _bucket_bytes(depth: int, number: int, labels: Sequence[bytes]) -> bytes:
    """Return a bucket, put together by hand."""
    leaves = sorted((found, places) for found, places in expected(labels).items() if bucket_of(found, depth) == number)
    head = bytes([1, depth]) + number.to_bytes(4, "big") + len(leaves).to_bytes(4, "big")
    counts = b"".join(len(places).to_bytes(4, "big") for _, places in leaves)
    return (
        head
        + b"".join(found for found, _ in leaves)
        + counts
        + b"".join(place.to_bytes(5, "big") for _, places in leaves for place in places)
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=1500), st.lists(st.integers(0, 400), max_size=6))
def test_batches_make_no_difference(names: list[int], batches: list[int]) -> None:
    """An index is its entries: it is the same in whatever steps it grew, and so are its files."""
    labels = [label(name) for name in names]
    index, files = LabelIndex.empty(), Files()
    for batch in [*batches, len(labels)]:
        index = files.take(index.extend(labels[index.size : index.size + batch], files.fetch))
    at_once, all_files = built(labels)
    assert index == at_once
    assert index.labels == len(set(labels))
    reachable = _reachable(checkpoint_of(index), files)
    assert reachable == _reachable(checkpoint_of(at_once), all_files)
    assert reachable == expected(labels)


def _reachable(checkpoint: MapCheckpoint, files: Files) -> dict[bytes, tuple[int, ...]]:
    """Return all leaves that a watcher of every bucket finds."""
    leaves: dict[bytes, tuple[int, ...]] = {}
    for number in range(1 << checkpoint.depth):
        first = (number << (32 - checkpoint.depth)).to_bytes(4, "big") + bytes(28)
        leaves |= read_bucket(checkpoint, first, files.fetch).leaves
    return leaves


def test_obsolete_files_are_those_that_nothing_names() -> None:
    """After an update, what is left is what the new root leads to, and nothing more."""
    index, files = LabelIndex.empty(), Files()
    for start in range(0, 4000, 400):
        index = files.take(index.extend(LABELS[start : start + 400], files.fetch))
        files.fetched.clear()
        _reachable(checkpoint_of(index), files)
        assert set(files.fetched) == files.files.keys()


def test_an_update_touches_only_the_buckets_of_its_labels() -> None:
    """What an update reads and writes does not grow with the map."""
    FILES.fetched.clear()
    growth = INDEX.extend([label("new"), label("newer")], FILES.fetch)
    assert len(FILES.fetched) == 2
    assert len(growth.files) == len(growth.obsolete) == 2 + _nodes_above(INDEX.depth, label("new"), label("newer"))
    assert not growth.obsolete & growth.files.keys()


def _nodes_above(depth: int, *labels: bytes) -> int:
    rows = [*range(4, depth, 4), depth]
    return sum(len({bucket_of(found, depth) >> row for found in labels}) for row in rows)


def test_nothing_new_changes_nothing() -> None:
    """An update without entries writes no file."""
    growth = INDEX.extend([], FILES.fetch)
    assert growth == IndexGrowth(INDEX, {}, frozenset())


def test_an_index_is_a_value() -> None:
    """The index that was extended is still what it was: an update that fails loses nothing."""
    before = INDEX.root
    assert INDEX.extend([label("new")], FILES.fetch).index.root != before
    assert INDEX.root == before


def test_an_index_is_loaded_from_its_files() -> None:
    """A server that starts anew reads node files only."""
    FILES.fetched.clear()
    assert LabelIndex.load(CHECKPOINT, FILES.fetch) == INDEX
    assert len(FILES.fetched) < (1 << INDEX.depth) / 8


@pytest.mark.parametrize("count", [0, 1, 30])
def test_a_small_index_is_one_bucket(count: int) -> None:
    """Its root is the bucket's hash, and there are no nodes."""
    index, files = built(LABELS[:count])
    assert (index.depth, len(files.files)) == (0, min(count, 1))
    assert LabelIndex.load(checkpoint_of(index), files.fetch) == index
    assert len(read_bucket(checkpoint_of(index), LABELS[0], files.fetch).leaves) == count


def test_a_sparse_index_has_all_its_nodes() -> None:
    """Buckets without labels have no files, and still have hashes that lead to the root."""
    few = [label(number % 3) for number in range(20_000)]
    index, files = built(few)
    assert index.depth == 6
    assert _reachable(checkpoint_of(index), files) == expected(few)


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(33)])
def test_a_label_has_32_bytes(wrong: bytes) -> None:
    """Anything else is refused."""
    with pytest.raises(LabelIndexError, match="32 bytes"):
        INDEX.extend([wrong], FILES.fetch)
    with pytest.raises(LabelIndexError, match="32 bytes"):
        read_bucket(CHECKPOINT, wrong, FILES.fetch)


def test_an_index_has_room_for_as_many_leaves_as_an_sct_can_name() -> None:
    """Indices have 40 bits, as in SCTs (C2SP static-ct-api)."""
    full = LabelIndex(2**40 - 1, 1, INDEX.rows)
    with pytest.raises(LabelIndexError, match=r"2\*\*40"):
        full.extend([label("one too many")], FILES.fetch)


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
    """The way to a bucket and the bucket fit in 8 kB, by the sizes that follow from the depth."""
    depth = depth_for(4_000_000, 4_000_000)
    nodes = depth // 4 * 512 + (32 << depth % 4 if depth % 4 else 0)
    mean = 4_000_000 / 2**depth
    fullest = mean + 6 * mean**0.5
    assert nodes + 10 + 41 * fullest + 600 <= 8192


# Lies


@settings(max_examples=100)
@given(st.data())
def test_a_corrupt_byte_in_any_file_is_found(data: st.DataObject) -> None:
    """No file of an index can change without its watchers noticing."""
    wanted = data.draw(st.sampled_from(LABELS))
    FILES.fetched.clear()
    read_bucket(CHECKPOINT, wanted, FILES.fetch)
    path = data.draw(st.sampled_from(FILES.fetched))
    broken = bytearray(FILES.files[path])
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(LabelIndexError, match="not what its name says"):
        read_bucket(CHECKPOINT, wanted, (FILES.files | {path: bytes(broken)}).__getitem__)


@pytest.mark.parametrize("alter", [lambda data: data[:-1], lambda data: data + b"\0", lambda _: b""])
def test_a_file_of_another_length_is_found(alter: object) -> None:
    """A name is of the whole file."""
    FILES.fetched.clear()
    read_bucket(CHECKPOINT, LABELS[0], FILES.fetch)
    for path in set(FILES.fetched):
        changed = FILES.files | {path: alter(FILES.files[path])}  # type: ignore[operator]
        with pytest.raises(LabelIndexError, match="not what its name says"):
            read_bucket(CHECKPOINT, LABELS[0], changed.__getitem__)


def test_a_watcher_is_not_given_another_bucket() -> None:
    """A log that puts a bucket in another's place is caught, though its own root says so."""
    numbers = [bucket_of(found, INDEX.depth) for found in LABELS]
    wrong = _bucket_bytes(INDEX.depth, numbers[0] ^ 1, LABELS)
    rows = [bytes(row) for row in INDEX.rows]
    leaves = bytearray(rows[0])
    leaves[numbers[0] * 32 : numbers[0] * 32 + 32] = sha256(b"\x00" + wrong).digest()
    lying = LabelIndex(INDEX.size, INDEX.labels, label_index._rows(bytes(leaves)))
    files = FILES.files | lying.node_files(range(1 << INDEX.depth))
    with pytest.raises(LabelIndexError, match="not what its name says"):
        read_bucket(checkpoint_of(lying), LABELS[0], files.__getitem__)


def test_an_index_names_leaves_of_its_log_only() -> None:
    """A leaf that the log's checkpoint does not have cannot be looked at."""
    index, files = built(LABELS[:30])
    early = MapCheckpoint(Checkpoint(ORIGIN, 29, bytes(32)), 29, index.root)
    with pytest.raises(LabelIndexError, match="does not have yet"):
        read_bucket(early, LABELS[0], files.fetch)


def test_a_disk_that_lost_a_write_is_noticed_before_it_is_built_on() -> None:
    """An update reads the buckets that it changes, and trusts none."""
    path = path_of(INDEX.rows[0][:32])
    target = next(found for found in LABELS if bucket_of(found, INDEX.depth) == 0)
    rolled_back = FILES.files | {path: _bucket_bytes(INDEX.depth, 0, LABELS[:100])}
    with pytest.raises(LabelIndexError, match="not what its name says"):
        INDEX.extend([target], rolled_back.__getitem__)


def test_a_node_of_another_index_is_not_loaded() -> None:
    """A server that starts from the wrong files says so."""
    path = path_of(INDEX.root)
    with pytest.raises(LabelIndexError, match="not what its name says"):
        LabelIndex.load(CHECKPOINT, (FILES.files | {path: bytes(len(FILES.files[path]))}).__getitem__)


def test_a_new_index_asks_for_no_file() -> None:
    """Where nothing can be, nothing is read."""
    with pytest.raises(LabelIndexError, match="without entries has no file"):
        label_index._no_file("index/aa/bb")


# Buckets


@given(st.binary(max_size=120) | st.binary(max_size=100).map(lambda tail: b"\x01\x00" + bytes(4) + tail))
def test_any_bytes_give_a_bucket_or_this_rooms_error(data: bytes) -> None:
    """Reading raises this room's error and nothing else."""
    try:
        bucket = Bucket.decode(data)
    except LabelIndexError:
        return
    assert bucket_of(min(bucket.leaves, default=bytes(32)), bucket.depth) == bucket.number or not bucket.leaves


@settings(max_examples=50)
@given(st.lists(st.tuples(hashes, st.sets(st.integers(0, 2**40 - 1), min_size=1, max_size=4)), max_size=8))
def test_a_bucket_is_read_as_it_is_written(pairs: list[tuple[bytes, set[int]]]) -> None:
    """Labels and indices come back sorted, as they must be."""
    leaves = {found: tuple(sorted(places)) for found, places in sorted(pairs)}
    columns = (
        b"".join(leaves),
        [len(places) for places in leaves.values()],
        b"".join(place.to_bytes(5, "big") for places in leaves.values() for place in places),
    )
    bucket = Bucket.decode(label_index._Columns(0, 0, *columns).encode())
    assert bucket == Bucket(0, 0, leaves)


def test_a_bucket_speaks_for_its_own_labels_only() -> None:
    """Of another bucket's labels it says nothing, not even that they are absent."""
    bucket = Bucket(1, 0, {})
    assert bucket.indices_of(bytes(32)) == ()
    with pytest.raises(LabelIndexError, match="another bucket"):
        bucket.indices_of(b"\xff" * 32)


def test_a_bucket_has_an_end() -> None:
    """A watcher reads no more than 4 MiB."""
    with pytest.raises(LabelIndexError, match="at most"):
        Bucket.decode(bytes(LARGEST_BUCKET + 1))


def test_a_number_with_very_many_certificates_makes_its_own_bucket_large_only() -> None:
    """An attacker that floods one number's label costs its neighbours one bucket's worth of bytes."""
    random = Random(5)  # noqa: S311 - a test's own dice
    labels = [label("flooded") if random.random() < 0.5 else label(number) for number in range(4000)]
    index, files = built(labels)
    sizes = [len(data) for data in files.files.values() if data[:2] == bytes([1, index.depth])]
    assert sorted(size > 8192 for size in sizes) == [*[False] * (len(sizes) - 1), True]


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


@given(st.integers(0, 10**6), st.integers(0, 10**6), hashes, hashes)
def test_a_map_checkpoint_survives_its_text(labels: int, more: int, root: bytes, log_root: bytes) -> None:
    """Every map checkpoint has one text."""
    if labels == 0:
        return
    checkpoint = MapCheckpoint(Checkpoint(ORIGIN, labels + more, log_root), labels, root)
    assert MapCheckpoint.parse(checkpoint.text) == checkpoint


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda tail: f"{label_index.FORMAT}\n{tail}"))
def test_any_text_gives_a_map_checkpoint_or_this_rooms_error(text: str) -> None:
    """Reading raises this room's error and nothing else."""
    with pytest.raises(CheckpointError):
        MapCheckpoint.parse(text)


@pytest.mark.parametrize(
    ("log", "labels", "root"),
    [
        (Checkpoint(ORIGIN, 5, bytes(32)), 6, bytes(32)),
        (Checkpoint(ORIGIN, 5, bytes(32)), 0, bytes(32)),
        (Checkpoint(ORIGIN, 5, bytes(32)), 5, bytes(31)),
        (Checkpoint(ORIGIN, 5, bytes(32), ("more",)), 5, bytes(32)),
    ],
)
def test_a_map_checkpoint_that_contradicts_itself_cannot_exist(log: Checkpoint, labels: int, root: bytes) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(CheckpointError):
        MapCheckpoint(log, labels, root)


def test_an_index_is_of_a_checkpoint_of_its_size() -> None:
    """An index cannot be signed for more entries, or fewer, than it has."""
    with pytest.raises(LabelIndexError, match="covers 4000 entries"):
        INDEX.checkpoint(Checkpoint(ORIGIN, 4001, bytes(32)))


def test_a_map_checkpoint_leaves_extension_lines_out() -> None:
    """A log's extension lines are not part of its tree."""
    extended = Checkpoint(ORIGIN, 4000, CHECKPOINT.log.root, ("more",))
    assert INDEX.checkpoint(extended) == CHECKPOINT
