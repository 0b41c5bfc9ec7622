"""One key that several authorities certified: which chains count, and whose opinions they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from number_directory.record import Medium, Record, sign_record
from policies.facts import RevocationFacts, RevocationState
from policies.quorum import Group, Quorum, Quorums
from policies.terms import Deny, Purpose
from stir.jws import Chain
from stir.passport import Passport, sign
from stir.telephone_number import NumberPrefix
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLED, CALLER, NOW, STRANGER, Authority, reissued
from trust_store import Call, DirectoryRecord, Outcome, Rule, TrustStore
from trust_store.fingerprints import key_sha256_of, sha256_of

ROOTS = [small_pki.root(f"Root {number}", key_number=100 + number) for number in range(3)]
CAS = [root.authority(f"CA {number}", key_number=110 + number) for number, root in enumerate(ROOTS)]
ONE, TWO, THREE = (ca.number(key_number=3) for ca in CAS)
"""The same number and key, certified by three authorities."""
ANCHORS = [root.anchor(f"ca-{number}", line=10 + number) for number, root in enumerate(ROOTS)]
OPERATORS = {anchor.terms.name: anchor.terms.operator for anchor in ANCHORS}
TWO_OF_THREE = Quorums(
    (Group("three", 2, tuple(OPERATORS), "trust.toml:30"),), (Quorum("three", "trust.toml:40"),), OPERATORS
)


def call(*chains: Chain, at: datetime = NOW) -> Call:
    """Return a call whose token brings these chains."""
    passport = Passport(orig=CALLER, dest=(CALLED.digits,), issued_at=int(at.timestamp()))
    return Call(sign(passport, ONE.key, chain=chains[0], more_chains=chains[1:]), CALLER, CALLED, at)


def record(*chains: Chain) -> DirectoryRecord:
    """Return a record that brings these chains."""
    expires = int((NOW + timedelta(hours=1)).timestamp())
    uris, issued = ("https://chat.example/1",), int(NOW.timestamp())
    said = Record(CALLER, "chat.example", uris, frozenset({Medium.TEXT}), 1, issued, expires)
    return DirectoryRecord(sign_record(said, ONE.key, chains[0], chains[1:]), CALLER, "chat.example", NOW)


@pytest.fixture
def strict() -> TrustStore:
    """Return a store that asks for two of three."""
    return TrustStore(ANCHORS, quorums=TWO_OF_THREE)


# Without a quorum one chain is enough.


@pytest.mark.parametrize("anchor", range(3))
def test_any_of_several_chains_will_do(anchor: int) -> None:
    """Whoever believes only one of the authorities believes the call."""
    store = TrustStore([ANCHORS[anchor]])
    found = store.judge(call(ONE.chain, TWO.chain, THREE.chain))
    assert (found.outcome, found.anchor) == (Outcome.VERIFIED, f"ca-{anchor}")


def test_where_no_chain_is_believed_each_reason_is_told() -> None:
    """One that is refused tells more than one that leads nowhere."""
    narrow = ROOTS[1].anchor("narrow", prefixes=(NumberPrefix.parse("+44"),))
    found = TrustStore([narrow]).judge(call(ONE.chain, TWO.chain))
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.ANCHOR_NUMBERS)
    assert found.reason.endswith("; nor by another chain: no anchor in your trust store leads to these certificates")
    assert TrustStore([small_pki.root().anchor()]).judge(call(ONE.chain, TWO.chain)).outcome is Outcome.UNVERIFIED


def test_a_chain_that_is_broken_does_no_harm_to_another() -> None:
    """An authority's mistake is not the caller's, while another vouches."""
    forged = (reissued(ONE.chain[0], small_pki.key(99)), *ONE.chain[1:])
    store = TrustStore(ANCHORS)
    assert store.judge(call(forged, TWO.chain)).outcome is Outcome.VERIFIED
    assert store.judge(call(TWO.chain, forged)).outcome is Outcome.VERIFIED
    assert store.judge(call(forged)).rule is Rule.CHAIN


def test_a_deny_takes_its_own_chain_away_and_a_deny_of_the_key_all(strict: TrustStore) -> None:
    """What is denied counts for nothing; other certificates of the key still do."""
    one_denied = TrustStore(ANCHORS, [Deny("trust.toml:9", certificate=sha256_of(CAS[0].certificate))])
    assert one_denied.judge(call(ONE.chain, TWO.chain)).anchor == "ca-1"
    key_denied = TrustStore(ANCHORS, [Deny("trust.toml:9", certificate=key_sha256_of(ONE.chain[0]))])
    assert key_denied.judge(call(ONE.chain, TWO.chain)).rule is Rule.DENIED_CERTIFICATE
    assert strict.judge(call(ONE.chain, TWO.chain)).outcome is Outcome.VERIFIED


# With a quorum, distinct operators are counted.


def test_as_many_operators_as_are_asked_for_verify(strict: TrustStore) -> None:
    """The verdict names them, and the quorum's line."""
    for chains in ((ONE, TWO), (THREE, ONE), (ONE, TWO, THREE)):
        found = strict.judge(call(*(held.chain for held in chains)))
        assert (found.outcome, found.rule, found.source) == (Outcome.VERIFIED, Rule.QUORUM, "trust.toml:40")
    assert found.reason.count("Operator of ca-") == 2  # the third was not needed
    assert strict.judge(record(ONE.chain, THREE.chain)).outcome is Outcome.VERIFIED


