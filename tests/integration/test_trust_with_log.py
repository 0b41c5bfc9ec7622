"""A trust store judges what the real log server signed, and the files that it publishes: two programs, one story."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import falcon.testing
import pytest

from policies.terms import Settings, Terms
from stir.passport import Passport, sign
from tests.fakes.log_world import NOW, NUMBER, SHARD, Authority, SequencerThread, key, make_config, make_log, shard_of
from tests.fakes.small_pki import CALLED
from transparency.checkpoint import Checkpoint
from transparency.merkle import inclusion_proof
from transparency.proof import TlogProof
from transparency.sct import SctExtensions, SignedCertificateTimestamp, encode_sct_list
from transparency.server.log import Log
from transparency.server.web import build_web
from transparency.signed_note import Note
from transparency.tiles import TileReader
from trust_store import Anchor, Call, KnownLogs, Outcome, Rule, TrustedLog, TrustStore


@pytest.fixture
def authority() -> Authority:
    """Return an authority that the log admits."""
    return Authority.make()


@pytest.fixture
def log(tmp_path: Path, authority: Authority) -> Log:
    """Return a log server's inside, with all of its parts."""
    return make_log(make_config(tmp_path, authority))


def taken(log: Log, authority: Authority, count: int) -> list[SignedCertificateTimestamp]:
    """Have the log take certificates over its web interface, and return the timestamps that it gave."""
    client, answers = falcon.testing.TestClient(build_web(log)), []
    with SequencerThread(log):
        for serial in range(1, count + 1):
            chain = [base64.b64encode(der).decode() for der in authority.submission(serial)]
            answers.append(client.simulate_post(f"/{SHARD.name}/ct/v1/add-pre-chain", json={"chain": chain}).json)
    return [SignedCertificateTimestamp.from_response(answer) for answer in answers]


def proof_of(log: Log, sct: SignedCertificateTimestamp) -> bytes:
    """Make a proof of inclusion from the files that the log publishes."""
    shard = shard_of(log)

    def fetch(path: str) -> bytes:
        found = log.publisher.read(f"{SHARD.name}/{path}")
        assert found is not None
        return found

    note = Note.parse(fetch("checkpoint"))
    checkpoint = Checkpoint.of_note(note, shard.keys.checkpoint.verifier)
    index = SctExtensions.decode(sct.extensions).leaf_index
    reader = TileReader(fetch, checkpoint.size, checkpoint.root)
    return TlogProof(index, inclusion_proof(reader, index, checkpoint.size), note).to_bytes()


def test_what_the_log_server_takes_the_trust_store_believes(log: Log, authority: Authority) -> None:
    """Timestamps and proofs of inclusion, checked with nothing but the log's description."""
    scts = taken(log, authority, 3)
    known = KnownLogs([TrustedLog("example-log", "Somebody", "trust.toml:9", log.describe().to_json())])
    anchor = Anchor(Terms(name="example", operator="Example", source="trust.toml:1"), authority.root)
    store = TrustStore([anchor], settings=Settings(scts=1, proofs=1), logs=known)
    for serial, sct in enumerate(scts, start=1):
        leaf = authority.certificate(authority.fields(serial), encode_sct_list([sct]))
        passport = Passport(orig=NUMBER, dest=(CALLED.digits,), issued_at=int(NOW.timestamp()))
        token = sign(passport, key(90), chain=(leaf, authority.issuing, authority.root))
        call = Call(token, NUMBER, CALLED, NOW, proofs=(proof_of(log, sct),))
        assert store.judge(call).outcome is Outcome.VERIFIED
        assert store.judge(replace(call, proofs=())).rule is Rule.INCLUDED
        other = authority.certificate(authority.fields(serial + 100), encode_sct_list([sct]))
        assert store.judge_chain([other, authority.issuing, authority.root], NOW).rule is Rule.LOG_TIMESTAMPS
