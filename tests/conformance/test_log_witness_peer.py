"""Our witness fed by a foreign feeder, and our log cosigned by a foreign witness: `aics-witness`, in its own Python."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from tests.fakes.log_simulator import ORIGIN, LogSimulator
from tests.fakes.log_world import SHARD, Authority, fill, make_config, published, shard_of
from tests.peers import require_witness
from transparency.client import LogRefused, WitnessClient
from transparency.cosignature import Ed25519Cosigner, MlDsa44Cosigner, parse_cosignature_key
from transparency.following import Shard
from transparency.merkle import consistency_proof
from transparency.proof import WitnessPolicy
from transparency.proving import cosigned_checkpoint
from transparency.server.app import create_log
from transparency.server.config import Witness as ConfiguredWitness
from transparency.server.config import Witnessing
from transparency.server.keys import KeyStore
from transparency.server.sequencer import Sequencer
from transparency.server.witnessing import Witnessing as Gathering
from transparency.signed_note import Note
from transparency.tiles import TileReader
from transparency.transport import HttpTransport
from transparency.witness.app import create_app
from transparency.witness.cosigning import Witness
from transparency.witness.store import Store

_PATIENCE = 30.0
_FEEDER = Path(__file__).parents[1] / "witness" / "feed.py"
_COSIGNER = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(sha256(b"ours").digest()))

pytestmark = pytest.mark.peer


@pytest.fixture
def log() -> LogSimulator:
    """Show a log of 300 entries."""
    simulator = LogSimulator()
    simulator.fill(300)
    simulator.publish()
    return simulator


def grow(log: LogSimulator, count: int) -> None:
    """Have the log show more entries."""
    log.fill(count)
    log.publish()


# Ours, fed by theirs


class _Silent(WSGIRequestHandler):
    """Says nothing of requests."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass
class OurWitness:
    """Our witness, on loopback."""

    witness: Witness
    url: str

    def fed(self, log: LogSimulator, *old_sizes: int) -> dict[str, str]:
        """Have the foreign feeder send what the log shows, with proofs from these sizes; return its answer."""
        checkpoint = log.checkpoint()
        reader = TileReader(log.fetch, checkpoint.size, checkpoint.root)
        asked = {
            "url": self.url,
            "key": _COSIGNER.verifier.format(),
            "note": log.files["checkpoint"].decode(),
            "proofs": {
                str(old): [part.hex() for part in consistency_proof(reader, old, checkpoint.size)] for old in old_sizes
            },
        }
        done = subprocess.run(
            [require_witness("python"), str(_FEEDER)],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, str] = json.loads(done.stdout)
        return answer


