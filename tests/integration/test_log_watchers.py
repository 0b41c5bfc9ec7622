"""Everybody who checks a log, as they would at a terminal, against a real log and a real witness over sockets."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from acme_client import AuthorityAddress, Store
from stir.certificate_chain import write_pem_chain
from tests.fakes.index_files import built
from tests.fakes.running_log import PATIENCE, RunningLog, RunningWitness, run, running_log, running_witness
from tests.fakes.small_pki import CALLER, STRANGER, Authority, key, root
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.label_index import MAP_CHECKPOINT_PATH
from transparency.merkle import leaf_hash
from transparency.server.keys import KeyStore
from transparency.signed_note import Note
from transparency.tiles import ENTRIES, Frontier, TileCoordinates, decode_bundle, encode_bundle

OWN, ATTACKERS = 3, 66
CA = AuthorityAddress.parse("https://ca.example/acme/index")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the owner a home of its own, which the commands find."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def authority() -> Authority:
    """Return the authority that the log admits."""
    return root()


@pytest.fixture
def log(tmp_path: Path, authority: Authority) -> Iterator[RunningLog]:
    """Serve a log."""
    with running_log(tmp_path / "serving", authority) as running:
        yield running


@pytest.fixture
def owned(home: Path, log: RunningLog, authority: Authority) -> Path:
    """Enrol the owner's number: one logged certificate, in the owner's store and in a file."""
    chain = log.certify(authority, CALLER, key_number=OWN, serial=1001)
    Store(home).install(CA, CALLER, chain, key(OWN), validation=("sms-code",), now=datetime.now(UTC))
    log.wait_for_index(1)
    file = home / "own.pem"
    file.write_bytes(write_pem_chain(chain))
    return file


@pytest.fixture
def witness(tmp_path: Path, log: RunningLog) -> Iterator[RunningWitness]:
    """Serve a witness of the log."""
    with running_witness(tmp_path / "witness", log.log_json) as running:
        yield running


def monitor(log: RunningLog, *options: str | Path, code: int = 0) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Run the monitor; return the alarms, and what was found in the shard of certificates that are issued now."""
    found = run("monitor", CALLER.e164, "--log", log.log_json, *options, code=code)
    shards = {shard["origin"]: shard for shard in found["shards"]}
    return [alarm for shard in shards.values() for alarm in shard["alarms"]], shards[log.shard.origin]


def entry(log: RunningLog, index: int) -> SealedEntry:
    """Return an entry of a log that has few."""
    size = log.map_checkpoint().log.size
    return SealedEntry.from_bytes(decode_bundle(log.file(f"tile/entries/000.p/{size}").read_bytes(), size)[index])


def test_the_owner_sees_its_own_certificate_in_every_shard(log: RunningLog, owned: Path) -> None:
    """No alarm; and the owner's door told the labels in shards that the owner has no certificate in."""
    alarms, shard = monitor(log)
    assert owned.exists()
    assert (alarms, shard["troubles"]) == ([], [])
    assert [(one["index"], one["standing"]) for one in shard["certificates"]] == [(0, "own")]
    found = run("monitor", CALLER.e164, "--log", log.log_json)
    assert all(not shard["troubles"] for shard in found["shards"])


def test_an_attackers_certificate_is_seen_within_one_look(
    log: RunningLog, owned: Path, authority: Authority, home: Path
) -> None:
    """The alarm names the issuer and the serial, keeps the certificate and the proof, and ends when it is accepted."""
    monitor(log)
    log.certify(authority, STRANGER, key_number=5, serial=1002)
    log.certify(authority, CALLER, key_number=ATTACKERS, serial=0xBAD)
    told = home / "told.json"
    script = f"import shutil, sys; shutil.copyfileobj(sys.stdin, open({str(told)!r}, 'a'))"
    notify = f'{sys.executable} -c "{script}"'
    alarms, _ = monitor(log, "--notify", notify, code=1)
    (alarm,) = alarms
    assert (alarm["kind"], alarm["number"]) == ("unknown-certificate", CALLER.masked)
    assert "Example Root" in str(alarm["text"])
    assert "serial bad" in str(alarm["text"])
    evidence = Path(str(alarm["evidence"]))
    assert {"certificate.pem", "entry.tlog-proof", "entry", "vrf-proof"} <= {one.name for one in evidence.iterdir()}
    assert json.loads(told.read_text())["evidence"] == str(evidence)
    monitor(log, "--notify", notify, code=1)
    assert len(told.read_text().splitlines()) == 1, "an alarm that goes on is told once"
    assert monitor(log, "--accept", log.shard.origin, "2")[0] == []
    assert owned.exists()


def test_a_proof_holds_offline(log: RunningLog, owned: Path, witness: RunningWitness, home: Path) -> None:
    """The proof has the log's and the witness's signatures, and needs nobody once it is made."""
    made = run("prove", owned, "--log", log.log_json, "--witness", witness.key, witness.url)
    (proof,) = made["proofs"]
    assert proof["signatures"] == [log.shard.origin, "witness.example/w1"]
    kept = home / "log.json"
    shutil.copy(log.log_json, kept)
    (checked,) = run("prove", owned, "--log", kept, "--check", proof["file"])["proofs"]
    assert (checked["index"], checked["size"]) == (0, 1)
    damaged = home / "damaged.tlog-proof"
    damaged.write_bytes(Path(proof["file"]).read_bytes().replace(b"\n1\n", b"\n2\n"))
    assert "error" in run("prove", owned, "--log", kept, "--check", damaged, code=1)


