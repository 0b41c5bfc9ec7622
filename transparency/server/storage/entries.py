"""Submissions: queued, then placed in a tree, then erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from serving.database import Database, Row
from serving.errors import Conflict, StorageError
from serving.times import from_column, to_column

_ID_SIZE = 32

_ADD = """
    INSERT INTO log_entries (id, shard, label, issuer_key_hash, commitment, opening, vrf_proof, certificate, chain,
        not_after, queued_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_COLUMNS = """
    id, shard, label, issuer_key_hash, commitment, opening, vrf_proof, certificate, chain, not_after,
    leaf_index, timestamp_ms
"""
_QUEUED = """
    SELECT id, label, issuer_key_hash, commitment FROM log_entries
    WHERE shard = ? AND leaf_index IS NULL ORDER BY queued_at LIMIT ?
"""
_PLACE = "UPDATE log_entries SET leaf_index = ?, timestamp_ms = ? WHERE id = ? AND leaf_index IS NULL"
_ADD_ISSUER = "INSERT INTO log_issuers (id, der) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"


@dataclass(frozen=True, slots=True, repr=False)
class Submission:
    """A certificate that was found good, with its label, commitment and opening. It holds a number: it prints none.

    `id` is the SHA-256 of issuer key hash and TBS; `chain` the DER of its issuers, the nearest first.
    """

    id: bytes
    shard: str
    label: bytes
    issuer_key_hash: bytes
    commitment: bytes
    opening: bytes
    vrf_proof: bytes
    certificate: bytes
    chain: tuple[bytes, ...]
    not_after: datetime


@dataclass(frozen=True, slots=True, repr=False)
class LoggedEntry:
    """A submission as it is kept. `leaf_index` and `timestamp_ms` are None until it has its place in the tree."""

    id: bytes
    shard: str
    label: bytes
    issuer_key_hash: bytes
    commitment: bytes
    opening: bytes
    vrf_proof: bytes
    certificate: bytes
    chain_ids: tuple[bytes, ...]
    not_after: datetime
    leaf_index: int | None
    timestamp_ms: int | None


@dataclass(frozen=True, slots=True)
class Queued:
    """What the sequencer needs of an entry that waits for its place."""

    id: bytes
    label: bytes
    issuer_key_hash: bytes
    commitment: bytes


@dataclass(frozen=True, slots=True)
class Entries:
    """All submissions of all shards."""

    database: Database

    def find(self, id_: bytes) -> LoggedEntry | None:
        """Return the entry of an issuer and TBS."""
        row = self.database.row(f"SELECT {_COLUMNS} FROM log_entries WHERE id = ?", id_)
        return None if row is None else _entry(row)

    def add(self, new: Submission, now: datetime) -> bool:
        """Queue a submission; return False where another request has queued the same meanwhile.

        Nobody was promised anything yet, so a lost power supply may lose it; the sequencer's commit takes it along.
        """
        ids = tuple(sha256(der).digest() for der in new.chain)
        try:
            with self.database.transaction(synced=False):
                for id_, der in zip(ids, new.chain, strict=True):
                    self.database.run(_ADD_ISSUER, id_, der)
                self.database.run(
                    _ADD,
                    new.id,
                    new.shard,
                    new.label,
                    new.issuer_key_hash,
                    new.commitment,
                    new.opening,
                    new.vrf_proof,
                    new.certificate,
                    b"".join(ids),
                    to_column(new.not_after),
                    to_column(now),
                )
        except Conflict:
            return False
        return True

    def queued(self, shard: str, limit: int) -> list[Queued]:
        """Return the submissions that wait for their place, the longest waiting first."""
        return [Queued(*map(bytes, row)) for row in self.database.rows(_QUEUED, shard, limit)]

    def queue_length(self, shard: str) -> int:
        """Return how many submissions wait."""
        return int(
            self.database.rows("SELECT COUNT(*) FROM log_entries WHERE shard = ? AND leaf_index IS NULL", shard)[0][0]
        )

    def place(self, entries: Sequence[Queued], first_index: int, timestamp_ms: int) -> None:
        """Give the entries their places, in the transaction that moves the tree; raise StorageError if one is gone."""
        rows = [(index, timestamp_ms, entry.id) for index, entry in enumerate(entries, start=first_index)]
        if self.database.run_many(_PLACE, rows) != len(rows):
            msg = "an entry left the queue while it was sequenced"
            raise StorageError(msg)

    def under_label(self, shard: str, label: bytes, limit: int) -> list[LoggedEntry]:
        """Return the entries of a label that have their place, the newest first."""
        rows = self.database.rows(
            f"SELECT {_COLUMNS} FROM log_entries WHERE shard = ? AND label = ? AND leaf_index IS NOT NULL"
            " ORDER BY leaf_index DESC LIMIT ?",
            shard,
            label,
            limit,
        )
        return [_entry(row) for row in rows]

    def issuer(self, id_: bytes) -> bytes | None:
        """Return an authority's certificate in DER, by the SHA-256 of that."""
        row = self.database.row("SELECT der FROM log_issuers WHERE id = ?", id_)
        return None if row is None else bytes(row[0])

    def erase_expired(self, before: datetime, limit: int) -> int:
        """Erase what was placed and expired before a time, at most `limit` of it; return how many."""
        return self.database.run(
            "DELETE FROM log_entries WHERE id IN (SELECT id FROM log_entries WHERE not_after < ?"
            " AND leaf_index IS NOT NULL LIMIT ?)",
            to_column(before),
            limit,
        )

    def erase_label(self, shard: str, label: bytes, expired_before: datetime) -> int:
        """Erase what is under a label and expired before a time; return how many."""
        return self.database.run(
            "DELETE FROM log_entries WHERE shard = ? AND label = ? AND leaf_index IS NOT NULL AND not_after < ?",
            shard,
            label,
            to_column(expired_before),
        )

    def erase_index(self, shard: str, leaf_index: int) -> int:
        """Erase one entry's certificate and opening, whatever its age; return how many there were."""
        return self.database.run("DELETE FROM log_entries WHERE shard = ? AND leaf_index = ?", shard, leaf_index)

    def drop_expired_queue(self, now: datetime) -> int:
        """Drop what waits and has expired meanwhile; return how many."""
        return self.database.run("DELETE FROM log_entries WHERE leaf_index IS NULL AND not_after < ?", to_column(now))


def _entry(row: Row) -> LoggedEntry:
    id_, shard, label, issuer, commitment, opening, proof, certificate, chain, not_after, index, timestamp = row
    ids = bytes(chain)
    return LoggedEntry(
        id=bytes(id_),
        shard=shard,
        label=bytes(label),
        issuer_key_hash=bytes(issuer),
        commitment=bytes(commitment),
        opening=bytes(opening),
        vrf_proof=bytes(proof),
        certificate=bytes(certificate),
        chain_ids=tuple(ids[start : start + _ID_SIZE] for start in range(0, len(ids), _ID_SIZE)),
        not_after=from_column(not_after),
        leaf_index=index,
        timestamp_ms=timestamp,
    )
