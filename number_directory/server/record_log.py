"""The record log: a hash of every accepted statement in an append-only tree, so that an owner can hold us to account.

An entry is the SHA-256 of what was signed, which nobody can guess who has not seen it. The worker sequences. For each
pool of queued hashes, one synced transaction moves the tree from exactly the state that is known to the new size and
root, keeps the tiles that this makes, and gives the hashes their places: tiles and tree cannot part. Only then is a
checkpoint signed, and shown: nothing is ever signed that is not the tree, so one size has one signed root. A copy of
the checkpoint in a file outside the database tells a database that was set back.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from number_directory.server.directory import Directory
from number_directory.server.errors import HistoryError, Refusal, RefusalKind, StorageError
from number_directory.server.storage import KeptTree, Storage
from transparency.checkpoint import Checkpoint
from transparency.errors import NoteError, TileError, TileMissingError
from transparency.merkle import inclusion_proof, leaf_hash
from transparency.proof import TlogProof
from transparency.signed_note import Ed25519Signer, Note
from transparency.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Frontier,
    TileCache,
    TileCoordinates,
    TileReader,
    decode_bundle,
    encode_bundle,
)

WITNESS_NAME = "record-log-checkpoint"
"""The file, beside the settings, that keeps the newest checkpoint outside the database."""


@dataclass(frozen=True, slots=True)
class _Edge:
    """What is remembered of the tree between two pools."""

    tree: KeptTree
    frontier: Frontier
    bundle: tuple[bytes, ...]
    """The entries of the last bundle, where that is partial."""


class Sequencer:
    """Sequences the record log. Whatever fails, the next step begins by looking at what is really there."""

    def __init__(self, storage: Storage, signer: Ed25519Signer, witness: Path, largest_pool: int) -> None:
        """Remember the parts; nothing is read yet. `witness` is the file of the checkpoint outside the database."""
        self._storage = storage
        self._signer = signer
        self._witness = witness
        self._largest_pool = largest_pool
        self._edge: _Edge | None = None

    def recover(self) -> None:
        """Read the tree, and sign what a crash left unsigned; raise HistoryError where a person must look."""
        self._edge = None
        tree = self._storage.tree.tree(self._signer.name)
        self._require_one_history(tree)
        if tree.checkpoint is None and tree.size == 0:
            self._storage.tree.begin(self._signer.name)
        edge = _load(self._storage, tree)
        if tree.checkpoint_size < tree.size or tree.checkpoint is None:
            self._publish(tree)
        self._edge = edge

    def examine(self) -> int:
        """Return the tree's size, having held its tiles and its history together; raise HistoryError."""
        tree = self._storage.tree.tree(self._signer.name)
        self._require_one_history(tree)
        _load(self._storage, tree)
        return tree.size

    def step(self) -> int:
        """Give a pool of queued hashes their places, and show the tree; return how many they were.

        Raises StorageError where that fails, HistoryError where a person must look.
        """
        if self._edge is None:
            self.recover()
        edge = self._edge
        assert edge is not None  # noqa: S101 - recover raises where it cannot read the tree
        queued = self._storage.tree.queued(self._largest_pool)
        if not queued:
            return 0
        self._edge = None  # until all went well
        self._edge = self._grow(edge, queued)
        return len(queued)

    def _grow(self, edge: _Edge, queued: Sequence[bytes]) -> _Edge:
        growth = edge.frontier.append([leaf_hash(entry) for entry in queued])
        entries = (*edge.bundle, *queued)
        size, root = growth.frontier.size, growth.frontier.root
        tiles = {**growth.tiles, **_bundles(edge.tree.size, entries)}
        storage, origin = self._storage, self._signer.name
        with storage.transaction():
            if not storage.tree.swap(origin, edge.tree, size, root):
                msg = "another worker has moved the record log on; a directory has one: this one ends, nothing was lost"
                raise HistoryError(msg)
            storage.tree.put_tiles({tile.path: data for tile, data in tiles.items()})
            storage.tree.place(queued, edge.tree.size)
            storage.tree.drop_partials([f"{before}.p/" for before in _superseded(tiles)])
        tree = KeptTree(size, root, None, edge.tree.size)
        self._publish(tree)
        whole = size % TILE_WIDTH
        return _Edge(tree, growth.frontier, tuple(entries[-whole:] if whole else ()))

    def _publish(self, tree: KeptTree) -> None:
        """Sign and show the checkpoint of what is the tree; keep it outside the database first."""
        note = Checkpoint(self._signer.name, tree.size, tree.root).to_note([self._signer])
        _write(self._witness, note)
        self._storage.tree.publish(self._signer.name, tree, note)

    def _require_one_history(self, tree: KeptTree) -> None:
        foreign = [origin for origin in self._storage.tree.origins() if origin != self._signer.name]
        if foreign:
            msg = (
                f"the database has the record log {foreign[0]}, and the settings make it {self._signer.name}; "
                "a directory's url never changes: put it back, or begin with an empty database"
            )
            raise HistoryError(msg)
        shown = _read_checkpoint(self._witness, self._signer)
        if shown is not None and (shown.size > tree.size or (shown.size == tree.size and shown.root != tree.root)):
            msg = (
                f"{self._witness} has a record log of {shown.size} entries, and the database another of {tree.size}: "
                "the database is an old copy. Restore its newest: to go on would show two trees of one size"
            )
            raise HistoryError(msg)


