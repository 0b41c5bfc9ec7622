"""Watching a number in several logs, from one look to the next: what the owner's monitor does.

`NumberWatch.look` asks every shard that may hold a certificate that is still valid, remembers what it saw, and keeps
each alarm with its evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from transparency.alarms import Alarm, AlarmKind, LogAtFault, one_line
from transparency.checkpoint import Checkpoint
from transparency.client import AuditorClient, LogClient, LogRefused, WitnessClient
from transparency.errors import NoteError, TransparencyError, VrfError
from transparency.following import Seen, Shard
from transparency.label_index import MapCheckpoint
from transparency.log_description import LogDescription, ShardDescription
from transparency.monitor import Known, Look, Memory, Policy, look
from transparency.owner import Owner, OwnLabel, ShownCertificate
from transparency.signed_note import Note
from transparency.transport import Unreachable
from transparency.watch_store import StoredAlarm, WatchStore

LATER_SHARD_SECONDS: Final = 14 * 24 * 3600
"""How long before the end of the last shard that is known certificates may be in the one that follows."""


@dataclass(frozen=True, slots=True)
class DoorKey:
    """What opens a log's owner's door: a valid certificate of the number, with its issuers, and its key."""

    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class ShardLook:
    """What one look at one shard found, for people and programs."""

    log: str
    operator: str
    origin: str
    size: int | None
    indexed: int | None
    known: dict[int, Known]
    alarms: tuple[StoredAlarm, ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class NumberWatch:
    """One number and the logs in which it is watched. `clock` is in seconds since 1970.

    `witnesses` are asked for the checkpoint that they cosigned last, which must be of the same history. `auditors` must
    have confirmed the index, if not this very one, then one not long ago.
    """

    logs: Sequence[LogClient]
    owner: Owner
    door_key: DoorKey | None
    store: WatchStore
    policy: Policy
    clock: Callable[[], int]
    witnesses: Sequence[WitnessClient] = ()
    auditors: Sequence[AuditorClient] = ()

    def look(self) -> tuple[ShardLook, ...]:
        """Look once at every shard whose certificates may still be valid; raise WatchStoreError."""
        now = datetime.fromtimestamp(self.clock(), UTC)
        with self.store.lock(f"watch {self.owner.number.digits}"):
            return tuple(
                self._look(log, shard) for log in self.logs for shard in _shards_to_watch(log.description, now)
            )

    def acknowledge(self, origin: str, indices: Iterable[int]) -> frozenset[int]:
        """Note that the owner knows these entries of a shard; return those that are under its label there."""
        with self.store.lock(f"watch {self.owner.number.digits}"):
            memory = self.store.memory(self.owner.number, origin)
            found = frozenset(indices) & memory.known.keys()
            self.store.keep_memory(self.owner.number, origin, memory.acknowledge(found))
        return found

    def _look(self, log: LogClient, description: ShardDescription) -> ShardLook:
        memory = self.store.memory(self.owner.number, description.origin)
        shard, now = log.shard(description), self.clock()
        ended = _ended(shard, now)
        if datetime.fromtimestamp(now, UTC) >= description.not_after_limit:
            return self._told(log, description, Look(memory, alarms=ended))
        try:
            label = self._label(log, description, memory)
        except LogAtFault as fault:
            return self._told(log, description, Look(memory, alarms=[*ended, fault.alarm]))
        except (LogRefused, TransparencyError, Unreachable) as error:
            found = self._without_label(shard, memory, str(error))
            found.alarms.extend(ended)
            return self._told(log, description, found)
        found = look(shard, memory, self.owner, label, self.policy, now, lambda: self._door(log, description))
        found.alarms.extend(ended)
        self._compare(shard, found)
        for auditor in self.auditors:
            if auditor.logs is None or log.description in auditor.logs:
                self._hold_to(auditor, shard, found)
        return self._told(log, description, found)

    def _without_label(self, shard: Shard, memory: Memory, why: str) -> Look:
        """Return what there is to tell of a shard whose label for the number is not known: after a day, an alarm."""
        now, since = self.clock(), memory.reached_at
        found = Look(memory, troubles=[f"your label here is not known yet: {why}"])
        if since is None:
            found.memory = replace(memory, reached_at=now)
        elif now - since > self.policy.stall_seconds:
            text = f"what stands under your number here could not be looked up since {_time(since)}: {why}"
            found.alarms.append(shard.fault(AlarmKind.UNWATCHED, text, {}, "label").alarm)
        return found

    def _label(self, log: LogClient, shard: ShardDescription, memory: Memory) -> OwnLabel:
        """Return the label, by the proof that is remembered, that a certificate brought, or that the door gives."""
        if memory.proof is not None:
            return OwnLabel(shard, self.owner.number, memory.proof)
        for where, logged in self.owner.logged_by(log.description):
            if where == shard:
                try:
                    return OwnLabel.from_sct(shard, logged)
                except VrfError as error:
                    text = f"an SCT of your certificate is false: {error}"
                    raise log.shard(shard).fault(AlarmKind.FALSE_PROMISE, text, logged.evidence, "sct") from error
        return log.ask_owner(shard, self.owner.number, *self._opened_by()).label

    def _opened_by(self) -> tuple[ec.EllipticCurvePrivateKey, tuple[x509.Certificate, ...]]:
        if self.door_key is None:
            msg = "it takes a valid certificate of the number to ask the log"
            raise TransparencyError(msg)
        return self.door_key.key, self.door_key.chain

    def _door(self, log: LogClient, shard: ShardDescription) -> Iterable[ShownCertificate]:
        try:
            return log.ask_owner(shard, self.owner.number, *self._opened_by()).entries
        except LogRefused as error:
            raise TransparencyError(str(error)) from error

    def _compare(self, shard: Shard, found: Look) -> None:
        """Hold what was shown here to what witnesses were shown."""
        seen = found.memory.checkpoint
        for witness in self.witnesses if seen is not None else ():
            try:
                theirs = witness.latest(shard.description.origin)
                alarm = None if theirs is None or seen is None else compare(shard, seen.note, theirs)
            except (LogRefused, NoteError, Unreachable) as error:
                found.troubles.append(f"{witness.key.name} could not be asked: {error}")
            else:
                found.alarms.extend([] if alarm is None else [alarm])

    def _hold_to(self, auditor: AuditorClient, shard: Shard, found: Look) -> None:
        """Hold the index that was shown here to what an auditor has confirmed, and the auditor to its work."""
        memory, now, who = found.memory, self.clock(), auditor.key.format()
        former = memory.audited.get(who)
        shown = memory.map_checkpoint
        try:
            note = auditor.confirmed(shard.description.origin)
            if note is not None:
                MapCheckpoint.of_note(note, shard.description.checkpoint_key)
            alarm = None if note is None or shown is None else confirm(shard, shown.note, note)
        except (LogRefused, NoteError, Unreachable) as error:
            found.troubles.append(f"{auditor.key.name} could not be asked: {error}")
            note = alarm = None
        found.alarms.extend([] if alarm is None else [alarm])
        if former is None or (note is not None and _is_newer(note, former.note, shown)):
            seen = Seen(b"" if note is None else note.to_bytes(), now)
            found.memory = replace(memory, audited={**memory.audited, who: seen})
        elif now - former.at > self.policy.stall_seconds:
            text = f"{auditor.key.name} has confirmed no newer index since {_time(former.at)}"
            evidence = {"confirmed": former.note} if former.note else {}
            found.alarms.append(shard.fault(AlarmKind.NOT_AUDITED, text, evidence, who).alarm)

    def _told(self, log: LogClient, shard: ShardDescription, found: Look) -> ShardLook:
        number, now = self.owner.number, self.clock()
        alarms = tuple(self.store.keep_alarm(alarm, number, now) for alarm in found.alarms)
        self.store.keep_memory(number, shard.origin, found.memory)  # after the alarms, which it would not raise again
        return ShardLook(
            log=log.description.name,
            operator=log.description.operator,
            origin=shard.origin,
            size=found.size,
            indexed=found.indexed,
            known=dict(found.memory.known),
            alarms=alarms,
            troubles=tuple(map(one_line, found.troubles)),
        )


def _shards_to_watch(log: LogDescription, now: datetime) -> tuple[ShardDescription, ...]:
    """Return the shards whose certificates may still be valid and, where they all have ended, the last."""
    return tuple(shard for shard in log.shards if shard.not_after_limit > now) or log.shards[-1:]


def _ended(shard: Shard, now: int) -> list[Alarm]:
    """Return an alarm where certificates may by now be in shards that follow the last one that is known."""
    last = shard.log.shards[-1]
    if shard.description != last or now < last.not_after_limit.timestamp() - LATER_SHARD_SECONDS:
        return []
    text = f"what expires from {last.not_after_limit:%Y-%m-%d} on is in shards of this log that are not known here"
    return [shard.fault(AlarmKind.UNWATCHED, text, {}, "later").alarm]


def _time(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def compare(shard: Shard, ours: bytes, theirs: Note) -> Alarm | None:
    """Return an alarm where a witness was shown another history of a log than we were.

    Raises NoteError where what the witness shows was not signed by the log, and Unreachable.
    """
    seen = Checkpoint.of_note(theirs, shard.description.checkpoint_key)
    own = Checkpoint.parse(Note.parse(ours).text)
    older, newer = sorted((own, seen), key=lambda one: one.size)
    try:
        shard.require_prefix(older, newer, {"checkpoint-here": ours, "checkpoint-at-witness": theirs.to_bytes()})
    except LogAtFault as fault:
        return replace(fault.alarm, text=f"{fault.alarm.text} (shown to a witness and to you)")
    return None


def confirm(shard: Shard, ours: bytes, theirs: Note) -> Alarm | None:
    """Return an alarm where an auditor has confirmed another index, or one of another history, than we were shown.

    Raises NoteError where what the auditor shows was not signed by the log, and Unreachable.
    """
    confirmed = MapCheckpoint.of_note(theirs, shard.description.checkpoint_key)
    own = MapCheckpoint.parse(Note.parse(ours).text)
    evidence = {"map-checkpoint-here": ours, "map-checkpoint-at-auditor": theirs.to_bytes()}
    if own.log == confirmed.log and own != confirmed:
        text = f"two indices of the same {own.log.size} leaves were signed (one to an auditor, and one to you)"
        return shard.fault(AlarmKind.FORK, text, evidence, f"index {own.log.size} {own.root.hex()}").alarm
    older, newer = sorted((own.log, confirmed.log), key=lambda one: one.size)
    try:
        shard.require_prefix(older, newer, evidence)
    except LogAtFault as fault:
        return replace(fault.alarm, text=f"{fault.alarm.text} (shown to an auditor and to you)")
    return None


def _is_newer(confirmed: Note, former: bytes, shown: Seen | None) -> bool:
    """Tell whether an auditor has gone on since, or has nothing left to do: no larger index is shown."""
    size = MapCheckpoint.parse(confirmed.text).log.size
    if not former or size > MapCheckpoint.parse(Note.parse(former).text).log.size:
        return True
    return shown is not None and size >= MapCheckpoint.parse(Note.parse(shown.note).text).log.size
