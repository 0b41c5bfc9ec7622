"""Has witnesses cosign what a shard shows, and publishes that, beside the sequencer and never in its way.

The newest checkpoint gets the cosignatures where it is still the newest when they come; a log that grows faster than
that shows them at a place of their own, under the newest checkpoint that has any.
"""

from __future__ import annotations

from transparency.checkpoint import Checkpoint
from transparency.errors import NoteError
from transparency.server.errors import HistoryError
from transparency.server.log import Log, LogShard
from transparency.signed_note import Note
from transparency.tiles import Fetch


class Witnessing:
    """Keeps one shard's checkpoints cosigned. One thread at a time, beside the sequencer and in its process."""

    def __init__(self, log: Log, shard: LogShard) -> None:
        """Remember the shard; nothing is read yet."""
        self._log = log
        self._shard = shard
        self._settled: tuple[int, bytes] | None = None

    def step(self) -> None:
        """Ask those whose cosignature the published checkpoint lacks, once; raise a ServingError."""
        state = self._log.storage.trees.state(self._shard.name)
        shown = self._shown() if state is not None and (state.size, state.root) != self._settled else None
        if shown is None:
            return
        note, checkpoint = shown
        known = self._with_former(note)
        cosigned = self._log.witnesses.cosigned(known, checkpoint, self._fetch(), all_of_them=True)
        if len(cosigned.signatures) > len(note.signatures):
            self._publish(cosigned)
        if not self._log.witnesses.missing(cosigned):
            self._settled = (checkpoint.size, checkpoint.root)

    def _shown(self) -> tuple[Note, Checkpoint] | None:
        return self._read(self._shard.files.checkpoint)

    def _with_former(self, note: Note) -> Note:
        """Return the note with the cosignatures of it that were published apart, before a crash or a change."""
        former = self._read(self._shard.files.cosigned)
        return note if former is None or former[0].text != note.text else note.with_signatures(former[0].signatures)

    def _publish(self, cosigned: Note) -> None:
        files = {self._shard.files.cosigned: cosigned.to_bytes()}
        with self._shard.publishing:  # or an older checkpoint would be put in the place of a newer one
            shown = self._shown()
            if shown is not None and shown[0].text == cosigned.text:
                files[self._shard.files.checkpoint] = shown[0].with_signatures(cosigned.signatures).to_bytes()
            self._log.publisher.write(files)

    def _read(self, path: str) -> tuple[Note, Checkpoint] | None:
        data = self._log.publisher.read(path)
        if data is None:
            return None
        try:
            note = Note.parse(data)
            return note, Checkpoint.of_note(note, self._shard.keys.checkpoint.verifier)
        except NoteError as error:
            msg = f"shard {self._shard.name}: {path} is damaged: {error}"
            raise HistoryError(msg) from error

    def _fetch(self) -> Fetch:
        return self._shard.files.fetching(self._log.publisher)
