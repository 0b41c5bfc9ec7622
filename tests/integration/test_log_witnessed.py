"""A log that has its checkpoints cosigned, and an auditor who publishes: what owner and prover make of both."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner

from acme_client import AuthorityAddress, Store
from answerback.cli import front_door
from stir.certificate_chain import write_pem_chain
from tests.fakes.running_log import PATIENCE, RunningLog, RunningWitness, run, witnessed_log
from tests.fakes.small_pki import CALLER, STRANGER, Authority, key, root
from transparency.signed_note import Note

CA = AuthorityAddress.parse("https://ca.example/acme/index")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the owner a home of its own."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def authority() -> Authority:
    """Return the authority that the log admits."""
    return root()


@pytest.fixture
def served(tmp_path: Path, authority: Authority) -> Iterator[tuple[RunningLog, RunningWitness]]:
    """Serve a log and its witness."""
    with witnessed_log(tmp_path / "serving", authority) as running:
        yield running


@pytest.fixture
def log(served: tuple[RunningLog, RunningWitness]) -> RunningLog:
    """Return the log."""
    return served[0]


@pytest.fixture
def owned(home: Path, log: RunningLog, authority: Authority) -> Path:
    """Enrol the owner's number."""
    chain = log.certify(authority, CALLER, key_number=3, serial=1001)
    Store(home).install(CA, CALLER, chain, key(3), validation=("sms-code",), now=datetime.now(UTC))
    log.wait_for_index(1)
    file = home / "own.pem"
    file.write_bytes(write_pem_chain(chain))
    return file


def run_trust(*arguments: str) -> None:
    """Run `answerback trust …`."""
    result = CliRunner().invoke(front_door, ["trust", *arguments])
    assert result.exit_code == 0, result.output


def wait_for_cosignatures(log: RunningLog) -> None:
    """Wait until every shard's checkpoint has both of the witness's lines."""
    deadline = time.monotonic() + PATIENCE
    for shard in log.description.shards:
        path = log.folder / "public" / shard.name / "checkpoint"
        while not path.exists() or len(Note.parse(path.read_bytes()).signatures) < 3:
            assert time.monotonic() < deadline, (log.folder.parent / "stderr").read_text()
            time.sleep(0.05)


def test_what_a_log_has_had_cosigned_is_enough_for_owner_and_prover(
    served: tuple[RunningLog, RunningWitness], owned: Path, home: Path
) -> None:
    """Nobody but the log asks the witness; a quorum is reached with what the log shows, online and offline."""
    log, witness = served
    wait_for_cosignatures(log)
    for number, one in enumerate(witness.keys):
        run_trust("witness", "add", one, "--operator", "Town Library", "--name", f"library-{number}")
    watched = run("monitor", CALLER.e164, "--log", log.log_json, "--quorum", "1")
    assert [alarm for shard in watched["shards"] for alarm in shard["alarms"]] == []
    (proof,) = run("prove", owned, "--log", log.log_json, "--quorum", "1")["proofs"]
    assert proof["signatures"] == [log.shard.origin, "witness.example/w1", "witness.example/w1"]
    kept = home / "log.json"
    kept.write_bytes(log.log_json.read_bytes())
    run("prove", owned, "--log", kept, "--check", proof["file"], "--quorum", "1")
    assert "operators" in run("prove", owned, "--log", kept, "--check", proof["file"], "--quorum", "2", code=1)["error"]


def test_what_an_auditor_publishes_is_held_against_what_the_owner_is_shown(
    log: RunningLog, owned: Path, authority: Authority, tmp_path: Path
) -> None:
    """The auditor's folder is served as files; an index shown to the owner alone, under the log's key, is an alarm."""
    published = tmp_path / "audited"
    audited = run(
        *("audit", "--log", log.log_json, "--name", "auditor.example", "--key", tmp_path / "auditor.key"),
        *("--output", published),
    )
    file = published / sha256(log.shard.origin.encode()).hexdigest() / "map-checkpoint"
    assert "auditor.example" in {one.name for one in Note.parse(file.read_bytes()).signatures}
    handler = partial(_Quiet, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        watch = ("monitor", CALLER.e164, "--log", log.log_json)
        by_hand = run(*watch, "--auditor", audited["key"], url)
        run_trust("auditor", "add", audited["key"], url, "--operator", "Watchers")
        for found in (by_hand, run(*watch)):
            assert [(shard["alarms"], shard["troubles"]) for shard in found["shards"]] == [([], [])] * 3
        log.show_index_of([bytes(32)])
        alarms = [alarm for shard in run(*watch, code=1)["shards"] for alarm in shard["alarms"]]
        assert "fork" in {alarm["kind"] for alarm in alarms}
        server.shutdown()
    assert owned.exists()
    assert log.certify(authority, STRANGER, key_number=5, serial=1002)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of requests."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""