def published_size(storage: Storage, origin: str) -> int:
    """Return how many leaves the newest checkpoint shows."""
    return storage.tree.tree(origin).checkpoint_size


def checkpoint(directory: Directory) -> bytes:
    """Return the newest checkpoint; raise Refusal before there is one."""
    note = directory.storage.tree.tree(directory.signer.name).checkpoint
    if note is None:
        raise Refusal(RefusalKind.NOT_FOUND, "the record log has no checkpoint yet; its worker signs the first")
    return note


def file(directory: Directory, path: str) -> bytes:
    """Return a tile or an entry bundle; raise Refusal where there is none."""
    try:
        TileCoordinates.parse(path)
    except TileError as error:
        raise Refusal(RefusalKind.NOT_FOUND, str(error)) from error
    data = directory.storage.tree.file(path)
    if data is None:
        raise Refusal(RefusalKind.NOT_FOUND, "the record log has no such file")
    return data


def receipt(directory: Directory, leaf: bytes, *, wait: bool) -> bytes | None:
    """Return the proof that the log shows a hash, a C2SP tlog-proof; None where it does not yet.

    With `wait`, wait for that as long as the settings say.
    """
    tree = directory.storage.tree
    seconds = directory.config.record_log.wait_milliseconds / 1000 if wait else 0.0
    index = directory.releases.wait(lambda: tree.index_of(leaf), seconds) if seconds else tree.index_of(leaf)
    if index is None:
        return None
    kept = tree.tree(directory.signer.name)
    if kept.checkpoint is None or kept.checkpoint_size <= index:
        return None
    shown = Checkpoint.from_note(kept.checkpoint, directory.signer.verifier)
    reader = TileReader(lambda path: _fetch(directory.storage, path), shown.size, shown.root, TileCache())
    proof = TlogProof(index, tuple(inclusion_proof(reader, index, shown.size)), Note.parse(kept.checkpoint))
    return proof.to_bytes()


def _fetch(storage: Storage, path: str) -> bytes:
    data = storage.tree.file(path)
    if data is None:
        msg = f"{path} is missing"
        raise TileMissingError(msg)
    return data


def _load(storage: Storage, tree: KeptTree) -> _Edge:
    """Read the tree's right edge, and hold it to its root."""
    try:
        frontier = Frontier.load(tree.size, lambda path: _fetch(storage, path))
        width = tree.size % TILE_WIDTH
        last = TileCoordinates(ENTRIES, tree.size // TILE_WIDTH, width or TILE_WIDTH)
        bundle = decode_bundle(_fetch(storage, last.path), width) if width else ()
    except TileError as error:
        msg = f"the record log's tiles are not those of its tree: {error}; restore the newest copy of the database"
        raise HistoryError(msg) from error
    if frontier.root != tree.root:
        msg = "the record log's tiles do not lead to its root; restore the newest copy of the database"
        raise HistoryError(msg)
    return _Edge(tree, frontier, bundle)


def _bundles(old_size: int, entries: Sequence[bytes]) -> dict[TileCoordinates, bytes]:
    """Return the entry bundles from the last that was partial on; `entries` begins with the entries of that."""
    first = old_size // TILE_WIDTH
    parts = [entries[start : start + TILE_WIDTH] for start in range(0, len(entries), TILE_WIDTH)]
    return {
        TileCoordinates(ENTRIES, first + offset, len(part)): encode_bundle(part) for offset, part in enumerate(parts)
    }


def _superseded(tiles: dict[TileCoordinates, bytes]) -> list[str]:
    """Return the full tiles before new full ones: nobody who reads now needs their partial forms any more."""
    return [TileCoordinates(tile.level, tile.index - 1).path for tile in tiles if tile.is_full and tile.index > 0]


def _read_checkpoint(path: Path, signer: Ed25519Signer) -> Checkpoint | None:
    try:
        return Checkpoint.from_note(path.read_bytes(), signer.verifier)
    except FileNotFoundError:
        return None
    except (OSError, NoteError) as error:
        msg = f"{path} is not a checkpoint that this directory's key signed, or cannot be read; restore it or the key"
        raise HistoryError(msg) from error


def _write(path: Path, data: bytes) -> None:
    """Replace a file by one that is whole and synced."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        msg = f"{path} cannot be written: {error.strerror}; make room, or mend its permissions"
        raise StorageError(msg) from error
