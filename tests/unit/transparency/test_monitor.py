"""What a number's owner sees of a log, honest or not."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.fakes.log_simulator import LogSimulator, random_label
from tests.fakes.small_pki import CALLER, STRANGER, Authority, Held, key, root
from transparency import entry
from transparency.alarms import Alarm, AlarmKind
from transparency.checkpoint import Checkpoint
from transparency.client import LogClient
from transparency.cosignature import Ed25519Cosigner
from transparency.entry import SealedEntry, rounded_timestamp
from transparency.errors import ProofError, VrfError
from transparency.following import CACHE_GRACE, COSIGNED_PATH
from transparency.label_index import MAP_CHECKPOINT_PATH
from transparency.merkle import leaf_hash, verify_inclusion
from transparency.monitor import LONGEST_TAIL, WITNESSED_SECONDS, Look, Memory, Policy, Standing, look
from transparency.notifying import CommandNotifier
from transparency.owner import Owner, OwnLabel, ShownCertificate, key_hash, owner_of
from transparency.proof import TlogProof, WitnessPolicy
from transparency.sct import issuer_key_hash, tbs_of
from transparency.signed_note import Note
from transparency.transport import Unreachable
from transparency.watch_store import WatchStore

ATTACKERS_KEY = 66
CARELESS = root("Careless Root", key_number=50)
WITNESS = Ed25519Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(sha256(b"witness").digest()))


@dataclass
class World:
    """A log, an owner with a certificate in it, and what the owner remembers."""

    log: LogSimulator = field(default_factory=LogSimulator)
    authority: Authority = field(default_factory=root)
    memory: Memory = field(default_factory=Memory)
    policy: Policy = field(default_factory=Policy)
    held: list[Held] = field(default_factory=list)
    pending: tuple[int, ...] = ()
    door_is_open: bool = True

    def __post_init__(self) -> None:
        """Log the owner's certificate among others."""
        self.log.fill(3)
        self.held.append(self.log.certify(self.authority, CALLER))
        self.log.fill(300)
        self.log.publish()

    @property
    def owner(self) -> Owner:
        """The owner, with all that it holds."""
        return owner_of(
            CALLER, [one.chain for one in self.held], [key_hash(key(one).public_key()) for one in self.pending]
        )

    def look(self) -> Look:
        """Look once, and remember."""
        client = LogClient.of(self.log.description, self.log)
        label = OwnLabel.from_sct(self.log.shard, self.owner.logged_by(self.log.description)[0][1])
        held = self.held[0]

        def door() -> tuple[ShownCertificate, ...]:
            if not self.door_is_open:
                msg = "log.example could not be asked"
                raise Unreachable(msg)
            return client.ask_owner(self.log.shard, CALLER, held.key, held.chain).entries

        found = look(client.shard(self.log.shard), self.memory, self.owner, label, self.policy, self.log.clock, door)
        self.memory = found.memory
        return found

    def attack(self) -> int:
        """Have a certificate for the owner's number issued to somebody else, and return its index."""
        self.log.certify(CARELESS, CALLER, key_number=ATTACKERS_KEY, serial=0xBAD)
        self.log.publish()
        return len(self.log.entries) - 1


@pytest.fixture
def world() -> World:
    """Return an honest world that was looked at once."""
    made = World()
    assert made.look().alarms == []
    return made


def only(found: Look) -> Alarm:
    """Return the one alarm."""
    (alarm,) = found.alarms
    return alarm


def kinds(found: Look) -> set[AlarmKind]:
    """Return the kinds of all alarms."""
    return {alarm.kind for alarm in found.alarms}


# An honest log


def test_an_owner_finds_its_own_certificate(world: World) -> None:
    """The index under the label is the one that the certificate's SCT promised."""
    assert {index: known.standing for index, known in world.memory.known.items()} == {3: Standing.OWN}


def test_a_look_fetches_whole_bundles_and_one_bucket(world: World) -> None:
    """What is asked for are the files that hundreds of others ask for too: none names an entry or a label."""
    world.log.questions.clear()
    world.look()
    assert len([one for one in world.log.questions if one.startswith("index/")]) <= 4
    assert all("/" in one or one == "checkpoint" for one in world.log.questions)


def test_what_is_known_is_not_fetched_again(world: World) -> None:
    """The next look at a quiet log takes one bundle less, and no entry."""
    world.log.questions.clear()
    world.look()
    assert not [one for one in world.log.questions if one.startswith("tile/entries/")]


def test_others_certificates_are_no_alarm(world: World) -> None:
    """Certificates of other numbers go by unseen."""
    world.log.certify(world.authority, STRANGER, key_number=9)
    world.log.publish()
    found = world.look()
    assert (found.alarms, found.troubles, set(world.memory.known)) == ([], [], {3})


