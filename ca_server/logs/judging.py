"""Is a log's answer true? Everything that can be told from the answer alone; no socket, no clock, no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ca_server.logs.known_log import KnownLog, Lie, LieKind, Precertified, Timestamp
from transparency.entry import TIMESTAMP_GRAIN_MS
from transparency.errors import EntryError, SctError, TransparencyError, VrfError
from transparency.log_description import ShardDescription
from transparency.sct import SctExtensions, SignedCertificateTimestamp, sealed_entry

CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far a log's clock and ours may be apart."""

_GRAIN = timedelta(milliseconds=TIMESTAMP_GRAIN_MS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def judge(
    log: KnownLog, shard: ShardDescription, sct: SignedCertificateTimestamp, asked: Precertified, now: datetime
) -> Timestamp | Lie:
    """Return the timestamp, checked in every way but one, or what is false in it.

    Whether its leaf index is another entry's only the authority's own records tell. The entry at the index is promised
    and not seen; that takes an inclusion proof.
    """
    kind, error = _first_fault(shard, sct, asked, now)
    if kind is not None:
        return Lie(log.name, log.operator, kind, error, sct.encode())
    return Timestamp(log.name, sct.log_id, SctExtensions.decode(sct.extensions).leaf_index, sct.encode())


def malformed(log: KnownLog, error: TransparencyError) -> Lie:
    """Return what is to be kept of an answer that is no timestamp at all."""
    return Lie(log.name, log.operator, LieKind.MALFORMED, str(error))


def _first_fault(
    shard: ShardDescription, sct: SignedCertificateTimestamp, asked: Precertified, now: datetime
) -> tuple[LieKind | None, str]:
    if sct.log_id != shard.log_id:
        return (
            LieKind.LOG_ID,
            "the timestamp is of another log, or of another shard than the certificate's end asks for",
        )
    try:
        sct.verify(shard.sct_key, asked.issuer_key_hash, asked.tbs)
    except SctError as error:
        return LieKind.SIGNATURE, str(error)
    if not _is_plausible(sct.timestamp_ms, asked.fixed_at, now):
        return LieKind.TIME, "the timestamp's time is not between the decision to issue and now"
    return _fault_of_entry(shard, sct, asked)


def _fault_of_entry(
    shard: ShardDescription, sct: SignedCertificateTimestamp, asked: Precertified
) -> tuple[LieKind | None, str]:
    """Look at what makes a log one of sealed entries: time, label and commitment must form an entry."""
    try:
        sealed_entry(sct, shard.vrf_key, shard.origin, asked.number, asked.issuer_key_hash, asked.tbs)
    except VrfError as error:
        return LieKind.LABEL, str(error)
    except EntryError as error:
        return LieKind.TIME, str(error)
    except SctError as error:
        return LieKind.MALFORMED, str(error)
    return None, ""


def _is_plausible(timestamp_ms: int, fixed_at: datetime, now: datetime) -> bool:
    """Tell whether the log can have seen the precertificate then; times are whole minutes, rounded down."""
    earliest = (fixed_at - CLOCK_DIFFERENCE - _GRAIN - _EPOCH) // timedelta(milliseconds=1)
    latest = (now + CLOCK_DIFFERENCE - _EPOCH) // timedelta(milliseconds=1)
    return earliest <= timestamp_ms <= latest
