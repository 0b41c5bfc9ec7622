"""Authorities that the verifier has led to an anchor once: what is left out for the next number, and what never is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from cryptography import x509

from stir.validation_method import ValidationMethod
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLER, NOW, STRANGER, Authority, Held, reissued
from trust_store import Outcome, Rule, TrustStore, Verdict
from trust_store import path as paths

SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(days=30)


def both(known: Held, asked: Held, anchor: Authority, at: datetime = NOW) -> Verdict:
    """Judge by a store that has seen nothing, and by one that believed another number of the same authorities before.

    The two may not differ.
    """
    fresh, used = TrustStore([anchor.anchor()]), TrustStore([anchor.anchor()])
    assert used.judge(known.call()).outcome is Outcome.VERIFIED
    found = used.judge(asked.call(at))
    assert found == fresh.judge(asked.call(at))
    return found


def test_the_path_above_is_verified_once(
    root: Authority, issuing: Authority, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the next number below the same authorities only its own certificate is held to its issuer's."""
    verified: list[int] = []
    verify = paths._verify

    def counting(store: object, certificates: tuple[x509.Certificate, ...], at: datetime) -> None:
        verified.append(len(certificates))
        verify(store, certificates, at)  # type: ignore[arg-type]

    monkeypatch.setattr(paths, "_verify", counting)
    store = TrustStore([root.anchor()])
    for one in (held, issuing.number(STRANGER, key_number=4), held):
        assert store.judge(one.call()).outcome is Outcome.VERIFIED
    assert verified == [2, 1]


def test_a_forged_certificate_below_authorities_that_are_known_is_refused(issuing: Authority, root: Authority) -> None:
    """The signature of each number's certificate is verified, whatever was found of those above."""
    forged = reissued(issuing.number(STRANGER).chain[0], small_pki.key(99))
    found = both(issuing.number(), issuing.number(STRANGER).with_leaf(forged), root)
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.CHAIN)


@pytest.mark.parametrize("at_root", [True, False])
def test_name_constraints_hold_for_each_number(at_root: bool) -> None:
    """A number outside an authority's nameConstraints is refused, though one within them was believed just before."""
    root = small_pki.root(prefixes=["+1202"] if at_root else [])
    ca = root.authority("Washington", prefixes=["+1202"])
    found = both(ca.number(CALLER), ca.foreign_number(STRANGER), root)
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.PATH)
    assert "nameConstraints" in found.reason


def test_name_constraints_of_the_anchor_alone_hold_for_each_number() -> None:
    """So they do where the authority below repeats neither them nor the list of its numbers."""
    root = small_pki.root(prefixes=["+1202"])
    bare = small_pki.root(key_number=98).authority("Washington").certificate
    ca = Authority(reissued(bare, root.key, issuer=root.certificate), small_pki.key(2), root.chain)
    assert both(ca.number(CALLER), ca.number(CALLER, serial=7), root).outcome is Outcome.VERIFIED
    assert both(ca.number(CALLER), ca.number(STRANGER), root).rule is Rule.PATH


def test_name_constraints_between_hold_for_each_number() -> None:
    """So do those of an authority between."""
    root = small_pki.root()
    between = root.authority("Between", prefixes=["+1202"], path_length=1, key_number=5)
    bare = small_pki.root(key_number=98).authority("Washington").certificate
    ca = Authority(reissued(bare, between.key, issuer=between.certificate), small_pki.key(2), between.chain)
    assert both(ca.number(CALLER), ca.number(STRANGER), root).rule is Rule.PATH


def test_the_dates_of_the_authorities_hold_for_each_number(root: Authority) -> None:
    """What was found before counts up to the last second of notAfter, and from notBefore on."""
    made = root.authority("Short").certificate
    short = reissued(made, root.key, not_before=NOW - timedelta(days=3), not_after=LATER)
    ca = Authority(short, small_pki.key(2), root.chain)
    asked = ca.number(STRANGER, not_before=NOW - timedelta(days=9), not_after=LATER + timedelta(days=9))
    last = LATER + SECOND - timedelta(microseconds=1)
    assert both(ca.number(), asked, root, last).outcome is Outcome.VERIFIED
    assert both(ca.number(), asked, root, LATER + SECOND).rule is Rule.VALIDITY
    assert both(ca.number(), asked, root, NOW - timedelta(days=3, seconds=1)).rule is Rule.VALIDITY