def test_a_renewal_is_the_owners_own(world: World) -> None:
    """A certificate that the owner holds is no alarm, and an earlier one stays known when it is gone."""
    world.held.insert(0, world.log.certify(world.authority, CALLER, key_number=5, serial=1002))
    world.log.publish()
    assert world.look().alarms == []
    del world.held[1]
    assert world.look().alarms == []


def test_a_certificate_for_a_key_of_ones_own_is_no_alarm(world: World) -> None:
    """An order under way: the certificate is logged before the owner has it, and the owner's door shows its key."""
    world.pending = (5,)
    world.log.certify(world.authority, CALLER, key_number=5, serial=1002)
    world.log.publish()
    assert world.look().alarms == []


def test_an_index_that_lags_hides_nothing(world: World) -> None:
    """Entries behind the index are looked through one by one."""
    world.log.index_behind = 200
    index = world.attack()
    assert only(world.look()).key == str(index)


def test_an_index_far_behind_is_told(world: World) -> None:
    """A tail that is too long to look through is trouble, and after a day an alarm."""
    world.log.fill(LONGEST_TAIL + 1)
    world.log.index_behind = LONGEST_TAIL + 1
    world.log.publish()
    assert "entries behind" in " ".join(world.look().troubles)
    world.log.clock += 25 * 3600
    world.log.fill(1)
    world.log.index_behind += 1
    world.log.publish()
    assert kinds(world.look()) == {AlarmKind.STALL}


def test_an_index_that_creeps_along_behind_the_tree_hides_nothing_for_long(world: World) -> None:
    """A log that keeps a certificate in the part that nobody can look through, by moving both, is an alarm in a day."""
    world.log.index_behind = LONGEST_TAIL + 10
    world.log.fill(LONGEST_TAIL + 300)
    world.attack()
    for hours in range(0, 31, 6):
        world.log.fill(50)
        world.log.publish()
        found = world.look()
        assert "entries behind" in " ".join(found.troubles)
        assert bool(found.alarms) is (hours > 24), hours
        world.log.clock += 6 * 3600
    assert kinds(found) == {AlarmKind.STALL}
    world.log.index_behind = 0
    world.log.publish()
    assert kinds(world.look()) == {AlarmKind.UNKNOWN_CERTIFICATE}


@pytest.mark.parametrize("kept_back", ["index/", "tile/", "index/checkpoint"])
def test_a_log_that_answers_in_part_is_out_of_reach(world: World, kept_back: str) -> None:
    """One that shows its checkpoint day after day, and never gets round to what stands under the label, is an alarm."""
    files = world.log.fetch

    def fetch(path: str) -> bytes:
        if path.startswith(kept_back):
            msg = "log.example did not answer within 10 seconds"
            raise Unreachable(msg)
        return files(path)

    world.log.fetch = fetch  # type: ignore[method-assign]
    world.attack()
    for _ in range(3):
        assert world.look().alarms == []
        world.log.clock += 11 * 3600
    assert kinds(world.look()) == {AlarmKind.STALL}


# The attack


def test_a_strangers_certificate_is_an_alarm(world: World) -> None:
    """A certificate that the owner does not know is told with its issuer, its time, and what to do."""
    index = world.attack()
    alarm = only(world.look())
    assert alarm.kind is AlarmKind.UNKNOWN_CERTIFICATE
    assert "Careless Root" in alarm.text
    assert "bad" in alarm.text
    assert "2026-06-01 12:00 UTC" in alarm.text
    assert "revoke" in alarm.kind.advice
    assert CALLER.digits not in alarm.text
    proof = TlogProof.parse(alarm.evidence["entry.tlog-proof"])
    leaf = leaf_hash(alarm.evidence["entry"])
    assert proof.index == index
    assert proof.verify(leaf, world.log.signer.verifier, WitnessPolicy({}, 0)).size == index + 1


def test_the_alarm_goes_on_until_it_is_acknowledged(world: World) -> None:
    """The same alarm is raised at each look, under the same identity, until the owner says that it knows."""
    index = world.attack()
    first, second = only(world.look()), only(world.look())
    assert first.identity == second.identity
    world.memory = world.memory.acknowledge([index])
    assert world.look().alarms == []


def test_a_closed_door_does_not_silence_the_alarm(world: World) -> None:
    """Without the log's help the issuer is known by its key alone; with it, later, by its name."""
    world.door_is_open = False
    world.attack()
    found = world.look()
    assert "the key" in only(found).text
    assert "could not be learned" in found.troubles[0]
    world.door_is_open = True
    assert "Careless Root" in only(world.look()).text


