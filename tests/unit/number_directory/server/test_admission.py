from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from number_directory.record import Record, sign_record
from number_directory.server import upkeep
from number_directory.server.admission import Admission
from number_directory.server.errors import ConfigurationError, HistoryError, StorageError
from number_directory.server.record_log import WITNESS_NAME, Sequencer
from number_directory.server.replays import ReplayTable
from number_directory.server.upkeep import create_sequencer, run_worker
from policies.terms import Terms
from tests.fakes.directory_world import CHAT, OWNER, DirectoryWorld, accepted, refusal
from tests.fakes.small_pki import NOW, root
from trust_store import Anchor, TrustHome
from trust_store.editing import add_anchor, remove_anchor

_A_WHILE = timedelta(seconds=31)


def test_who_is_admitted_may_change_while_the_directory_serves(small_world: DirectoryWorld) -> None:
    """An authority that the operator takes off the list is not believed any more, nor is one that was never on it."""
    home = TrustHome.beside(small_world.config.admission)
    small_world.publish()
    remove_anchor(home, "example-ca")
    small_world.clock.advance(_A_WHILE)
    assert refusal(small_world.post("/records", small_world.record_token(seq=2))) == (403, "notAdmitted")
    add_anchor(home, Anchor(Terms("again", "Example", "trust.toml:1"), small_world.authority.certificate))
    small_world.clock.advance(_A_WHILE)
    small_world.publish(seq=2)


def test_an_unreadable_list_leaves_the_last_good_one_in_force(small_world: DirectoryWorld) -> None:
    """A slip of the operator's pen does not stop the directory."""
    small_world.publish()
    small_world.config.admission.write_text("nonsense")
    small_world.clock.advance(_A_WHILE)
    small_world.publish(seq=2)


def test_a_list_that_cannot_be_read_at_the_start_is_a_mistake(tmp_path: Path) -> None:
    """The operator is told at once."""
    (tmp_path / "trust.toml").write_text("nonsense")
    with pytest.raises(ConfigurationError, match="admission"):
        Admission.of_file(tmp_path / "trust.toml", NOW)


def test_any_of_a_statements_chains_will_do(small_world: DirectoryWorld) -> None:
    """A record under an authority that is not admitted, and one that is, is taken."""
    held, other = small_world.held(), root("Second Root", key_number=31).number(OWNER)
    now = int(small_world.clock().timestamp())
    record = Record(OWNER, CHAT, ("https://chat.example/u/1",), frozenset(), 1, now, now + 3600)
    accepted(small_world.post("/records", sign_record(record, held.key, other.chain, [held.chain])))


def test_an_expired_certificate_is_told(small_world: DirectoryWorld) -> None:
    """Whoever signs with an old certificate is told to renew it."""
    small_world.clock.advance(timedelta(days=7))
    assert refusal(small_world.post("/own", small_world.own_token())) == (403, "certificateEnded")


def test_an_intermediate_that_was_left_out_leads_nowhere(small_world: DirectoryWorld) -> None:
    """A chain without its middle is not admitted."""
    issuing = small_world.authority.authority("Issuing", key_number=40)
    held = issuing.number(OWNER)
    now = int(small_world.clock().timestamp())
    record = Record(OWNER, CHAT, ("https://chat.example/u/1",), frozenset(), 1, now, now + 3600)
    token = sign_record(record, held.key, held.chain[:1])
    assert refusal(small_world.post("/records", token)) == (403, "notAdmitted")
    accepted(small_world.post("/records", sign_record(record, held.key, held.chain)))


# The worker


class _Failing(Sequencer):
    """Fails some times, then stops the worker."""

    def __init__(self, errors: list[Exception], stop: threading.Event) -> None:
        """Take what to raise."""
        self.errors = errors
        self.stop = stop

    def step(self) -> int:
        """Fail, or stop."""
        if self.errors:
            raise self.errors.pop(0)
        self.stop.set()
        return 0


def test_a_worker_tries_again_what_may_pass_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away for a moment does not end the worker."""
    stop = threading.Event()
    monkeypatch.setattr(upkeep, "_SHORTEST_PAUSE", 0.01)
    upkeep._sequence(_Failing([StorageError("away")], stop), 0.01, stop)
    assert stop.is_set()


def test_a_worker_ends_where_a_person_must_look() -> None:
    """A history that contradicts itself is not gone on with."""
    stop = threading.Event()
    with pytest.raises(HistoryError):
        upkeep._sequence(_Failing([HistoryError("two trees")], stop), 0.01, stop)


@pytest.fixture
def now_world(world: DirectoryWorld) -> DirectoryWorld:
    """Return a world at the real time, by which a worker goes, with a record."""
    now = world.clock.now = datetime.now(UTC)
    life = timedelta(days=300)
    world.hold(OWNER, world.authority.number(OWNER, not_before=now - life, not_after=now + life))
    world.publish()
    return world


def _wait_for_receipt(world: DirectoryWorld) -> None:
    world.directory.releases.wait(lambda: 0 if world.own().records[0].receipt else None, 30)
    assert world.own().records[0].receipt is not None


def test_a_worker_sequences_and_keeps_the_house(now_world: DirectoryWorld) -> None:
    """From its start to its stop, a worker gives what was accepted its place."""
    world, stop = now_world, threading.Event()
    worker = threading.Thread(target=run_worker, args=(world.config, stop))
    worker.start()
    try:
        _wait_for_receipt(world)
    finally:
        stop.set()
        worker.join()
    assert create_sequencer(world.directory).examine() == 1
    assert (world.config.folder / WITNESS_NAME).exists()


def test_a_worker_stands_by_while_another_works(now_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes over when the other ends."""
    monkeypatch.setattr(upkeep, "STAND_BY_SECONDS", 0.01)
    world, stop, began = now_world, threading.Event(), threading.Event()
    worker = threading.Thread(target=run_worker, args=(world.config, stop), kwargs={"announce": began.set})
    with world.directory.storage.working() as held:
        assert held
        worker.start()
        assert began.wait(30)
        assert world.directory.storage.tree.index_of(world.directory.storage.tree.queued(1)[0]) is None
    try:
        _wait_for_receipt(world)
    finally:
        stop.set()
        worker.join()


def test_too_many_requests_at_once_are_told_to_come_again(
    small_world: DirectoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that cannot be remembered is not answered: it could be again."""

    def no_room(*_: object) -> None:
        return None

    monkeypatch.setattr(ReplayTable, "spend", no_room)
    result = small_world.post("/lookup", small_world.lookup_token([OWNER]))
    assert refusal(result) == (503, "directoryBusy")
    assert int(result.headers["retry-after"]) > 0


def test_a_refusal_names_no_number(small_world: DirectoryWorld) -> None:
    """What is told to strangers, and logged, has no telephone number in it."""
    small_world.hold(OWNER, small_world.authority.number(OWNER, not_after=NOW + timedelta(hours=1)))
    small_world.clock.advance(timedelta(hours=2))
    result = small_world.post("/own", small_world.own_token())
    assert OWNER.digits not in result.text
