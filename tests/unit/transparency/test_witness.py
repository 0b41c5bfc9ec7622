"""What a witness cosigns, what it refuses, and what it never forgets (C2SP tlog-witness)."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import falcon.testing
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.log_simulator import ORIGIN, LogSimulator
from transparency.add_checkpoint import Submission, decode_signatures, decode_size
from transparency.checkpoint import Checkpoint
from transparency.cosignature import Ed25519Cosigner, timestamp_of
from transparency.errors import NoteError
from transparency.merkle import consistency_proof
from transparency.signed_note import Ed25519Signer, Note
from transparency.tiles import TileReader
from transparency.witness.app import LARGEST_REQUEST, create_app
from transparency.witness.cosigning import Witness
from transparency.witness.errors import Refusal, RefusalKind, StateError
from transparency.witness.store import Store

NAME = "witness.example/w1"
KEY = Ed25519PrivateKey.from_private_bytes(sha256(b"the witness's key").digest())
COSIGNER = Ed25519Cosigner(NAME, KEY)


class Clock:
    """Seconds that pass when they are told to."""

    now = 1_800_000_000

    def __call__(self) -> int:
        """Return the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def log() -> LogSimulator:
    """Show a log of five entries."""
    simulator = LogSimulator()
    simulator.fill(5)
    simulator.publish()
    return simulator


@pytest.fixture
def witness(tmp_path: Path, log: LogSimulator, clock: Clock) -> Witness:
    """Make a witness that knows the log and has seen nothing."""
    store = Store.create(tmp_path / "witness.db", COSIGNER.verifier.format())
    return Witness(COSIGNER, {ORIGIN: [log.signer.verifier]}, store, clock)


def submission(log: LogSimulator, old_size: int = 0) -> Submission:
    """Return a request for what the log shows now, with a right proof from an older size."""
    checkpoint = log.checkpoint()
    reader = TileReader(log.fetch, checkpoint.size, checkpoint.root)
    proof = consistency_proof(reader, old_size, checkpoint.size) if old_size else ()
    return Submission(old_size, proof, Note.parse(log.files["checkpoint"]))


def feed(witness: Witness, log: LogSimulator, old_size: int = 0) -> bytes:
    """Have what the log shows now cosigned."""
    return witness.add_checkpoint(submission(log, old_size).to_bytes())


def grow(log: LogSimulator, count: int) -> None:
    """Have the log show more entries."""
    log.fill(count)
    log.publish()


def refusal(witness: Witness, request: Submission) -> Refusal:
    """Return why a request is refused."""
    with pytest.raises(Refusal) as caught:
        witness.add_checkpoint(request.to_bytes())
    return caught.value


def test_the_first_checkpoint_of_a_known_log_is_cosigned(witness: Witness, log: LogSimulator, clock: Clock) -> None:
    """A witness that never saw a log takes its first checkpoint from the old size 0, and says when."""
    (line,) = decode_signatures(feed(witness, log))
    note = Note.parse(log.files["checkpoint"]).with_signatures([line])
    assert note.verified_by([COSIGNER.verifier]) == (line,)
    assert timestamp_of(line.signature) == clock.now


def test_a_log_that_grows_is_cosigned_again(witness: Witness, log: LogSimulator) -> None:
    """A consistency proof from the size cosigned last leads to the next cosignature."""
    feed(witness, log)
    grow(log, 300)
    feed(witness, log, 5)
    assert witness.latest()[ORIGIN].checkpoint.size == 305


def test_the_same_checkpoint_may_come_again(witness: Witness, log: LogSimulator, clock: Clock) -> None:
    """A feeder that lost the answer asks again from the same size, without a proof, and gets a newer cosignature."""
    feed(witness, log)
    clock.now += 60
    (line,) = decode_signatures(witness.add_checkpoint(submission(log, 5).to_bytes()))
    assert timestamp_of(line.signature) == clock.now


