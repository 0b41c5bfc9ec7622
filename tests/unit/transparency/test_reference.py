from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vectors.make_transparency_vectors import DESCRIPTION, MAP_CHECKPOINT
from transparency import cosignature, index_growth, label_bucket, label_index, sct, signed_note, vrf
from transparency.entry import ENTRY_SIZE, OPENING_SIZE, TIMESTAMP_GRAIN_MS

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = " ".join((DOCS / "reference" / "log-formats.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    "words",
    [
        f"{ENTRY_SIZE} bytes, the leaf of the Merkle tree",
        f"a multiple of {TIMESTAMP_GRAIN_MS}",
        f"`opening` has {OPENING_SIZE} random bytes",
        f"RFC 9381's {vrf.PROOF_SIZE} bytes",
        f"| 0x{sct.VRF_PROOF:02X} | {vrf.PROOF_SIZE} bytes |",
        f"| 0x{sct.OPENING:02X} | {OPENING_SIZE} bytes |",
        f"| {sct.LEAF_INDEX} | 5 bytes |",
        f"at most {sct.MOST_SCTS} SCTs",
        f"signature type 0x{signed_note.ED25519:02x}",
        f"Ed25519 (0x{cosignature.ED25519:02x}) or ML-DSA-44 (0x{cosignature.ML_DSA_44:02x})",
        f"at most {signed_note.LARGEST_NOTE // 1024} KiB with {signed_note.MOST_SIGNATURES} signatures",
        f"size <= {label_index.MEAN_BUCKET} * 2^d",
        f"0 to {label_bucket.GREATEST_DEPTH}, for which",
        f"{label_index.page_size(4)} of a page over 16 subtrees",
        f"{label_bucket.EMPTY_SIZE + 1} to {label_bucket.LARGEST_BUCKET >> 20} MiB of a bucket",
        f"{index_growth.SEGMENT_SIZE >> 20} MiB at most",
        f"`{label_index.SEGMENTS_PATH}`",
        f"`{label_index.MAP_CHECKPOINT_PATH}` is the **map checkpoint**",
        label_index.FORMAT,
    ],
)
def test_the_reference_says_what_the_code_does(words: str) -> None:
    """Sizes, types and names in the documentation are those of the code."""
    assert words in REFERENCE


def test_the_reference_names_every_field_of_a_log() -> None:
    """Whoever writes a log.json by hand finds its fields."""
    for field in re.findall(r'"([a-z_]+)":', DESCRIPTION.to_json().decode()):
        assert f"`{field}`" in REFERENCE


def test_the_reference_shows_all_lines_of_a_map_checkpoint() -> None:
    """Its example has as many lines as a map checkpoint has."""
    assert "Eight lines" in REFERENCE
    assert MAP_CHECKPOINT.text.count("\n") == 8


def test_the_example_of_a_map_checkpoint_has_its_depth() -> None:
    """The example's depth follows from its counts."""
    assert label_index.depth_for(3_991_007, 4_000_123) == 16
