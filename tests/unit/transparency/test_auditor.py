"""What an auditor finds in an index, and what it signs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes.index_files import IndexFiles, built
from tests.fakes.log_simulator import LogSimulator, random_label
from tests.fakes.small_pki import CALLER, root
from transparency.alarms import AlarmKind
from transparency.auditor import STEP, Audit, Audited, OwnIndexDamaged, audit
from transparency.checkpoint import Checkpoint
from transparency.following import Shard
from transparency.index_growth import LabelIndex
from transparency.label_index import MAP_CHECKPOINT_PATH, MapCheckpoint
from transparency.signed_note import Ed25519Signer, Note

SIGNER = Ed25519Signer("auditor.example", Ed25519PrivateKey.from_private_bytes(sha256(b"auditor").digest()))


@dataclass
class Auditor:
    """An auditor of one log, with what it keeps."""

    log: LogSimulator
    state: Audited = field(default_factory=Audited)
    files: IndexFiles = field(default_factory=IndexFiles)

    def audit(self) -> Audit:
        """Audit once, and remember."""
        shard = Shard(self.log.description, self.log.shard, self.log)
        found = audit(shard, self.state, self.files, SIGNER, self.log.clock)
        self.state = found.state
        return found


@pytest.fixture
def log() -> LogSimulator:
    """Show a log with some hundred entries."""
    simulator = LogSimulator()
    simulator.certify(root(), CALLER)
    simulator.fill(700)
    simulator.publish()
    return simulator


@pytest.fixture
def auditor(log: LogSimulator) -> Auditor:
    """Begin to audit."""
    return Auditor(log)


def kinds(found: Audit) -> list[AlarmKind]:
    """Return the kinds of the alarms."""
    return [alarm.kind for alarm in found.alarms]


def grow(log: LogSimulator, count: int) -> None:
    """Have the log show more entries."""
    log.fill(count)
    log.publish()


def test_a_right_index_is_signed(auditor: Auditor, log: LogSimulator) -> None:
    """The auditor puts its signature beside the log's, under the same text."""
    found = auditor.audit()
    assert found.alarms == []
    assert found.note is not None
    assert found.note.text == Note.parse(log.files[MAP_CHECKPOINT_PATH]).text
    assert len(found.note.verified_by([log.signer.verifier, SIGNER.verifier])) == 2


def test_an_audit_goes_on_from_the_last(auditor: Auditor, log: LogSimulator) -> None:
    """Only what is new is read, and the index is the one that the whole log makes."""
    auditor.audit()
    grow(log, 900)
    log.questions.clear()
    assert auditor.audit().note is not None
    assert "tile/entries/001" not in log.questions
    assert "tile/entries/002" in log.questions
    assert auditor.state.frontier.size == 1601


def test_the_auditors_files_are_those_of_its_index(auditor: Auditor, log: LogSimulator) -> None:
    """What neither the index needs nor the state that was kept before is dropped, by the next audit at the latest."""
    needed = []
    for _ in range(4):
        before = auditor.state
        auditor.audit()
        needed.append(segments(auditor.state, auditor.files))
        assert auditor.files.sizes().keys() == needed[-1] | (segments(before, auditor.files) if before.index else set())
        grow(log, 300)
    assert not needed[0] & needed[-1]


def segments(state: Audited, files: IndexFiles) -> set[bytes]:
    """Return the segments that a state's index needs."""
    assert state.index is not None
    return set(LabelIndex.load(state.index, files.read, files.sizes()).segments)


def test_an_audit_that_is_cut_off_leaves_what_was_kept(auditor: Auditor, log: LogSimulator) -> None:
    """Whoever is killed before the new state is kept goes on from the old one, whose files are all there."""
    auditor.audit()
    kept = auditor.state
    grow(log, 900)
    auditor.audit()
    auditor.state = kept
    assert auditor.audit().note is not None


def test_many_entries_are_read_in_steps(auditor: Auditor, log: LogSimulator) -> None:
    """A long log is indexed step by step, and comes out the same."""
    grow(log, STEP)
    assert auditor.audit().note is not None


def test_a_map_behind_the_tree_is_judged_by_what_it_covers(auditor: Auditor, log: LogSimulator) -> None:
    """An index may lag: it is right for the entries that it names."""
    log.index_behind = 130
    grow(log, 40)
    found = auditor.audit()
    assert (found.alarms, auditor.state.frontier.size) == ([], 611)
    assert found.note is not None


def test_an_empty_log_is_right(auditor: Auditor) -> None:
    """The index of no entries is known."""
    auditor.log = LogSimulator()
    assert auditor.audit().note is not None


