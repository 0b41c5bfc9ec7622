"""Watching one number in one shard of a log: which certificates exist for it, and whether the log tells the truth.

`look` is one look. It asks the shard's files, and holds everything to what the log signed: the checkpoint to its key,
to the witnesses and to the one seen before, the index to the checkpoint, the whole bucket of the owner's label to the
index, and each entry under the label to the tree. Nobody is told which label of the bucket is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from transparency.alarms import Alarm, AlarmKind, LogAtFault
from transparency.checkpoint import Checkpoint
from transparency.entry import SealedEntry
from transparency.errors import ProofError, TransparencyError
from transparency.following import CACHE_GRACE, Recorder, Seen, Shard, hash_lines
from transparency.label_index import MapCheckpoint
from transparency.merkle import inclusion_proof
from transparency.owner import LoggedCertificate, Owner, OwnLabel, ShownCertificate
from transparency.proof import TlogProof, WitnessPolicy
from transparency.signed_note import Note
from transparency.transport import Unreachable

LONGEST_TAIL: Final = 4096
"""Entries behind the index that are looked through one by one."""
STALL_SECONDS: Final = 24 * 3600
"""How long a log may be out of reach, or its index behind, before that is an alarm."""
QUIET_SECONDS: Final = 3 * 24 * 3600
"""How long a log may show no new entry: certificates live for days, so that a log in use grows."""
WITNESSED_SECONDS: Final = 3600
"""How old witnesses' word may be of a log that has grown since."""
NO_WITNESSES: Final = WitnessPolicy({}, 0)

Door = Callable[[], Iterable[ShownCertificate]]
"""Asks the log's owner's door for the certificates under the label; raises Unreachable or TransparencyError."""


