"""A transparency log in memory, which signs whatever it is told to: honest, or in league with an authority."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtensionOID

from stir.telephone_number import TelephoneNumber
from tests.fakes.small_pki import NOW, Authority, Held, key, reissued
from transparency import entry
from transparency.checkpoint import Checkpoint
from transparency.cosignature import Ed25519Cosigner
from transparency.entry import SealedEntry, vrf_input
from transparency.log_description import LogDescription, ShardDescription
from transparency.merkle import Node, inclusion_proof, leaf_hash, node_hash, tree_head
from transparency.proof import TlogProof
from transparency.sct import (
    SctExtensions,
    SignedCertificateTimestamp,
    encode_sct_list,
    issuer_key_hash,
    sign_sct,
    tbs_of,
)
from transparency.signed_note import Ed25519Signer, sign_note
from transparency.vrf import VrfPrivateKey, output_of
from trust_store import KnownLogs, TrustedLog, TrustedWitness

SHARD_START = datetime(2026, 1, 1, tzinfo=UTC)
SHARD_LENGTH = timedelta(days=181)
TAKEN = NOW - timedelta(days=1)
"""When logs take certificates, where nothing else is said: as they are issued."""

Taker = Callable[[TelephoneNumber, bytes, bytes], SignedCertificateTimestamp]
"""What gives an SCT for a number, an issuer's key hash and a TBS."""


@dataclass
class SealedLog:
    """A log with a shard of 181 days for each name; its keys follow from its own name and the shards'."""

    name: str = "example-log"
    shards: tuple[str, ...] = ("2026h1",)
    entries: list[SealedEntry] = field(default_factory=list)
    """The first shard's tree."""

    def __post_init__(self) -> None:
        """Make the keys, and what others are told."""
        self.url = f"https://{self.name}.example"
        self.vrf_keys = [VrfPrivateKey(self._seed("vrf", shard)) for shard in self.shards]
        self.signers = [
            Ed25519Signer(
                f"{self.name}.example/{shard}", Ed25519PrivateKey.from_private_bytes(self._seed("note", shard))
            )
            for shard in self.shards
        ]
        self.sct_keys = [key(int.from_bytes(self._seed("sct", shard)[:8])) for shard in self.shards]
        described = tuple(self._described(place) for place in range(len(self.shards)))
        self.description = LogDescription(self.name, "Described Operator", self.url, self.url, described)

    def take(
        self,
        number: TelephoneNumber,
        issuer_hash: bytes,
        tbs: bytes,
        *,
        at: datetime = TAKEN,
        shard: int = 0,
        rounding_ms: int = 0,
    ) -> SignedCertificateTimestamp:
        """File a certificate under the label of a number, which may be any, and sign that."""
        proof = self.vrf_keys[shard].prove(vrf_input(self.description.shards[shard].origin, number))
        index, opening = len(self.entries), sha256(tbs).digest()[:16]
        label = entry.label(output_of(proof))
        timestamp_ms = int(at.timestamp()) * 1000
        self.entries.append(SealedEntry(timestamp_ms, label, issuer_hash, entry.commitment(opening, label, tbs)))
        extensions = SctExtensions(index, proof, opening)
        return sign_sct(self.sct_keys[shard], issuer_hash, tbs, timestamp_ms + rounding_ms, extensions)

    def proof(self, index: int, *witnesses: Ed25519Cosigner, size: int | None = None) -> bytes:
        """Prove that the first shard shows what it has at an index."""
        reader, size = _Hashes(self.entries), size or len(self.entries)
        checkpoint = Checkpoint(self.signers[0].name, size, tree_head(reader, size))
        note = sign_note(checkpoint.text, [self.signers[0]])
        note = note.with_signatures(witness.cosign(checkpoint, int(NOW.timestamp())) for witness in witnesses)
        return TlogProof(index, inclusion_proof(reader, index, size), note).to_bytes()

    def trusted(self, operator: str = "Log Operator", line: int = 20) -> TrustedLog:
        """Return this log as one whose word counts."""
        return TrustedLog(self.name, operator, f"trust.toml:{line}", self.description.to_json())

    def _described(self, place: int) -> ShardDescription:
        start = SHARD_START + place * SHARD_LENGTH
        return ShardDescription(
            self.shards[place],
            self.signers[place].name,
            start,
            start + SHARD_LENGTH,
            self.sct_keys[place].public_key(),
            self.vrf_keys[place].public_key,
            self.signers[place].verifier,
        )

    def _seed(self, use: str, shard: str) -> bytes:
        return sha256(f"{use} {self.name} {shard}".encode()).digest()


@dataclass
class _Hashes:
    entries: Sequence[SealedEntry]

    def read(self, nodes: Sequence[Node]) -> list[bytes]:
        return [self._hash(node.level, node.offset) for node in nodes]

    def _hash(self, level: int, index: int) -> bytes:
        if level == 0:
            return leaf_hash(self.entries[index].to_bytes())
        return node_hash(self._hash(level - 1, 2 * index), self._hash(level - 1, 2 * index + 1))


def witness(name: str = "witness.example") -> Ed25519Cosigner:
    """Return a witness that cosigns what it is shown."""
    return Ed25519Cosigner(name, Ed25519PrivateKey.from_private_bytes(sha256(name.encode()).digest()))


def trusted_witness(cosigner: Ed25519Cosigner, operator: str = "Witness Operator") -> TrustedWitness:
    """Return a witness as one whose cosignature counts."""
    return TrustedWitness(cosigner.name, operator, "trust.toml:30", cosigner.verifier)


def known(*logs: SealedLog | TrustedLog, witnesses: Iterable[TrustedWitness] = ()) -> KnownLogs:
    """Return logs as those that a user knows; each `SealedLog` is run by an operator of its own."""
    trusted = (log.trusted(f"Operator of {log.name}") if isinstance(log, SealedLog) else log for log in logs)
    return KnownLogs(trusted, witnesses)


def logged(issuer: Authority, held: Held, *takers: SealedLog | Taker, number: TelephoneNumber | None = None) -> Held:
    """Have the authority issue a certificate anew, with SCTs from logs, filed under the label of `number`."""
    tbs, issuer_hash = tbs_of(held.chain[0]), issuer_key_hash(issuer.certificate)
    takes = (taker.take if isinstance(taker, SealedLog) else taker for taker in takers)
    return with_sct_list(issuer, held, encode_sct_list(take(number or held.number, issuer_hash, tbs) for take in takes))


def with_sct_list(issuer: Authority, held: Held, sct_list: bytes) -> Held:
    """Have the authority issue a certificate anew, with any bytes for a list of SCTs."""
    oid = ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS
    extension = x509.UnrecognizedExtension(oid, asn1.encode_der(sct_list))
    return held.with_leaf(reissued(held.chain[0], issuer.key, extra=[(extension, False)]))
