"""Asking a log and a witness, whatever they answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from stir.certificate import NumberCertificate
from stir.telephone_number import TelephoneNumber
from tests.fakes.log_simulator import URL, LogSimulator
from tests.fakes.small_pki import CALLER, STRANGER, root
from transparency.add_checkpoint import SIZE_TYPE, Submission, encode_signatures, encode_size
from transparency.client import LogClient, LogRefused, WitnessClient, fetch_description
from transparency.cosignature import Ed25519Cosigner, MlDsa44Cosigner
from transparency.errors import LogDescriptionError, NoteError, SctError, TileMissingError, TransparencyError
from transparency.sct import decode_sct_list, issuer_key_hash, tbs_of
from transparency.signed_note import Note, NoteSignature
from transparency.transport import Answer, Question, Unreachable

COSIGNER = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(sha256(b"w").digest()))


WITNESS = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(sha256(b"witness").digest()))


@dataclass
class Scripted:
    """Answers by a function, and remembers the questions."""

    answer: Callable[[Question], Answer]
    asked: list[Question]

    def ask(self, question: Question) -> Answer:
        """Answer."""
        self.asked.append(question)
        return self.answer(question)


def scripted(answer: Callable[[Question], Answer]) -> Scripted:
    """Return a transport that answers by a function."""
    return Scripted(answer, [])


def always(status: int, body: bytes = b"", **headers: str) -> Scripted:
    """Return a transport that always answers the same."""
    return scripted(lambda _: Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.fixture
def log() -> LogSimulator:
    """Show an empty log."""
    return LogSimulator()


def test_a_submission_brings_an_sct(log: LogSimulator) -> None:
    """The SCT of a precertificate chain is right by the log's own description."""
    authority = root()
    held = log.certify(authority, CALLER)  # makes a chain to submit again
    chain = log.certificates[0]
    sct = LogClient.of(log.description, log).add_pre_chain(chain, timeout=3.0)
    assert sct.log_id == log.shard.log_id
    assert held.chain[0].not_valid_after_utc < log.shard.not_after_limit


def test_a_submission_goes_to_the_shard_of_its_expiry(log: LogSimulator) -> None:
    """The caller's timeout and the shard's URL are in the question."""
    log.certify(root(), CALLER)
    transport = scripted(log.ask)
    LogClient(log.description, transport).add_pre_chain(log.certificates[0], timeout=3.0)
    assert transport.asked[0].url == f"{URL}/2026h1/ct/v1/add-pre-chain"
    assert transport.asked[0].patience == 3.0


def test_a_log_without_the_shard_is_not_asked(log: LogSimulator) -> None:
    """A certificate that expires outside all shards is refused here."""
    log.certify(root(), CALLER)
    limit = log.shard.not_after_limit
    later = replace(log.shard, not_after_start=limit, not_after_limit=limit.replace(year=2027))
    client = LogClient.of(replace(log.description, shards=(later,)), log)
    with pytest.raises(SctError, match="no shard for certificates that expire on"):
        client.add_pre_chain(log.certificates[0])
    with pytest.raises(SctError, match="no precertificate"):
        client.add_pre_chain([b"nothing"])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"sct_version":0}'])
def test_an_answer_that_is_no_sct_is_refused(log: LogSimulator, body: bytes) -> None:
    """Whatever a log answers with is an SCT or an SctError."""
    log.certify(root(), CALLER)
    with pytest.raises(SctError):
        LogClient.of(log.description, always(200, body)).add_pre_chain(log.certificates[0])


def test_an_sct_of_another_log_is_handed_on_to_whoever_judges(log: LogSimulator) -> None:
    """What a log signed in another's name is evidence: the client throws none of it away."""
    log.certify(root(), CALLER)
    sct = replace(log.submit(log.certificates[0]), log_id=bytes(32))
    answered = LogClient.of(log.description, always(200, json.dumps(sct.to_response()).encode()))
    assert answered.add_pre_chain(log.certificates[0]) == sct


