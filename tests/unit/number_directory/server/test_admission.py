from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from number_directory.access_list import AccessList, SignedAccessList, sign_access_list
from number_directory.record import Record, SignedRecord, sign_record
from number_directory.server import upkeep
from number_directory.server.admission import Admission, Admitted
from number_directory.server.errors import ConfigurationError, HistoryError, Refusal, RefusalKind, StorageError
from number_directory.server.record_log import WITNESS_NAME, Sequencer
from number_directory.server.replays import ReplayTable
from number_directory.server.upkeep import create_sequencer, run_worker
from policies.terms import Terms
from stir.jws import Chain
from tests.fakes.directory_world import CHAT, OWNER, VIDEO, DirectoryWorld, accepted, refusal
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


# Constraints and quorums of the list


def change_list(world: DirectoryWorld, text: str) -> None:
    """Write something more into the admission list, and let the directory look."""
    with world.config.admission.open("a") as file:
        file.write(text)
    world.clock.advance(_A_WHILE)


def record_of(world: DirectoryWorld, *chains: Chain, app: str = CHAT, seq: int = 1) -> str:
    """Return a record of the owner's that brings these chains."""
    now = int(world.clock().timestamp())
    record = Record(OWNER, app, ("https://chat.example/u/1",), frozenset(), seq, now, now + 3600)
    return sign_record(record, world.held().key, chains[0], chains[1:])


def second_authority(world: DirectoryWorld) -> Chain:
    """Put another authority on the list, and have it certify the owner's key."""
    other = root("Second Root", key_number=31)
    terms = Terms(name="second-ca", operator="Second", source="trust.toml:1")
    add_anchor(TrustHome.beside(world.config.admission), Anchor(terms, other.certificate))
    world.clock.advance(_A_WHILE)
    return other.number(OWNER).chain


@pytest.mark.parametrize(("purposes", "is_taken"), [(["record"], True), (["call", "message"], False)])
def test_a_statement_is_judged_for_records(small_world: DirectoryWorld, purposes: list[str], is_taken: bool) -> None:
    """An authority that the list believes for calls alone is admitted for nothing at a directory."""
    text = small_world.config.admission.read_text()
    small_world.config.admission.write_text(text.replace("[[anchor]]", f"[[anchor]]\npurposes = {purposes}"))
    small_world.clock.advance(_A_WHILE)
    for path, token in (("/records", small_world.record_token()), ("/own", small_world.own_token())):
        answer = small_world.post(path, token)
        assert (answer.status_code == 200) == is_taken
        if not is_taken:
            assert refusal(answer) == (403, "notAdmitted")


def test_a_quorum_counts_all_chains_of_a_statement(small_world: DirectoryWorld) -> None:
    """Two of two authorities must have certified the key; one alone does not do, in whichever place it stands."""
    first, second = small_world.held().chain, second_authority(small_world)
    members = 'name = "both"\nneed = 2\nmembers = ["example-ca", "second-ca"]\n'
    change_list(small_world, f'\n[[group]]\n{members}\n[[quorum]]\ngroup = "both"\n')
    for alone in (first, second):
        assert refusal(small_world.post("/records", record_of(small_world, alone))) == (403, "notAdmitted")
    accepted(small_world.post("/records", record_of(small_world, first, second)))
    accepted(small_world.post("/records", record_of(small_world, second, first, seq=2)))


def test_a_quorum_for_some_apps_is_asked_for_their_records(small_world: DirectoryWorld) -> None:
    """Records of other apps, and what is for none, need one authority."""
    first, second = small_world.held().chain, second_authority(small_world)
    members = 'name = "both"\nneed = 2\nmembers = ["example-ca", "second-ca"]\n'
    change_list(small_world, f'\n[[group]]\n{members}\n[[quorum]]\ngroup = "both"\napps = ["{VIDEO}"]\n')
    accepted(small_world.post("/records", record_of(small_world, first)))
    assert small_world.post("/own", small_world.own_token()).status_code == 200
    assert refusal(small_world.post("/records", record_of(small_world, first, app=VIDEO))) == (403, "notAdmitted")
    accepted(small_world.post("/records", record_of(small_world, first, second, app=VIDEO)))


def test_a_chain_that_does_not_count_is_not_taken_for_one_that_does(small_world: DirectoryWorld) -> None:
    """What a statement stands on is a chain that is believed itself, and not one beside it."""
    first, second = small_world.held().chain, second_authority(small_world)
    ended = small_world.authority.number(OWNER, serial=9, not_after=NOW - timedelta(hours=1)).chain
    change_list(small_world, '\n[[quorum]]\ngroup = "second-ca"\n')
    now = small_world.clock()
    signed = SignedRecord.parse(record_of(small_world, first, second))
    ended_too = SignedAccessList.parse(
        sign_access_list(AccessList(OWNER, 1, int(now.timestamp())), small_world.held().key, ended, [second])
    )
    admission = small_world.directory.admission
    for statement, chain, kind in (
        (signed, first, Admitted),
        (signed, second, Admitted),
        (ended_too, ended, Refusal),
        (ended_too, second, Admitted),
    ):
        found = admission.admit_by(chain, statement, OWNER, now)
        assert isinstance(found, kind)
        if isinstance(found, Refusal):
            assert found.kind is RefusalKind.CERTIFICATE_ENDED
        else:
            assert found.serial == chain[0].serial_number.to_bytes(2, "big")


def test_a_change_of_any_file_of_the_list_counts(small_world: DirectoryWorld) -> None:
    """A feed of numbers that changed hands is read again, though the list itself is as it was."""
    feed = small_world.config.admission.with_name("moved.csv")
    feed.write_text("# number,date,kind\n")
    change_list(small_world, '\n[[feed]]\nfile = "moved.csv"\n')
    small_world.publish()
    feed.write_text(f"{OWNER.e164},{NOW:%Y-%m-%d},reassignment\n")
    small_world.clock.advance(_A_WHILE)
    assert refusal(small_world.post("/records", small_world.record_token(seq=2))) == (403, "notAdmitted")


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
