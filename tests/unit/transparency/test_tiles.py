from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import plain_tree
from tests.unit.transparency.strategies import tile_places
from transparency.errors import ProofError, TileError, TileMissingError
from transparency.merkle import (
    EMPTY_ROOT,
    LARGEST_TREE,
    Node,
    consistency_proof,
    inclusion_nodes,
    inclusion_proof,
    leaf_hash,
    tree_head,
    verify_consistency,
    verify_inclusion,
)
from transparency.tiles import (
    ENTRIES,
    LONGEST_ENTRY,
    Frontier,
    TileCache,
    TileCoordinates,
    TileReader,
    decode_bundle,
    edge_of,
    encode_bundle,
    tile_of,
    tiles_for,
    tiles_of_growth,
)

LARGEST = 70_000
LEAVES = [b"leaf %d" % number for number in range(LARGEST)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]
SIZES = (0, 1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, LARGEST)


class Files:
    """The files of a log, and the paths that were asked for."""

    def __init__(self, *sizes: int) -> None:
        """Publish the log at each of these sizes in turn."""
        self.frontier = Frontier()
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []
        for size in sizes:
            self.grow(size)

    def grow(self, size: int) -> None:
        """Publish the log at a larger size."""
        before = self.frontier.size
        growth = self.frontier.append(HASHES[before:size])
        self.files.update((tile.path, data) for tile, data in growth.tiles.items())
        for tile in tiles_of_growth(before, size):
            if tile.level == ENTRIES:
                start = tile.index * 256
                self.files[tile.path] = encode_bundle(LEAVES[start : start + tile.width])
        self.frontier = growth.frontier

    def fetch(self, path: str) -> bytes:
        """Return a file."""
        self.fetched.append(path)
        try:
            return self.files[path]
        except KeyError:
            raise TileMissingError(path) from None

    def reader(self) -> TileReader:
        """Return a reader of the tree as it is."""
        return TileReader(self.fetch, self.frontier.size, self.frontier.root)


@pytest.fixture(scope="module")
def whole() -> Files:
    """Return the log at each of the interesting sizes."""
    return Files(*SIZES)


# Where tiles stand


@given(tile_places)
def test_a_tile_is_found_by_its_path(tile: TileCoordinates) -> None:
    """Every tile has one path, and every path one tile."""
    assert TileCoordinates.parse(tile.path) == tile


@given(st.from_regex(r"\Atile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\.p/[0-9]{1,3})?\Z"))
def test_a_path_that_is_read_is_written_the_same(path: str) -> None:
    """No tile has two paths."""
    try:
        tile = TileCoordinates.parse(path)
    except TileError:
        return
    assert tile.path == path


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (TileCoordinates(0, 1234067), "tile/0/x001/x234/067"),
        (TileCoordinates(ENTRIES, 0, 1), "tile/entries/000.p/1"),
        (TileCoordinates(3, 999), "tile/3/999"),
        (TileCoordinates(3, 1000, 255), "tile/3/x001/000.p/255"),
    ],
)
def test_a_path_is_that_of_c2sp(tile: TileCoordinates, path: str) -> None:
    """Groups of three digits, all but the last after an x (C2SP tlog-tiles)."""
    assert tile.path == path


@pytest.mark.parametrize(
    "place", [(-2, 0, 256), (64, 0, 256), (0, -1, 256), (0, LARGEST_TREE + 1, 256), (0, 0, 0), (0, 0, 257)]
)
def test_a_tile_stands_where_a_path_can_name_it(place: tuple[int, int, int]) -> None:
    """No tile is empty, and none is wider than 256 hashes."""
    with pytest.raises(TileError):
        TileCoordinates(*place)


def test_a_tree_of_70000_leaves_has_the_tiles_that_c2sp_counts() -> None:
    """The example of C2SP tlog-tiles."""
    tiles = [tile for tile in tiles_of_growth(0, 70_000) if tile.level != ENTRIES]
    assert sum(tile.level == 0 and tile.is_full for tile in tiles) == 273
    assert [tile for tile in tiles if not tile.is_full] == [
        TileCoordinates(0, 273, 112),
        TileCoordinates(1, 1, 17),
        TileCoordinates(2, 0, 1),
    ]
    assert sum(tile.level == 1 and tile.is_full for tile in tiles) == 1