@pytest.mark.parametrize(
    ("status", "body", "said", "busy"),
    [
        (503, b'{"type": "x", "detail": "the queue\\u001b is full"}', "the queue is full", True),
        (403, b"not admitted", "not admitted", False),
        (400, b"[1]", "[1]", False),
        (429, b"", "gave no reason", True),
    ],
)
def test_a_refusal_is_repeated_in_one_line(log: LogSimulator, status: int, body: bytes, said: str, busy: bool) -> None:
    """A log's own words arrive without control characters, and whether to try again."""
    log.certify(root(), CALLER)
    with pytest.raises(LogRefused, match=f"Example Log refused .HTTP status {status}.: .*") as caught:
        LogClient.of(log.description, always(status, body)).add_pre_chain(log.certificates[0])
    assert said in str(caught.value)
    assert caught.value.is_busy is busy


def test_files_are_fetched_below_the_shard(log: LogSimulator) -> None:
    """A file is there, missing, or out of reach for now."""
    shard = LogClient.of(log.description, log).shard(log.shard)
    assert shard.files.fetch("checkpoint") == log.files["checkpoint"]
    with pytest.raises(TileMissingError):
        shard.files.fetch("tile/0/000")
    broken = LogClient.of(log.description, always(500)).shard(log.shard)
    with pytest.raises(Unreachable, match="HTTP status 500"):
        broken.files.fetch("checkpoint")


def test_parts_of_files_are_fetched(log: LogSimulator) -> None:
    """A part is there, or lies beyond the file's end, or in no file."""
    files = LogClient.of(log.description, log).shard(log.shard).files
    assert files.fetch_part("checkpoint", 4, 7) == log.files["checkpoint"][4:11]
    for path, start in (("checkpoint", 9999), ("index/segment/0123456789abcdef", 0)):
        with pytest.raises(TileMissingError, match="no"):
            files.fetch_part(path, start, 1)


def test_the_owners_door_shows_what_is_under_the_label(log: LogSimulator) -> None:
    """With the number's certificate, the certificates under its label open their entries."""
    held = log.certify(root(), CALLER)
    log.certify(root(), STRANGER, key_number=4)
    log.certify(root(), CALLER, key_number=5, serial=1002)
    answer = LogClient.of(log.description, log).ask_owner(log.shard, CALLER, held.key, held.chain)
    assert answer.label.label == log.label(CALLER)
    assert [one.index for one in answer.entries] == [0, 2]
    assert answer.entries[1].opens(log.entries[2]).serial_number == 1002
    with pytest.raises(TransparencyError, match="another certificate"):
        answer.entries[1].opens(log.entries[0])


def test_the_owners_door_must_prove_the_label(log: LogSimulator) -> None:
    """A VRF proof for another number is found out."""
    held = log.certify(root(), CALLER)
    number = TelephoneNumber.parse("+12025550199")
    with pytest.raises(TransparencyError, match="VRF"):
        LogClient.of(log.description, log).ask_owner(log.shard, number, held.key, held.chain)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"label": "", "vrf_proof": "*", "entries": []}',
        b'{"label": "", "vrf_proof": "", "entries": [{"leaf_index": -1}]}',
    ],
)
def test_a_door_that_answers_nonsense_is_refused(log: LogSimulator, body: bytes) -> None:
    """Whatever the door answers is read or refused."""
    held = log.certify(root(), CALLER)
    with pytest.raises(TransparencyError):
        LogClient.of(log.description, always(200, body)).ask_owner(log.shard, CALLER, held.key, held.chain)


def test_a_description_is_pinned_by_its_hash(log: LogSimulator) -> None:
    """A log.json with another SHA-256, or none at all, is refused."""
    data = log.description.to_json()
    digest = sha256(data).hexdigest()
    url = f"{URL}/log.json"
    assert fetch_description(url, transport=always(200, data), sha256_hex=digest) == (log.description, data)
    with pytest.raises(LogDescriptionError, match="SHA-256"):
        fetch_description(url, transport=always(200, data + b" "), sha256_hex=digest)
    with pytest.raises(LogDescriptionError, match="404"):
        fetch_description(url, transport=always(404))


# Witnesses


def _note(log: LogSimulator) -> Note:
    return Note.parse(log.files["checkpoint"])