def test_fewer_are_refused(strict: TrustStore) -> None:
    """The person sees who certified, and what was asked for."""
    found = strict.judge(call(ONE.chain))
    assert (found.outcome, found.rule, found.source) == (Outcome.REFUSED, Rule.QUORUM, "trust.toml:40")
    assert "2 of 3 of three" in found.reason
    assert strict.judge(record(ONE.chain)).rule is Rule.QUORUM
    assert strict.judge_chain(ONE.chain, NOW).rule is Rule.QUORUM


def test_one_authority_below_two_roots_is_one_opinion(strict: TrustStore) -> None:
    """A cross-certified authority looked at the number once, however many roots stand above it."""
    crossed = reissued(CAS[0].certificate, ROOTS[1].key, issuer=ROOTS[1].certificate)
    again = (ONE.chain[0], crossed, ROOTS[1].certificate)
    assert TrustStore([ANCHORS[1]]).judge(call(again)).outcome is Outcome.VERIFIED
    assert strict.judge(call(ONE.chain, again)).rule is Rule.QUORUM
    assert strict.judge(call(ONE.chain, again, THREE.chain)).outcome is Outcome.VERIFIED
    twice = CAS[0].number(key_number=3, serial=77)
    assert strict.judge(call(ONE.chain, twice.chain)).rule is Rule.QUORUM


def test_an_authority_and_its_root_are_one_opinion() -> None:
    """Both may be anchors of distinct operators; the number was looked at by one of them."""
    both = [ROOTS[0].anchor("root"), CAS[0].anchor("issuing")]
    operators = {"root": "Root", "issuing": "Issuing"}
    quorums = Quorums((Group("both", 2, ("root", "issuing"), "x"),), (Quorum("both", "y"),), operators)
    assert TrustStore(both, quorums=quorums).judge(call(ONE.chain)).rule is Rule.QUORUM
    assert TrustStore(both, quorums=Quorums((), (Quorum("root", "y"),), operators)).judge(call(ONE.chain)).outcome is (
        Outcome.VERIFIED
    )


class Revoked:
    """Says of one authority's certificates that they are revoked."""

    def __init__(self, issuer: Authority) -> None:
        """Take the authority."""
        self._issuer = issuer.certificate

    def status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, urls: tuple[str, ...], at: datetime
    ) -> RevocationFacts:
        """Return what is known of a certificate."""
        del certificate, urls, at
        revoked = issuer == self._issuer
        return RevocationFacts(RevocationState.REVOKED if revoked else RevocationState.GOOD, "it was revoked")


def test_a_certificate_that_is_revoked_or_expired_is_counted_no_more() -> None:
    """What remains is counted again, each time."""
    store = TrustStore(ANCHORS, quorums=TWO_OF_THREE, revocation=Revoked(CAS[1]))
    assert store.judge(call(ONE.chain, THREE.chain)).outcome is Outcome.VERIFIED
    assert store.judge(call(ONE.chain, TWO.chain, THREE.chain)).outcome is Outcome.VERIFIED
    found = store.judge(call(ONE.chain, TWO.chain))
    assert found.rule is Rule.QUORUM
    assert found.reason.endswith("another certificate does not count: it was revoked")
    short = CAS[1].number(key_number=3, not_after=NOW + timedelta(hours=1))
    open_store = TrustStore(ANCHORS, quorums=TWO_OF_THREE)
    assert open_store.judge(call(ONE.chain, short.chain)).outcome is Outcome.VERIFIED
    later = call(ONE.chain, short.chain, at=NOW + timedelta(hours=2))
    found = open_store.judge(later)
    assert found.rule is Rule.QUORUM
    assert "expired at" in found.reason


