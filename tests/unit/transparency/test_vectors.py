from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from stir.telephone_number import TelephoneNumber
from tests.fakes.index_files import IndexFiles
from tests.vectors import make_transparency_vectors as maker
from transparency import entry, merkle
from transparency.entry import vrf_input
from transparency.index_growth import LabelIndex
from transparency.label_index import read_bucket
from transparency.tiles import Frontier, TileReader
from transparency.vrf import VrfPublicKey

KINDS = sorted(maker.READERS)
MADE = maker.vectors()


def kept(kind: str) -> list[dict[str, Any]]:
    """Return the cases of a format as they are checked in."""
    return json.loads((maker.FOLDER / f"{kind}.json").read_text(encoding="utf-8"))


def cases() -> list[Any]:
    """Return every case of every format that is read."""
    return [pytest.param(kind, case, id=f"{kind}: {case['name']}") for kind in KINDS for case in kept(kind)]


TREE = kept("tree")[0]
LEAVES = [bytes.fromhex(leaf) for leaf in TREE["leaves"]]
ROOTS = {int(size): bytes.fromhex(root) for size, root in TREE["roots"].items()}


@pytest.mark.parametrize("kind", sorted(MADE))
def test_the_script_makes_the_vectors_that_are_checked_in(kind: str) -> None:
    """The vectors are the same bytes whenever and wherever they are made."""
    assert (maker.FOLDER / f"{kind}.json").read_text(encoding="utf-8") == maker.written(MADE[kind])


@pytest.mark.parametrize(("kind", "case"), cases())
def test_a_vector_is_read_or_refused_as_it_says(kind: str, case: dict[str, Any]) -> None:
    """Each input is read to what stands beside it, or refused with the error that stands beside it."""
    expected = {name: case[name] for name in ("expect", "error") if name in case}
    assert maker.outcome(lambda: maker.READERS[kind](case["input"])) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_cases_of_a_format_have_different_names(kind: str) -> None:
    """A case can be found by its name."""
    names = [case["name"] for case in kept(kind)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS)
def test_a_format_has_cases_that_are_read_and_cases_that_are_refused(kind: str) -> None:
    """No format's vectors test only one of the two."""
    assert {"expect" in case for case in kept(kind)} == {True, False}


@pytest.mark.parametrize("case", kept("number"), ids=lambda case: case["number"])
def test_a_numbers_label_and_commitment_are_those_of_the_vector(case: dict[str, str]) -> None:
    """Whoever has the proof comes to the same label, and whoever has the certificate to the same commitment."""
    alpha = vrf_input(case["origin"], TelephoneNumber.parse(case["number"]))
    assert alpha.hex() == case["alpha"]
    output = VrfPublicKey(bytes.fromhex(case["vrf_public_key"])).verify(alpha, bytes.fromhex(case["proof"]))
    label = entry.label(output)
    assert label.hex() == case["label"]
    commitment = entry.commitment(bytes.fromhex(case["opening"]), label, bytes.fromhex(case["tbs"]))
    assert commitment.hex() == case["commitment"]


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_the_log_has_the_vectors_root_at_each_size(size: int) -> None:
    """A sequencer comes to the root that RFC 6962 §2.1 defines."""
    assert Frontier().append([merkle.leaf_hash(leaf) for leaf in LEAVES[:size]]).frontier.root == ROOTS[size]


@pytest.mark.parametrize("case", TREE["inclusion"], ids=lambda case: f"{case['index']} in {case['size']}")
def test_the_vectors_inclusion_proofs_verify(case: dict[str, Any]) -> None:
    """PATH of RFC 6962 §2.1.1 is what RFC 9162 §2.1.3.2 verifies."""
    proof = [bytes.fromhex(part) for part in case["proof"]]
    leaf = merkle.leaf_hash(LEAVES[case["index"]])
    merkle.verify_inclusion(case["index"], case["size"], leaf, proof, ROOTS[case["size"]])


@pytest.mark.parametrize("case", TREE["consistency"], ids=lambda case: f"{case['old']} to {case['new']}")
def test_the_vectors_consistency_proofs_verify(case: dict[str, Any]) -> None:
    """PROOF of RFC 6962 §2.1.2 is what RFC 9162 §2.1.4.2 verifies."""
    old, new = case["old"], case["new"]
    proof = [bytes.fromhex(part) for part in case["proof"]]
    merkle.verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])


def published() -> dict[str, bytes]:
    """Return every file of the vectors' log."""
    files = maker.TILES | maker.BUNDLES | maker.SEGMENTS
    return files | {
        "checkpoint": maker.NOTE.to_bytes(),
        "index/checkpoint": maker.MAP_CHECKPOINT.to_note([maker.LOG]),
    }


def test_the_log_publishes_the_vectors_files() -> None:
    """Every file is there, with the vector's hash, and no other."""
    files = {case["path"]: (case["sha256"], case["size"]) for case in kept("file")}
    assert {path: (sha256(data).hexdigest(), len(data)) for path, data in published().items()} == files


def test_the_vectors_log_holds_together() -> None:
    """From the checkpoint to the certificate's entry, and from the map to the entry's label."""
    files = published()
    reader = TileReader(files.__getitem__, maker.SIZE, maker.CHECKPOINT.root)
    assert [leaf for bundle in range(3) for leaf in reader.read_bundle(bundle)] == LEAVES
    assert reader.read_entry(maker.PLACE) == maker.ENTRY.to_bytes()
    index = IndexFiles(files)
    assert maker.PLACE in read_bucket(maker.MAP_CHECKPOINT, maker.LABEL, index.fetch_part).indices_of(maker.LABEL)
    assert LabelIndex.load(maker.MAP_CHECKPOINT, index.read, index.sizes()) == maker.INDEX
