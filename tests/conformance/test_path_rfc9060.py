"""RFC 8226 §9 and RFC 9060 §4: the TNAuthList at every level of a path. One MUST, one test."""

from __future__ import annotations

import pytest
from cryptography import x509

from stir.telephone_number import NumberPrefix
from stir.tn_auth_list import OID, NumberEntry, RangeEntry, ServiceProviderCode, TnAuthList
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLER, NOW, STRANGER, Authority, Held, reissued
from trust_store import Outcome, Rule, TrustStore, Verdict

ROOT = small_pki.root()
ISSUING = ROOT.authority("Example Issuing")
HELD = ISSUING.number()
OID_OF_LIST = x509.ObjectIdentifier(OID)


def prefixes(*texts: str) -> TnAuthList:
    """Return the list of all numbers that begin with one of the prefixes."""
    return TnAuthList.for_prefixes(NumberPrefix.parse(text) for text in texts)


def extension(numbers: TnAuthList) -> x509.UnrecognizedExtension:
    """Return a list as an extension."""
    return x509.UnrecognizedExtension(OID_OF_LIST, numbers.to_der())


def limited(authority: Authority, signer: Authority, numbers: TnAuthList, *, critical: bool = False) -> Authority:
    """Return an authority with a TNAuthList, and with no nameConstraints beside it."""
    certificate = reissued(
        authority.certificate, signer.key, without=(OID_OF_LIST,), extra=[(extension(numbers), critical)]
    )
    return authority.with_certificate(certificate)


def judged(issuing: Authority = ISSUING, root: Authority = ROOT, leaf: x509.Certificate = HELD.chain[0]) -> Verdict:
    """Judge the number under these authorities."""
    return TrustStore([root.anchor()]).judge_chain((leaf, issuing.certificate), NOW)


COVERING = [
    prefixes("+1"),
    prefixes("+44", "+1202"),
    prefixes(CALLER.e164),
    TnAuthList((NumberEntry(CALLER.digits),)),
    TnAuthList((RangeEntry("12025550000", 10_000),)),
    TnAuthList((ServiceProviderCode("1234"), RangeEntry("12025550123", 2))),
]
NOT_COVERING = [
    prefixes("+1303"),
    prefixes("+12025550124"),
    TnAuthList((NumberEntry(STRANGER.digits),)),
    TnAuthList((RangeEntry("12025550124", 100),)),
    TnAuthList((RangeEntry("12025550000", 123),)),
    TnAuthList((RangeEntry("2025550000", 10_000),)),
    TnAuthList((RangeEntry("012025550000", 10_000),)),
    TnAuthList((ServiceProviderCode("1234"),)),
]


@pytest.mark.parametrize("numbers", COVERING)
def test_an_authority_may_speak_for_numbers_in_its_list(numbers: TnAuthList) -> None:
    """RFC 9060 §4.1: a certificate is encompassed by the scope above it."""
    assert judged(limited(ISSUING, ROOT, numbers)).outcome is Outcome.VERIFIED
    assert judged(root=limited(ROOT, ROOT, numbers)).outcome is Outcome.VERIFIED


@pytest.mark.parametrize("numbers", NOT_COVERING)
def test_an_authority_may_not_speak_for_numbers_outside_its_list(numbers: TnAuthList) -> None:
    """RFC 9060 §4.1: held by the TNAuthList alone, at the issuing authority and at the anchor."""
    for verdict in (judged(limited(ISSUING, ROOT, numbers)), judged(root=limited(ROOT, ROOT, numbers))):
        assert (verdict.outcome, verdict.rule) == (Outcome.REFUSED, Rule.NUMBERS_COVERED)
        assert CALLER.digits not in verdict.reason


