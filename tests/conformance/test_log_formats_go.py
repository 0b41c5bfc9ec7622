"""What a log publishes, read by the libraries of Go's checksum database: golang.org/x/mod's note and tlog."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.index_files import built
from tests.peers import require, require_go_package
from tests.vectors.make_transparency_vectors import (
    BUNDLES,
    CHECKPOINT,
    LEAVES,
    LOG,
    NOTE,
    ORIGIN,
    PLACE,
    PROOF,
    SIZE,
    STRANGER,
    TILES,
)
from transparency.checkpoint import Checkpoint
from transparency.errors import NoteError
from transparency.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_head,
    verify_consistency,
    verify_inclusion,
)
from transparency.signed_note import Ed25519Verifier, Note, open_note
from transparency.tiles import ENTRIES, Frontier, TileCoordinates, TileReader, tiles_of_growth

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.xdist_group("go")]
SOURCE = Path(__file__).parents[1] / "peers_go" / "logreader"
OLDER = (1, 2, 255, 256, 257, 300, 511, 512, 600)
WANTED = (0, 1, 255, 256, PLACE, 511, 512, 599)


def encoded(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Go program, built once without a network."""
    go = require("go", "golang-go")
    gopath = require_go_package("golang.org/x/mod", "golang-golang-x-mod-dev")
    built = tmp_path_factory.mktemp("go") / "logreader"
    settings = {"GO111MODULE": "off", "GOPATH": str(gopath), "GOPROXY": "off", "GOFLAGS": "", "CGO_ENABLED": "0"}
    subprocess.run([go, "build", "-o", str(built), "."], cwd=SOURCE, env=os.environ | settings, check=True, timeout=300)
    return built


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return what the vectors' log publishes, as files."""
    for path, data in (TILES | BUNDLES | {"checkpoint": NOTE.to_bytes()}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    return tmp_path


def run(program: Path, *arguments: str, given: str = "") -> Any:  # noqa: ANN401 - whatever JSON it answers
    """Return what the program answers; a refusal is a CalledProcessError."""
    done = subprocess.run(
        [str(program), *arguments], input=given, capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


def read(program: Path, folder: Path, key: str = LOG.verifier.format()) -> dict[str, Any]:
    """Return what the program reads of a log."""
    indices = "".join(f"{index}\n" for index in WANTED)
    return run(program, "read", str(folder), key, *map(str, OLDER), given=indices)


def test_go_reads_our_checkpoint(program: Path, folder: Path) -> None:
    """C2SP signed-note, tlog-checkpoint: a note with a witness's line beside the log's, opened by our verifier key."""
    found = read(program, folder)
    assert (found["origin"], found["size"], found["root"]) == (ORIGIN, SIZE, encoded(CHECKPOINT.root))


def test_go_reads_our_tiles_to_the_root(program: Path, folder: Path) -> None:
    """C2SP tlog-tiles: it authenticates the tiles against the checkpoint, and makes the proofs that we make."""
    found = read(program, folder)
    reader = TileReader((TILES | BUNDLES).__getitem__, SIZE, CHECKPOINT.root)
    for leaf in found["leaves"]:
        assert leaf["hash"] == encoded(leaf_hash(LEAVES[leaf["index"]]))
        assert leaf["proof"] == [encoded(part) for part in inclusion_proof(reader, leaf["index"], SIZE)]
    for growth in found["growth"]:
        ours = consistency_proof(reader, growth["old"], SIZE)
        assert (growth["proof"] or []) == [encoded(part) for part in ours]
    assert [leaf["index"] for leaf in found["leaves"]] == list(WANTED)
    assert [growth["old"] for growth in found["growth"]] == list(OLDER)


def test_we_take_the_proofs_that_go_makes(program: Path, folder: Path) -> None:
    """RFC 9162 §2.1.3.2, §2.1.4.2: the proofs verify here."""
    found = read(program, folder)
    reader = TileReader((TILES | BUNDLES).__getitem__, SIZE, CHECKPOINT.root)
    for leaf in found["leaves"]:
        proof = [base64.b64decode(part) for part in leaf["proof"]]
        verify_inclusion(leaf["index"], SIZE, base64.b64decode(leaf["hash"]), proof, CHECKPOINT.root)
    for growth in found["growth"]:
        proof = [base64.b64decode(part) for part in growth["proof"] or []]
        verify_consistency(growth["old"], SIZE, proof, tree_head(reader, growth["old"]), CHECKPOINT.root)


@pytest.mark.parametrize("path", ["checkpoint", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"])
def test_go_refuses_a_file_with_a_changed_byte(program: Path, folder: Path, path: str) -> None:
    """What we would refuse is refused there too: the test is no formality."""
    data = bytearray((folder / path).read_bytes())
    data[40] ^= 1
    (folder / path).write_bytes(bytes(data))
    with pytest.raises(subprocess.CalledProcessError):
        read(program, folder)


def test_go_does_not_know_another_logs_key(program: Path, folder: Path) -> None:
    """A note is opened with its own log's key only."""
    with pytest.raises(subprocess.CalledProcessError):
        read(program, folder, STRANGER.verifier.format())


@pytest.mark.parametrize(("old", "new"), [(0, 1), (0, 256), (255, 257), (0, 70_000), (65_535, 65_537), (1000, 70_000)])
def test_go_publishes_the_same_tiles(program: Path, old: int, new: int) -> None:
    """C2SP tlog-tiles: the same tiles are new when a tree grows.

    Go lists every width that a partial tile might have had on the way; only the last is of a checkpoint's tree.
    """
    widest: dict[tuple[int, int], int] = {}
    for path in run(program, "tiles", str(old), str(new)):
        tile = TileCoordinates.parse(path)
        place = tile.level, tile.index
        widest[place] = max(tile.width, widest.get(place, 0))
    ours = {(tile.level, tile.index): tile.width for tile in tiles_of_growth(old, new) if tile.level != ENTRIES}
    assert widest == ours


def test_go_takes_our_proofs_and_refuses_them_altered(program: Path) -> None:
    """RFC 6962 §2.1.1, §2.1.2: right as they are, wrong with one bit changed."""
    reader = TileReader(TILES.__getitem__, SIZE, CHECKPOINT.root)
    root = encoded(CHECKPOINT.root)
    claims: list[dict[str, object]] = [
        {
            "index": index,
            "size": SIZE,
            "leaf": encoded(leaf_hash(LEAVES[index])),
            "root": root,
            "proof": [encoded(part) for part in inclusion_proof(reader, index, SIZE)],
        }
        for index in WANTED
    ]
    claims += [
        {
            "old": old,
            "size": SIZE,
            "old_root": encoded(tree_head(reader, old)),
            "root": root,
            "proof": [encoded(part) for part in consistency_proof(reader, old, SIZE)],
        }
        for old in OLDER
    ]
    assert run(program, "check", given="\n".join(map(json.dumps, claims))) == [True] * len(claims)
    altered = [claim | {"root": encoded(bytes(32))} for claim in claims]
    assert run(program, "check", given="\n".join(map(json.dumps, altered))) == [False] * len(claims)


def test_go_takes_the_proof_in_our_offline_proof(program: Path) -> None:
    """C2SP tlog-proof: its hashes are an RFC 6962 inclusion proof."""
    claim = {
        "index": PROOF.index,
        "size": SIZE,
        "leaf": encoded(leaf_hash(LEAVES[PLACE])),
        "root": encoded(CHECKPOINT.root),
        "proof": [encoded(part) for part in PROOF.hashes],
    }
    assert run(program, "check", given=json.dumps(claim)) == [True]


def test_go_takes_a_bucket_of_our_label_index(program: Path) -> None:
    """The label index is a tree of RFC 6962 over its buckets, though its files are ours alone."""
    index, _ = built([leaf[9:41] for leaf in LEAVES])
    buckets = [index.rows[0][start : start + 32] for start in range(0, len(index.rows[0]), 32)]
    grown = Frontier().append(buckets)
    assert grown.frontier.root == index.root
    tiles = {tile.path: data for tile, data in grown.tiles.items()}
    reader = TileReader(tiles.__getitem__, len(buckets), index.root)
    claims = [
        {
            "index": number,
            "size": len(buckets),
            "leaf": encoded(bucket),
            "root": encoded(index.root),
            "proof": [encoded(part) for part in inclusion_proof(reader, number, len(buckets))],
        }
        for number, bucket in enumerate(buckets)
    ]
    assert run(program, "check", given="\n".join(map(json.dumps, claims))) == [True] * len(buckets)


def test_we_open_a_note_that_go_signed(program: Path) -> None:
    """C2SP signed-note: a key and a note of its making are read here, and only unchanged."""
    text = Checkpoint("go.example/log", 5, bytes(range(32))).text
    made = run(program, "sign", "go.example/log", given=text)
    verifier = Ed25519Verifier.parse(made["key"])
    assert Checkpoint.from_note(made["note"].encode(), verifier).text == text
    assert Note.parse(made["note"].encode()).to_bytes() == made["note"].encode()
    with pytest.raises(NoteError):
        open_note(made["note"].replace("\n5\n", "\n6\n").encode(), [verifier])
