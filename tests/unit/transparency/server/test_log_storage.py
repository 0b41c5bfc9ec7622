from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from tests.fakes.log_world import NOW
from transparency.merkle import EMPTY_ROOT
from transparency.server.errors import HistoryError, StorageError
from transparency.server.storage import LoggedEntry, Queued, Storage, Submission

ORIGIN = "log.example/a"
ROOT = b"r" * 32


def submission(number: int, shard: str = "a", label: int = 0, days: int = 7) -> Submission:
    """Return a submission that differs from others by its number."""
    return Submission(
        id=number.to_bytes(32, "big"),
        shard=shard,
        label=bytes([label] * 32),
        issuer_key_hash=b"i" * 32,
        commitment=number.to_bytes(32, "little"),
        opening=b"o" * 16,
        vrf_proof=b"p" * 80,
        certificate=b"certificate",
        chain=(b"issuing", b"root"),
        not_after=NOW + timedelta(days=days),
    )


def place(storage: Storage, *numbers: int, shard: str = "a") -> None:
    """Give submissions their places, as a sequencer does."""
    state = storage.trees.ensure(shard, f"log.example/{shard}")
    queued = [one for one in storage.entries.queued(shard, 1000) if int.from_bytes(one.id, "big") in numbers]
    with storage.transaction():
        assert storage.trees.swap(state, state.size + len(queued), state.size.to_bytes(32, "big"))
        storage.entries.place(queued, state.size, 60_000)


def find(storage: Storage, number: int) -> LoggedEntry:
    """Return the entry of a submission."""
    found = storage.entries.find(number.to_bytes(32, "big"))
    assert found is not None
    return found


def test_a_submission_is_found_as_it_was_queued(storage: Storage) -> None:
    """What a front end queued is read back whole, without a place yet, its issuers by their hashes."""
    new = submission(1)
    assert storage.entries.add(new, NOW)
    found = find(storage, 1)
    kept = {field.name for field in dataclasses.fields(Submission)} - {"chain"}
    assert all(getattr(found, name) == getattr(new, name) for name in kept)
    assert found.leaf_index is None
    assert [storage.entries.issuer(id_) for id_ in found.chain_ids] == [b"issuing", b"root"]


def test_the_same_submission_is_queued_once(storage: Storage) -> None:
    """Of two requests with one issuer and TBS, one queues the entry, and its opening stays."""
    assert storage.entries.add(submission(1), NOW)
    assert not storage.entries.add(dataclasses.replace(submission(1), opening=b"x" * 16), NOW)
    assert find(storage, 1).opening == b"o" * 16
    assert storage.entries.queue_length("a") == 1


def test_the_longest_waiting_get_their_places_first(storage: Storage) -> None:
    """The queue is in the order of its entries' times, each shard's by itself, and bounded by the pool."""
    for number, minute in ((1, 3), (2, 1), (3, 2)):
        storage.entries.add(submission(number), NOW + timedelta(minutes=minute))
    storage.entries.add(submission(4, "b"), NOW)
    assert [int.from_bytes(one.id, "big") for one in storage.entries.queued("a", 2)] == [2, 3]


def test_a_placed_entry_leaves_the_queue(storage: Storage) -> None:
    """An entry that has its place and time is queued no more."""
    storage.entries.add(submission(1), NOW)
    place(storage, 1)
    assert (find(storage, 1).leaf_index, find(storage, 1).timestamp_ms) == (0, 60_000)
    assert storage.entries.queued("a", 10) == []


def test_a_tree_moves_from_the_state_that_is_known_only(storage: Storage) -> None:
    """Of two sequencers that know the same tree, one moves it."""
    state = storage.trees.ensure("a", ORIGIN)
    assert storage.trees.swap(state, 1, ROOT)
    assert not storage.trees.swap(state, 1, b"x" * 32)
    assert not storage.trees.swap(dataclasses.replace(state, size=1), 2, ROOT)
    moved = storage.trees.state("a")
    assert moved is not None
    assert (moved.size, moved.root) == (1, ROOT)