@pytest.mark.parametrize(
    ("above", "below", "verified"),
    [
        (prefixes("+1"), prefixes("+1202"), True),
        (prefixes("+1202"), prefixes("+1202"), True),
        (prefixes("+1202"), prefixes("+1"), False),
        (prefixes("+1202"), prefixes("+1202", "+44"), False),
        (prefixes("+1202"), TnAuthList((ServiceProviderCode("1234"), NumberEntry(CALLER.digits))), False),
    ],
)
def test_an_authority_delegates_only_numbers_of_its_own(above: TnAuthList, below: TnAuthList, verified: bool) -> None:
    """RFC 9060 §4.1: the whole scope of a delegate, not only this number, is encompassed by its parent's."""
    verdict = judged(limited(ISSUING, ROOT, below), limited(ROOT, ROOT, above))
    assert (verdict.outcome is Outcome.VERIFIED) == verified
    assert verified or verdict.rule is Rule.NUMBERS_COVERED


def test_an_authority_without_a_list_passes_on_what_is_above_it() -> None:
    """The next list above counts: nobody widens a scope by leaving the list out."""
    assert judged(root=limited(ROOT, ROOT, prefixes("+1303"))).rule is Rule.NUMBERS_COVERED


def test_a_critical_list_is_understood_in_an_authoritys_certificate_too() -> None:
    """RFC 8226 §9 lets the issuer choose; the profile's own is not critical, and one that is, is told."""
    verdict = judged(limited(ISSUING, ROOT, prefixes("+1202"), critical=True))
    assert verdict.outcome is Outcome.REFUSED
    assert OID in verdict.reason


@pytest.mark.parametrize(
    "numbers",
    [
        prefixes("+1202"),
        TnAuthList((NumberEntry(STRANGER.digits),)),
        TnAuthList((NumberEntry(CALLER.digits), NumberEntry(STRANGER.digits))),
        TnAuthList((ServiceProviderCode("1234"),)),
    ],
)
def test_a_number_is_certified_by_a_list_of_just_itself(numbers: TnAuthList) -> None:
    """The profile: one certificate, one number, the same in every name."""
    leaf = reissued(HELD.chain[0], ISSUING.key, without=(OID_OF_LIST,), extra=[(extension(numbers), False)])
    verdict = judged(leaf=leaf)
    assert (verdict.outcome, verdict.rule) == (Outcome.REFUSED, Rule.CHAIN)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("der", [b"", b"\x05\x00", b"\x30\x00", b"\x30\x80\x00\x00"])
def test_a_list_that_cannot_be_read_is_no_list(position: int, der: bytes) -> None:
    """RFC 8226 §9: strict DER with at least one entry; a limit that cannot be read must not be skipped."""
    broken = x509.UnrecognizedExtension(OID_OF_LIST, der)
    signer = (ISSUING, ROOT)[position].key
    chain = list(HELD.chain[:2])
    chain[position] = reissued(chain[position], signer, without=(OID_OF_LIST,), extra=[(broken, False)])
    verdict = TrustStore([ROOT.anchor()]).judge_chain(chain, NOW)
    assert (verdict.outcome, verdict.rule) == (Outcome.REFUSED, Rule.CHAIN)


def test_both_kinds_of_limit_hold_an_authority() -> None:
    """An authority made by the profile carries nameConstraints and a TNAuthList; either one alone is enough."""
    narrow = ROOT.authority("Narrow", prefixes=["+1303"], key_number=95)
    forged = narrow.foreign_number()
    assert judged(narrow, leaf=forged.chain[0]).rule is Rule.PATH
    by_names = reissued(narrow.certificate, ROOT.key, without=(OID_OF_LIST,))
    assert judged(narrow.with_certificate(by_names), leaf=forged.chain[0]).rule is Rule.PATH
    by_list = reissued(narrow.certificate, ROOT.key, without=(x509.NameConstraints,))
    assert judged(narrow.with_certificate(by_list), leaf=forged.chain[0]).rule is Rule.NUMBERS_COVERED
    own = Held(STRANGER, small_pki.key(3), narrow.number(STRANGER).chain)
    assert TrustStore([ROOT.anchor()]).judge(own.call()).outcome is Outcome.VERIFIED