def test_the_profile_of_each_number_is_verified(root: Authority, issuing: Authority, held: Held) -> None:
    """An expired certificate, and one that names another key of its issuer, are refused all the same."""
    ended = issuing.number(STRANGER, not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=2))
    assert both(held, ended, root).rule is Rule.VALIDITY
    other = x509.AuthorityKeyIdentifier(b"another key", None, None)
    renamed = reissued(
        issuing.number(STRANGER).chain[0],
        issuing.key,
        without=[x509.AuthorityKeyIdentifier],
        extra=[(other, False)],
    )
    assert both(held, issuing.number(STRANGER).with_leaf(renamed), root).rule is Rule.CHAIN


def test_longer_ways_and_other_anchors_are_remembered_apart(root: Authority) -> None:
    """That authorities lead to one anchor says nothing of another, nor of a way through more of them."""
    between = root.authority("Between", path_length=1, key_number=5)
    ca = between.authority("Below", key_number=6)
    store = TrustStore([root.anchor("top"), between.anchor("middle", methods=(ValidationMethod.SMS_REPLY,))])
    for number in (CALLER, STRANGER):
        assert store.judge(ca.number(number).call()).anchor == "top"
    assert both(ca.number(), ca.number(STRANGER), between).outcome is Outcome.VERIFIED
    assert both(ca.number(), ca.number(STRANGER), ca).outcome is Outcome.VERIFIED


def test_a_store_knows_nothing_of_what_another_accepted(root: Authority, held: Held, issuing: Authority) -> None:
    """One that does not believe the root stays unverified, in whichever order they are asked."""
    believing, other = TrustStore([root.anchor()]), TrustStore([small_pki.root("Other", key_number=77).anchor()])
    for one in (held, issuing.number(STRANGER)):
        assert believing.judge(one.call()).outcome is Outcome.VERIFIED
        assert other.judge(one.call()).outcome is Outcome.UNVERIFIED


def test_a_certificate_has_to_name_the_key_that_signed_it(issuing: Authority, held: Held, store: TrustStore) -> None:
    """An authorityKeyIdentifier may name an issuer and a serial in place of it: then nothing can be compared."""
    issuers = [x509.DirectoryName(issuing.certificate.issuer)]
    by_serial = x509.AuthorityKeyIdentifier(None, issuers, issuing.certificate.serial_number)
    unnamed = reissued(held.chain[0], issuing.key, without=[x509.AuthorityKeyIdentifier], extra=[(by_serial, False)])
    found = store.judge(held.with_leaf(unnamed).call())
    assert (found.rule, found.reason) == (Rule.CHAIN, "a certificate's authorityKeyIdentifier names no key")


def test_a_root_at_the_end_needs_to_name_no_key(root: Authority) -> None:
    """RFC 5280 §4.2.1.1 asks it of all but what certifies itself."""
    plain = root.with_certificate(reissued(root.certificate, root.key, without=[x509.AuthorityKeyIdentifier]))
    assert both(plain.number(), plain.number(STRANGER), plain).outcome is Outcome.VERIFIED
    below = plain.authority("Below a plain root")
    assert both(below.number(), below.number(STRANGER), plain).outcome is Outcome.VERIFIED


def test_threads_that_meet_at_new_authorities_all_get_the_verdict(root: Authority, issuing: Authority) -> None:
    """Each finds them unknown, known or just becoming so; a forged certificate among good ones is refused each time."""
    good = [issuing.number(STRANGER, serial=serial, key_number=4).call() for serial in range(1, 9)]
    forged = issuing.number().with_leaf(reissued(issuing.number().chain[0], small_pki.key(99))).call()
    for _ in range(5):
        store, barrier = TrustStore([root.anchor()]), threading.Barrier(8)

        def judge(place: int, store: TrustStore = store, barrier: threading.Barrier = barrier) -> set[Outcome]:
            barrier.wait(30)
            return {store.judge(forged if place % 2 else good[place]).outcome for _ in range(3)}

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(judge, range(8)))
        assert found == [{Outcome.VERIFIED}, {Outcome.REFUSED}] * 4