def test_nothing_moves_where_an_entry_left_the_queue(storage: Storage) -> None:
    """A pool with an entry that is gone is not placed at all, and the tree stays."""
    storage.entries.add(submission(1), NOW)
    state = storage.trees.ensure("a", ORIGIN)
    gone = Queued(b"g" * 32, bytes(32), bytes(32), bytes(32))
    pool = [*storage.entries.queued("a", 10), gone]

    def move() -> None:
        with storage.transaction():
            storage.trees.swap(state, 2, ROOT)
            storage.entries.place(pool, 0, 60_000)

    with pytest.raises(StorageError, match="left the queue"):
        move()
    assert storage.trees.state("a") == state
    assert find(storage, 1).leaf_index is None


def test_a_new_tree_is_empty(storage: Storage) -> None:
    """A shard begins with no entries and the root of the empty tree, and asking again changes nothing."""
    assert storage.trees.ensure("a", ORIGIN) == storage.trees.ensure("a", ORIGIN)
    assert [(state.size, state.root) for state in storage.trees.all()] == [(0, EMPTY_ROOT)]


def test_a_shard_keeps_its_origin(storage: Storage) -> None:
    """A log whose URL was changed is refused: the origin stands in every checkpoint."""
    storage.trees.ensure("a", ORIGIN)
    with pytest.raises(HistoryError, match="a log's url never changes"):
        storage.trees.ensure("a", "elsewhere.example/a")


def test_what_was_published_stays_published(storage: Storage) -> None:
    """The published size never shrinks, and never passes the tree's."""
    storage.trees.swap(storage.trees.ensure("a", ORIGIN), 5, ROOT)
    for size in (3, 2, 9):
        storage.trees.published("a", size)
    assert storage.trees.published_sizes() == {"a": 3}


def test_an_owners_request_is_answered_once(storage: Storage) -> None:
    """The second request with the same id is told apart, until the first one's has expired."""
    later = NOW + timedelta(minutes=2)
    assert storage.spend_request(b"id", later, NOW)
    assert not storage.spend_request(b"id", later, NOW)
    assert storage.spend_request(b"id", later, later + timedelta(seconds=1))


def test_expired_certificates_are_erased_and_leave_nothing(storage: Storage) -> None:
    """Erasing takes the whole row of what expired before a time and has its place; nothing else."""
    for number, days in ((1, 1), (2, 5), (3, 1)):
        storage.entries.add(submission(number, days=days), NOW)
    place(storage, 1, 2)
    assert storage.entries.erase_expired(NOW + timedelta(days=2), 10) == 1
    assert storage.entries.find((1).to_bytes(32, "big")) is None
    assert find(storage, 2).opening == b"o" * 16
    assert storage.entries.drop_expired_queue(NOW + timedelta(days=2)) == 1
    assert storage.entries.find((3).to_bytes(32, "big")) is None


def test_an_owner_erases_under_the_own_label_only(storage: Storage) -> None:
    """What has expired under one label goes; what is valid, or under another label, stays."""
    for number, label, days in ((1, 1, 1), (2, 1, 5), (3, 2, 1)):
        storage.entries.add(submission(number, label=label, days=days), NOW)
    place(storage, 1, 2, 3)
    assert storage.entries.erase_label("a", bytes([1] * 32), NOW + timedelta(days=2)) == 1
    left = storage.entries.under_label("a", bytes([1] * 32), 10)
    assert [one.id[-1] for one in left] == [2]
    assert storage.entries.erase_index("a", find(storage, 3).leaf_index or 0) == 1


def test_there_is_one_sequencer(database_url: str) -> None:
    """A second sequencer is refused while the first works, and may begin once that has ended."""
    first, second = Storage.open(database_url), Storage.open(database_url)
    first.migrate()
    with first.sequencing(), pytest.raises(StorageError, match="another sequencer"), second.sequencing():
        pass
    with second.sequencing():
        pass
    first.close()
    second.close()


def test_a_database_elsewhere_is_refused() -> None:
    """A URL of another kind is refused with what to write."""
    with pytest.raises(StorageError, match="sqlite:///"):
        Storage.open("mysql://localhost/log")


def test_migrating_again_does_nothing(database_url: str) -> None:
    """The steps run once."""
    storage = Storage.open(database_url)
    assert storage.migrate() == ("0001_tables",)
    assert storage.migrate() == ()
    storage.ping()
    storage.close()
