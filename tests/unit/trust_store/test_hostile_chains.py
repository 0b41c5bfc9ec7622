"""What hostile chains cost, counted: signatures, paths and bytes. `make bench` measures the time."""

from __future__ import annotations

import pytest
from cryptography import x509

from bench.choice import HOSTILE_TARGET_MIB, peak_mib
from bench.hostile import Hostile, hostile_chains
from policies.verdicts import Outcome, Rule
from stir.certificate_chain import LONGEST_CHAIN
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLED
from trust_store import Call, path
from trust_store.path import BuiltPath, PathBuilder
from trust_store.store import MOST_CERTIFICATES

NAMES = list(hostile_chains())


class Counted:
    """How many signatures were verified at most, and how many paths were tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count from now on."""
        self.signatures = 0
        self.paths = 0
        verified, signed = PathBuilder._verified, path._is_signed_by

        def counted_path(builder: PathBuilder, chain: path.PresentedChain, length: int, *rest: object) -> object:
            self.paths += 1
            self.signatures += length
            found: BuiltPath | None = verified(builder, chain, length, *rest)  # type: ignore[arg-type]
            return found

        def counted_signature(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
            self.signatures += 1
            return signed(certificate, issuer)

        monkeypatch.setattr(PathBuilder, "_verified", counted_path)
        monkeypatch.setattr(path, "_is_signed_by", counted_signature)


@pytest.mark.parametrize("name", NAMES)
def test_the_work_for_a_hostile_chain_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each certificate is verified at most three times, whatever it leads to, and few paths are tried."""
    hostile = hostile_chains()[name]
    store = hostile.store()
    counted = Counted(monkeypatch)
    hostile.judge(store)
    assert counted.signatures <= 3 * MOST_CERTIFICATES
    assert counted.paths <= MOST_CERTIFICATES // LONGEST_CHAIN + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_for_a_hostile_chain_is_bounded(name: str) -> None:
    """A verdict takes a small part of what is allowed."""
    assert peak_mib(hostile_chains()[name]) < HOSTILE_TARGET_MIB


def judged(name: str) -> tuple[Outcome, Rule]:
    """Return the verdict on a hostile chain."""
    hostile: Hostile = hostile_chains()[name]
    found = hostile.judge(hostile.store())
    return found.outcome, found.rule


@pytest.mark.parametrize(
    ("name", "outcome", "rule"),
    [
        ("50 authorities", Outcome.REFUSED, Rule.CHAIN),
        ("larger than is read", Outcome.REFUSED, Rule.CHAIN),
        ("cyclic", Outcome.REFUSED, Rule.CHAIN),
        ("as deep, and leading nowhere", Outcome.UNVERIFIED, Rule.ANCHOR),
        ("as deep, and signed by another at the end", Outcome.REFUSED, Rule.CHAIN),
        ("as many chains as are looked at", Outcome.REFUSED, Rule.QUORUM),
        ("as deep as is read", Outcome.VERIFIED, Rule.ANCHOR),
        ("as many ranges of numbers as fit", Outcome.VERIFIED, Rule.ANCHOR),
        ("as many nameConstraints as fit", Outcome.VERIFIED, Rule.ANCHOR),
        ("certificates as large as is read", Outcome.VERIFIED, Rule.ANCHOR),
        ("200 namesakes of the anchor", Outcome.VERIFIED, Rule.ANCHOR),
    ],
)
def test_each_is_judged_by_its_worth(name: str, outcome: Outcome, rule: Rule) -> None:
    """To be large is no fault within the limits; so the dearest ones are those that go the whole way."""
    assert judged(name) == (outcome, rule)


def test_a_chain_beside_a_token_that_is_too_long_is_refused() -> None:
    """It is a verdict on the chain, and not that none came."""
    leaf, *above = hostile_chains()["50 authorities"].chains[0]
    held = small_pki.root().number()
    token = held.token(chain=(), certificate_url="https://ca.example/chain.pem")
    call = Call(token, held.number, CALLED, small_pki.NOW, more_chains=((leaf, *above), held.chain))
    store = hostile_chains()["cyclic"].store()
    assert store.judge(call).rule is Rule.CHAIN
