"""What a verdict costs: a PASSporT with its chain of three certificates, and what logs add, in one thread.

Cold is a chain that the store has not seen, of an authority that it has; first is the store's very first. Warm is a
chain seen before: the token is new each time, so its signature is always verified. Beside stands the arithmetic alone:
the ECDSA signatures that a verdict has to verify, by the same library.

A timestamp of a log is checked in full: its ECDSA signature, the VRF proof (four multiplications on edwards25519) and
the commitment. A proof of inclusion is one in a tree of a million entries, cosigned by two witnesses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from statistics import median

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.table import Row
from policies.terms import Settings, Terms
from stir.certificate_building import (
    AuthorityFields,
    NumberCertificateFields,
    authority_certificate,
    number_certificate,
    signature_hash,
)
from stir.passport import Passport, sign
from stir.telephone_number import TelephoneNumber
from stir.validation_method import ValidationMethod
from transparency.checkpoint import Checkpoint
from transparency.cosignature import Ed25519Cosigner
from transparency.entry import SealedEntry, commitment, label, vrf_input
from transparency.log_description import LogDescription, ShardDescription
from transparency.merkle import leaf_hash, root_from_inclusion
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
from trust_store import Anchor, Call, KnownLogs, Outcome, TrustedLog, TrustedWitness, TrustStore

COLD_TARGET_MS = 0.6
WARM_TARGET_MS = 0.15
ONE_SCT_TARGET_MS = 1.0
COLD_WITH_SCTS_TARGET_MS = 2.5
ROUNDS = 200

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
_DEPTH = 20
CALLED = TelephoneNumber.parse("+442079460018")


def measure() -> Iterator[Row]:
    """Measure verdicts that are cold, first and warm, in milliseconds; each is the median of many."""
    bench = Callers()
    calls = [bench.call(place) for place in range(ROUNDS)]
    store = TrustStore([bench.anchor])
    judged(store, calls[:1])
    cold = judged(store, calls[1:])
    first = median(judged(TrustStore([bench.anchor]), [call])[0] for call in calls)
    warm = judged(store, calls)
    one = signature_ms()
    yield Row("verdict, chain not seen before", "ms", median(cold), COLD_TARGET_MS, "3 ECDSA signatures", 3 * one)
    yield Row("verdict, first of a store", "ms", first, COLD_TARGET_MS, "3 ECDSA signatures", 3 * one)
    yield Row("verdict, chain seen before", "ms", median(warm), WARM_TARGET_MS, "1 ECDSA signature", one)
    yield from _with_logs(bench, median(cold), one)


def _with_logs(bench: Callers, cold_without: float, one: float) -> Iterator[Row]:
    """Measure what timestamps of two logs add, and a proof of inclusion."""
    logs = [_Log("one"), _Log("two")]
    known = KnownLogs([log.trusted for log in logs], [log.trusted_witness for log in logs])
    once, twice = ([bench.call(place, logs[:taken]) for place in range(ROUNDS)] for taken in (1, 2))
    store = TrustStore([bench.anchor], settings=Settings(scts=1), logs=known)
    single = median(judged(store, once)) - cold_without
    store = TrustStore([bench.anchor], settings=Settings(scts=2), logs=known)
    cold, warm = median(judged(store, twice)), median(judged(store, twice))
    proving = TrustStore([bench.anchor], settings=Settings(scts=2, proofs=1, witnesses=2), logs=known)
    proved = [replace(call, proofs=(logs[0].proof(place, logs),)) for place, call in enumerate(twice)]
    judged(proving, proved)
    proof = median(judged(proving, proved)) - warm
    yield Row("1 SCT: signature, VRF, commitment", "ms", single, ONE_SCT_TARGET_MS, "1 ECDSA signature", one)
    yield Row("verdict, 2 SCTs, chain not seen", "ms", cold, COLD_WITH_SCTS_TARGET_MS, "5 ECDSA signatures", 5 * one)
    yield Row("verdict, 2 SCTs, chain seen before", "ms", warm, WARM_TARGET_MS, "1 ECDSA signature", one)
    yield Row("1 inclusion proof, 2 witnesses", "ms", proof, ONE_SCT_TARGET_MS, "1 ECDSA signature", one)


def judged(store: TrustStore, calls: Sequence[Call]) -> list[float]:
    """Return the milliseconds that each verdict took."""
    return [milliseconds(lambda call=call: _require_verified(store, call)) for call in calls]  # type: ignore[misc]


def _require_verified(store: TrustStore, call: Call) -> None:
    if store.judge(call).outcome is not Outcome.VERIFIED:
        msg = "a call of the bench is not verified, so its time says nothing"
        raise RuntimeError(msg)


def signature_ms() -> float:
    """Return the milliseconds that one signature on P-256 takes to verify."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, algorithm, data = key.public_key(), ec.ECDSA(hashes.SHA256()), b"x" * 3000
    signature = key.sign(data, algorithm)
    return median(milliseconds(lambda: public.verify(signature, data, algorithm)) for _ in range(ROUNDS))


