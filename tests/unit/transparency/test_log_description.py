from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from tests.vectors.make_stir_vectors import NUMBER, key
from tests.vectors.make_transparency_vectors import (
    DESCRIPTION,
    ENTRY,
    ISSUER_HASH,
    LIMIT,
    ORIGIN,
    PLACE,
    SCT,
    SHARD,
    START,
    TBS,
    ed25519,
    seed,
)
from transparency.errors import LogDescriptionError, SctError
from transparency.log_description import LARGEST_DESCRIPTION, MOST_SHARDS, LogDescription, ShardDescription
from transparency.signed_note import Ed25519Signer
from transparency.vrf import VrfPrivateKey


def shard(name: str, start: datetime, limit: datetime) -> ShardDescription:
    """Return another shard of the log."""
    origin = f"log.example/{name}"
    return ShardDescription(
        name,
        origin,
        start,
        limit,
        key(name).public_key(),
        VrfPrivateKey.from_seed(seed(name)).public_key,
        Ed25519Signer(origin, ed25519(name)).verifier,
    )


NEXT = shard("2026h2", LIMIT, LIMIT + timedelta(days=184))
TWO_SHARDS = replace(DESCRIPTION, shards=(SHARD, NEXT))


@pytest.mark.parametrize("description", [DESCRIPTION, TWO_SHARDS])
def test_a_description_survives_its_file(description: LogDescription) -> None:
    """What an operator hands out is what others read, and always the same bytes."""
    data = description.to_json()
    assert LogDescription.from_json(data) == description
    assert LogDescription.from_json(data).to_json() == data


@given(st.binary(max_size=60))
def test_any_bytes_are_no_description(data: bytes) -> None:
    """Reading raises this room's error and nothing else."""
    with pytest.raises(LogDescriptionError):
        LogDescription.from_json(data)


@given(st.data())
def test_a_damaged_description_is_refused_or_consistent(data: st.DataObject) -> None:
    """A file with a changed byte is refused, or is read as a description that can be written again."""
    broken = bytearray(DESCRIPTION.to_json())
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        description = LogDescription.from_json(bytes(broken))
    except LogDescriptionError:
        return
    assert LogDescription.from_json(description.to_json()) == description


def test_a_description_has_an_end() -> None:
    """A huge file is refused before it is read."""
    with pytest.raises(LogDescriptionError, match="at most"):
        LogDescription.from_json(b" " * (LARGEST_DESCRIPTION + 1))


def test_a_certificate_goes_to_the_shard_of_its_last_day() -> None:
    """The first moment of a shard is its own, the last is the next one's."""
    assert TWO_SHARDS.shard_for(START) == SHARD
    assert TWO_SHARDS.shard_for(LIMIT - timedelta(seconds=1)) == SHARD
    assert TWO_SHARDS.shard_for(LIMIT) == NEXT
    assert TWO_SHARDS.shard_for(START - timedelta(seconds=1)) is None
    assert TWO_SHARDS.shard_for(NEXT.not_after_limit) is None


def test_a_shard_is_found_by_the_identifier_in_an_sct() -> None:
    """An SCT says which log it is of by the hash of its key."""
    assert TWO_SHARDS.shard_of(SCT.log_id) == SHARD
    assert TWO_SHARDS.shard_of(NEXT.log_id) == NEXT
    assert TWO_SHARDS.shard_of(bytes(32)) is None


def test_urls_follow_from_the_shards_name() -> None:
    """Each shard has its own prefixes for writing and reading."""
    assert DESCRIPTION.submission_prefix(SHARD) == "https://log.example/2026h1"
    assert DESCRIPTION.monitoring_prefix(SHARD) == "https://tiles.log.example/2026h1"


def test_a_shard_checks_its_scts() -> None:
    """Signature, label and commitment at once."""
    assert SHARD.check_sct(SCT, NUMBER, ISSUER_HASH, TBS) == (PLACE, ENTRY)
    with pytest.raises(SctError, match="another log"):
        NEXT.check_sct(SCT, NUMBER, ISSUER_HASH, TBS)


def test_dates_of_any_zone_are_written_in_utc() -> None:
    """A file says each moment in one way."""
    elsewhere = timezone(timedelta(hours=2))
    moved = replace(SHARD, not_after_start=START.astimezone(elsewhere))
    assert replace(DESCRIPTION, shards=(moved,)).to_json() == DESCRIPTION.to_json()


@pytest.mark.parametrize(
    "fields",
    [
        {"not_after_start": START.replace(tzinfo=None)},
        {"not_after_start": START + timedelta(microseconds=1)},
        {"not_after_limit": START},
        {"name": ""},
        {"name": "."},
        {"origin": ""},
        {"origin": ORIGIN + "\n"},
        {"sct_key": ec.derive_private_key(5, ec.SECP384R1()).public_key()},
        {"checkpoint_key": Ed25519Signer("log.example", ed25519("log")).verifier},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_shard_that_contradicts_itself_cannot_exist(fields: dict[str, object]) -> None:
    """Values are held to the format when they are made."""
    with pytest.raises(LogDescriptionError):
        replace(SHARD, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "shards",
    [
        (),
        (NEXT, SHARD),
        (SHARD, shard("overlapping", LIMIT - timedelta(seconds=1), LIMIT + timedelta(days=1))),
        (SHARD, replace(NEXT, vrf_key=SHARD.vrf_key)),
        (SHARD, replace(NEXT, sct_key=SHARD.sct_key)),
        (SHARD, replace(NEXT, name=SHARD.name)),
        (SHARD, replace(SHARD, name="other", not_after_start=LIMIT, not_after_limit=NEXT.not_after_limit)),
        (SHARD,) * (MOST_SHARDS + 1),
    ],
)
def test_shards_are_ordered_and_distinct(shards: tuple[ShardDescription, ...]) -> None:
    """A certificate has one shard, and a key serves one shard."""
    with pytest.raises(LogDescriptionError):
        replace(DESCRIPTION, shards=shards)


def test_shards_may_leave_time_between_them() -> None:
    """A log need not take every certificate."""
    later = shard("2030", datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
    assert replace(DESCRIPTION, shards=(SHARD, later)).shard_for(LIMIT) is None