def test_a_log_that_is_not_known_is_not_cosigned(witness: Witness, log: LogSimulator) -> None:
    """An origin without a key here is refused as unknown."""
    signer = Ed25519Signer("other.example", KEY)
    note = Note.parse(Checkpoint("other.example", 5, log.checkpoint().root).to_note([signer]))
    assert refusal(witness, Submission(0, (), note)).kind is RefusalKind.UNKNOWN_LOG


def test_what_the_log_did_not_sign_is_not_cosigned(witness: Witness, log: LogSimulator) -> None:
    """A checkpoint under the log's origin that another key signed is refused."""
    signer = Ed25519Signer(ORIGIN, KEY)
    note = Note.parse(log.checkpoint().to_note([signer]))
    assert refusal(witness, Submission(0, (), note)).kind is RefusalKind.NOT_SIGNED


def test_an_old_size_above_the_checkpoints_is_malformed(witness: Witness, log: LogSimulator) -> None:
    """A log does not shrink: the old size must be equal to or lower than the checkpoint's."""
    request = Submission(6, (), Note.parse(log.files["checkpoint"]))
    assert refusal(witness, request).kind is RefusalKind.MALFORMED


def test_a_feeder_that_began_elsewhere_is_told_the_size(witness: Witness, log: LogSimulator) -> None:
    """Where the old size is not the one cosigned last, the refusal names the right one."""
    feed(witness, log)
    grow(log, 2)
    told = refusal(witness, submission(log, 0))
    assert (told.kind, told.size) == (RefusalKind.OTHER_SIZE, 5)


def test_a_proof_from_nothing_must_be_empty(witness: Witness, log: LogSimulator) -> None:
    """With an old size of zero there is nothing to prove, and a hash is refused."""
    request = Submission(0, (bytes(32),), Note.parse(log.files["checkpoint"]))
    assert refusal(witness, request).kind is RefusalKind.UNPROVEN


def test_a_wrong_consistency_proof_is_refused_and_kept(witness: Witness, log: LogSimulator) -> None:
    """What a log signed and does not prove is not cosigned, and stays as evidence."""
    feed(witness, log)
    grow(log, 2)
    request = Submission(5, (bytes(32),), Note.parse(log.files["checkpoint"]))
    assert refusal(witness, request).kind is RefusalKind.UNPROVEN
    (kept,) = witness.store.evidence()
    assert (kept.origin, kept.reason, kept.request) == (ORIGIN, "unproven", request.to_bytes())


@pytest.mark.parametrize("old_size", [0, 5])
def test_a_second_tree_of_one_size_is_a_fork(witness: Witness, log: LogSimulator, old_size: int) -> None:
    """Two roots of one size prove that the log forked: both notes are kept, whatever old size came with the second."""
    feed(witness, log)
    first = log.files["checkpoint"]
    log.fork(2)
    assert refusal(witness, Submission(old_size, (), Note.parse(log.files["checkpoint"]))).kind is RefusalKind.FORK
    (kept,) = witness.store.evidence()
    assert Note.parse(kept.cosigned or b"").text == Note.parse(first).text
    assert Submission.parse(kept.request).note.text == Note.parse(log.files["checkpoint"]).text


def test_a_history_that_forked_before_is_not_cosigned(witness: Witness, log: LogSimulator) -> None:
    """A longer tree that does not begin with the cosigned one has no proof that the witness takes."""
    feed(witness, log)
    log.fork(2)
    grow(log, 10)
    assert refusal(witness, submission(log, 5)).kind is RefusalKind.UNPROVEN


def test_evidence_is_kept_once(witness: Witness, log: LogSimulator) -> None:
    """A fork that is sent many times fills no disk."""
    feed(witness, log)
    log.fork(2)
    for _ in range(3):
        refusal(witness, submission(log, 5))
    assert len(witness.store.evidence()) == 1


