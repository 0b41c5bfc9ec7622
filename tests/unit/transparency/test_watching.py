"""Watching a number in several logs: what is remembered, whom is told, and what a certificate's proofs are worth."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes.log_simulator import ORIGIN, LogSimulator, random_label
from tests.fakes.small_pki import CALLER, STRANGER, Held, key, root
from transparency import watch_store
from transparency.alarms import Alarm, AlarmKind, LogAtFault
from transparency.auditor import Audited, audit
from transparency.client import AuditorClient, LogClient, LogRefused, WitnessClient
from transparency.cosignature import Ed25519Cosigner
from transparency.errors import NoteError, ProofError, TileMissingError, TransparencyError
from transparency.following import COSIGNED_PATH, Shard
from transparency.label_index import MAP_CHECKPOINT_PATH
from transparency.log_description import ShardDescription
from transparency.monitor import STALL_SECONDS, Memory, Policy, Standing
from transparency.notifying import CommandNotifier, NotTold, WebhookNotifier, tell_all
from transparency.owner import owner_of
from transparency.proof import WitnessPolicy
from transparency.proving import check, prove
from transparency.signed_note import Ed25519Signer, Note, NoteSignature
from transparency.transport import Answer, Question, Unreachable
from transparency.vrf import VrfPrivateKey
from transparency.watch_store import StoredAlarm, WatchStore, WatchStoreError
from transparency.watching import DoorKey, NumberWatch, ShardLook, compare

WITNESS = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(sha256(b"witness").digest()))
NOBODY = WitnessPolicy({}, 0)


@dataclass
class Transport:
    """Asks a function."""

    ask_: Callable[[Question], Answer]

    def ask(self, question: Question) -> Answer:
        """Answer."""
        return self.ask_(question)


@pytest.fixture
def log() -> LogSimulator:
    """Return a log of which nothing is shown yet."""
    simulator = LogSimulator()
    simulator.fill(3)
    return simulator


@pytest.fixture
def held(log: LogSimulator) -> Held:
    """Log the owner's certificate."""
    made = log.certify(root(), CALLER)
    log.publish()
    return made


@pytest.fixture
def store(tmp_path: Path) -> WatchStore:
    """Remember in a folder of the test's own."""
    return WatchStore(tmp_path / "home")


def watch(log: LogSimulator, store: WatchStore, *held: Held, door: Held | None = None) -> NumberWatch:
    """Return the watch of the caller's number, which opens the log's door with `door`."""
    opened = None if door is None else DoorKey(door.chain, door.key)
    owner = owner_of(CALLER, [one.chain for one in held])
    client = LogClient.of(log.description, log)
    return NumberWatch([client], owner, opened, store, Policy(), lambda: log.clock)


def only(looks: tuple[ShardLook, ...]) -> ShardLook:
    """Return the one shard's look."""
    (found,) = looks
    return found


# The watch


