"""What hypothesis makes of this room's values."""

from __future__ import annotations

from hypothesis import strategies as st

from stir.telephone_number import TelephoneNumber
from transparency.checkpoint import Checkpoint
from transparency.entry import TIMESTAMP_GRAIN_MS, SealedEntry
from transparency.merkle import EMPTY_ROOT
from transparency.sct import SctExtensions, SignedCertificateTimestamp
from transparency.signed_note import Note, NoteSignature
from transparency.tiles import TileCoordinates

hashes = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**63 - 1)
numbers = st.from_regex(r"\A[1-9][0-9]{6,14}\Z").map(TelephoneNumber)
origins = st.from_regex(r"\A[a-z0-9./-]{1,60}\Z")
minutes = st.integers(0, (2**63 - 1) // TIMESTAMP_GRAIN_MS).map(lambda count: count * TIMESTAMP_GRAIN_MS)

entries = st.builds(SealedEntry, minutes, hashes, hashes, hashes)

_characters = st.characters(exclude_categories=["Cs"], exclude_characters=[chr(code) for code in range(0x20)])
lines = st.text(_characters, min_size=1, max_size=40)
texts = st.lists(st.text(_characters, max_size=20), min_size=1, max_size=6).map(lambda found: "\n".join([*found, ""]))
names = st.text(_characters, min_size=1, max_size=40).filter(lambda name: "+" not in name and len(name.split()) == 1)
names = names.filter(lambda name: not any(character.isspace() for character in name))
signatures = st.builds(NoteSignature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=100))
notes = st.builds(Note, texts, st.lists(signatures, min_size=1, max_size=5).map(tuple))

_extension_lines = st.lists(lines, max_size=3).map(tuple)
checkpoints = st.one_of(
    st.builds(Checkpoint, lines, st.integers(1, 2**63 - 1), hashes, _extension_lines),
    st.builds(Checkpoint, lines, st.just(0), st.just(EMPTY_ROOT), _extension_lines),
)

tile_places = st.builds(
    TileCoordinates, st.integers(-1, 63), st.integers(0, 2**63 - 1) | st.integers(0, 2000), st.integers(1, 256)
)

sct_extensions = st.builds(
    SctExtensions,
    st.integers(0, 2**40 - 1),
    st.binary(min_size=80, max_size=80),
    st.binary(min_size=16, max_size=16),
)
scts = st.builds(
    SignedCertificateTimestamp,
    hashes,
    sizes,
    st.binary(max_size=200),
    st.binary(min_size=1, max_size=80),
)