def test_a_door_that_lies_is_not_believed(world: World) -> None:
    """The certificate that the door shows must open the entry's commitment."""
    index = world.attack()
    world.log.certificates[index] = world.log.certificates[3]
    found = world.look()
    assert "another certificate" in found.troubles[0]
    assert "the key" in only(found).text


# A log that lies


def test_a_fork_is_proven(world: World) -> None:
    """Two trees of one size, both signed: the two notes are the proof."""
    before = world.log.files["checkpoint"]
    world.log.fork(7)
    alarm, of_index = world.look().alarms
    assert (alarm.kind, of_index.kind) == (AlarmKind.FORK, AlarmKind.FORK)
    assert alarm.evidence["checkpoint-before"] == before
    assert alarm.evidence["checkpoint-now"] == world.log.files["checkpoint"]


def test_a_longer_fork_is_proven(world: World) -> None:
    """A longer tree that does not begin with the former one: its own hashes are the proof."""
    world.log.fork(7)
    world.log.fill(100)
    world.log.publish()
    alarm = only(world.look())
    assert alarm.kind is AlarmKind.FORK
    assert alarm.evidence["consistency-proof"]
    size = world.memory.checkpoint
    assert size is not None
    assert size.checkpoint.size == 304


def test_a_fork_that_carries_an_attack_shows_both(world: World) -> None:
    """A certificate in a history that was forked is an alarm all the same."""
    world.log.fork(7)
    world.attack()
    assert {AlarmKind.FORK, AlarmKind.UNKNOWN_CERTIFICATE} <= kinds(world.look())


def test_a_rollback_is_an_alarm_once_no_cache_explains_it(world: World) -> None:
    """An older checkpoint may be a copy on its way for some minutes, and then it is a rollback."""
    world.log.roll_back(290)
    found = world.look()
    assert (found.alarms, len(found.troubles)) == ([], 2)
    world.log.clock += CACHE_GRACE + 1
    assert kinds(world.look()) == {AlarmKind.ROLLBACK}


def test_a_smaller_tree_that_does_not_fit_is_no_old_copy(world: World) -> None:
    """A smaller tree is excused as a copy on its way only where the former tree still shows that it begins with it."""
    world.log.fork(7)
    world.log.roll_back(290)
    alarm = world.look().alarms[0]
    assert alarm.kind is AlarmKind.FALSE_FILE
    assert {"checkpoint-before", "checkpoint-now"} <= set(alarm.evidence)


def test_a_log_that_stands_still_is_an_alarm(world: World) -> None:
    """A log in use grows: one that shows nothing new for days is stale, or shows its owner an old copy."""
    world.log.clock += world.policy.quiet_seconds
    assert world.look().alarms == []
    world.log.clock += 1
    assert kinds(world.look()) == {AlarmKind.STALL}
    world.log.fill(1)
    world.log.publish()
    assert world.look().alarms == []


def test_a_log_out_of_reach_is_an_alarm_after_a_day(world: World) -> None:
    """Silence is trouble at once and an alarm once it has lasted."""
    world.log.unreachable = True
    found = world.look()
    assert (found.alarms, found.troubles) == ([], ["log.example could not be asked"])
    world.log.clock += world.policy.stall_seconds + 1
    assert kinds(world.look()) == {AlarmKind.STALL}


def test_a_log_that_never_answered_is_an_alarm_too() -> None:
    """Silence counts from the first look."""
    world = World()
    world.log.unreachable = True
    assert world.look().alarms == []
    world.log.clock += world.policy.stall_seconds + 1
    assert kinds(world.look()) == {AlarmKind.STALL}


def test_an_entry_that_the_index_leaves_out_is_an_alarm(world: World) -> None:
    """What was seen under the label must stay there: the proof has the entry, its place, and the whole bucket."""
    world.log.hide(3)
    world.log.fill(1)
    world.log.publish()
    alarm = only(world.look())
    assert alarm.kind is AlarmKind.HIDDEN
    entry = SealedEntry.from_bytes(alarm.evidence["entry"])
    assert entry.label == world.log.label(CALLER)
    checkpoint = Checkpoint.parse(alarm.evidence["checkpoint-text"].decode())
    proof = [base64.b64decode(line) for line in alarm.evidence["entry.inclusion"].split()]
    verify_inclusion(3, checkpoint.size, leaf_hash(entry.to_bytes()), proof, checkpoint.root)
    assert any(name.startswith("index/") for name in alarm.evidence)


