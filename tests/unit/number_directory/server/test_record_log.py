from __future__ import annotations

from datetime import timedelta

import pytest

from number_directory.access_list import SignedAccessList
from number_directory.description import DirectoryDescription
from number_directory.receipt import PublishReceipt
from number_directory.record import SignedRecord
from number_directory.server import record_log
from number_directory.server.errors import HistoryError
from number_directory.server.record_log import WITNESS_NAME
from stir.jws import encode_base64url
from stir.telephone_number import TelephoneNumber
from tests.fakes.directory_world import OWNER, DirectoryWorld, accepted, refusal
from transparency.checkpoint import Checkpoint
from transparency.merkle import EMPTY_ROOT
from transparency.tiles import TileReader


def description(world: DirectoryWorld) -> DirectoryDescription:
    """Return what the directory tells of itself."""
    return DirectoryDescription.from_json(world.client.simulate_get("/directory.json").content)


def test_a_receipt_proves_that_the_log_has_a_record(world: DirectoryWorld) -> None:
    """Once a record is sequenced, its receipt can be had by its hash, and verifies with the directory's own key."""
    sequencer = world.sequencer()
    sequencer.recover()
    signed = SignedRecord.parse(world.record_token())
    assert accepted(world.post("/records", signed.token)).receipt is None
    place = f"/receipts/{encode_base64url(signed.hash)}"
    assert refusal(world.client.simulate_get(place)) == (404, "notFound")
    assert sequencer.step() == 1
    receipt = PublishReceipt.parse(world.client.simulate_get(place).content)
    assert receipt.verify(signed, description(world)).size == 1
    assert accepted(world.post("/records", signed.token)).receipt == receipt
    assert world.own().records[0].receipt == receipt


def test_access_lists_and_moves_are_logged_too(world: DirectoryWorld) -> None:
    """Whatever is accepted has its place in the log, once."""
    sequencer = world.sequencer()
    signed = SignedAccessList.parse(world.access_list_token())
    for _ in range(2):
        accepted(world.post("/access-lists", signed.token))
    accepted(world.post("/moves", world.move_token("https://other.example")))
    assert sequencer.step() == 2
    receipt = PublishReceipt.parse(world.client.simulate_get(f"/receipts/{encode_base64url(signed.hash)}").content)
    assert receipt.verify(signed, description(world))