class Standing(StrEnum):
    """What the owner knows of an entry under its label."""

    OWN = "own"
    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Known:
    """An entry under the owner's label: what the tree holds, what the owner knows of it, and its certificate in DER."""

    entry: SealedEntry
    standing: Standing
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered of a shard from one look to the next. Times are in seconds since 1970.

    `reached_at` is when all that was asked for was shown last, or asked for in vain first. `behind_since` is since when
    the index has been too far behind the tree to look through what is between. `audited` has, by an auditor's key, what
    that has confirmed last and since when, with no note where it never did.
    """

    proof: bytes | None = None
    checkpoint: Seen | None = None
    map_checkpoint: Seen | None = None
    reached_at: int | None = None
    known: Mapping[int, Known] = field(default_factory=dict)
    audited: Mapping[str, Seen] = field(default_factory=dict)
    behind_since: int | None = None

    def acknowledge(self, indices: Iterable[int]) -> Memory:
        """Return the memory in which the owner knows these entries."""
        wanted = set(indices)
        known = {
            index: replace(one, standing=Standing.ACKNOWLEDGED) if index in wanted else one
            for index, one in self.known.items()
        }
        return replace(self, known=known)


@dataclass(frozen=True, slots=True)
class Policy:
    """How the owner watches: which witnesses must have cosigned, and when silence is an alarm.

    `witnessed_seconds` is how old their cosignatures may be where the log shows a larger tree than they have seen.
    """

    witnesses: WitnessPolicy = NO_WITNESSES
    stall_seconds: int = STALL_SECONDS
    quiet_seconds: int = QUIET_SECONDS
    witnessed_seconds: int = WITNESSED_SECONDS


@dataclass(slots=True)
class Look:
    """What one look found: the memory to keep, alarms, and troubles that are none yet."""

    memory: Memory
    alarms: list[Alarm] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    size: int | None = None
    indexed: int | None = None


def look(
    shard: Shard, memory: Memory, owner: Owner, label: OwnLabel, policy: Policy, now: int, door: Door
) -> Look:  # each is another thing to look with
    """Look once. `now` is in seconds since 1970; `door` is asked only where an entry is unknown."""
    return _Looking(shard, owner, label, policy, now, door, Look(replace(memory, proof=label.proof))).run()


@dataclass(slots=True)
class _Looking:
    shard: Shard
    owner: Owner
    label: OwnLabel
    policy: Policy
    now: int
    door: Door
    result: Look

    def run(self) -> Look:
        try:
            self._look()
        except LogAtFault as fault:
            self.result.alarms.append(fault.alarm)
        except Unreachable as error:
            self.result.troubles.append(str(error))
            self._require_reached()
        except TransparencyError as error:
            self._false_file(error)
        return self.result

    def _look(self) -> None:
        note, checkpoint = self.shard.checkpoint_note()
        is_next = self._follow(note, checkpoint)
        map_note, map_ = self.shard.map_checkpoint()
        if map_.log.size > checkpoint.size:  # the log grew in between
            note, checkpoint = self.shard.checkpoint_note()
            is_next = self._follow(note, checkpoint)
        self.result.size, self.result.indexed = checkpoint.size, map_.log.size
        self._follow_map(note, checkpoint, map_note, map_)
        newest = max(checkpoint, map_.log, key=lambda one: one.size)
        indexed = self._indexed(map_note, map_)
        found = self._found(newest, {*indexed, *self._tail(newest, map_.log.size)}, trusted=is_next)
        if is_next:
            self._require_index(map_note, map_, indexed, newest)
        own = self._promises(newest, note, found)
        self._learn(found, own)
        self._change(reached_at=self.now)  # not before: who shows a part may be hiding the rest
        self._name_unknown(newest, note)

    # The tree

    def _follow(self, note: Note, checkpoint: Checkpoint) -> bool:
        """Hold the checkpoint to what was seen before; tell whether it goes on from there."""
        self._require_witnesses(note, checkpoint)
        former = self.result.memory.checkpoint
        if former is None:
            self._change(checkpoint=Seen(note.to_bytes(), self.now))
            return True
        old, evidence = former.checkpoint, {"checkpoint-before": former.note, "checkpoint-now": note.to_bytes()}
        try:
            if checkpoint.size < old.size:
                self.shard.require_prefix(checkpoint, old, evidence)
                self._rolled_back(old.size, checkpoint.size, former.at, evidence)
                return False
            self.shard.require_prefix(old, checkpoint, evidence)
        except LogAtFault as fault:
            self.result.alarms.append(fault.alarm)
            return False
        if checkpoint.size > old.size:
            self._change(checkpoint=Seen(note.to_bytes(), self.now))
        elif self.now - former.at > self.policy.quiet_seconds:
            self._stalled(f"the log has shown nothing new since {_time(former.at)}", evidence, "tree")
        return True

    def _require_witnesses(self, note: Note, checkpoint: Checkpoint) -> None:
        """Ask for enough cosignatures of the checkpoint or, where a log grows faster than they come, of a recent one.

        The one must then go on from the other.
        """
        evidence = {"checkpoint": note.to_bytes()}
        try:
            self.policy.witnesses.check(note)
        except ProofError as error:
            cosigned = self.shard.cosigned_note()
            if cosigned is None:
                self._alarm(AlarmKind.NOT_WITNESSED, str(error), evidence)
                return
            evidence["cosigned-checkpoint"] = cosigned[0].to_bytes()
            older, newer = sorted((cosigned[1], checkpoint), key=lambda one: one.size)
            self.shard.require_prefix(older, newer, evidence)
            try:
                self.policy.witnesses.check(cosigned[0], self.now - self.policy.witnessed_seconds)
            except ProofError as too_few:
                self._alarm(AlarmKind.NOT_WITNESSED, str(too_few), evidence)

    def _rolled_back(self, old: int, new: int, seen_at: int, evidence: Mapping[str, bytes]) -> None:
        text = f"the log showed {old} leaves at {_time(seen_at)}, and shows {new} now"
        if self.now - seen_at <= CACHE_GRACE:
            self.result.troubles.append(f"{text}: an older copy on its way, perhaps")
        else:
            self._alarm(AlarmKind.ROLLBACK, text, evidence, f"{old} {new}")

    # The index

    def _follow_map(self, note: Note, checkpoint: Checkpoint, map_note: Note, map_: MapCheckpoint) -> None:
        """Hold the map checkpoint to the tree, and to the one seen before."""
        evidence = {"checkpoint": note.to_bytes(), "map-checkpoint": map_note.to_bytes()}
        older, newer = sorted((checkpoint, map_.log), key=lambda one: one.size)
        self.shard.require_prefix(older, newer, evidence)
        former = self.result.memory.map_checkpoint
        before = None if former is None else MapCheckpoint.parse(Note.parse(former.note).text)
        if former is not None and before is not None:
            evidence["map-checkpoint-before"] = former.note
            if map_.log.size < before.log.size:
                self._rolled_back(before.log.size, map_.log.size, former.at, evidence)
                return
            if map_.log.size == before.log.size and map_ != before:
                text = f"two indices of the same {map_.log.size} leaves were signed"
                raise self.shard.fault(AlarmKind.FORK, text, evidence, f"index {map_.log.size} {map_.root.hex()}")
        if former is None or before is None or map_.log.size > before.log.size or map_.log.size >= checkpoint.size:
            self._change(map_checkpoint=Seen(map_note.to_bytes(), self.now))
        elif self.now - former.at > self.policy.stall_seconds:
            self._stalled(f"the log's index has stood still since {_time(former.at)}", evidence, "index")

    def _indexed(self, map_note: Note, map_: MapCheckpoint) -> tuple[int, ...]:
        return self.shard.bucket(map_note, map_, self.label.label).indices_of(self.label.label)

    def _tail(self, newest: Checkpoint, indexed: int) -> tuple[int, ...]:
        """Return the entries under the label that the index does not cover yet."""
        tail = range(indexed, newest.size)
        if len(tail) > LONGEST_TAIL:
            self.result.troubles.append(f"the log's index is {len(tail)} entries behind")
            self._require_caught_up()
            return ()
        self._change(behind_since=None)
        entries = self.shard.entries(newest, tail)
        return tuple(index for index, one in entries.items() if one.label == self.label.label)

    def _require_caught_up(self) -> None:
        """Bear with an index that is far behind for a while, also with one that grows: it might never be there."""
        since = self.result.memory.behind_since
        if since is None:
            self._change(behind_since=self.now)
        elif self.now - since > self.policy.stall_seconds:
            self._stalled(f"the log's index has been far behind its tree since {_time(since)}", {}, "behind")

    def _found(self, newest: Checkpoint, indices: set[int], *, trusted: bool) -> dict[int, SealedEntry]:
        """Return the entries under the label that the log shows; an index that names another's is at fault.

        Where the tree goes on from the one seen before, what is known from there need not be fetched again.
        """
        known = {index: one.entry for index, one in self.result.memory.known.items()} if trusted else {}
        entries = {index: known[index] for index in indices & known.keys()}
        entries.update(self.shard.entries(newest, indices - known.keys()))
        strangers = [index for index, one in entries.items() if one.label != self.label.label]
        if strangers:
            text = f"the index names entry {strangers[0]} under a label that is not the entry's"
            evidence = {"entry": entries[strangers[0]].to_bytes(), "checkpoint-text": newest.text.encode()}
            self._alarm(AlarmKind.MISPLACED, text, evidence, str(strangers[0]))
        return {index: one for index, one in entries.items() if one.label == self.label.label}

    def _require_index(self, map_note: Note, map_: MapCheckpoint, indexed: Iterable[int], newest: Checkpoint) -> None:
        """Hold the index to the entries that are known from before."""
        missing = sorted({index for index in self.result.memory.known if index < map_.log.size} - set(indexed))
        for index in missing:
            recorder = Recorder(self.shard.files)
            Shard(self.shard.log, self.shard.description, recorder).bucket(map_note, map_, self.label.label)
            evidence = {
                "map-checkpoint": map_note.to_bytes(),
                "entry": self.result.memory.known[index].entry.to_bytes(),
                **self._inclusion(index, map_.log, map_note, newest),
                **recorder.seen,
            }
            text = f"entry {index} is in the tree, and the index does not name it"
            self._alarm(AlarmKind.HIDDEN, text, evidence, str(index))

    # The owner's own

    def _promises(
        self, newest: Checkpoint, note: Note, found: Mapping[int, SealedEntry]
    ) -> dict[int, LoggedCertificate]:
        """Hold the log to what its SCTs in the owner's certificates promise."""
        kept: dict[int, LoggedCertificate] = {}
        logged = [one for shard, one in self.owner.logged_by(self.shard.log) if shard == self.shard.description]
        for one in logged:
            evidence = {**one.evidence, "checkpoint": note.to_bytes()}
            try:
                index, promised = one.promised(self.shard.description)
            except TransparencyError as error:
                self._alarm(AlarmKind.FALSE_PROMISE, f"an SCT of your certificate is false: {error}", evidence, "sct")
                continue
            if index >= newest.size:
                self._require_soon(index, newest, promised, evidence)
            elif (found.get(index) or self.shard.entries(newest, [index])[index]) != promised:
                text = f"entry {index} is not the one that the log promised to show there"
                self._alarm(AlarmKind.FALSE_PROMISE, text, evidence, str(index))
            else:
                kept[index] = one
        return kept

    def _require_soon(
        self, index: int, newest: Checkpoint, promised: SealedEntry, evidence: Mapping[str, bytes]
    ) -> None:
        text = f"the log promised to show entry {index}, and shows {newest.size} entries"
        if self.now - promised.timestamp_ms // 1000 > CACHE_GRACE:
            self._alarm(AlarmKind.DROPPED, text, evidence, str(index))
        else:
            self.result.troubles.append(text)

    def _learn(self, found: Mapping[int, SealedEntry], own: Mapping[int, LoggedCertificate]) -> None:
        """Remember the entries, and which of them are the owner's."""
        known = dict(self.result.memory.known)
        for index, sealed in found.items():
            former = known.get(index) or Known(sealed, Standing.UNKNOWN)
            logged = own.get(index)
            if logged is not None:
                former = Known(sealed, Standing.OWN, logged.certificate.public_bytes(Encoding.DER))
            known[index] = former
        self._change(known=known)

    # The unknown

    def _name_unknown(self, newest: Checkpoint, note: Note) -> None:
        """Raise the alarm for each certificate that the owner does not know."""
        unknown = {index: one for index, one in self.result.memory.known.items() if one.standing is Standing.UNKNOWN}
        if any(one.certificate is None for one in unknown.values()):
            unknown = self._opened(unknown)
        for index, one in unknown.items():
            evidence = {
                "entry": one.entry.to_bytes(),
                "vrf-proof": self.label.proof,
                **self._inclusion(index, newest, note, newest),
            }
            if one.certificate is not None:
                evidence["certificate.pem"] = _pem(one.certificate)
            self._alarm(AlarmKind.UNKNOWN_CERTIFICATE, _described(index, one), evidence, str(index))

    def _opened(self, unknown: dict[int, Known]) -> dict[int, Known]:
        """Ask the owner's door for the certificates; those for the owner's own keys are the owner's."""
        known = dict(self.result.memory.known)
        for index, certificate in self._shown(unknown).items():
            is_own = self.owner.holds_key_of(certificate)
            standing = Standing.OWN if is_own else Standing.UNKNOWN
            known[index] = Known(unknown[index].entry, standing, certificate.public_bytes(Encoding.DER))
        self._change(known=known)
        return {index: known[index] for index in unknown if known[index].standing is Standing.UNKNOWN}

    def _shown(self, unknown: Mapping[int, Known]) -> dict[int, x509.Certificate]:
        found: dict[int, x509.Certificate] = {}
        try:
            for shown in self.door():
                if shown.index in unknown:
                    found[shown.index] = shown.opens(unknown[shown.index].entry)
        except (TransparencyError, Unreachable) as error:
            self.result.troubles.append(f"whose certificate it is could not be learned: {error}")
        return found

    # Small things

    def _inclusion(self, index: int, tree: Checkpoint, note: Note, newest: Checkpoint) -> dict[str, bytes]:
        """Return the proof that an entry is in a tree: whole where the note is the tree's, else its hashes.

        It is read from the newest tree, which begins with this one and whose tiles are all there.
        """
        if index >= tree.size:
            return {}
        hashes = inclusion_proof(self.shard.reader(newest), index, tree.size)
        if note.text == tree.text:
            return {"entry.tlog-proof": TlogProof(index, hashes, note).to_bytes()}
        return {"entry.inclusion": hash_lines(hashes), "checkpoint-text": tree.text.encode()}

    def _require_reached(self) -> None:
        reached = self.result.memory.reached_at
        if reached is None:
            self._change(reached_at=self.now)
        elif self.now - reached > self.policy.stall_seconds:
            self._stalled(f"the log has not shown all that was asked for since {_time(reached)}", {}, "silence")

    def _stalled(self, text: str, evidence: Mapping[str, bytes], key: str) -> None:
        self._alarm(AlarmKind.STALL, text, evidence, key)

    def _false_file(self, error: TransparencyError) -> None:
        self._alarm(AlarmKind.FALSE_FILE, f"the log does not show what it signed: {error}", {}, str(error))

    def _alarm(self, kind: AlarmKind, text: str, evidence: Mapping[str, bytes], key: str = "") -> None:
        self.result.alarms.append(self.shard.fault(kind, text, evidence, key).alarm)

    def _change(self, **fields: object) -> None:
        self.result.memory = replace(self.result.memory, **fields)  # type: ignore[arg-type]  # by name, in this class


def _described(index: int, one: Known) -> str:
    when = _time(one.entry.timestamp_ms // 1000)
    if one.certificate is None:
        issuer = f"by the authority with the key {one.entry.issuer_key_hash.hex()[:16]}…"
        return f"a certificate that you do not know was logged {when} {issuer}, as entry {index}"
    certificate = x509.load_der_x509_certificate(one.certificate)
    issuer = certificate.issuer.rfc4514_string()
    until = f"valid until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    serial = f"serial {certificate.serial_number:x}"
    return f"a certificate that you do not know: issued by {issuer}, logged {when}, {serial}, {until}, as entry {index}"


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
