"""The logs and witnesses that the user knows, and what a certificate and the proofs beside it are worth with them.

A log's timestamp in a certificate (SCT) is believed only as a whole: the log's signature; the proof that the entry
stands under the label of the certificate's own number, as under another label its owner would never find it; and the
opening of the entry's commitment to just this certificate. The certificate must also belong into the shard by its date,
for a shard whose certificates have all expired is watched by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from cryptography import x509

from policies.facts import LieFacts, LoggingFacts, ProofFacts, TimestampFacts
from stir.certificate import NumberCertificate
from transparency.cosignature import CosignatureVerifier
from transparency.entry import SealedEntry
from transparency.errors import LogDescriptionError, TransparencyError
from transparency.log_description import LogDescription, ShardDescription
from transparency.merkle import leaf_hash
from transparency.proof import TlogProof, WitnessPolicy
from transparency.sct import SignedCertificateTimestamp, issuer_key_hash, split_sct_list, tbs_of
from transparency.signed_note import Ed25519Verifier
from trust_store.errors import LogError

MOST_PROOFS = 8
"""How many proofs of one call are looked at."""
REMEMBERED_CERTIFICATES = 512
"""Of how many certificates a store remembers what they carry of logs."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LATEST_MS = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_ID_OF_LOG = slice(1, 33)  # behind the version (RFC 6962 §3.2)
_ANY_WITNESSES = WitnessPolicy({}, 0)


@dataclass(frozen=True, slots=True)
class TrustedLog:
    """A log whose word counts for the user, known by the SHA-256 of its `log.json`, which is `data`.

    `operator` is who runs it by the user's own word, since distinct operators are counted. Raises LogError where the
    data is no log's description.
    """

    name: str
    operator: str
    source: str
    data: bytes = field(repr=False)
    description: LogDescription = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the description."""
        try:
            object.__setattr__(self, "description", LogDescription.from_json(self.data))
        except LogDescriptionError as error:
            raise LogError(str(error)) from error

    @property
    def sha256(self) -> str:
        """The SHA-256 of the description's file, in hexadecimal: by this the user knows the log."""
        return sha256(self.data).hexdigest()

    def require(self, expected: str) -> None:
        """Refuse another description than the one that the user named; raise LogError."""
        if self.sha256 != expected:
            msg = f"its SHA-256 is {self.sha256}, which is not the one that was asked for"
            raise LogError(msg)

    def require_successor(self, later: TrustedLog, at: datetime) -> None:
        """Refuse a later description of the log that leaves out or changes a shard still in use; raise LogError."""
        for shard in self.description.shards:
            if shard.not_after_limit > at and shard not in later.description.shards:
                msg = f"the new description changes shard {shard.name} or leaves it out: that is another log"
                raise LogError(msg)


@dataclass(frozen=True, slots=True)
class TrustedWitness:
    """A witness whose cosignatures count for the user."""

    name: str
    operator: str
    source: str
    key: CosignatureVerifier = field(repr=False)


@dataclass(frozen=True, slots=True)
class TrustedAuditor:
    """An auditor who confirms that logs' indices leave nothing out, and publishes that below `url`.

    It is expected to audit the logs of these names, or all where that is None.
    """

    name: str
    operator: str
    source: str
    key: Ed25519Verifier = field(repr=False)
    url: str
    logs: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """What a log's true timestamp promises: that its shard shows this entry at this index."""

    log: TrustedLog
    shard: ShardDescription
    index: int
    entry: SealedEntry
    facts: TimestampFacts


@dataclass(frozen=True, slots=True)
class Logging:
    """What a certificate carries of logs: for the rules, and to hold proofs against."""

    facts: LoggingFacts = field(default_factory=LoggingFacts)
    promises: tuple[Promise, ...] = ()


_NOTHING = Logging()