def milliseconds(work: Callable[[], None]) -> float:
    """Return how long something takes."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def authority(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int | None = 0,
) -> x509.Certificate:
    """Certify an authority, or with None for its `issuer` let it certify itself."""
    fields = AuthorityFields(
        common_name=name,
        organization="Bench",
        public_key=key.public_key(),
        serial=1,
        not_before=NOW - DAY,
        not_after=NOW + 365 * DAY,
        path_length=None if issuer is None else path_length,
    )
    return authority_certificate(fields, issuer).sign(issuer_key, signature_hash(issuer_key))


class Callers:
    """An authority below a root that is believed, and numbers that call, all with one key."""

    def __init__(self, name: str = "bench", number_key: ec.EllipticCurvePrivateKey | None = None) -> None:
        """Make the authorities; two that are given one key for the numbers certify the same callers."""
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.number_key = number_key or ec.generate_private_key(ec.SECP256R1())
        self._root = authority(f"{name} root", self._root_key, None, self._root_key)
        self._issuing = authority(f"{name} issuing", self._key, self._root, self._root_key)
        self._serials = count(1)
        self.anchor = Anchor(Terms(name=name, operator=name, source="trust.toml:1"), self._root)

    def call(self, place: int, logs: Sequence[_Log] = (), others: Sequence[Callers] = ()) -> Call:
        """Return a call from a number of its own, with a chain that only it has, and those of other authorities."""
        number = number_at(place)
        passport = Passport(orig=number, dest=(CALLED.digits,), issued_at=int(NOW.timestamp()))
        further = [other.chain(place) for other in others]
        token = sign(passport, self.number_key, chain=self.chain(place, logs), more_chains=further)
        return Call(token, number, CALLED, NOW)

    def chain(self, place: int, logs: Sequence[_Log] = ()) -> tuple[x509.Certificate, ...]:
        """Certify a number, with the timestamps of logs, and return its chain."""
        number = number_at(place)
        fields = NumberCertificateFields(
            number=number,
            public_key=self.number_key.public_key(),
            serial=next(self._serials),
            not_before=NOW - DAY,
            not_after=NOW + 6 * DAY,
            validation=ValidationMethod.SMS_CODE,
            ca_issuers_url="https://ca.example/issuer.der",
            crl_url="https://ca.example/0.crl",
        )
        tbs = tbs_of(number_certificate(fields, self._issuing).sign(self._key, signature_hash(self._key)))
        issuer_hash = issuer_key_hash(self._issuing)
        scts = encode_sct_list(log.take(place, number, issuer_hash, tbs) for log in logs) if logs else None
        leaf = number_certificate(fields, self._issuing, scts).sign(self._key, signature_hash(self._key))
        return leaf, self._issuing, self._root


def number_at(place: int) -> TelephoneNumber:
    """Return one of the numbers that call."""
    return TelephoneNumber(f"1202555{place:04}")


class _Log:
    """A log with one shard, and a witness of the same operator."""

    def __init__(self, name: str) -> None:
        origin = f"{name}.example/2026"
        self._key, self._vrf = ec.generate_private_key(ec.SECP256R1()), VrfPrivateKey.generate()
        self._signer = Ed25519Signer(origin, Ed25519PrivateKey.generate())
        self._entries: dict[int, SealedEntry] = {}
        self.witness = Ed25519Cosigner(f"witness.{name}.example", Ed25519PrivateKey.generate())
        self._shard = ShardDescription(
            "2026",
            origin,
            NOW - 100 * DAY,
            NOW + 100 * DAY,
            self._key.public_key(),
            self._vrf.public_key,
            self._signer.verifier,
        )
        url = f"https://{name}.example"
        description = LogDescription(name, name, url, url, (self._shard,))
        self.trusted = TrustedLog(name, name, "trust.toml:9", description.to_json())
        self.trusted_witness = TrustedWitness(name, name, "trust.toml:12", self.witness.verifier)

    def take(self, place: int, number: TelephoneNumber, issuer_hash: bytes, tbs: bytes) -> SignedCertificateTimestamp:
        """Take a certificate into the tree at a place."""
        proof, opening, at = self._vrf.prove(vrf_input(self._shard.origin, number)), bytes(16), _timestamp_ms()
        sealed = label(output_of(proof))
        self._entries[place] = SealedEntry(at, sealed, issuer_hash, commitment(opening, sealed, tbs))
        return sign_sct(self._key, issuer_hash, tbs, at, SctExtensions(place, proof, opening))

    def proof(self, place: int, witnesses: Sequence[_Log]) -> bytes:
        """Prove that a tree of a million entries has the one at a place; all others are made up."""
        leaf = leaf_hash(self._entries[place].to_bytes())
        hashes_ = tuple(bytes([level]) * 32 for level in range(_DEPTH))
        root = root_from_inclusion(place, 2**_DEPTH, leaf, hashes_)
        checkpoint = Checkpoint(self._shard.origin, 2**_DEPTH, root)
        note = sign_note(checkpoint.text, [self._signer])
        cosigned = note.with_signatures(one.witness.cosign(checkpoint, int(NOW.timestamp())) for one in witnesses)
        return TlogProof(place, hashes_, cosigned).to_bytes()


def _timestamp_ms() -> int:
    return int((NOW - DAY).timestamp()) * 1000


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row))  # noqa: T201