def test_a_clock_that_goes_back_stops_cosigning(witness: Witness, log: LogSimulator, clock: Clock) -> None:
    """A cosignature says what was the largest tree by its time, so none is dated before the last one."""
    feed(witness, log)
    grow(log, 1)
    clock.now -= 1
    assert refusal(witness, submission(log, 5)).kind is RefusalKind.CLOCK
    assert witness.latest()[ORIGIN].checkpoint.size == 5


def test_the_memory_outlives_the_process(tmp_path: Path, witness: Witness, log: LogSimulator) -> None:
    """A witness that was started again goes on from what it cosigned before."""
    feed(witness, log)
    witness.close()
    again = Witness(COSIGNER, witness.logs, Store(tmp_path / "witness.db", COSIGNER.verifier.format()))
    log.fork(2)
    assert refusal(again, submission(log, 5)).kind is RefusalKind.FORK


def test_a_lost_memory_is_not_made_anew(tmp_path: Path) -> None:
    """Without its memory a key must not go on: it could cosign another history."""
    with pytest.raises(StateError, match="is missing"):
        Store(tmp_path / "witness.db", COSIGNER.verifier.format())


def test_a_memory_belongs_to_one_key(tmp_path: Path, witness: Witness) -> None:
    """A witness does not start with the memory of another."""
    with pytest.raises(StateError, match="another key"):
        Store(tmp_path / "witness.db", "other.example+00000000+AAAA")
    with pytest.raises(StateError, match="never overwritten"):
        Store.create(tmp_path / "witness.db", COSIGNER.verifier.format())
    witness.close()


def test_a_file_that_is_no_memory_is_refused(tmp_path: Path) -> None:
    """A damaged file stops the witness with its name."""
    path = tmp_path / "witness.db"
    path.write_bytes(b"this is not SQLite at all, however long it may be" * 100)
    with pytest.raises(StateError, match=r"witness\.db cannot be used"):
        Store(path, COSIGNER.verifier.format())


def test_concurrent_requests_never_get_two_histories_cosigned(tmp_path: Path, clock: Clock) -> None:
    """Of many forks of one size, sent at once to two processes' memories, one alone is ever cosigned."""
    logs = []
    for place in range(8):
        log = LogSimulator()
        log.fill(5)
        log.fork(place % 5) if place else log.publish()
        log.fill(place)
        log.publish()
        logs.append(log)
    keys = {ORIGIN: [logs[0].signer.verifier]}
    Store.create(tmp_path / "w.db", COSIGNER.verifier.format()).close()
    stores = [Store(tmp_path / "w.db", COSIGNER.verifier.format()) for _ in range(2)]
    barrier = threading.Barrier(len(logs))

    def send(place: int) -> bool:
        barrier.wait(10)
        try:
            feed(Witness(COSIGNER, keys, stores[place % 2], clock), logs[place])
        except Refusal:
            return False
        return True

    with ThreadPoolExecutor(len(logs)) as pool:
        cosigned = list(pool.map(send, range(len(logs))))
    assert sum(cosigned) == 1
    latest = stores[0].cosigned()[ORIGIN].checkpoint
    assert latest == logs[cosigned.index(True)].checkpoint()


# Over HTTP


@pytest.fixture
def http(witness: Witness) -> falcon.testing.TestClient:
    """Put the witness behind HTTP."""
    return falcon.testing.TestClient(create_app(witness))


def test_a_cosignature_is_the_answers_body(http: falcon.testing.TestClient, log: LogSimulator) -> None:
    """C2SP tlog-witness: 200, and signature lines that begin with an em dash and end in a newline."""
    answer = http.simulate_post("/add-checkpoint", body=submission(log).to_bytes())
    assert answer.status_code == 200
    assert answer.text.startswith(f"— {NAME} ")
    assert answer.text.endswith("\n")