def test_a_hidden_entry_is_found(auditor: Auditor, log: LogSimulator) -> None:
    """An entry that stands under a label that is nobody's is named, and nothing is signed."""
    auditor.audit()
    grow(log, 1)
    log.hide(0)
    found = auditor.audit()
    assert found.note is None
    assert set(kinds(found)) == {AlarmKind.HIDDEN, AlarmKind.MISPLACED}
    assert {alarm.key for alarm in found.alarms[1:]} == {"0"}
    hidden = next(alarm for alarm in found.alarms[1:] if alarm.kind is AlarmKind.HIDDEN)
    assert hidden.evidence["label"] == log.entries[0].label
    assert MapCheckpoint.from_note(hidden.evidence["map-checkpoint"], log.signer.verifier)


def test_an_entry_under_anothers_label_is_found(auditor: Auditor, log: LogSimulator) -> None:
    """An index that shows an entry to somebody whose it is not is wrong too."""
    log.indexed_under[5] = log.entries[9].label
    log.publish_index()
    assert AlarmKind.MISPLACED in kinds(auditor.audit())


def test_an_index_of_other_labels_altogether_is_found(auditor: Auditor, log: LogSimulator) -> None:
    """Even an index of another depth is one alarm, and no crash."""
    log.indexed_under.update(dict.fromkeys(range(701), random_label("one for all")))
    log.publish_index()
    assert kinds(auditor.audit())[0] is AlarmKind.HIDDEN


def test_a_wrong_index_may_be_made_good(auditor: Auditor, log: LogSimulator) -> None:
    """What the auditor knows is not spoiled by a log's lie."""
    log.hide(0)
    auditor.audit()
    log.indexed_under.clear()
    grow(log, 1)
    assert auditor.audit().note is not None


def test_an_index_whose_files_are_missing_is_an_alarm(auditor: Auditor, log: LogSimulator) -> None:
    """A signed index that nobody can read is at fault."""
    log.hide(0)
    for path in [one for one in log.files if one.startswith("index/") and one != MAP_CHECKPOINT_PATH]:
        del log.files[path]
    assert kinds(auditor.audit()) == [AlarmKind.HIDDEN, AlarmKind.FALSE_FILE]


@pytest.mark.parametrize("path", ["tile/entries/001", "tile/0/000", "checkpoint", MAP_CHECKPOINT_PATH])
def test_a_byte_that_was_changed_is_found(auditor: Auditor, log: LogSimulator, path: str) -> None:
    """Every file that is read is held to what was signed."""
    log.tamper(path)
    assert kinds(auditor.audit()) in ([AlarmKind.FALSE_FILE], [AlarmKind.NOT_SIGNED])


def test_a_fork_is_found(auditor: Auditor, log: LogSimulator) -> None:
    """A tree that does not begin with the one that was read is proven to be another."""
    auditor.audit()
    log.fork(3)
    grow(log, 5)
    assert kinds(auditor.audit()) == [AlarmKind.FORK]


def test_an_older_index_than_was_read_is_trouble(auditor: Auditor, log: LogSimulator) -> None:
    """An old copy is told, and judged again next time."""
    auditor.audit()
    log.index_behind = 10
    log.publish_index()
    found = auditor.audit()
    assert (found.alarms, found.note, len(found.troubles)) == ([], None, 1)


@pytest.mark.parametrize("lost", ["file", "changed", "edge"])
def test_a_damage_of_ones_own_is_not_blamed_on_the_log(auditor: Auditor, log: LogSimulator, lost: str) -> None:
    """What the auditor kept itself and finds changed stops it, and accuses nobody."""
    auditor.audit()
    grow(log, 900)
    for path in list(auditor.files.kept):
        if lost == "file":
            del auditor.files.kept[path]
        elif lost == "changed":
            auditor.files.kept[path] = bytes(byte ^ 1 for byte in auditor.files.kept[path])
    if lost == "edge":
        edge = (bytes(len(auditor.state.frontier.edge[0])), *auditor.state.frontier.edge[1:])
        auditor.state = replace(auditor.state, frontier=replace(auditor.state.frontier, edge=edge))
    with pytest.raises(OwnIndexDamaged):
        auditor.audit()


def test_a_log_out_of_reach_is_trouble(auditor: Auditor, log: LogSimulator) -> None:
    """Silence is no proof of anything."""
    log.unreachable = True
    found = auditor.audit()
    assert (found.alarms, found.troubles) == ([], ["log.example could not be asked"])


def test_an_index_that_names_another_tree_is_found(auditor: Auditor, log: LogSimulator) -> None:
    """A map checkpoint that names a root which the log's tree never had is a fork."""
    index, _ = built([one.label for one in log.entries])
    forged = index.checkpoint(Checkpoint(log.shard.origin, 701, bytes(32)))
    log.files[MAP_CHECKPOINT_PATH] = forged.to_note([log.signer])
    assert kinds(auditor.audit()) == [AlarmKind.FORK]
