from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stir.telephone_number import TelephoneNumber
from tests.unit.transparency.strategies import entries, hashes, numbers, origins
from transparency import entry
from transparency.entry import ENTRY_SIZE, SealedEntry, rounded_timestamp, vrf_input
from transparency.errors import EntryError

NUMBER = TelephoneNumber.parse("+12025550123")
ENTRY = SealedEntry(60_000, b"l" * 32, b"i" * 32, b"c" * 32)


@given(entries)
def test_an_entry_survives_its_bytes(leaf: SealedEntry) -> None:
    """Every entry has one encoding, of 105 bytes."""
    data = leaf.to_bytes()
    assert len(data) == ENTRY_SIZE
    assert SealedEntry.from_bytes(data) == leaf


@given(st.binary(min_size=100, max_size=110))
def test_any_bytes_give_an_entry_or_this_rooms_error(data: bytes) -> None:
    """What is read as an entry is written as the same bytes."""
    try:
        leaf = SealedEntry.from_bytes(data)
    except EntryError:
        return
    assert leaf.to_bytes() == data


def test_an_entry_is_laid_out_as_documented() -> None:
    """Version, timestamp, label, issuer, commitment, in this order."""
    assert ENTRY.to_bytes() == b"\x01" + (60_000).to_bytes(8, "big") + b"l" * 32 + b"i" * 32 + b"c" * 32


@pytest.mark.parametrize("size", [31, 33])
@pytest.mark.parametrize("name", ["label", "issuer_key_hash", "commitment"])
def test_an_entrys_hashes_have_32_bytes(name: str, size: int) -> None:
    """No field can run into the next."""
    fields = {"label": b"l" * 32, "issuer_key_hash": b"i" * 32, "commitment": b"c" * 32} | {name: bytes(size)}
    with pytest.raises(EntryError, match=name):
        SealedEntry(60_000, **fields)


@pytest.mark.parametrize("timestamp", [-60_000, 1, 59_999, 2**63])
def test_an_entrys_time_is_a_whole_minute(timestamp: int) -> None:
    """The log does not tell the second at which somebody answered an SMS."""
    with pytest.raises(EntryError, match="whole minute"):
        SealedEntry(timestamp, b"l" * 32, b"i" * 32, b"c" * 32)


@given(st.integers(0, 2**60))
def test_a_time_is_rounded_down(timestamp: int) -> None:
    """An SCT is never from the future, which its verifiers would refuse."""
    rounded = rounded_timestamp(timestamp)
    assert rounded <= timestamp < rounded + 60_000
    assert rounded % 60_000 == 0


def test_a_vrf_input_is_domain_shard_and_number() -> None:
    """0x01, the origin after its length, and the number's digits."""
    assert vrf_input("log.example/1", NUMBER) == b"\x01\x0dlog.example/112025550123"


@given(origins, numbers, origins, numbers)
def test_no_two_numbers_share_a_vrf_input(
    origin: str, number: TelephoneNumber, other_origin: str, other: TelephoneNumber
) -> None:
    """No digit of a number can be taken for the end of a shard's name."""
    same = (origin, number) == (other_origin, other)
    assert (vrf_input(origin, number) == vrf_input(other_origin, other)) is same


def test_a_shard_that_ends_in_digits_keeps_its_numbers_apart() -> None:
    """Shard `log.example/20` and number 26… are not shard `log.example/2026` and a shorter number."""
    one = vrf_input("log.example/20", TelephoneNumber("2612025550123"))
    assert one != vrf_input("log.example/2026", TelephoneNumber("12025550123"))


@pytest.mark.parametrize("origin", ["", "o" * 256, "log.éxample"])
def test_an_origin_has_1_to_255_ascii_characters(origin: str) -> None:
    """What has no length byte has no VRF input."""
    with pytest.raises(EntryError, match="origin"):
        vrf_input(origin, NUMBER)


def test_a_label_is_the_first_half_of_the_vrfs_output() -> None:
    """A label has 32 bytes."""
    assert entry.label(bytes(range(64))) == bytes(range(32))


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_a_label_is_made_of_a_whole_output(size: int) -> None:
    """Half an output is no output."""
    with pytest.raises(EntryError, match="64 bytes"):
        entry.label(bytes(size))


@given(st.binary(min_size=16, max_size=16), hashes, st.binary(max_size=100))
def test_a_commitment_is_hmac_under_the_keytrans_key(opening: bytes, label: bytes, tbs: bytes) -> None:
    """The commitment is that of the KEYTRANS protocol: HMAC-SHA256 with its fixed key."""
    key = bytes.fromhex("d821f8790d97709796b4d7903357c3f5")
    assert entry.commitment(opening, label, tbs) == hmac.new(key, opening + label + tbs, hashlib.sha256).digest()


@pytest.mark.parametrize(("opening", "label"), [(15, 32), (17, 32), (16, 31), (16, 33), (32, 16)])
def test_a_commitments_parts_have_fixed_lengths(opening: int, label: int) -> None:
    """No byte can move from one part to the next."""
    with pytest.raises(EntryError, match="opening of 16 bytes"):
        entry.commitment(bytes(opening), bytes(label), b"tbs")