def test_a_quorum_is_for_its_own_scope(strict: TrustStore) -> None:
    """Elsewhere one anchor is enough."""
    scoped = Quorums(TWO_OF_THREE.groups, (Quorum("three", "y", purposes=(Purpose.RECORD,)),), OPERATORS)
    store = TrustStore(ANCHORS, quorums=scoped)
    assert store.judge(call(ONE.chain)).rule is Rule.ANCHOR
    assert store.judge(record(ONE.chain)).rule is Rule.QUORUM
    in_app = Quorums(TWO_OF_THREE.groups, (Quorum("three", "y", apps=("chat.example",)),), OPERATORS)
    store = TrustStore(ANCHORS, quorums=in_app)
    assert store.judge(call(ONE.chain)).outcome is Outcome.VERIFIED
    assert store.judge(replace(call(ONE.chain), app="chat.example")).rule is Rule.QUORUM
    assert strict.judge(call(ONE.chain)).outcome is Outcome.REFUSED


# Chains beside a token, and certificates alone.


def test_several_chains_may_be_given_beside_a_token(strict: TrustStore) -> None:
    """As the token would bring them; one for another key counts for nothing."""
    token = ONE.token(chain=(), certificate_url="https://ca.example/chain.pem")
    given = Call(token, CALLER, CALLED, NOW, chain=ONE.chain, more_chains=(TWO.chain,))
    assert strict.judge(given).outcome is Outcome.VERIFIED
    other_key = CAS[1].number(key_number=8)
    found = strict.judge(replace(given, more_chains=(other_key.chain,)))
    assert found.rule is Rule.QUORUM
    assert "not signed by the key" in found.reason


def test_certificates_alone_are_counted_where_they_are_for_one_number_and_key(strict: TrustStore) -> None:
    """The first says for which."""
    assert strict.judge_chain(ONE.chain, NOW, more_chains=[TWO.chain]).outcome is Outcome.VERIFIED
    for other in (CAS[1].number(key_number=8), CAS[1].number(STRANGER, key_number=3)):
        found = strict.judge_chain(ONE.chain, NOW, more_chains=[other.chain])
        assert found.rule is Rule.QUORUM
        assert "another number or key" in found.reason


def test_one_signature_is_verified_once_however_many_chains_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chains of a token are for one key."""
    from stir.passport import SignedPassport  # noqa: PLC0415  # counted here alone

    asked: list[object] = []
    verify = SignedPassport.verify

    def counted(self: SignedPassport, key: object) -> None:
        asked.append(key)
        verify(self, key)  # type: ignore[arg-type]

    monkeypatch.setattr(SignedPassport, "verify", counted)
    assert TrustStore(ANCHORS, quorums=TWO_OF_THREE).judge(call(ONE.chain, TWO.chain, THREE.chain)).outcome is (
        Outcome.VERIFIED
    )
    assert len(asked) == 1


def test_certificates_judged_together_tell_on_which_the_verdict_stands(strict: TrustStore) -> None:
    """What is behind the anchor in the chain is left out; nothing is told where nothing is believed."""
    behind = (*ONE.chain, ROOTS[2].certificate)
    crossed = reissued(ROOTS[0].certificate, ROOTS[2].key, issuer=ROOTS[2].certificate)
    longer = (*ONE.chain[:2], crossed, ROOTS[2].certificate)
    verdict, found = strict.judge_together([longer, TWO.chain], NOW, Purpose.RECORD)
    assert verdict.outcome is Outcome.VERIFIED
    assert found is not None
    assert (found.leaf.certificate, found.presented) == (ONE.chain[0], longer)
    assert found.authorities == (CAS[0].certificate, ROOTS[0].certificate)
    for chains in ([ONE.chain], [], [behind]):
        verdict, found = strict.judge_together(chains, NOW, Purpose.RECORD)
        assert verdict.outcome is not Outcome.VERIFIED
        assert found is None


def test_a_quorum_for_an_app_is_asked_of_certificates_for_it() -> None:
    """Whoever explains a certificate for an app hears what the app's quorum says."""
    for_chat = Quorums(TWO_OF_THREE.groups, (Quorum("three", "trust.toml:40", apps=("chat.example",)),), OPERATORS)
    store = TrustStore(ANCHORS, quorums=for_chat)
    assert store.judge_chain(ONE.chain, NOW).outcome is Outcome.VERIFIED
    assert store.judge_chain(ONE.chain, NOW, app="chat.example").rule is Rule.QUORUM
    assert store.judge_together([ONE.chain], NOW, Purpose.RECORD, "chat.example")[0].rule is Rule.QUORUM