@pytest.fixture
def ours(tmp_path: Path, log: LogSimulator) -> Iterator[OurWitness]:
    """Serve our witness."""
    store = Store.create(tmp_path / "witness.db", _COSIGNER.verifier.format())
    witness = Witness(_COSIGNER, {ORIGIN: [log.signer.verifier]}, store)
    with make_server("127.0.0.1", 0, create_app(witness), handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield OurWitness(witness, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join(_PATIENCE)
    witness.close()


def test_a_foreign_feeder_gets_our_cosignature(ours: OurWitness, log: LogSimulator) -> None:
    """The feeder checks our cosignature by its own code, from nothing and then from the size that we tell it."""
    first = ours.fed(log)
    assert first["lines"].startswith("— witness.example/w1 ")
    grow(log, 50)
    assert "lines" in ours.fed(log, 300)
    assert ours.witness.latest()[ORIGIN].checkpoint.size == 350


def test_a_foreign_feeder_takes_our_answer_with_a_second_line(ours: OurWitness, log: LogSimulator) -> None:
    """C2SP tlog-witness: a client passes over lines of keys that it does not know, such as our ML-DSA-44 one."""
    both = dataclasses.replace(ours.witness, second=MlDsa44Cosigner(_COSIGNER.name, MLDSA44PrivateKey.generate()))
    with make_server("127.0.0.1", 0, create_app(both), handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        answer = OurWitness(both, f"http://127.0.0.1:{server.server_port}").fed(log)
        server.shutdown()
        thread.join(_PATIENCE)
    assert answer["lines"].startswith("— witness.example/w1 ")
    assert len(both.latest()[ORIGIN].note.signatures) == 3


def test_a_foreign_feeder_understands_our_refusals(ours: OurWitness, log: LogSimulator) -> None:
    """Another root of the same size, a checkpoint from before, and an unproven one are final for it.

    For another root, tlog-witness v1.0.0 asks for 409 and names no body. A size would make other feeders ask again and
    again; without one, this feeder gives up as well, with a complaint about the answer.
    """
    grow(log, 50)
    assert "lines" in ours.fed(log)
    log.fork(7)
    assert ours.fed(log, 350)["refused"] == "BadWitnessResponse"
    grow(log, 50)
    assert ours.fed(log, 350)["refused"] == "WitnessRejected"
    log.roll_back(300)
    assert ours.fed(log)["refused"] == "WitnessAhead"
    assert {one.reason for one in ours.witness.store.evidence()} == {"fork", "unproven"}


# Theirs, fed by ours


@contextmanager
def foreign_witness(folder: Path, origin: str, key: str) -> Iterator[WitnessClient]:
    """Run the foreign witness, which knows one log."""
    program, config = require_witness("aics-witness"), ("--config", str(folder / "witness.json"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments, *config], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = run("init", "--name", "foreign.example/w1", "--listen", "127.0.0.1:0")
    own = re.search(r"foreign\.example/w1\+[0-9a-f]{8}\+\S+", made)
    assert own is not None, made
    run("add-log", "--origin", origin, "--vkey", key)
    server = subprocess.Popen([program, "serve", *config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert server.stdout is not None
    try:
        listening = next(found for line in server.stdout if (found := re.search(r"listening on (http\S+)", line)))
        yield WitnessClient(listening[1], parse_cosignature_key(own[0]), HttpTransport())
    finally:
        server.terminate()
        server.wait(_PATIENCE)
        server.stdout.close()


@pytest.fixture
def theirs(tmp_path: Path, log: LogSimulator) -> Iterator[WitnessClient]:
    """Run the foreign witness, which knows our log."""
    with foreign_witness(tmp_path, ORIGIN, log.signer.verifier.format()) as client:
        yield client


def _shard(log: LogSimulator) -> Shard:
    return Shard(log.description, log.shard, log)


def test_a_foreign_witness_cosigns_our_log(theirs: WitnessClient, log: LogSimulator) -> None:
    """Our client feeds it, first from nothing and then with our consistency proof; the quorum is reached."""
    note, _ = cosigned_checkpoint(_shard(log), [theirs])
    policy = WitnessPolicy({theirs.key: "A Stranger"}, 1)
    assert policy.check(note) == {"A Stranger"}
    grow(log, 600)
    note, checkpoint = cosigned_checkpoint(_shard(log), [theirs])
    assert (policy.check(note), checkpoint.size) == ({"A Stranger"}, 900)


def test_a_foreign_witness_shows_what_it_cosigned(theirs: WitnessClient, log: LogSimulator) -> None:
    """Our monitor can compare what it was shown with what the foreign witness was shown."""
    assert theirs.latest(ORIGIN) is None
    cosigned_checkpoint(_shard(log), [theirs])
    latest = theirs.latest(ORIGIN)
    assert latest is not None
    assert latest.text == Note.parse(log.files["checkpoint"]).text


def test_a_foreign_witness_refuses_our_fork(theirs: WitnessClient, log: LogSimulator) -> None:
    """Once it has cosigned one history, our client hears that it cosigns no other."""
    cosigned_checkpoint(_shard(log), [theirs])
    log.fork(7)
    with pytest.raises(LogRefused):
        cosigned_checkpoint(_shard(log), [theirs])


def test_our_log_server_has_a_foreign_witness_cosign_what_it_publishes(tmp_path: Path) -> None:
    """From the empty tree on, its line comes under the published checkpoint, beside the sequencer or before it."""
    config = make_config(tmp_path / "log", Authority.make())
    keys = KeyStore(config.keys.directory, None).open(SHARD.name, config.origin(SHARD))
    with foreign_witness(tmp_path, config.origin(SHARD), keys.checkpoint.verifier.format()) as theirs:
        config = msgspec.structs.replace(
            config, witnesses=(ConfiguredWitness("A Stranger", theirs.url, (theirs.key.format(),)),)
        )
        policy = WitnessPolicy({theirs.key: "A Stranger"}, 1)
        for quorum, sizes in ((0, (0, 5, 300)), (1, (301, 600))):
            patient = Witnessing(quorum=quorum, deadline_seconds=30)
            opened = create_log(msgspec.structs.replace(config, witnessing=patient))
            sequencer, gathering = Sequencer(opened, shard_of(opened)), Gathering(opened, shard_of(opened))
            sequencer.recover()
            for size in sizes:
                fill(opened, size - published(opened).size, published(opened).size + 1)
                sequencer.step()
                if not quorum:
                    gathering.step()
                note = Note.parse(opened.publisher.read(f"{SHARD.name}/checkpoint") or b"")
                assert policy.check(note) == {"A Stranger"}
                assert published(opened).size == size
            opened.storage.close()
