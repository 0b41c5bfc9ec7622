"""The witnesses of a log: asked all at once for their cosignatures, for so long and no longer (C2SP tlog-witness)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from transparency.checkpoint import Checkpoint
from transparency.client import LogRefused, WitnessClient
from transparency.errors import TransparencyError
from transparency.merkle import consistency_proof
from transparency.proof import WitnessPolicy
from transparency.server.errors import PublishingError, StorageError
from transparency.signed_note import Note, NoteSignature
from transparency.tiles import Fetch, TileReader
from transparency.transport import Unreachable

_log = logging.getLogger(__name__)

_FAILURES = (LogRefused, PublishingError, StorageError, TransparencyError, Unreachable)


@dataclass(frozen=True, slots=True)
class LogWitness:
    """A witness that the log's operator has asked to cosign, and who runs it."""

    client: WitnessClient
    operator: str

    @property
    def name(self) -> str:
        """The witness's name in its cosignatures."""
        return self.client.key.name

    def has_signed(self, note: Note) -> bool:
        """Tell whether a note has all that this witness would put under it."""
        return all(any(line.is_by(key) for line in note.signatures) for key in self.client.keys)


_Answer = tuple[LogWitness, tuple[NoteSignature, ...] | Exception]


@dataclass(frozen=True)
class Witnesses:
    """Those that cosign one log's checkpoints. Threads may share it; nothing begins before it is asked.

    `quorum` is how many operators must have cosigned before a checkpoint is published, 0 where none must.
    """

    known: tuple[LogWitness, ...] = ()
    quorum: int = 0
    deadline_seconds: float = 5.0
    _asked: set[tuple[str, str]] = field(default_factory=set, init=False)
    _silent: dict[tuple[str, str], str] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def missing(self, note: Note) -> tuple[LogWitness, ...]:
        """Return those whose cosignature a note lacks."""
        return tuple(one for one in self.known if not one.has_signed(note))

    def are_enough(self, note: Note) -> bool:
        """Tell whether enough operators have cosigned a note."""
        return len(self._operators(note)) >= self.quorum

    def cosigned(self, note: Note, checkpoint: Checkpoint, fetch: Fetch, *, all_of_them: bool) -> Note:
        """Return a note with what the witnesses put under it until the deadline or, if enough will do, until then.

        `fetch` reads the tree's tiles. Each that gives nothing is logged once, and once more when it is back.
        """
        answers: SimpleQueue[_Answer] = SimpleQueue()
        asked = [one for one in self.missing(note) if self._begin(one, checkpoint.origin)]
        for one in asked:
            ask = _Asking(one, note, checkpoint, fetch, answers, self._end)
            threading.Thread(target=ask.run, name="witness", daemon=True).start()
        ends = time.monotonic() + self.deadline_seconds
        waited_for = {one.name for one in asked}
        while waited_for and (all_of_them or not self.are_enough(note)):
            try:
                one, answer = answers.get(timeout=max(0.0, ends - time.monotonic()))
            except Empty:
                break
            waited_for.remove(one.name)
            note = self._take(one, note, checkpoint.origin, answer)
        if all_of_them:
            for name in waited_for:
                self._note_silence(name, checkpoint.origin, f"no answer within {self.deadline_seconds:g} s")
        return note

    def _operators(self, note: Note) -> frozenset[str]:
        return WitnessPolicy({key: one.operator for one in self.known for key in one.client.keys}, 0).check(note)

    def _take(self, one: LogWitness, note: Note, origin: str, answer: tuple[NoteSignature, ...] | Exception) -> Note:
        if isinstance(answer, Exception):
            self._note_silence(one.name, origin, str(answer))
            return note
        note = note.with_signatures(answer)
        if not one.has_signed(note):
            self._note_silence(one.name, origin, "it cosigned with some only of the keys that log.toml names")
            return note
        with self._lock:
            was_silent = self._silent.pop((one.name, origin), None)
        if was_silent is not None:
            _log.info("the witness %s cosigns %s again", one.name, origin)
        return note

    def _note_silence(self, name: str, origin: str, reason: str) -> None:
        """Tell of a witness that did not cosign, and not again while the reason stays."""
        with self._lock:
            known = self._silent.get((name, origin)) == reason
            self._silent[name, origin] = reason
        if not known:
            _log.warning("the witness %s did not cosign %s, and is asked again: %s", name, origin, reason)

    def _begin(self, one: LogWitness, origin: str) -> bool:
        """Note that a witness is being asked; False where an earlier question still waits for it."""
        with self._lock:
            is_free = (one.name, origin) not in self._asked
            self._asked.add((one.name, origin))
        return is_free

    def _end(self, one: LogWitness, origin: str) -> None:
        with self._lock:
            self._asked.discard((one.name, origin))


@dataclass(frozen=True, slots=True)
class _Asking:
    """One question to one witness, in a thread of its own."""

    witness: LogWitness
    note: Note
    checkpoint: Checkpoint
    fetch: Fetch
    answers: SimpleQueue[_Answer]
    end: Callable[[LogWitness, str], None]

    def run(self) -> None:
        """Ask, and say what came of it."""
        answer: tuple[NoteSignature, ...] | Exception
        try:
            answer = self.witness.client.cosign(self.note, self.checkpoint.size, self._prove)
        except _FAILURES as error:
            answer = error
        except Exception as error:  # noqa: BLE001 - the sequencer waits for an answer
            _log.exception("the witness %s could not be asked", self.witness.name)
            answer = error
        self.end(self.witness, self.checkpoint.origin)
        self.answers.put((self.witness, answer))

    def _prove(self, old_size: int) -> Sequence[bytes]:
        reader = TileReader(self.fetch, self.checkpoint.size, self.checkpoint.root)
        return consistency_proof(reader, old_size, self.checkpoint.size)