def test_a_tree_of_256_leaves_has_a_full_tile_and_its_root() -> None:
    """The other example of C2SP tlog-tiles."""
    tiles = [tile for tile in tiles_of_growth(0, 256) if tile.level != ENTRIES]
    assert tiles == [TileCoordinates(0, 0), TileCoordinates(1, 0, 1)]
    assert edge_of(256) == (TileCoordinates(1, 0, 1),)


def test_a_full_tile_is_full() -> None:
    """The full tile of a partial one is at the same place."""
    assert TileCoordinates(1, 2, 3).full == TileCoordinates(1, 2)


@pytest.mark.parametrize("place", [(0, 2, 512), (1, 0, 255), (0, 0, 0), (ENTRIES, 1, 256)])
def test_a_tree_has_no_tile_behind_its_edge(place: tuple[int, int, int]) -> None:
    """What the tree does not have cannot be asked for."""
    with pytest.raises(TileError):
        tile_of(*place)


# Writing


@pytest.mark.parametrize("size", SIZES)
def test_a_frontier_knows_the_root(size: int) -> None:
    """However the leaves came, the root is that of RFC 6962 §2.1."""
    assert Files(size).frontier.root == plain_tree.root(LEAVES[:size])


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0, 1, 2, 100, 255, 256, 257, 1000]), max_size=12))
def test_batches_make_no_difference(batches: list[int]) -> None:
    """A tree is its leaves: nothing tells in how many batches they came."""
    grown = Files()
    for batch in batches:
        grown.grow(grown.frontier.size + batch)
    at_once = Files(grown.frontier.size)
    assert grown.frontier == at_once.frontier
    assert at_once.files.items() <= grown.files.items()


@settings(max_examples=30)
@given(st.integers(0, 1200), st.integers(0, 1200))
def test_appending_makes_the_tiles_of_the_growth(before: int, more: int) -> None:
    """No tile is made twice at one width, and none is left out."""
    frontier = Frontier().append(HASHES[:before]).frontier
    growth = frontier.append(HASHES[before : before + more])
    expected = {tile for tile in tiles_of_growth(before, before + more) if tile.level != ENTRIES}
    assert growth.tiles.keys() == expected
    assert all(len(data) == tile.width * 32 for tile, data in growth.tiles.items())


@pytest.mark.parametrize("size", SIZES)
def test_a_frontier_is_loaded_from_the_partial_tiles(size: int) -> None:
    """A sequencer that starts anew reads a few small files."""
    files = Files(size)
    assert Frontier.load(size, files.fetch) == files.frontier
    assert len(files.fetched) <= 3


def test_a_frontier_is_loaded_where_partial_tiles_are_gone() -> None:
    """A log may delete a partial tile once the full one is there (C2SP tlog-tiles)."""
    files = Files(255, 256)
    del files.files["tile/0/000.p/255"]
    assert Frontier.load(255, files.fetch) == Files(255).frontier


@pytest.mark.parametrize(
    ("size", "edge"),
    [
        (0, (b"",)),
        (1, ()),
        (1, (bytes(31),)),
        (1, (bytes(64),)),
        (1, (bytes(32), b"")),
        (256, (bytes(32),)),
        (257, (bytes(32),)),
        (-1, ()),
        (LARGEST_TREE + 1, ()),
    ],
)
def test_a_frontier_has_the_widths_of_its_size(size: int, edge: tuple[bytes, ...]) -> None:
    """An edge of another size would write tiles of no tree."""
    with pytest.raises(TileError, match="partial tiles"):
        Frontier(size, edge)


@pytest.mark.parametrize("wrong", [b"", bytes(31), bytes(64)])
def test_leaves_are_appended_by_their_hashes(wrong: bytes) -> None:
    """Anything but a hash is refused."""
    with pytest.raises(TileError, match="32 bytes"):
        Frontier().append([bytes(32), wrong])