def test_what_was_seen_is_remembered_on_disk(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """Another process goes on from the checkpoint, the proof and the entries of the last look."""
    assert only(watch(log, store, held).look()).alarms == ()
    memory = store.memory(CALLER, ORIGIN)
    assert memory.checkpoint is not None
    assert memory.checkpoint.checkpoint == log.checkpoint()
    assert memory.known[3].standing is Standing.OWN
    log.fork(1)
    assert {one.kind for one in only(watch(log, store, held).look()).alarms} == {AlarmKind.FORK}


def test_the_door_tells_the_label_where_no_certificate_does(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """A shard in which the owner has no certificate is watched all the same, once the door told the label."""
    found = only(watch(log, store, door=held).look())
    assert (found.alarms[0].kind, list(found.known)) == (AlarmKind.UNKNOWN_CERTIFICATE, [3])
    assert store.memory(CALLER, ORIGIN).proof is not None


def test_without_a_certificate_the_label_is_not_known(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """No certificate, no label: that is trouble, and no alarm."""
    del held
    found = only(watch(log, store).look())
    assert (found.alarms, found.size) == ((), None)
    assert "valid certificate" in found.troubles[0]


def test_a_door_that_refuses_is_trouble(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """A log that does not admit the authority says so."""
    refusing = Transport(lambda question: Answer(403, b"no") if question.body else log.ask(question))
    watched = replace(watch(log, store, door=held), logs=[LogClient.of(log.description, refusing)])
    assert "refused" in only(watched.look()).troubles[0]
    watched = replace(watch(log, store, held, door=held), logs=[LogClient.of(log.description, refusing)])
    log.certify(root(), CALLER, key_number=66, serial=0xBAD)
    log.publish()
    found = only(watched.look())
    assert "refused" in found.troubles[0]
    assert found.alarms[0].kind is AlarmKind.UNKNOWN_CERTIFICATE


def test_a_false_label_in_ones_own_certificate_is_an_alarm(log: LogSimulator, store: WatchStore) -> None:
    """A log that files the owner's certificate under another's label is found out before anything is looked up."""
    log.prove_for = STRANGER
    held = log.certify(root(), CALLER)
    log.publish()
    assert [one.kind for one in only(watch(log, store, held).look()).alarms] == [AlarmKind.FALSE_PROMISE]


def test_an_entry_is_acknowledged(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """What the owner knows is no alarm any longer; an index that is not under the label is not taken."""
    watched = watch(log, store, held, door=held)
    log.certify(root(), CALLER, key_number=66, serial=0xBAD)
    log.publish()
    assert len(only(watched.look()).alarms) == 1
    assert watched.acknowledge(ORIGIN, [4, 1]) == {4}
    assert only(watched.look()).alarms == ()


def test_shards_that_have_ended_are_left_alone(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """Certificates of a shard that is over have all expired; of the shard that follows, all is told."""
    limit = log.shard.not_after_limit
    vrf, signer = VrfPrivateKey.generate(), Ed25519Signer("log.example/2026h2", Ed25519PrivateKey.generate())
    later = ShardDescription(
        "2026h2", signer.name, limit, limit.replace(year=2027), key(701).public_key(), vrf.public_key, signer.verifier
    )
    log.clock = int(limit.timestamp())
    watched = replace(
        watch(log, store, held),
        logs=[LogClient.of(replace(log.description, shards=(log.shard, later)), Transport(lambda _: Answer(500)))],
    )
    assert [one.origin for one in watched.look()] == ["log.example/2026h2"]


@pytest.mark.parametrize(("days", "alarms"), [(15, 0), (14, 1), (0, 1), (-400, 1)])
def test_a_log_whose_later_shards_nobody_has_told_us_of_is_an_alarm(
    log: LogSimulator, held: Held, store: WatchStore, days: int, alarms: int
) -> None:
    """Certificates that end behind the last known shard are in one that nobody looks at: get the newer log.json."""
    log.clock = int((log.shard.not_after_limit - timedelta(days=days)).timestamp())
    found = [alarm for one in watch(log, store, held).look() for alarm in one.alarms]
    unseen = [alarm for alarm in found if alarm.kind is AlarmKind.UNWATCHED]
    assert len(unseen) == alarms
    assert all("2026-07-01" in one.text and "log update" in one.advice for one in unseen)


def test_a_log_that_never_tells_the_label_is_an_alarm(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """What stands under a number there is out of its owner's sight, for whatever reason: a day of that is enough."""
    refusing = Transport(lambda question: Answer(403, b"no") if question.body else log.ask(question))
    watched = replace(watch(log, store, door=held), logs=[LogClient.of(log.description, refusing)])
    log.certify(root("Careless Root", key_number=50), CALLER, key_number=66, serial=0xBAD)
    log.publish()
    assert only(watched.look()).alarms == ()
    log.clock += STALL_SECONDS + 1
    assert [one.kind for one in only(watched.look()).alarms] == [AlarmKind.UNWATCHED]
    assert {one.kind for one in only(watch(log, store, door=held).look()).alarms} == {AlarmKind.UNKNOWN_CERTIFICATE}


def test_two_watches_do_not_meet(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """A second process is told that the first is at it."""
    with store.lock(f"watch {CALLER.digits}"), pytest.raises(WatchStoreError, match="another process"):
        watch(log, store, held).look()


# Witnesses


def witnessed(log: LogSimulator) -> Note:
    """Return what a witness that sees what the log shows now has cosigned."""
    cosignature = WITNESS.cosign(log.checkpoint(), log.clock)
    return Note.parse(log.files["checkpoint"]).with_signatures([cosignature])


@pytest.mark.parametrize("grown", [0, 5])
def test_a_witness_of_the_same_history_is_no_alarm(
    log: LogSimulator, held: Held, store: WatchStore, grown: int
) -> None:
    """The witness may be behind, or know the same."""
    note = witnessed(log)
    log.fill(grown)
    log.publish()
    client = WitnessClient("https://w.example", WITNESS.verifier, Transport(lambda _: Answer(200, note.to_bytes())))
    found = only(replace(watch(log, store, held), witnesses=[client]).look())
    assert (found.alarms, found.troubles) == ((), ())


def test_a_witness_of_another_history_is_an_alarm(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """A log that shows its witness one tree and the owner another is caught though each alone is consistent."""
    other = LogSimulator()
    other.fill(9)
    other.publish()
    note = witnessed(other)
    client = WitnessClient("https://w.example", WITNESS.verifier, Transport(lambda _: Answer(200, note.to_bytes())))
    log.fill(20)
    log.publish()
    found = only(replace(watch(log, store, held), witnesses=[client]).look())
    assert [one.kind for one in found.alarms] == [AlarmKind.FORK]
    assert {one.name for one in Path(found.alarms[0].folder).iterdir()} >= {"checkpoint-here", "checkpoint-at-witness"}


def test_a_witness_that_knows_nothing_or_is_silent_is_no_alarm(
    log: LogSimulator, held: Held, store: WatchStore
) -> None:
    """A witness out of reach is trouble; one that never cosigned the log is not even that."""

    def silent(_: Question) -> Answer:
        msg = "w.example could not be asked"
        raise Unreachable(msg)

    for answer, troubles in ((lambda _: Answer(404), 0), (silent, 1)):
        client = WitnessClient("https://w.example", WITNESS.verifier, Transport(answer))
        found = only(replace(watch(log, store, held), witnesses=[client]).look())
        assert (found.alarms, len(found.troubles)) == ((), troubles)


AUDITOR = Ed25519Signer("auditor.example", Ed25519PrivateKey.from_private_bytes(sha256(b"auditor").digest()))


class Audits:
    """What an auditor publishes, for a client of it."""

    def __init__(self, log: LogSimulator) -> None:
        """Publish nothing yet."""
        self.note: Note | None = None
        self.client = AuditorClient("https://a.example", AUDITOR.verifier, Transport(self.answer))
        self.log = log

    def confirm(self) -> None:
        """Confirm what the log shows now."""
        note = Note.parse(self.log.files[MAP_CHECKPOINT_PATH])
        signature = NoteSignature(AUDITOR.name, AUDITOR.key_id, AUDITOR.sign(note.text.encode()))
        self.note = note.with_signatures([signature])

    def answer(self, question: Question) -> Answer:
        """Answer as a server of static files does."""
        assert question.url == f"https://a.example/{sha256(ORIGIN.encode()).hexdigest()}/map-checkpoint"
        return Answer(404) if self.note is None else Answer(200, self.note.to_bytes())


def test_an_index_that_an_auditor_confirms_is_no_alarm(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """Day after day, the same index or a newer one, and one that is a little behind what is shown."""
    audits = Audits(log)
    audits.confirm()
    watching = replace(watch(log, store, held), auditors=[audits.client])
    for grown in (0, 0, 5, 300):
        log.clock += STALL_SECONDS - 1
        log.fill(grown)
        log.publish()
        if grown == 300:
            audits.confirm()
        found = only(watching.look())
        assert (found.alarms, found.troubles) == ((), ())


def test_an_auditor_that_confirms_nothing_for_a_day_is_an_alarm(
    log: LogSimulator, held: Held, store: WatchStore
) -> None:
    """Whether it never did, was left behind, or shows what it did not sign."""
    audits = Audits(log)
    watching = replace(watch(log, store, held), auditors=[audits.client])
    assert only(watching.look()).alarms == ()
    log.clock += STALL_SECONDS + 1
    assert [one.kind for one in only(watching.look()).alarms] == [AlarmKind.NOT_AUDITED]
    audits.confirm()
    assert only(watching.look()).alarms == ()
    log.fill(1)
    log.publish()
    log.clock += STALL_SECONDS + 1
    (alarm,) = only(watching.look()).alarms
    assert alarm.kind is AlarmKind.NOT_AUDITED
    assert [one.name for one in Path(alarm.folder).iterdir() if one.name == "confirmed"]
    audits.note = Note.parse(log.files[MAP_CHECKPOINT_PATH])
    found = only(watching.look())
    assert "signed by none of: auditor.example" in found.troubles[0]
    assert [one.kind for one in found.alarms] == [AlarmKind.NOT_AUDITED]


def test_an_index_that_is_shown_to_the_owner_alone_is_an_alarm(
    log: LogSimulator, held: Held, store: WatchStore
) -> None:
    """A log that shows its auditor a right index, and the owner one that leaves an entry out, has signed both."""
    audits = Audits(log)
    audits.confirm()
    log.hide(1)
    found = only(replace(watch(log, store, held), auditors=[audits.client]).look())
    assert [one.kind for one in found.alarms] == [AlarmKind.FORK]
    assert "two indices" in found.alarms[0].text


def test_an_auditor_of_another_history_is_an_alarm(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """What the auditor read must be the beginning of what the owner is shown, or the other way round."""
    audits = Audits(log)
    audits.confirm()
    log.fork(1)
    log.fill(5)
    log.publish()
    found = only(replace(watch(log, store, held), auditors=[audits.client]).look())
    assert [one.kind for one in found.alarms] == [AlarmKind.FORK]
    assert found.alarms[0].text.endswith("(shown to an auditor and to you)")


def test_an_auditor_is_held_to_the_logs_that_it_audits(log: LogSimulator, held: Held, store: WatchStore) -> None:
    """Of other logs nothing is expected of it."""
    client = replace(Audits(log).client, logs=())
    watching = replace(watch(log, store, held), auditors=[client])
    watching.look()
    log.clock += STALL_SECONDS + 1
    assert only(watching.look()).alarms == ()


def test_what_a_witness_shows_must_be_the_logs(log: LogSimulator) -> None:
    """A note that the log's key did not sign says nothing of the log."""
    log.publish()
    stranger = Note(log.checkpoint().text, (WITNESS.cosign(log.checkpoint(), 1),))
    with pytest.raises(NoteError):
        compare(Shard(log.description, log.shard, log), log.files["checkpoint"], stranger)


# The store


def alarm(text: str = "something is wrong", **evidence: bytes) -> Alarm:
    """Return an alarm."""
    return Alarm(AlarmKind.FORK, "Example Log", ORIGIN, text, evidence, "key")


def test_an_alarm_is_kept_with_its_evidence(store: WatchStore) -> None:
    """Evidence lies beside the alarm, for its owner's eyes only, and no file has the number in its name."""
    kept = store.keep_alarm(replace(alarm(), evidence={"../a b": b"one"}), CALLER, 100)
    folder = Path(kept.folder)
    assert sorted(one.name for one in folder.iterdir()) == ["..-a-b", "alarm.json"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "alarm.json").stat().st_mode) == 0o600
    assert CALLER.digits not in (folder / "alarm.json").read_text() + str(folder)


def test_an_alarm_that_goes_on_keeps_its_first_evidence(store: WatchStore) -> None:
    """What proved it first stays; what came since is added; who was told is remembered until the words change."""
    first = store.keep_alarm(alarm(a=b"one"), None, 100)
    store.mark_told(first)
    again = store.keep_alarm(alarm(a=b"two", b=b"three"), None, 200)
    assert (again.first_at, again.last_at, again.is_told) == (100, 200, True)
    assert (Path(again.folder) / "a").read_bytes() == b"one"
    assert (Path(again.folder) / "b").read_bytes() == b"three"
    assert not store.keep_alarm(alarm("now with the issuer's name"), None, 300).is_told


class Killed(BaseException):
    """The end of a process, wherever it is."""


def test_a_look_that_is_killed_anywhere_loses_no_alarm(
    log: LogSimulator, held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look finds what the first would have: memory comes after alarms, and an alarm after its evidence."""

    def kept(store: WatchStore) -> tuple[object, ...]:
        """Return what is on the disk, but for when and where."""
        files = sorted(path for path in store.home.rglob("*") if path.is_file() and not path.name.endswith(".new"))
        alarms = {path.parent.name: json.loads(path.read_bytes())["text"] for path in files if path.stem == "alarm"}
        return ([path.relative_to(store.home) for path in files], alarms, store.memory(CALLER, ORIGIN))

    def looked(store: WatchStore) -> WatchStore:
        watch(log, store, held, door=held).look()
        return store

    certificate = log.certificates[3]
    looked(WatchStore(tmp_path / "before"))
    log.certify(root("Careless Root", key_number=50), CALLER, key_number=66, serial=0xBAD)
    log.publish()
    whole = kept(looked(WatchStore(tmp_path / "whole")))
    write, steps = watch_store._write, 0

    def counted(path: Path, data: bytes) -> None:
        nonlocal steps
        steps += 1
        write(path, data)

    monkeypatch.setattr(watch_store, "_write", counted)
    looked(WatchStore(tmp_path / "counted"))
    assert steps > 5
    assert certificate == log.certificates[3]
    for last in range(steps):
        store, done = WatchStore(tmp_path / f"killed-{last}"), 0

        def killed(path: Path, data: bytes, last: int = last) -> None:
            nonlocal done
            if done == last:
                raise Killed
            done += 1
            write(path, data)

        monkeypatch.setattr(watch_store, "_write", killed)
        with pytest.raises(Killed):
            looked(store)
        monkeypatch.setattr(watch_store, "_write", write)
        assert kept(looked(store)) == whole


def test_a_damaged_memory_says_what_to_do(store: WatchStore) -> None:
    """A file that cannot be read is named."""
    store.keep_memory(CALLER, ORIGIN, Memory())
    (path,) = store.home.glob("watch/*/*/memory.json")
    path.write_bytes(b"{")
    with pytest.raises(WatchStoreError, match=r"memory\.json is damaged"):
        store.memory(CALLER, ORIGIN)
    path.unlink()
    path.mkdir()
    with pytest.raises(WatchStoreError, match="ANSWERBACK_HOME"):
        store.memory(CALLER, ORIGIN)


def test_the_store_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment may name another folder."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path))
    assert WatchStore.open().home == tmp_path
    monkeypatch.delenv("ANSWERBACK_HOME")
    assert WatchStore.open().home.name == "answerback"


def test_an_audit_goes_on_in_another_process(log: LogSimulator, store: WatchStore) -> None:
    """The auditor's index and the tree's edge come back from the disk."""
    log.fill(700)
    log.publish()
    shard, files = Shard(log.description, log.shard, log), store.index_files(ORIGIN)
    found = audit(shard, store.audited(ORIGIN), files, None, log.clock)
    store.keep_audited(ORIGIN, found.state)
    assert found.state != Audited()
    assert store.audited(ORIGIN) == found.state
    log.fill(700)
    log.publish()
    assert audit(shard, store.audited(ORIGIN), files, None, log.clock).note is not None
    with pytest.raises(TileMissingError):
        files.read("index/segment/0000000000000000", [(0, 1)])


# Telling


def stored(store: WatchStore) -> StoredAlarm:
    """Keep an alarm."""
    return store.keep_alarm(alarm(), CALLER, 100)


def test_a_command_gets_the_alarm(store: WatchStore, tmp_path: Path) -> None:
    """In its environment and on its standard input."""
    told = tmp_path / "told"
    script = (
        "import os, sys, json; open(sys.argv[1], 'w').write(os.environ['ANSWERBACK_ALARM_KIND'] + sys.stdin.read())"
    )
    CommandNotifier((sys.executable, "-c", script, str(told))).tell(stored(store))
    assert told.read_text().startswith('fork{"kind": "fork"')
    assert CALLER.masked in told.read_text()


@pytest.mark.parametrize("command", [(sys.executable, "-c", "raise SystemExit(1)"), ("/does/not/exist",)])
def test_a_command_that_fails_has_told_nobody(store: WatchStore, command: tuple[str, ...]) -> None:
    """The alarm is told again."""
    with pytest.raises(NotTold, match="told again"):
        CommandNotifier(command).tell(stored(store))


def test_a_webhook_gets_the_alarm(store: WatchStore) -> None:
    """As JSON; any status but 2xx, and silence, count as not told."""
    asked: list[Question] = []

    def answering(status: int) -> Transport:
        return Transport(lambda question: asked.append(question) or Answer(status))

    WebhookNotifier("https://hook.example", answering(204)).tell(stored(store))
    told = json.loads(asked[0].body or b"")
    assert told["advice"]
    assert "evidence" not in told
    assert not any(CALLER.digits in str(value) for value in told.values())
    assert Path(stored(store).folder).name not in json.dumps(told)
    with pytest.raises(NotTold, match="500"):
        WebhookNotifier("https://hook.example", answering(500)).tell(stored(store))

    def silent(_: Question) -> Answer:
        msg = "hook.example could not be asked"
        raise Unreachable(msg)

    with pytest.raises(NotTold, match="could not be asked"):
        WebhookNotifier("https://hook.example", Transport(silent)).tell(stored(store))


def test_everybody_is_told_once(store: WatchStore) -> None:
    """An alarm counts as told once every notifier took it, and is not told again then."""

    class Taking:
        taken = 0

        def tell(self, _: StoredAlarm) -> None:
            """Take it."""
            self.taken += 1

    class Failing:
        def tell(self, _: StoredAlarm) -> None:
            """Fail."""
            raise NotTold("broken")

    one, taking = stored(store), Taking()
    assert tell_all([taking, Failing()], [one]) == ([], ["broken"])
    assert tell_all([taking], [one]) == ([one], [])
    store.mark_told(one)
    assert tell_all([taking], [stored(store)]) == ([], [])
    assert taking.taken == 2


# Proofs


def test_a_proof_is_made_and_checked(log: LogSimulator, held: Held) -> None:
    """What was made with the log's help holds without it, for this certificate alone."""
    log.fill(400)
    log.publish()
    (proven,) = prove(LogClient.of(log.description, log), held.chain)
    data = proven.proof.to_bytes()
    assert check(data, log.description, held.chain, NOBODY).checkpoint.size == 404
    other = log.certify(root(), STRANGER, key_number=5)
    with pytest.raises(ProofError, match="the proof is of entry 3"):
        check(data, log.description, other.chain, NOBODY)
    with pytest.raises(ProofError, match="witnesses"):
        check(data, log.description, held.chain, WitnessPolicy({WITNESS.verifier: "Operator"}, 1))
    with pytest.raises(ProofError, match="no SCT"):
        check(data, log.description, root().number().chain, NOBODY)


def test_a_proof_carries_the_cosignatures_that_the_log_has_gathered(log: LogSimulator, held: Held) -> None:
    """Without asking a witness, the proof is made for what the log shows as cosigned, and holds for a quorum."""
    log.publish()
    log.files[COSIGNED_PATH] = witnessed(log).to_bytes()
    log.fill(400)
    log.publish()
    (proven,) = prove(LogClient.of(log.description, log), held.chain)
    policy = WitnessPolicy({WITNESS.verifier: "Operator"}, 1)
    assert check(proven.proof.to_bytes(), log.description, held.chain, policy).checkpoint.size == 4
    log.fork(1)
    with pytest.raises(LogAtFault) as caught:
        prove(LogClient.of(log.description, log), held.chain)
    assert caught.value.alarm.kind is AlarmKind.FORK


def test_an_entry_that_no_witness_has_seen_yet_is_proven_without(log: LogSimulator) -> None:
    """The newest checkpoint proves what the cosigned one is too old for."""
    log.publish()
    log.files[COSIGNED_PATH] = witnessed(log).to_bytes()
    held = log.certify(root(), CALLER)
    log.publish()
    (proven,) = prove(LogClient.of(log.description, log), held.chain)
    assert [one.name for one in proven.proof.note.signatures] == [log.signer.name]


def test_a_log_that_does_not_show_the_entry_is_at_fault(log: LogSimulator, held: Held) -> None:
    """A promise that is not kept is an alarm with its evidence, and no proof."""
    late = log.certify(root(), CALLER, key_number=5)
    client = LogClient.of(log.description, log)
    with pytest.raises(LogAtFault) as caught:
        prove(client, late.chain)
    assert caught.value.alarm.kind is AlarmKind.FALSE_PROMISE
    log.entries[3] = replace(log.entries[3], commitment=random_label("other"))
    log.publish()
    with pytest.raises(LogAtFault):
        prove(client, held.chain)


def test_a_chain_must_say_what_is_to_be_proven(log: LogSimulator, held: Held) -> None:
    """A certificate without its issuer's, or none at all, is refused."""
    client = LogClient.of(log.description, log)
    with pytest.raises(TransparencyError, match="without its issuer"):
        prove(client, held.chain[:1])
    with pytest.raises(TransparencyError, match="no certificate of a number"):
        prove(client, held.chain[1:])
    assert prove(client, root().number().chain) == ()


def test_a_witness_that_refuses_stops_the_proof(log: LogSimulator, held: Held) -> None:
    """A proof that was to be witnessed is not made without."""
    client = WitnessClient("https://w.example", WITNESS.verifier, Transport(lambda _: Answer(403, b"no")))
    with pytest.raises(LogRefused):
        prove(LogClient.of(log.description, log), held.chain, [client])
