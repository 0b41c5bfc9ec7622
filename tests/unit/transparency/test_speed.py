from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from tests.vectors.make_transparency_vectors import BUCKET, LOG, NOTE, PROOF, SCT_LIST
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import TransparencyError
from transparency.label_bucket import LARGEST_BUCKET, Bucket
from transparency.label_index import MapCheckpoint, decode_page, page_size
from transparency.log_description import LARGEST_DESCRIPTION, LogDescription
from transparency.merkle import LARGEST_TREE, verify_consistency, verify_inclusion
from transparency.proof import LARGEST_PROOF, TlogProof
from transparency.sct import SctExtensions, decode_sct_list
from transparency.signed_note import LARGEST_NOTE, Ed25519Verifier, Note
from transparency.tiles import TileCoordinates, decode_bundle

ALLOWED_SECONDS_PER_BYTE = 0.001
LARGE = 100_000


def hostile() -> list[object]:
    """Return readers with inputs that make careless ones slow: long, nested, repeated, almost right."""
    note = NOTE.to_bytes()
    line = note.splitlines(keepends=True)[-1]
    labels = (LARGEST_BUCKET - 10) // 41
    many_labels = b"\x01\x00" + bytes(4) + labels.to_bytes(4, "big")
    octets: dict[str, tuple[Callable[[bytes], object], bytes]] = {
        "a long entry": (SealedEntry.from_bytes, bytes(LARGE)),
        "a bundle of empty entries": (decode_bundle, bytes(LARGE)),
        "a bundle that ends within": (decode_bundle, b"\xff" * LARGE),
        "a note of newlines": (Note.parse, b"\n" * LARGEST_NOTE),
        "a note of dashes": (Note.parse, ("—" * (LARGEST_NOTE // 4)).encode() + b"\n\n" + line),
        "a note of signatures": (Note.parse, b"a\n\n" + line * (LARGEST_NOTE // len(line) - 1)),
        "a note with a long name": (Note.parse, "a\n\n— ".encode() + b"a" * (LARGEST_NOTE - 99) + b" AAAA\n"),
        "a note with a long signature": (Note.parse, "a\n\n— a ".encode() + b"A" * (LARGEST_NOTE - 100) + b"\n"),
        "a large note": (Note.parse, b"a" * 1_000_000),
        "a proof of newlines": (TlogProof.parse, b"\n" * LARGEST_PROOF),
        "a proof of hashes": (TlogProof.parse, PROOF.to_bytes().partition(b"\n\n")[0] * 200),
        "a checkpoint of lines": (lambda data: Checkpoint.parse(data.decode()), b"1\n" * LARGE),
        "a checkpoint of digits": (lambda data: Checkpoint.parse(data.decode()), b"a\n" + b"9" * LARGE + b"\nAA==\n"),
        "a map checkpoint of lines": (lambda data: MapCheckpoint.parse(data.decode()), b"1\n" * LARGE),
        "a list of SCTs": (decode_sct_list, b"\xff\xff" + SCT_LIST[2:] * 300),
        "a list of empty SCTs": (decode_sct_list, b"\xff\xff" + bytes(65_535)),
        "many extensions": (SctExtensions.decode, b"\x07\x00\x00" * 20_000),
        "a bucket of labels": (Bucket.decode, many_labels + bytes(labels * 41)),
        "a bucket of one label": (Bucket.decode, BUCKET[:10] + bytes(LARGEST_BUCKET - 10)),
        "a page": (lambda data: decode_page(data, 4, bytes(32)), bytes(page_size(4))),
        "a large page": (lambda data: decode_page(data, 4, bytes(32)), bytes(LARGE)),
        "nested JSON": (LogDescription.from_json, b"[" * LARGE),
        "nested objects": (LogDescription.from_json, b'{"a":' * (LARGEST_DESCRIPTION // 5)),
        "a long path": (lambda data: TileCoordinates.parse(data.decode()), b"tile/0/" + b"x000/" * 20_000 + b"000"),
        "a long verifier key": (lambda data: Ed25519Verifier.parse(data.decode()), b"a+00000000+" + b"A" * LARGE),
        "a verifier key of plusses": (lambda data: Ed25519Verifier.parse(data.decode()), b"+" * LARGE),
        "a long inclusion proof": (
            lambda data: verify_inclusion(0, LARGEST_TREE, bytes(32), [data[:32]] * 9999, bytes(32)),
            bytes(LARGE),
        ),
        "a long consistency proof": (
            lambda data: verify_consistency(1, LARGEST_TREE, [data[:32]] * 9999, bytes(32), bytes(32)),
            bytes(LARGE),
        ),
        "a signed checkpoint": (lambda data: Checkpoint.from_note(data, LOG.verifier), note),
    }
    return [pytest.param(*case, id=name) for name, case in octets.items()]


@pytest.mark.parametrize(("read", "given"), hostile())
def test_no_input_takes_more_than_a_millisecond_per_byte(read: Callable[[bytes], object], given: bytes) -> None:
    """A malformed input costs at most 1 ms of CPU time per byte, and raises only this room's errors."""
    start = time.process_time()
    with contextlib.suppress(TransparencyError):
        read(given)
    assert time.process_time() - start <= ALLOWED_SECONDS_PER_BYTE * len(given)