def test_the_files_of_the_log_are_those_of_a_tiled_log(world: DirectoryWorld) -> None:
    """Checkpoint, tiles and entry bundles lead from one to another as C2SP says, across full tiles."""
    sequencer = world.sequencer()
    tree, now = world.directory.storage.tree, world.clock()
    entries = [bytes([index % 256, index // 256] * 16) for index in range(600)]
    for entry in entries:
        with world.directory.storage.transaction():
            tree.queue([entry], now)
        now += timedelta(microseconds=1)
        if entry in entries[::97]:
            sequencer.step()
    sequencer.step()
    note = world.client.simulate_get("/checkpoint").content
    shown = Checkpoint.from_note(note, description(world).record_log)
    assert shown.size == 600
    reader = TileReader(lambda path: world.client.simulate_get(f"/{path}").content, shown.size, shown.root)
    assert [reader.read_entry(index) for index in (0, 1, 255, 256, 599)] == [
        entries[index] for index in (0, 1, 255, 256, 599)
    ]


def test_a_new_worker_goes_on_where_the_old_one_stopped(world: DirectoryWorld) -> None:
    """What a worker knew of the tree is all in the database."""
    for index in range(3):
        world.publish(TelephoneNumber(f"1303555010{index}"))
        assert world.sequencer().step() == 1
    assert Checkpoint.parse(world.client.simulate_get("/checkpoint").text.partition("\n\n")[0] + "\n").size == 3


def test_what_a_crash_left_unsigned_is_signed_at_the_next_start(world: DirectoryWorld) -> None:
    """Between the move of the tree and its checkpoint, a crash costs nothing."""
    world.sequencer().recover()
    world.publish()

    class Crash(Exception):
        pass

    def crash(*_: object) -> None:
        raise Crash

    dying = world.sequencer()
    dying._publish = crash  # type: ignore[method-assign]
    with pytest.raises(Crash):
        dying.step()
    assert world.own().records[0].receipt is None
    world.sequencer().recover()
    assert world.own().records[0].receipt is not None


def test_two_workers_do_not_make_two_trees(world: DirectoryWorld) -> None:
    """Whoever finds that the tree has moved without it ends, and nothing is lost."""
    first, second = world.sequencer(), world.sequencer()
    first.recover()
    second.recover()
    world.publish()
    assert first.step() == 1
    world.publish(seq=2)
    with pytest.raises(HistoryError, match="another worker"):
        second.step()
    assert first.step() == 1


def test_one_worker_is_at_work_and_another_stands_by(world: DirectoryWorld) -> None:
    """The lock is one, and free again when its holder ends."""
    storage = world.directory.storage
    other = world.front_end() and world._more[-1].storage
    with storage.working() as held:
        assert held
        with other.working() as also:
            assert not also
    with other.working() as held:
        assert held


def test_a_database_that_was_set_back_is_found_out(small_world: DirectoryWorld) -> None:
    """The copy of the checkpoint outside the database tells that the database has an older tree."""
    sequencer = small_world.sequencer()
    small_world.publish()
    sequencer.step()
    tree = small_world.directory.storage.tree
    kept = tree.tree(small_world.directory.signer.name)
    tree.database.run("UPDATE directory_trees SET size = 0, root = ?", EMPTY_ROOT)
    with pytest.raises(HistoryError, match="old copy"):
        small_world.sequencer().recover()
    tree.database.run("UPDATE directory_trees SET size = 1, root = ?", kept.root)
    small_world.sequencer().recover()


def test_another_directorys_log_is_not_gone_on_with(small_world: DirectoryWorld) -> None:
    """A database whose log has another origin is not taken for ours."""
    small_world.sequencer().recover()
    small_world.directory.storage.tree.database.run("UPDATE directory_trees SET origin = 'other.example/records'")
    with pytest.raises(HistoryError, match="never changes"):
        small_world.sequencer().recover()


def test_damaged_tiles_are_found_out(small_world: DirectoryWorld) -> None:
    """A tree is gone on with only where its tiles lead to its root."""
    small_world.publish()
    small_world.sequencer().step()
    database = small_world.directory.storage.tree.database
    database.run("UPDATE directory_tiles SET data = ? WHERE path LIKE 'tile/0/%'", bytes(32))
    with pytest.raises(HistoryError, match="do not lead to its root"):
        small_world.sequencer().recover()
    database.run("DELETE FROM directory_tiles")
    with pytest.raises(HistoryError, match="restore the newest copy"):
        small_world.sequencer().recover()


def test_a_foreign_checkpoint_beside_the_settings_is_found_out(small_world: DirectoryWorld) -> None:
    """The file that keeps the checkpoint is the directory's own, or a person must look."""
    (small_world.config.folder / WITNESS_NAME).write_text("something else")
    with pytest.raises(HistoryError, match="not a checkpoint"):
        small_world.sequencer().recover()


@pytest.mark.parametrize("path", ["/checkpoint", "/tile/0/000", "/tile/9/x/y", "/tile/0/000.p/0", "/receipts/abc"])
def test_what_the_log_does_not_have_is_not_found(small_world: DirectoryWorld, path: str) -> None:
    """Files that are not there, and paths of none, are told apart by nobody."""
    assert refusal(small_world.client.simulate_get(path)) == (404, "notFound")


def test_a_publisher_waits_for_its_receipt(small_world: DirectoryWorld) -> None:
    """Where a worker sequences, the receipt comes with the answer."""
    leaf = SignedRecord.parse(small_world.record_token()).hash
    small_world.publish()
    directory, sequencer = small_world.directory, small_world.sequencer()
    looked = 0

    def look() -> int:
        nonlocal looked
        looked += 1
        if looked == 3:
            sequencer.step()
        return record_log.published_size(directory.storage, directory.signer.name)

    directory.releases.look = look
    assert directory.releases.wait(lambda: directory.storage.tree.index_of(leaf), 30) == 0
    assert small_world.own(OWNER).records[0].receipt is not None