class KnownLogs:
    """The logs, witnesses and auditors of one trust store. Threads may share it.

    Raises LogError where two logs have a shard in common: one log would count as two.
    """

    def __init__(
        self,
        logs: Iterable[TrustedLog] = (),
        witnesses: Iterable[TrustedWitness] = (),
        auditors: Iterable[TrustedAuditor] = (),
    ) -> None:
        """Take the logs, witnesses and auditors that the user knows."""
        self.logs = tuple(logs)
        self.witnesses = tuple(witnesses)
        self.auditors = tuple(auditors)
        self._shards: dict[bytes, tuple[TrustedLog, ShardDescription]] = {}
        for log in self.logs:
            for shard in log.description.shards:
                other, _ = self._shards.setdefault(shard.log_id, (log, shard))
                if (other.name, other.operator) != (log.name, log.operator):
                    msg = f"shard {shard.name} of {log.name} is one of {other.name} as well: keep one of the two logs"
                    raise LogError(msg)
        self._cosigners = WitnessPolicy({witness.key: witness.operator for witness in self.witnesses}, 0)
        self._remembered = lru_cache(REMEMBERED_CERTIFICATES)(self._read)

    def read(self, leaf: NumberCertificate, issuer: x509.Certificate) -> Logging:
        """Return what a number's certificate, signed by `issuer`, carries of logs."""
        return self._remembered(leaf, issuer) if self._shards and leaf.sct_list is not None else _NOTHING

    def check(self, proof: bytes, logging: Logging) -> ProofFacts:
        """Return what a proof (C2SP tlog-proof) says of the entries that a certificate's timestamps promise."""
        try:
            read = TlogProof.parse(proof)
        except TransparencyError as error:
            return ProofFacts(fault=f"a proof cannot be read: {error}")
        origin, _, _ = read.note.text.partition("\n")
        for promise in logging.promises:
            if (promise.shard.origin, promise.index) == (origin, read.index):
                return self._proved(read, promise)
        return ProofFacts(fault="a proof is for no entry that a timestamp of your logs promises")

    def _proved(self, proof: TlogProof, promise: Promise) -> ProofFacts:
        log = promise.log
        try:
            proof.verify(leaf_hash(promise.entry.to_bytes()), promise.shard.checkpoint_key, _ANY_WITNESSES)
        except TransparencyError as error:
            return ProofFacts(log.name, log.operator, fault=f"that of {log.name} proves nothing: {error}")
        return ProofFacts(log.name, log.operator, self._cosigners.check(proof.note))

    def _read(self, leaf: NumberCertificate, issuer: x509.Certificate) -> Logging:
        try:
            scts = split_sct_list(leaf.sct_list or b"")
            known = [(sct, self._shards[id_]) for sct in scts if (id_ := sct[_ID_OF_LOG]) in self._shards]
            issuer_hash, tbs = issuer_key_hash(issuer), tbs_of(leaf.certificate)
        except TransparencyError as error:
            return _lied(LieFacts(f"the certificate's list of timestamps is malformed: {error}"))
        promises: list[Promise] = []
        for sct, (log, shard) in known:
            found = _judged(sct, log, shard, leaf, issuer_hash, tbs)
            if isinstance(found, LieFacts):
                return _lied(found)
            promises.append(found)
        facts = LoggingFacts(tuple(promise.facts for promise in promises), strangers=len(scts) - len(known))
        return Logging(facts, tuple(promises))


def _lied(lie: LieFacts) -> Logging:
    return Logging(LoggingFacts(lie=lie))


def _judged(
    encoded: bytes, log: TrustedLog, shard: ShardDescription, leaf: NumberCertificate, issuer_hash: bytes, tbs: bytes
) -> Promise | LieFacts:
    try:
        sct = SignedCertificateTimestamp.decode(encoded)
        index, entry = shard.check_sct(sct, leaf.number, issuer_hash, tbs)
    except TransparencyError as error:
        return _lie(log, str(error))
    if not shard.takes(leaf.not_after):
        return _lie(log, f"shard {shard.name} is not for certificates that expire on {leaf.not_after:%Y-%m-%d}")
    at = _EPOCH + min(sct.timestamp_ms, _LATEST_MS) * _MILLISECOND
    return Promise(log, shard, index, entry, TimestampFacts(log.name, log.operator, at))


def _lie(log: TrustedLog, reason: str) -> LieFacts:
    return LieFacts(f"what the certificate carries of the log {log.name} is false: {reason}", log.source)
