"""Proofs that a certificate is in its logs: made with the logs' help, checked without anybody's (C2SP tlog-proof)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from transparency.alarms import AlarmKind, LogAtFault
from transparency.checkpoint import Checkpoint
from transparency.client import LogClient, WitnessClient
from transparency.errors import ProofError, TransparencyError
from transparency.following import Shard
from transparency.log_description import LogDescription, ShardDescription
from transparency.merkle import consistency_proof, inclusion_proof, leaf_hash
from transparency.owner import LoggedCertificate, logged_certificates
from transparency.proof import TlogProof, WitnessPolicy
from transparency.signed_note import Note


@dataclass(frozen=True, slots=True)
class Proven:
    """A certificate's entry in one shard: what proves it, and the checkpoint that it is proven for."""

    log: LogDescription
    shard: ShardDescription
    proof: TlogProof
    checkpoint: Checkpoint


def prove(
    log: LogClient, chain: Sequence[x509.Certificate], witnesses: Sequence[WitnessClient] = ()
) -> tuple[Proven, ...]:
    """Return a proof for each SCT of a chain's first certificate that is by a log, each checked.

    `witnesses` are asked to cosign the newest checkpoint. Without any, the proof is made for the newest one that the
    log shows with cosignatures, where that holds the entry already. Raises LogAtFault where the log does not show what
    it promised, TransparencyError where an SCT is false or a witness's answer is, Unreachable and LogRefused.
    """
    found = logged_certificates(chain, log.description)
    return tuple(_prove(log, shard, logged, witnesses) for shard, logged in found)


def check(data: bytes, log: LogDescription, chain: Sequence[x509.Certificate], policy: WitnessPolicy) -> Proven:
    """Return what a proof proves of a chain's first certificate; raise TransparencyError where it proves nothing.

    Nobody is asked.
    """
    proof = TlogProof.parse(data)
    trouble: TransparencyError = ProofError(f"the certificate has no SCT of {log.name}")
    for shard, logged in logged_certificates(chain, log):
        try:
            return _checked(log, shard, logged, proof, policy)
        except TransparencyError as error:
            trouble = error
    raise trouble


def _prove(
    log: LogClient, description: ShardDescription, logged: LoggedCertificate, witnesses: Sequence[WitnessClient]
) -> Proven:
    shard = log.shard(description)
    index, promised = logged.promised(description)
    note, checkpoint = shard.checkpoint_note()
    if index >= checkpoint.size or shard.entries(checkpoint, [index])[index] != promised:
        raise _not_kept(shard, index, note, logged)
    if witnesses:
        shown, size = _cosigned(shard, note, checkpoint, witnesses), checkpoint.size
    else:
        shown, size = _most_cosigned(shard, note, checkpoint, index)
    # Read from the newest tree, which begins with the other: its tiles are all there.
    proof = TlogProof(index, inclusion_proof(shard.reader(checkpoint), index, size), shown)
    return _checked(log.description, description, logged, proof, WitnessPolicy({}, 0))


def _most_cosigned(shard: Shard, note: Note, checkpoint: Checkpoint, index: int) -> tuple[Note, int]:
    """Return the note that the log shows with the most signatures, of those that hold an entry, and its tree's size."""
    found = shard.cosigned_note()
    if found is None:
        return note, checkpoint.size
    cosigned, earlier = found
    if not index < earlier.size <= checkpoint.size or len(cosigned.signatures) <= len(note.signatures):
        return note, checkpoint.size
    shard.require_prefix(
        earlier, checkpoint, {"cosigned-checkpoint": cosigned.to_bytes(), "checkpoint": note.to_bytes()}
    )
    return cosigned, earlier.size


def cosigned_checkpoint(shard: Shard, witnesses: Sequence[WitnessClient]) -> tuple[Note, Checkpoint]:
    """Return what a shard shows now, cosigned by witnesses, and what it says.

    Raises LogAtFault where the log did not sign it, TransparencyError, Unreachable and LogRefused.
    """
    note, checkpoint = shard.checkpoint_note()
    return _cosigned(shard, note, checkpoint, witnesses), checkpoint


def _cosigned(shard: Shard, note: Note, checkpoint: Checkpoint, witnesses: Sequence[WitnessClient]) -> Note:
    reader = shard.reader(checkpoint)

    def from_size(old_size: int) -> Sequence[bytes]:
        return consistency_proof(reader, old_size, checkpoint.size)

    for witness in witnesses:
        note = note.with_signatures(witness.cosign(note, checkpoint.size, from_size))
    return note


def _checked(
    log: LogDescription, shard: ShardDescription, logged: LoggedCertificate, proof: TlogProof, policy: WitnessPolicy
) -> Proven:
    index, promised = logged.promised(shard)
    if proof.index != index:
        msg = f"the proof is of entry {proof.index}, and the certificate's is {index}"
        raise ProofError(msg)
    return Proven(log, shard, proof, proof.verify(leaf_hash(promised.to_bytes()), shard.checkpoint_key, policy))


def _not_kept(shard: Shard, index: int, note: Note, logged: LoggedCertificate) -> LogAtFault:
    text = f"the log does not show, as entry {index}, what it promised in the certificate"
    evidence = {**logged.evidence, "checkpoint": note.to_bytes()}
    return shard.fault(AlarmKind.FALSE_PROMISE, text, evidence, str(index))
