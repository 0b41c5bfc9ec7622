"""A public log in memory: real keys, real timestamps, and any lie that a test asks for."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ca_server.config import Logging
from ca_server.logs.known_log import KnownLog, SubmissionError
from ca_server.logs.logs import Logs
from stir.certificate import load_certificate, tn_auth_list_of
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import NOW
from transparency.entry import OPENING_SIZE, rounded_timestamp, vrf_input
from transparency.log_description import LogDescription, ShardDescription
from transparency.sct import SctExtensions, SignedCertificateTimestamp, issuer_key_hash, sign_sct, tbs_of
from transparency.signed_note import Ed25519Signer
from transparency.vrf import VrfPrivateKey

PATIENT = Logging(deadline_seconds=60, wait_seconds=10)
"""Long enough that no test depends on how fast this machine is."""
TIMEOUT = 60.0


@dataclass
class Answer:
    """What the log is about to sign; a lie changes it."""

    timestamp_ms: int
    number: TelephoneNumber
    tbs: bytes
    issuer_key_hash: bytes
    leaf_index: int
    key: ec.EllipticCurvePrivateKey
    origin: str


Lie = Callable[[Answer], Answer]


@dataclass
class PublicLog:
    """A log with one shard for everything that ends in the two years around NOW.

    `is_down` refuses all connections, `lie` changes what is signed, and `garble` what was signed. While `gate` is
    closed, nobody gets an answer. `asked` counts submissions, `entries` those that were new.
    """

    name: str = "Example Log"
    operator: str = "Log Operator One"
    clock: Callable[[], datetime] = lambda: NOW
    is_down: bool = False
    lie: Lie | None = None
    garble: Callable[[SignedCertificateTimestamp], SignedCertificateTimestamp] | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[bytes] = field(default_factory=list)
    entries: dict[tuple[bytes, bytes], SignedCertificateTimestamp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the keys; the gate is open."""
        self.gate.set()
        self._one_at_a_time = threading.Lock()
        self.sct_key = ec.generate_private_key(ec.SECP256R1())
        self.vrf_key = VrfPrivateKey.generate()
        origin = f"{self.name.lower().replace(' ', '-')}.example/all"
        self.shard = ShardDescription(
            name="all",
            origin=origin,
            not_after_start=NOW - timedelta(days=365),
            not_after_limit=NOW + timedelta(days=365),
            sct_key=self.sct_key.public_key(),
            vrf_key=self.vrf_key.public_key,
            checkpoint_key=Ed25519Signer(origin, Ed25519PrivateKey.generate()).verifier,
        )
        url = f"https://{origin.partition('/')[0]}"
        self.description = LogDescription(self.name, self.operator, url, url, (self.shard,))

    @property
    def known(self) -> KnownLog:
        """What an authority has of the log."""
        return KnownLog(self.description, self.operator, self)

    def add_pre_chain(self, chain: Sequence[bytes], timeout: float) -> SignedCertificateTimestamp:
        """Return the timestamp of a precertificate; the same one for the same precertificate."""
        if self.is_down:
            msg = "the connection was refused"
            raise SubmissionError(msg)
        if not self.gate.wait(timeout):
            msg = "it did not answer in time"
            raise SubmissionError(msg)
        shown, issuer = (load_certificate(der) for der in chain[:2])
        with self._one_at_a_time:
            self.asked.append(chain[0])
            sct = self._sequenced(shown, issuer_key_hash(issuer), tbs_of(shown))
        return self.garble(sct) if self.garble else sct

    def _sequenced(self, shown: x509.Certificate, key_hash: bytes, tbs: bytes) -> SignedCertificateTimestamp:
        sct = self.entries.get((key_hash, tbs))
        if sct is None:
            numbers = tn_auth_list_of(shown)
            assert numbers is not None
            assert numbers.single_number is not None
            sct = self.entries[key_hash, tbs] = self._sign(numbers.single_number, tbs, key_hash)
        return sct

    def _sign(self, number: TelephoneNumber, tbs: bytes, key_hash: bytes) -> SignedCertificateTimestamp:
        timestamp_ms = rounded_timestamp(int(self.clock().timestamp()) * 1000)
        index = len(self.entries)
        said = Answer(timestamp_ms, number, tbs, key_hash, index, self.sct_key, self.shard.origin)
        said = self.lie(said) if self.lie else said
        proof = self.vrf_key.prove(vrf_input(said.origin, said.number))
        extensions = SctExtensions(said.leaf_index, proof, index.to_bytes(OPENING_SIZE, "big"))
        return sign_sct(said.key, said.issuer_key_hash, said.tbs, said.timestamp_ms, extensions)


def logs_of(*logs: PublicLog, settings: Logging = PATIENT) -> Logs:
    """Return the logs as an authority knows them, in this order."""
    return Logs([log.known for log in logs], settings)


def two_logs(clock: Callable[[], datetime]) -> tuple[PublicLog, PublicLog]:
    """Return two logs of distinct operators."""
    return PublicLog(clock=clock), PublicLog("Other Log", "Log Operator Two", clock)


def says(**changes: object) -> Lie:
    """Return a lie that replaces what the log would sign."""
    return lambda said: dataclasses.replace(said, **changes)  # type: ignore[arg-type]