def test_a_fork_is_seen_by_owner_and_witness(
    log: RunningLog, owned: Path, witness: RunningWitness, authority: Authority, tmp_path: Path
) -> None:
    """A log that starts another history under the same keys is refused by the witness and reported by the owner."""
    ask = ("--witness", witness.key, witness.url)
    run("witness", "feed", witness.key, witness.url, "--log", log.log_json)
    assert monitor(log, *ask)[0] == []
    with running_log(tmp_path / "second", authority) as other:
        fork = _forked(log, other)
        alarms, _ = monitor(fork, *ask, code=1)
        assert "fork" in {alarm["kind"] for alarm in alarms}
        refused = run("witness", "feed", witness.key, witness.url, "--log", fork.log_json, code=1)
        assert "two histories" in str(refused["error"])
    status = run("witness", "status", "--config", witness.folder / "witness.toml")
    assert {one["origin"]: one["evidence"] for one in status["logs"]}[log.shard.origin] == 1
    shown = run("witness", "evidence", "--config", witness.folder / "witness.toml")["evidence"]
    assert Note.parse(shown[0]["cosigned"].encode()).text.startswith(log.shard.origin)
    assert owned.exists()


def _forked(log: RunningLog, other: RunningLog) -> RunningLog:
    """Have another server show, in the log's name and under its keys, a tree of one entry that is not the log's."""
    keys = KeyStore(log.folder / "keys", None).open(log.shard.name, log.shard.origin)
    false = SealedEntry(0, bytes(32), bytes(32), bytes(32))
    growth = Frontier().append([leaf_hash(false.to_bytes())])
    checkpoint = Checkpoint(log.shard.origin, 1, growth.frontier.root)
    index, segments = built([false.label])
    files = {
        **{tile.path: data for tile, data in growth.tiles.items()},
        **segments,
        TileCoordinates(ENTRIES, 0, 1).path: encode_bundle([false.to_bytes()]),
        MAP_CHECKPOINT_PATH: index.checkpoint(checkpoint).to_note([keys.checkpoint]),
        "checkpoint": checkpoint.to_note([keys.checkpoint]),
    }
    for path, data in files.items():
        other.file(path).parent.mkdir(parents=True, exist_ok=True)
        other.file(path).write_bytes(data)
    description = replace(log.description, monitoring_url=other.description.monitoring_url)
    other.log_json.write_bytes(description.to_json())
    return RunningLog(other.folder, description)


def test_a_hidden_entry_is_found_by_the_auditor(log: RunningLog, owned: Path, authority: Authority) -> None:
    """The log's own key signs an index that leaves an attacker's entry out: whoever reads all entries sees it."""
    log.certify(authority, CALLER, key_number=ATTACKERS, serial=0xBAD)
    log.wait_for_index(2)
    audited = ("audit", "--log", log.log_json, "--name", "auditor.example", "--key", log.folder / "auditor.key")
    found = run(*audited, "--output", log.folder / "audited")
    assert all(shard["is_right"] for shard in found["shards"])
    assert len(list((log.folder / "audited").iterdir())) == len(log.description.shards)
    log.certify(authority, STRANGER, key_number=5, serial=1002)
    log.wait_for_index(3)
    log.show_index_of([entry(log, 0).label, bytes(32), entry(log, 2).label])
    shards = run(*audited, code=1)["shards"]
    alarms = [alarm for shard in shards for alarm in shard["alarms"]]
    assert "entry 1 is in the tree, and the index does not name it under its label" in {one["text"] for one in alarms}
    assert owned.exists()


def test_a_tampered_file_is_an_alarm(log: RunningLog, owned: Path) -> None:
    """Bytes on the log's disk that somebody changed are found, by owner and auditor."""
    bundle = log.file("tile/entries/000.p/1")
    data = bytearray(bundle.read_bytes())
    data[-1] ^= 1
    bundle.write_bytes(bytes(data))
    alarms, _ = monitor(log, code=1)
    assert {alarm["kind"] for alarm in alarms} == {"false-file"}
    shards = run("audit", "--log", log.log_json, code=1)["shards"]
    assert [alarm["kind"] for shard in shards for alarm in shard["alarms"]] == ["false-file"]
    assert owned.exists()


def test_a_daemon_looks_until_it_is_told_to_end(log: RunningLog, owned: Path) -> None:
    """With --every the monitor goes on, and SIGTERM ends it in good order."""
    command = [sys.executable, "-c", "from answerback.commands.log import log; log()", "monitor", CALLER.e164]
    daemon = subprocess.Popen(
        [*command, "--log", str(log.log_json), "--every", "60"], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert daemon.stdout is not None
    try:
        assert daemon.stdout.readline().startswith("Example Log")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0
    finally:
        daemon.kill()
        daemon.stdout.close()
        daemon.wait(PATIENCE)
    assert owned.exists()


def test_a_number_that_is_not_held_is_refused(log: RunningLog, home: Path) -> None:
    """Without a certificate there is no label to look for, and the message says how to get one."""
    assert "enrol the number first" in str(run("monitor", STRANGER.e164, "--log", log.log_json, code=1)["error"])
    assert "no log is known here" in str(run("monitor", STRANGER.e164, code=1)["error"])
    assert not (home / "watch").exists()