def test_a_witness_that_has_seen_more_is_given_its_proof(log: LogSimulator) -> None:
    """A conflict names a size, from which the next request proves."""
    log.fill(3)
    log.publish()
    (line,) = (COSIGNER.cosign(log.checkpoint(), 1_800_000_000),)

    def answer(question: Question) -> Answer:
        if Submission.parse(question.body or b"").old_size == 0:
            return Answer(409, encode_size(2), {"content-type": SIZE_TYPE})
        return Answer(200, encode_signatures([line]))

    transport = scripted(answer)
    client = WitnessClient("https://witness.example", COSIGNER.verifier, transport)
    assert client.cosign(_note(log), 3, lambda old: [bytes([old] * 32)]) == (line,)
    assert Submission.parse(transport.asked[1].body or b"").proof == (bytes([2] * 32),)


@pytest.mark.parametrize("size", [4, 0])
def test_a_witness_that_saw_another_tree_is_not_asked_forever(log: LogSimulator, size: int) -> None:
    """A size above the checkpoint's, or the one that was sent, ends the asking."""
    transport = always(409, encode_size(size), content_type=SIZE_TYPE)
    client = WitnessClient("https://w.example", COSIGNER.verifier, transport)
    with pytest.raises(LogRefused, match="another tree"):
        client.cosign(_note(log), 3, lambda _: [])


def test_a_cosignature_is_checked(log: LogSimulator) -> None:
    """A line by another key is passed over, and a wrong one by the witness's is an error."""
    other = Ed25519Cosigner("other.example", Ed25519PrivateKey.from_private_bytes(sha256(b"o").digest()))
    lines = encode_signatures([other.cosign(log.checkpoint(), 1)])
    client = WitnessClient("https://w.example", COSIGNER.verifier, always(200, lines))
    with pytest.raises(NoteError, match="without a cosignature"):
        client.cosign(_note(log), 0, lambda _: [])
    log.fill(1)
    wrong = encode_signatures([COSIGNER.cosign(log.checkpoint(), 1)])
    log.publish()
    client = WitnessClient("https://w.example", COSIGNER.verifier, always(200, wrong))
    with pytest.raises(NoteError, match="wrong"):
        client.cosign(_note(log), 1, lambda _: [])


def test_a_witness_with_two_keys_gives_two_lines(log: LogSimulator) -> None:
    """Those of all its keys are taken and checked; a false one by any of them is refused."""
    second = MlDsa44Cosigner(WITNESS.name, MLDSA44PrivateKey.generate())
    note, checkpoint = Note.parse(log.files["checkpoint"]), log.checkpoint()
    lines = [WITNESS.cosign(checkpoint, 1), second.cosign(checkpoint, 1)]

    def asked(signatures: list[NoteSignature]) -> tuple[NoteSignature, ...]:
        way = always(200, encode_signatures(signatures))
        client = WitnessClient("https://w.example", WITNESS.verifier, way, (second.verifier,))
        return client.cosign(note, checkpoint.size, lambda _: ())

    assert asked(lines) == tuple(lines)
    assert asked(lines[:1]) == tuple(lines[:1])
    forged = NoteSignature(second.name, second.verifier.key_id, bytes(2428))
    with pytest.raises(NoteError, match="is wrong"):
        asked([lines[0], forged])


def test_a_witness_shows_what_it_cosigned_last(log: LogSimulator) -> None:
    """The latest note of a log is held to the witness's key; there may be none."""
    note = _note(log).with_signatures([COSIGNER.cosign(log.checkpoint(), 1)])
    client = WitnessClient("https://w.example", COSIGNER.verifier, always(200, note.to_bytes()))
    assert client.latest(log.shard.origin) == note
    assert WitnessClient("https://w.example", COSIGNER.verifier, always(404)).latest("log.example") is None
    unsigned = always(200, log.files["checkpoint"])
    with pytest.raises(NoteError):
        WitnessClient("https://w.example", COSIGNER.verifier, unsigned).latest("log.example")


def test_the_simulated_log_gives_scts_that_hold(log: LogSimulator) -> None:
    """The fake is honest unless told to lie: its SCT names the entry that it shows."""
    held = log.certify(root(), CALLER)
    log.publish()
    (sct,) = decode_sct_list(NumberCertificate.read(held.chain[0]).sct_list or b"")
    found = log.shard.check_sct(sct, CALLER, issuer_key_hash(held.chain[1]), tbs_of(held.chain[0]))
    assert found == (0, log.entries[0])