def test_two_indices_of_one_tree_are_a_fork(world: World) -> None:
    """An index follows from its entries, so two of the same entries prove a lie."""
    world.log.hide(100)
    assert only(world.look()).kind is AlarmKind.FORK


def test_an_index_that_names_anothers_entry_is_an_alarm(world: World) -> None:
    """Entries under the owner's label must carry it."""
    world.log.fill(1)
    world.log.indexed_under[304] = world.log.label(CALLER)
    world.log.publish()
    assert kinds(world.look()) == {AlarmKind.MISPLACED}


def test_an_index_that_rolls_back_is_an_alarm(world: World) -> None:
    """An older index than was shown before is an alarm once no cache explains it."""
    world.log.index_behind = 10
    world.log.publish()
    world.log.clock += CACHE_GRACE + 1
    assert kinds(world.look()) == {AlarmKind.ROLLBACK}


def test_a_promise_beyond_the_tree_is_an_alarm(world: World) -> None:
    """An SCT is given for what can be seen: its entry must be there within minutes."""
    world.held.insert(0, world.log.certify(world.authority, CALLER, key_number=5, serial=1002))
    found = world.look()
    assert (found.alarms, len(found.troubles)) == ([], 1)
    world.log.clock += CACHE_GRACE + 60
    alarm = only(world.look())
    assert (alarm.kind, set(alarm.evidence)) == (
        AlarmKind.DROPPED,
        {"certificate.der", "issuer.der", "sct", "checkpoint"},
    )


def test_a_promise_that_is_not_kept_is_an_alarm() -> None:
    """The entry at the SCT's index must be the one that the SCT says."""
    world = World()
    old = world.log.entries[3]
    world.log.entries[3] = SealedEntry(old.timestamp_ms, old.label, old.issuer_key_hash, random_label("other"))
    world.log.publish()
    assert AlarmKind.FALSE_PROMISE in kinds(world.look())


def test_a_certificate_filed_under_another_label_is_seen_by_its_owner() -> None:
    """A log and an authority that collude get no SCT that the number's owner believes."""
    log, authority = LogSimulator(), root()
    log.prove_for = STRANGER
    held = log.certify(authority, CALLER)
    (found,) = owner_of(CALLER, [held.chain]).logged_by(log.description)
    with pytest.raises(VrfError):
        OwnLabel.from_sct(log.shard, found[1])


def test_a_false_sct_in_ones_own_certificate_is_an_alarm(world: World) -> None:
    """An SCT whose proof is another number's, in a certificate of the owner's own, is evidence against the log."""
    world.log.prove_for = STRANGER
    world.held.append(world.log.certify(world.authority, CALLER, key_number=5, serial=1002))
    world.log.publish()
    assert kinds(world.look()) == {AlarmKind.FALSE_PROMISE}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("checkpoint", AlarmKind.NOT_SIGNED),
        (MAP_CHECKPOINT_PATH, AlarmKind.NOT_SIGNED),
        ("tile/0/001.p/48", AlarmKind.FALSE_FILE),
        ("tile/0/000", AlarmKind.FALSE_FILE),
        ("tile/entries/000", AlarmKind.FALSE_FILE),
        ("bucket", AlarmKind.FALSE_FILE),
    ],
)
def test_a_byte_that_was_changed_is_found(path: str, kind: AlarmKind) -> None:
    """Whatever file of those that a look needs was tampered with, the look says so."""
    world = World()
    log = world.log
    if path == "bucket":
        honest = World()
        honest.look()
        asked = honest.log.questions
        path = next(one for one in asked if one.startswith("index/") and one != MAP_CHECKPOINT_PATH)
    log.tamper(path, at=-1 if path.startswith("index/segment/") else 40)  # the topmost page is the last
    assert only(world.look()).kind is kind


@pytest.mark.parametrize("path", ["checkpoint", "tile/entries/000", MAP_CHECKPOINT_PATH])
def test_a_file_that_is_gone_is_an_alarm(path: str) -> None:
    """A log that no longer has what it signed is at fault."""
    world = World()
    del world.log.files[path]
    assert only(world.look()).kind is AlarmKind.FALSE_FILE