def test_each_refusal_has_its_status(http: falcon.testing.TestClient, log: LogSimulator) -> None:
    """C2SP tlog-witness: 400, 403, 404, 409 with the size, 422, and 409 for another root of the same size."""

    def status(body: bytes) -> int:
        return http.simulate_post("/add-checkpoint", body=body).status_code

    note = Note.parse(log.files["checkpoint"])
    stranger = Ed25519Signer("other.example", KEY)
    unknown = Note.parse(Checkpoint("other.example", 5, log.checkpoint().root).to_note([stranger]))
    forged = Note.parse(log.checkpoint().to_note([Ed25519Signer(ORIGIN, KEY)]))
    assert status(b"old\n\n") == 400
    assert status(Submission(6, (), note).to_bytes()) == 400
    assert status(Submission(0, (), forged).to_bytes()) == 403
    assert status(Submission(0, (), unknown).to_bytes()) == 404
    assert status(submission(log).to_bytes()) == 200
    grow(log, 1)
    conflict = http.simulate_post("/add-checkpoint", body=submission(log).to_bytes())
    assert (conflict.status_code, conflict.headers["content-type"]) == (409, "text/x.tlog.size")
    assert decode_size(conflict.content) == 5
    assert status(Submission(5, (), Note.parse(log.files["checkpoint"])).to_bytes()) == 422
    log.roll_back(5)
    log.fork(1)
    fork = http.simulate_post("/add-checkpoint", body=Submission(5, (), Note.parse(log.files["checkpoint"])).to_bytes())
    assert fork.status_code == 409
    assert fork.headers["content-type"].startswith("text/plain")


def test_an_endless_request_is_not_read(http: falcon.testing.TestClient) -> None:
    """A body above the bound is refused by its length."""
    assert http.simulate_post("/add-checkpoint", body=bytes(LARGEST_REQUEST + 1)).status_code == 413


def test_everybody_may_see_what_was_cosigned_last(http: falcon.testing.TestClient, log: LogSimulator) -> None:
    """Who watches a log compares what it is shown with what witnesses were shown."""
    path = f"/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    assert http.simulate_get(path).status_code == 404
    http.simulate_post("/add-checkpoint", body=submission(log).to_bytes())
    note = Note.parse(http.simulate_get(path).content)
    assert len(note.verified_by([log.signer.verifier, COSIGNER.verifier])) == 2


def test_a_memory_that_fails_cosigns_nothing(
    http: falcon.testing.TestClient, witness: Witness, log: LogSimulator
) -> None:
    """Where nothing can be remembered, the feeder is asked to come back, and learns no path of the machine."""
    witness.close()
    answer = http.simulate_post("/add-checkpoint", body=submission(log).to_bytes())
    assert answer.status_code == 503
    assert "witness.db" not in answer.text


# The request's form


@given(old_size=st.integers(0, 2**63 - 1), proof=st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_request_reads_as_it_was_written(old_size: int, proof: list[bytes]) -> None:
    """Writing and reading a request gives the same request."""
    note = Note.parse(LogSimulator().files["checkpoint"])
    request = Submission(old_size, tuple(proof), note)
    assert Submission.parse(request.to_bytes()) == request


@given(body=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_make_reading_fail_otherwise(body: bytes) -> None:
    """Whatever is sent is read, or refused with NoteError."""
    with contextlib.suppress(NoteError):
        assert Submission.parse(body).to_bytes() == body


@pytest.mark.parametrize(
    "head",
    ["old 01", "old", "old  1", "old -1", "old \u0661", "size 1", "old 9223372036854775808", "old 1\nAAAA"],
)
def test_a_request_has_one_form(head: str) -> None:
    """Leading zeroes, other digits, short hashes and empty lines are refused."""
    note = LogSimulator().files["checkpoint"]
    with pytest.raises(NoteError):
        Submission.parse(head.encode() + b"\n\n" + note)


def test_a_request_has_63_hashes_at_most(log: LogSimulator) -> None:
    """C2SP tlog-witness: the client must not send more than 63 consistency proof lines."""
    note = Note.parse(log.files["checkpoint"])
    assert Submission(1, (bytes(32),) * 63, note)
    with pytest.raises(NoteError):
        Submission(1, (bytes(32),) * 64, note)
