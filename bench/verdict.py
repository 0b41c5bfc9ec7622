"""What a verdict costs: a PASSporT with its chain of three certificates, its time in one thread.

Cold is a chain that the store has not seen, of an authority that it has; first is the store's very first. Warm is a
chain seen before: the token is new each time, so its signature is always verified. Beside stands the arithmetic alone:
the ECDSA signatures that a verdict has to verify, by the same library.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from bench.table import Row
from policies.belief import Terms
from stir.certificate import (
    AuthorityFields,
    NumberCertificateFields,
    ValidationMethod,
    authority_certificate,
    number_certificate,
    signature_hash,
)
from stir.passport import Passport, sign
from stir.telephone_number import TelephoneNumber
from trust_store import Anchor, Call, Outcome, TrustStore

COLD_TARGET_MS = 0.6
WARM_TARGET_MS = 0.2
ROUNDS = 200

_NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
_DAY = timedelta(days=1)
_CALLED = TelephoneNumber.parse("+442079460018")


def measure() -> Iterator[Row]:
    """Measure verdicts that are cold, first and warm, in milliseconds; each is the median of many."""
    root_key, issuing_key, number_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = _authority("Bench Root", root_key, None, root_key)
    issuing = _authority("Bench Issuing", issuing_key, root, root_key)
    anchor = Anchor(Terms(name="bench", operator="Bench", source="trust.toml:1"), root)
    calls = [_call(place, number_key, issuing, issuing_key, root) for place in range(ROUNDS)]
    store = TrustStore([anchor])
    _judged(store, calls[:1])
    cold = _judged(store, calls[1:])
    first = median(_judged(TrustStore([anchor]), [call])[0] for call in calls)
    warm = _judged(store, calls)
    one = _signature()
    yield Row("verdict, chain not seen before", "ms", median(cold), COLD_TARGET_MS, "3 ECDSA signatures", 3 * one)
    yield Row("verdict, first of a store", "ms", first, COLD_TARGET_MS, "3 ECDSA signatures", 3 * one)
    yield Row("verdict, chain seen before", "ms", median(warm), WARM_TARGET_MS, "1 ECDSA signature", one)


def _judged(store: TrustStore, calls: Sequence[Call]) -> list[float]:
    """Return the milliseconds that each verdict took."""
    return [_milliseconds(lambda call=call: _require_verified(store, call)) for call in calls]  # type: ignore[misc]


def _require_verified(store: TrustStore, call: Call) -> None:
    if store.judge(call).outcome is not Outcome.VERIFIED:
        msg = "a call of the bench is not verified, so its time says nothing"
        raise RuntimeError(msg)


def _signature() -> float:
    """Return the milliseconds that one signature on P-256 takes to verify."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, algorithm, data = key.public_key(), ec.ECDSA(hashes.SHA256()), b"x" * 3000
    signature = key.sign(data, algorithm)
    return median(_milliseconds(lambda: public.verify(signature, data, algorithm)) for _ in range(ROUNDS))


def _milliseconds(work: Callable[[], None]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _authority(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate | None, issuer_key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    fields = AuthorityFields(
        common_name=name,
        organization="Bench",
        public_key=key.public_key(),
        serial=1,
        not_before=_NOW - _DAY,
        not_after=_NOW + 365 * _DAY,
        path_length=None if issuer is None else 0,
    )
    return authority_certificate(fields, issuer).sign(issuer_key, signature_hash(issuer_key))


def _call(
    place: int,
    key: ec.EllipticCurvePrivateKey,
    issuing: x509.Certificate,
    issuing_key: ec.EllipticCurvePrivateKey,
    root: x509.Certificate,
) -> Call:
    """Return a call from a number of its own, with a chain that only it has."""
    number = TelephoneNumber(f"1202555{place:04}")
    fields = NumberCertificateFields(
        number=number,
        public_key=key.public_key(),
        serial=1 + place,
        not_before=_NOW - _DAY,
        not_after=_NOW + 6 * _DAY,
        validation=ValidationMethod.SMS_CODE,
        ca_issuers_url="https://ca.example/issuer.der",
        crl_url="https://ca.example/0.crl",
    )
    leaf = number_certificate(fields, issuing).sign(issuing_key, signature_hash(issuing_key))
    passport = Passport(orig=number, dest=(_CALLED.digits,), issued_at=int(_NOW.timestamp()))
    return Call(sign(passport, key, chain=(leaf, issuing, root)), number, _CALLED, _NOW)


if __name__ == "__main__":
    from bench.table import heading, line

    print(heading())  # noqa: T201  # what a measurement is run for
    for row in measure():
        print(line(row))  # noqa: T201