# Reading


def test_an_empty_tree_is_read_without_a_file() -> None:
    """There is nothing to fetch."""
    files = Files()
    assert tree_head(files.reader(), 0) == EMPTY_ROOT
    assert files.fetched == []


@settings(max_examples=40)
@given(index=st.integers(0, LARGEST - 1))
def test_an_inclusion_proof_is_made_from_tiles(whole: Files, index: int) -> None:
    """The tiles of a log are enough for every proof."""
    proof = inclusion_proof(whole.reader(), index, LARGEST)
    verify_inclusion(index, LARGEST, HASHES[index], proof, whole.frontier.root)


@pytest.mark.parametrize("size", SIZES)
def test_a_consistency_proof_is_made_from_tiles(whole: Files, size: int) -> None:
    """Whoever knew an older tree is shown that the log only grew."""
    proof = consistency_proof(whole.reader(), size, LARGEST)
    verify_consistency(size, LARGEST, proof, Files(size).frontier.root, whole.frontier.root)


@settings(max_examples=40)
@given(index=st.integers(0, LARGEST - 1))
def test_the_tiles_that_are_needed_are_known_beforehand(whole: Files, index: int) -> None:
    """Whoever is far away fetches them all at once."""
    nodes = [node for part in inclusion_nodes(index, LARGEST) for node in part]
    paths = {tile.path for tile in tiles_for(nodes, LARGEST)}
    whole.fetched.clear()
    inclusion_proof(whole.reader(), index, LARGEST)
    assert set(whole.fetched) <= paths
    assert len(paths) <= 6


def test_a_tile_is_fetched_once(whole: Files) -> None:
    """A reader remembers what it has verified."""
    reader = whole.reader()
    whole.fetched.clear()
    for index in range(300):
        inclusion_proof(reader, index, LARGEST)
    assert len(whole.fetched) == len(set(whole.fetched))


def test_the_next_tree_is_read_with_the_same_cache() -> None:
    """Full tiles do not change: the reader of a larger tree needs the edge only."""
    files, cache = Files(1000), TileCache()
    inclusion_proof(TileReader(files.fetch, 1000, files.frontier.root, cache), 3, 1000)
    files.grow(1100)
    files.fetched.clear()
    proof = inclusion_proof(TileReader(files.fetch, 1100, files.frontier.root, cache), 3, 1100)
    verify_inclusion(3, 1100, HASHES[3], proof, files.frontier.root)
    assert set(files.fetched) == {tile.path for tile in edge_of(1100)}


def test_a_cache_does_not_outlive_the_truth() -> None:
    """A tile that was right in one tree is held to the root of the next."""
    files, cache = Files(1000), TileCache()
    inclusion_proof(TileReader(files.fetch, 1000, files.frontier.root, cache), 3, 1000)
    other = Frontier().append([leaf_hash(b"another"), *HASHES[1:1000]])
    files.files.update((tile.path, data) for tile, data in other.tiles.items())
    with pytest.raises(ProofError, match="tile/0/000 does not belong"):
        inclusion_proof(TileReader(files.fetch, 1000, other.frontier.root, cache), 3, 1000)


def test_a_cache_forgets_what_was_not_used() -> None:
    """Memory stays bounded, however much is read."""
    files, cache = Files(256 * 4), TileCache(capacity=2)
    reader = TileReader(files.fetch, files.frontier.size, files.frontier.root, cache)

    def read(tile: int) -> list[str]:
        files.fetched.clear()
        reader.read([Node(0, tile * 256)])
        return [path for path in files.fetched if path.startswith("tile/0/")]

    assert [read(tile) for tile in (0, 1, 0, 2, 0, 1)] == [
        ["tile/0/000"],
        ["tile/0/001"],
        [],
        ["tile/0/002"],
        [],
        ["tile/0/001"],
    ]


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one(whole: Files) -> None:
    """A log may delete a partial tile once the full one is there (C2SP tlog-tiles)."""
    small = Files(255)
    del small.files["tile/0/000.p/255"], small.files["tile/entries/000.p/255"]
    small.files["tile/0/000"] = whole.files["tile/0/000"]
    small.files["tile/entries/000"] = whole.files["tile/entries/000"]
    assert tree_head(small.reader(), 255) == small.frontier.root
    assert small.reader().read_bundle(0) == tuple(LEAVES[:255])


