"""What a front end does with a submission: look at it, queue it, wait for its place, and sign (RFC 6962 §3.2, §4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from transparency import entry
from transparency.entry import OPENING_SIZE, vrf_input
from transparency.sct import SctExtensions, SignedCertificateTimestamp, sign_sct
from transparency.server.admission import Admitted
from transparency.server.errors import Refusal, RefusalKind
from transparency.server.log import Log, LogShard
from transparency.server.releases import Releases
from transparency.server.storage import LoggedEntry, Submission
from transparency.vrf import output_of

_AFTER_BUSY = timedelta(seconds=5)


def add_pre_chain(log: Log, releases: Releases, shard: LogShard, chain: Sequence[bytes]) -> SignedCertificateTimestamp:
    """Return the SCT of a precertificate chain in DER, once its entry is sequenced, synced and published.

    The same issuer and TBS get the same SCT. Raises Refusal; after LOG_BUSY the same request may be sent again, and
    finds what this one has begun.
    """
    admitted = log.admission.precertificate(chain, log.clock())
    if not shard.settings.holds(admitted.not_after):
        start, limit = shard.settings.not_after_start, shard.settings.not_after_limit
        detail = f"the shard {shard.name} takes what expires from {start:%Y-%m-%d} until before {limit:%Y-%m-%d}"
        raise Refusal(RefusalKind.OUTSIDE_SHARD, detail)
    return _sct(shard, admitted, place(log, releases, shard, admitted))


def place(log: Log, releases: Releases, shard: LogShard, admitted: Admitted) -> LoggedEntry:
    """Return the entry of a certificate once it has its place in the shard; queue it where it is new."""
    if log.storage.entries.find(admitted.id) is None:
        _require_room(log, shard)
        log.storage.entries.add(_submission(log, shard, admitted), log.clock())
    found = releases.wait(admitted.id, log.config.sequencing.wait_seconds)
    if found is None:
        detail = "the entry is queued and has no place yet; send the same request again"
        raise Refusal(RefusalKind.LOG_BUSY, detail, retry_after=_AFTER_BUSY)
    return found


def label_of(shard: LogShard, admitted: Admitted) -> tuple[bytes, bytes]:
    """Return the label of an admitted certificate's number in a shard, and the VRF proof of it."""
    proof = shard.keys.vrf.prove(vrf_input(shard.origin, admitted.number))
    return entry.label(output_of(proof)), proof


def _require_room(log: Log, shard: LogShard) -> None:
    if log.storage.entries.queue_length(shard.name) >= log.config.sequencing.longest_queue:
        detail = "the log's queue is full; send the same request again later"
        raise Refusal(RefusalKind.LOG_BUSY, detail, retry_after=_AFTER_BUSY)


def _submission(log: Log, shard: LogShard, admitted: Admitted) -> Submission:
    label, proof = label_of(shard, admitted)
    opening = log.random_bytes(OPENING_SIZE)
    return Submission(
        id=admitted.id,
        shard=shard.name,
        label=label,
        issuer_key_hash=admitted.issuer_key_hash,
        commitment=entry.commitment(opening, label, admitted.tbs),
        opening=opening,
        vrf_proof=proof,
        certificate=admitted.certificate.public_bytes(Encoding.DER),
        chain=tuple(issuer.public_bytes(Encoding.DER) for issuer in admitted.chain),
        not_after=admitted.not_after,
    )


def _sct(shard: LogShard, admitted: Admitted, found: LoggedEntry) -> SignedCertificateTimestamp:
    if found.leaf_index is None or found.timestamp_ms is None or found.shard != shard.name:
        detail = f"the certificate is in the shard {found.shard} of this log already"
        raise Refusal(RefusalKind.OUTSIDE_SHARD, detail)
    extensions = SctExtensions(found.leaf_index, found.vrf_proof, found.opening)
    return sign_sct(shard.keys.sct, admitted.issuer_key_hash, admitted.tbs, found.timestamp_ms, extensions)
