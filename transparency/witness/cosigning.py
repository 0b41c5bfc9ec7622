"""What a witness does: look at what a log signed, compare it with its memory, and cosign it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transparency.add_checkpoint import Submission, encode_signatures
from transparency.checkpoint import Checkpoint
from transparency.cosignature import Ed25519Cosigner, MlDsa44Cosigner
from transparency.signed_note import Note, Verifier
from transparency.witness.config import WitnessConfig
from transparency.witness.deciding import authenticate, read, require_growth
from transparency.witness.errors import Refusal, RefusalKind
from transparency.witness.keys import open_key, open_ml_dsa_44_key
from transparency.witness.store import Cosigned, Evidence, Memory, Store


def _seconds() -> int:
    return int(time.time())


@dataclass(frozen=True)
class Witness:
    """A witness: its key, the logs that it knows, its memory, and a clock in seconds since 1970.

    With `second`, each checkpoint is cosigned by that as well, in the same answer.
    """

    cosigner: Ed25519Cosigner
    logs: Mapping[str, Sequence[Verifier]]
    store: Store
    clock: Callable[[], int] = _seconds
    second: MlDsa44Cosigner | None = None

    @property
    def verifier_keys(self) -> tuple[str, ...]:
        """What others need to check its cosignatures."""
        second = () if self.second is None else (self.second.verifier.format(),)
        return (self.cosigner.verifier.format(), *second)

    def add_checkpoint(self, body: bytes) -> bytes:
        """Return the signature lines for the checkpoint in a request; raise Refusal, or StateError.

        What is returned is remembered on the disk. What a log signed and what does not go on from what it signed before
        is kept as evidence, and refused.
        """
        submission, checkpoint = read(body)
        note = authenticate(submission, checkpoint, self.logs)
        with self.store.deciding() as memory:
            outcome = self._decide(memory, submission, checkpoint, note)
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    def latest(self) -> dict[str, Cosigned]:
        """Return what was cosigned last, by origin."""
        return self.store.cosigned()

    def close(self) -> None:
        """Close the memory."""
        self.store.close()

    def _decide(self, memory: Memory, submission: Submission, checkpoint: Checkpoint, note: Note) -> bytes | Refusal:
        latest = memory.latest(checkpoint.origin)
        now = self.clock()
        try:
            require_growth(submission, checkpoint, None if latest is None else latest.checkpoint)
            _require_time(now, latest)
        except Refusal as refusal:
            if refusal.is_evidence:
                _keep(memory, submission, latest, now, refusal)
            return refusal
        cosigners = (self.cosigner,) if self.second is None else (self.cosigner, self.second)
        cosignatures = [one.cosign(checkpoint, now) for one in cosigners]
        memory.remember(checkpoint.origin, Cosigned(note.with_signatures(cosignatures), now))
        return encode_signatures(cosignatures)


def open_witness(config: WitnessConfig, passphrase: bytes | None) -> Witness:
    """Return the witness of these settings; raise ServingError."""
    cosigner = Ed25519Cosigner(config.name, open_key(config.key_path, passphrase))
    path = config.ml_dsa_44_key_path
    second = None if path is None else MlDsa44Cosigner(config.name, open_ml_dsa_44_key(path, passphrase))
    store = Store(config.database_path, memory_keys(cosigner, second))
    return Witness(cosigner, config.known_logs(), store, second=second)


def memory_keys(cosigner: Ed25519Cosigner, second: MlDsa44Cosigner | None) -> str:
    """Return the verifier keys that a memory belongs to, as it holds them."""
    keys = (cosigner.verifier.format(), *(() if second is None else (second.verifier.format(),)))
    return "\n".join(keys)


def _require_time(now: int, latest: Cosigned | None) -> None:
    """Refuse to go back in time: a cosignature says that no larger tree was seen until then."""
    if latest is not None and now < latest.at:
        raise Refusal(RefusalKind.CLOCK, "this witness's clock is behind its last cosignature: try again later")


def _keep(memory: Memory, submission: Submission, latest: Cosigned | None, now: int, refusal: Refusal) -> None:
    checkpoint = submission.checkpoint()
    cosigned = None if latest is None else latest.note.to_bytes()
    evidence = Evidence(checkpoint.origin, now, refusal.kind.value, submission.to_bytes(), cosigned)
    memory.keep_evidence(evidence, submission.note.text)