@pytest.mark.parametrize("path", ["tile/0/000", "tile/entries/000", "tile/1/000.p/3"])
def test_a_tile_that_is_missing_is_an_error(path: str) -> None:
    """A log that hides a file is caught."""
    files = Files(800)
    del files.files[path]
    with pytest.raises(TileMissingError):
        files.reader().read_entry(7)


@pytest.mark.parametrize("node", [Node(0, 800), Node(8, 3), Node(10, 0), Node(63, 0)])
def test_only_complete_subtrees_of_the_tree_are_read(node: Node) -> None:
    """A hash that the tree does not have yet is no hash of it."""
    with pytest.raises(ProofError, match="no complete subtree"):
        Files(800).reader().read([node])


@pytest.mark.parametrize("size", [257, 512, 800])
@pytest.mark.parametrize(
    "alter",
    [lambda data: data[:-1], lambda data: data + bytes(32), lambda _: b""],
    ids=["a byte less", "a hash more", "nothing"],
)
def test_a_tile_of_another_size_is_refused(size: int, alter: Callable[[bytes], bytes]) -> None:
    """A tile has as many hashes as its path says, and a bundle as many entries."""
    for tile in tiles_of_growth(0, size):
        files = Files(size)
        files.files[tile.path] = alter(files.files[tile.path])
        with pytest.raises(TileError):
            read_everything(files)


def read_everything(files: Files) -> None:
    """Read every entry, and so every tile above it."""
    reader = files.reader()
    for bundle in range(-(-files.frontier.size // 256)):
        reader.read_bundle(bundle)


@settings(max_examples=60)
@given(st.sampled_from([300, 512, 800]), st.data())
def test_a_corrupt_byte_in_any_file_is_found(size: int, data: st.DataObject) -> None:
    """No file of a log can change without somebody noticing who reads all of it."""
    files = Files(size)
    path = data.draw(st.sampled_from(sorted(files.files)))
    changed = bytearray(files.files[path])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    files.files[path] = bytes(changed)
    with pytest.raises((ProofError, TileError)):
        read_everything(files)


def test_entries_are_read_from_bundles(whole: Files) -> None:
    """An entry is held to its leaf's hash."""
    reader = whole.reader()
    assert [reader.read_entry(index) for index in (0, 255, 256, 69_999)] == [
        LEAVES[index] for index in (0, 255, 256, 69_999)
    ]


@pytest.mark.parametrize("index", [-1, 274])
def test_there_are_no_entries_behind_the_edge(whole: Files, index: int) -> None:
    """What the tree does not have cannot be asked for."""
    with pytest.raises(TileError):
        whole.reader().read_bundle(index)


# Bundles


@given(st.lists(st.binary(max_size=300), max_size=300))
def test_a_bundle_survives_its_bytes(entries: list[bytes]) -> None:
    """Entries come back as they went in."""
    assert decode_bundle(encode_bundle(entries), len(entries)) == tuple(entries)


@given(st.binary(max_size=60), st.integers(0, 20))
def test_any_bytes_give_a_bundle_or_this_rooms_error(data: bytes, width: int) -> None:
    """What is read as a bundle is written as the same bytes."""
    try:
        entries = decode_bundle(data, width)
    except TileError:
        return
    assert encode_bundle(entries) == data


def test_an_entry_fits_its_length() -> None:
    """An entry that is too long for a bundle is refused when it is written."""
    assert decode_bundle(encode_bundle([bytes(LONGEST_ENTRY)]), 1) == (bytes(LONGEST_ENTRY),)
    with pytest.raises(TileError, match="at most 65535 bytes"):
        encode_bundle([bytes(LONGEST_ENTRY + 1)])