def test_what_an_issuer_calls_itself_does_nothing_to_a_terminal(world: World, tmp_path: Path) -> None:
    """A name with control characters is told without them, to people and to the command that tells others."""
    hostile = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nice\x1b[2JCA\x00\u202e\n")])
    now = datetime.fromtimestamp(world.log.clock, UTC)
    builder = x509.CertificateBuilder(hostile, hostile, key(77).public_key(), 5, now, now + timedelta(days=5))
    chain = [builder.sign(key(77), hashes.SHA256()) for _ in range(2)]
    opening, issuer_hash = bytes(16), issuer_key_hash(chain[1])
    commitment = entry.commitment(opening, world.log.label(CALLER), tbs_of(chain[0]))
    index = len(world.log.entries)
    world.log.entries.append(
        SealedEntry(rounded_timestamp(world.log.clock * 1000), world.log.label(CALLER), issuer_hash, commitment)
    )
    world.log.certificates[index] = [one.public_bytes(Encoding.DER) for one in chain]
    world.log.openings[index] = opening
    world.log.publish()
    alarm = only(world.look())
    assert alarm.kind is AlarmKind.UNKNOWN_CERTIFICATE
    assert alarm.text.isprintable()
    assert "Nice" in alarm.text
    stored = WatchStore(tmp_path).keep_alarm(alarm, CALLER, world.log.clock)
    CommandNotifier(("true",)).tell(stored)


# Witnesses


def test_witnesses_must_have_cosigned(world: World) -> None:
    """With a policy, a checkpoint without enough cosignatures is an alarm, and one with them is none."""
    world.policy = replace(world.policy, witnesses=WitnessPolicy({WITNESS.verifier: "Witness Operator"}, 1))
    assert only(world.look()).kind is AlarmKind.NOT_WITNESSED
    world.log.cosignatures.append(WITNESS.cosign(world.log.checkpoint(), world.log.clock))
    world.log.show(world.log.checkpoint())
    assert world.look().alarms == []


def show_cosigned(world: World, at: int) -> None:
    """Have the log show what a witness has cosigned at a time, at the place for that."""
    note = Note.parse(world.log.files["checkpoint"])
    cosigned = note.with_signatures([WITNESS.cosign(world.log.checkpoint(), at)])
    world.log.files[COSIGNED_PATH] = cosigned.to_bytes()


def test_a_log_that_grows_quickly_shows_what_was_cosigned_last(world: World) -> None:
    """Where the newest checkpoint has no cosignatures yet, a recent one from which it goes on has enough."""
    world.policy = replace(world.policy, witnesses=WitnessPolicy({WITNESS.verifier: "Witness Operator"}, 1))
    show_cosigned(world, world.log.clock)
    world.log.fill(300)
    world.log.publish()
    assert world.look().alarms == []
    world.log.clock += WITNESSED_SECONDS + 1
    assert only(world.look()).kind is AlarmKind.NOT_WITNESSED


def test_what_was_cosigned_must_be_of_the_same_history(world: World) -> None:
    """A log cannot show the owner one tree, and another with the witnesses' word for it."""
    world.policy = replace(world.policy, witnesses=WitnessPolicy({WITNESS.verifier: "Witness Operator"}, 1))
    world.memory = Memory()
    show_cosigned(world, world.log.clock)
    world.log.fork(7)
    world.log.fill(3)
    world.log.publish()
    assert AlarmKind.FORK in kinds(world.look())


def test_what_is_shown_as_cosigned_must_be_the_logs(world: World) -> None:
    """A file at the place of the cosigned checkpoint that the log did not sign is an alarm."""
    world.policy = replace(world.policy, witnesses=WitnessPolicy({WITNESS.verifier: "Witness Operator"}, 1))
    for data in (b"", b"a\n1\nx\n\n"):
        world.log.files[COSIGNED_PATH] = data
        assert only(world.look()).kind is AlarmKind.NOT_SIGNED


def test_a_quorum_that_nothing_reaches_is_refused() -> None:
    """A policy asks for no more operators than it knows."""
    with pytest.raises(ProofError):
        WitnessPolicy({WITNESS.verifier: "Witness Operator"}, 2)


def test_a_look_between_two_publications_is_no_alarm(world: World) -> None:
    """Where the index is newer than the checkpoint that came first, the checkpoint is asked for again."""
    old = world.log.files["checkpoint"]
    world.log.fill(5)
    world.log.publish()
    new = world.log.files["checkpoint"]
    answers = iter([old, new])
    shard = LogClient.of(world.log.description, world.log).shard(world.log.shard)
    fetch: Callable[[str], bytes] = world.log.fetch

    @dataclass
    class Racing:
        fetch_part = staticmethod(world.log.fetch_part)

        def fetch(self, path: str) -> bytes:
            """Show the old checkpoint once."""
            return next(answers) if path == "checkpoint" else fetch(path)

    shard.files = Racing()
    label = OwnLabel.from_sct(world.log.shard, world.owner.logged_by(world.log.description)[0][1])
    found = look(shard, world.memory, world.owner, label, world.policy, world.log.clock, tuple)
    assert (found.alarms, found.size) == ([], 309)
    assert Note.parse(old).text != Note.parse(new).text
