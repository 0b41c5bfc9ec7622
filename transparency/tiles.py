"""A log's tree and entries as static files: tiles of 256 hashes, and bundles of 256 entries (C2SP tlog-tiles).

`Frontier` is the writer's side: what a sequencer must remember of a tree to append to it. `TileReader` is the reader's:
it holds every tile that it fetches to the tree's root before it believes one of its hashes.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from transparency.errors import ProofError, TileError, TileMissingError
from transparency.merkle import EMPTY_ROOT, HASH_SIZE, LARGEST_TREE, Node, fold, leaf_hash, nodes_of_range, pair_up

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 256
TILE_SIZE: Final = TILE_WIDTH * HASH_SIZE
ENTRIES: Final = -1
"""The level at which entry bundles stand: below that of the leaves' hashes."""
LONGEST_ENTRY: Final = 2**16 - 1
"""Bytes that an entry may have in a bundle."""

_HIGHEST_LEVEL = 63
_LENGTH_SIZE = 2
_GROUP = 3  # digits of an index in each part of a path
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)

Fetch = Callable[[str], bytes]
"""Returns the file at a path such as `tile/0/000`; raises TileMissingError where there is none."""


@dataclass(frozen=True, slots=True, order=True)
class TileCoordinates:
    """Where a tile stands: its level, its index in the level, and its width where it is not yet full.

    Level `ENTRIES` is that of the entry bundles. Raises TileError for a place that no tree has.
    """

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        """Refuse what no path can name."""
        if not ENTRIES <= self.level <= _HIGHEST_LEVEL or not 0 <= self.index <= LARGEST_TREE:
            msg = "a tile's level is 0 to 63 and its index is 0 or more (C2SP tlog-tiles)"
            raise TileError(msg)
        if not 1 <= self.width <= TILE_WIDTH:
            msg = f"a tile has 1 to {TILE_WIDTH} hashes"
            raise TileError(msg)

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read a path such as `tile/0/x001/x234/067.p/112`; there is one path to each tile."""
        match = _PATH.fullmatch(path)
        if match is None:
            msg = "a tile's path is tile/<level>/<index>[.p/<width>] (C2SP tlog-tiles)"
            raise TileError(msg)
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        tile = cls(level, index, int(match["width"] or TILE_WIDTH))
        if tile.path != path:
            msg = "a tile's path has no leading zeroes, and no width where the tile is full (C2SP tlog-tiles)"
            raise TileError(msg)
        return tile

    @property
    def path(self) -> str:
        """The tile's path below the log's prefix."""
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"tile/{level}/{_index_path(self.index)}{'' if self.is_full else f'.p/{self.width}'}"

    @property
    def is_full(self) -> bool:
        """Whether the tile has all its 256 hashes or entries, and will never change."""
        return self.width == TILE_WIDTH

    @property
    def full(self) -> TileCoordinates:
        """The same place when all its hashes are there."""
        return TileCoordinates(self.level, self.index)


def tile_of(level: int, index: int, size: int) -> TileCoordinates:
    """Return a tile's coordinates in the tree of `size` leaves: full, or as wide as the tree is there.

    Raises TileError where the tree has nothing at that place.
    """
    hashes = size >> (TILE_HEIGHT * max(level, 0))
    return TileCoordinates(level, index, min(hashes - index * TILE_WIDTH, TILE_WIDTH))


def tiles_of_growth(old_size: int, new_size: int) -> Iterator[TileCoordinates]:
    """Yield the tiles and entry bundles that the tree of `new_size` leaves has and that of `old_size` lacks.

    From an old size of 0, these are all that the tree has.
    """
    yield from _level_of_growth(ENTRIES, old_size, new_size)
    level = 0
    while new_size >> (TILE_HEIGHT * level):
        shift = TILE_HEIGHT * level
        yield from _level_of_growth(level, old_size >> shift, new_size >> shift)
        level += 1


def _level_of_growth(level: int, old: int, new: int) -> Iterator[TileCoordinates]:
    for index in range(old // TILE_WIDTH, -(-new // TILE_WIDTH)):
        width = min(new - index * TILE_WIDTH, TILE_WIDTH)
        if index * TILE_WIDTH + width > old:
            yield TileCoordinates(level, index, width)


def edge_of(size: int) -> tuple[TileCoordinates, ...]:
    """Return the partial tiles at the right edge of the tree of `size` leaves, from the leaves up."""
    edge = []
    level = 0
    while size:
        if size % TILE_WIDTH:
            edge.append(TileCoordinates(level, size // TILE_WIDTH, size % TILE_WIDTH))
        level, size = level + 1, size // TILE_WIDTH
    return tuple(edge)


def tiles_for(nodes: Iterable[Node], size: int) -> tuple[TileCoordinates, ...]:
    """Return the tiles that show the hashes of `nodes` in the tree of `size` leaves and lead from there to its root.

    Whoever fetches from afar can fetch them all at once.
    """
    tiles = set(edge_of(size))
    for node in nodes:
        level, index, _ = _place(node)
        tile = tile_of(level, index, size)
        while tile not in tiles:  # a full tile stands in its parent, up to the edge
            tiles.add(tile)
            tile = tile_of(tile.level + 1, tile.index // TILE_WIDTH, size)
    return tuple(sorted(tiles))


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return an entry bundle: each entry after its length in 2 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > LONGEST_ENTRY:
            msg = f"an entry has at most {LONGEST_ENTRY} bytes"
            raise TileError(msg)
        parts += (len(entry).to_bytes(_LENGTH_SIZE, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int = TILE_WIDTH) -> tuple[bytes, ...]:
    """Read the `width` entries of a bundle; refuse fewer, more, and half ones."""
    entries = []
    start = 0
    while start < len(data):
        begin = start + _LENGTH_SIZE
        end = begin + int.from_bytes(data[start:begin], "big")
        if begin > len(data) or end > len(data):
            msg = "the entry bundle ends within an entry"
            raise TileError(msg)
        entries.append(data[begin:end])
        start = end
    if len(entries) != width:
        msg = f"the entry bundle has {len(entries)} entries instead of {width}"
        raise TileError(msg)
    return tuple(entries)


@dataclass(frozen=True, slots=True)
class Growth:
    """What appending to a tree makes: the frontier behind the last leaf, and the hash tiles that are new.

    A partial tile that grew is among them at its new width.
    """

    frontier: Frontier
    tiles: dict[TileCoordinates, bytes]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that must be known to append to it, and to tell its root.

    `edge` has the hashes of the rightmost partial tile of each level, from the leaves up, empty where there is none.
    Its top is never empty. Raises TileError where the edge is not that of a tree of `size` leaves.
    """

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Hold the edge's widths to the tree's size."""
        size, widths = self.size, []
        while size > 0:
            widths.append(size % TILE_WIDTH * HASH_SIZE)
            size //= TILE_WIDTH
        if not 0 <= self.size <= LARGEST_TREE or [len(hashes) for hashes in self.edge] != widths:
            msg = f"these are not the partial tiles of a tree of {self.size} leaves"
            raise TileError(msg)

    @classmethod
    def load(cls, size: int, fetch: Fetch) -> Self:
        """Return the frontier of the tree of `size` leaves from its partial tiles; compare its root afterwards."""
        edge = {tile.level: _fetch_partial(fetch, tile) for tile in edge_of(size)}
        return cls(size, tuple(edge.get(level, b"") for level in range(max(edge, default=-1) + 1)))

    @property
    def root(self) -> bytes:
        """The tree's root hash."""
        return _edge_root(self.size, [_Tree(hashes) for hashes in self.edge])

    def append(self, leaf_hashes: Sequence[bytes]) -> Growth:
        """Return the tree with more leaves, given by their hashes, and the tiles that this makes."""
        added = b"".join(leaf_hashes)
        if len(added) != len(leaf_hashes) * HASH_SIZE:
            msg = f"a leaf's hash has {HASH_SIZE} bytes"
            raise TileError(msg)
        tiles: dict[TileCoordinates, bytes] = {}
        edge = []
        before, level = self.size, 0
        while added or level < len(self.edge):
            index = before // TILE_WIDTH
            hashes = (self.edge[level] if level < len(self.edge) else b"") + added
            whole = len(hashes) - len(hashes) % TILE_SIZE
            full = [hashes[start : start + TILE_SIZE] for start in range(0, whole, TILE_SIZE)]
            tiles.update((TileCoordinates(level, index + offset), tile) for offset, tile in enumerate(full))
            rest = hashes[whole:]
            if rest and added:
                tiles[TileCoordinates(level, index + len(full), len(rest) // HASH_SIZE)] = rest
            edge.append(rest)
            added = b"".join(_tile_hash(tile) for tile in full)
            before, level = index, level + 1
        return Growth(Frontier(self.size + len(leaf_hashes), tuple(edge)), tiles)


class TileCache:
    """Full tiles with the hashes between them, the least recently used of which is dropped: about 34 kB each.

    Several readers of one log may share it, one after the other: a reader holds a cached tile to its own tree's root.
    """

    def __init__(self, capacity: int = 128) -> None:
        """Keep at most `capacity` tiles."""
        self._capacity = capacity
        self._trees: OrderedDict[TileCoordinates, _Tree] = OrderedDict()

    def get(self, tile: TileCoordinates) -> _Tree | None:
        """Return a tile that is kept."""
        tree = self._trees.get(tile)
        if tree is not None:
            self._trees.move_to_end(tile)
        return tree

    def put(self, tile: TileCoordinates, tree: _Tree) -> None:
        """Keep a tile."""
        self._trees[tile] = tree
        if len(self._trees) > self._capacity:
            self._trees.popitem(last=False)


class TileReader:
    """Reads the hashes of the tree of `size` leaves from its tiles; a `HashReader`.

    Each tile is held to `root` before a hash of it is returned, so the files may come from anybody. Raises ProofError
    where a tile does not belong to the tree, and TileError where it is malformed or missing.
    """

    def __init__(self, fetch: Fetch, size: int, root: bytes, cache: TileCache | None = None) -> None:
        """Read by `fetch` what leads to `root`, which a checkpoint vouches for; fetch nothing before it is needed."""
        self.size = size
        self.root = root
        self._fetch = fetch
        self._cache = TileCache() if cache is None else cache
        self._edge: dict[int, _Tree] | None = None

    def read(self, nodes: Sequence[Node]) -> list[bytes]:
        """Return the hash of each node."""
        trees: dict[tuple[int, int], _Tree] = {}  # a proof asks for many nodes of few tiles
        hashes = []
        for node in nodes:
            level, index, height = _place(node)
            if node.offset + 1 > self.size >> node.level:
                msg = f"the tree of {self.size} leaves has no complete subtree at {tuple(node)}"
                raise ProofError(msg)
            tree = trees.get((level, index))
            if tree is None:
                tree = trees[level, index] = self._tree(level, index)
            hashes.append(tree.hash(height, node.offset % (TILE_WIDTH >> height)))
        return hashes

    def read_bundle(self, index: int) -> tuple[bytes, ...]:
        """Return the entries of a bundle, as many as the tree has there."""
        bundle = tile_of(ENTRIES, index, self.size)
        try:
            entries = decode_bundle(self._fetch(bundle.path), bundle.width)
        except TileMissingError:
            if bundle.is_full:
                raise
            entries = decode_bundle(self._fetch(bundle.full.path))[: bundle.width]
        expected = self._tree(0, index).hashes(bundle.width)
        if b"".join(map(leaf_hash, entries)) != expected:
            msg = f"the entry bundle {bundle.path} does not belong to the tree of {self.size} leaves"
            raise ProofError(msg)
        return entries

    def read_entry(self, index: int) -> bytes:
        """Return the entry of leaf `index`."""
        return self.read_bundle(index // TILE_WIDTH)[index % TILE_WIDTH]

    def _tree(self, level: int, index: int) -> _Tree:
        tile = tile_of(level, index, self.size)
        return self._full_tile(tile) if tile.is_full else self._authentic_edge()[level]

    def _full_tile(self, tile: TileCoordinates) -> _Tree:
        tree = self._cache.get(tile)
        known = tree is not None
        if tree is None:
            tree = _Tree(_require_width(self._fetch(tile.path), TILE_WIDTH))
        parent = self._tree(tile.level + 1, tile.index // TILE_WIDTH)
        if tree.hash(TILE_HEIGHT, 0) != parent.hash(0, tile.index % TILE_WIDTH):
            msg = f"the tile {tile.path} does not belong to the tree of {self.size} leaves with the root that was given"
            raise ProofError(msg)
        if not known:
            self._cache.put(tile, tree)
        return tree

    def _authentic_edge(self) -> dict[int, _Tree]:
        if self._edge is None:
            edge = {tile.level: _Tree(_fetch_partial(self._fetch, tile)) for tile in edge_of(self.size)}
            levels = [edge.get(level, _Tree(b"")) for level in range(max(edge, default=-1) + 1)]
            if _edge_root(self.size, levels) != self.root:
                msg = f"the partial tiles of the tree of {self.size} leaves do not lead to the root that was given"
                raise ProofError(msg)
            self._edge = edge
        return self._edge


class _Tree:
    """The hashes of one tile, and those above them as far as they were asked for."""

    __slots__ = ("_rows",)

    def __init__(self, hashes: bytes) -> None:
        self._rows = [hashes]

    def hashes(self, width: int) -> bytes:
        """Return the tile's first `width` hashes."""
        return self._rows[0][: width * HASH_SIZE]

    def hash(self, height: int, index: int) -> bytes:
        """Return the hash of the complete subtree `index` of those with 2**height of the tile's hashes."""
        while len(self._rows) <= height:
            row = self._rows[-1]
            self._rows.append(pair_up(row[: len(row) // (2 * HASH_SIZE) * (2 * HASH_SIZE)]))
        return self._rows[height][index * HASH_SIZE : (index + 1) * HASH_SIZE]


def _edge_root(size: int, edge: Sequence[_Tree]) -> bytes:
    """Return the root of a tree from the partial tiles at its right edge, level by level."""
    if size == 0:
        return EMPTY_ROOT
    hashes = []
    for node in nodes_of_range(0, size):
        level, height = divmod(node.level, TILE_HEIGHT)
        hashes.append(edge[level].hash(height, node.offset % (TILE_WIDTH >> height)))
    return fold(hashes)


def _place(node: Node) -> tuple[int, int, int]:
    """Return the level and index of the tile that shows a node, and the node's height in it."""
    level, height = divmod(node.level, TILE_HEIGHT)
    return level, node.offset >> (TILE_HEIGHT - height), height


def _tile_hash(tile: bytes) -> bytes:
    """Return the root of a full tile's hashes."""
    while len(tile) > HASH_SIZE:
        tile = pair_up(tile)
    return tile


def _fetch_partial(fetch: Fetch, tile: TileCoordinates) -> bytes:
    """Fetch a partial tile, or what it has become since: a log may delete it once the full one is there."""
    try:
        return _require_width(fetch(tile.path), tile.width)
    except TileMissingError:
        return _require_width(fetch(tile.full.path), TILE_WIDTH)[: tile.width * HASH_SIZE]


def _require_width(data: bytes, width: int) -> bytes:
    if len(data) != width * HASH_SIZE:
        msg = f"a tile of {width} hashes has {width * HASH_SIZE} bytes, not {len(data)}"
        raise TileError(msg)
    return data


def _index_path(index: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // _GROUP) * _GROUP)
    *groups, last = (digits[start : start + _GROUP] for start in range(0, len(digits), _GROUP))
    return "".join(f"x{group}/" for group in groups) + last
