from __future__ import annotations

from datetime import date, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Use
from policies.quorum import Group, Quorum, Quorums
from policies.terms import Deny, Purpose, Settings
from policies.transitions import Transition, TransitionKind, Transitions
from policies.verdicts import Outcome, Rule
from stir.telephone_number import NumberPrefix
from stir.validation_method import ValidationMethod
from tests.fakes import small_pki
from tests.fakes.sealed_log import SealedLog, known
from tests.fakes.small_pki import CALLER, NOW, STRANGER, Authority, reissued
from trust_store import TrustStore
from trust_store.errors import ExpectationError
from trust_store.expectations import answer, read_expectations
from trust_store.fingerprints import sha256_of
from trust_store.prospect import name_constraints_fault, prospects

OTHER = small_pki.root("Other Root", key_number=60)
DC = NumberPrefix.parse("+1202")


def store(root: Authority, **parts: object) -> TrustStore:
    """Return a store that believes two authorities, one of them for messages of +1 202 alone."""
    narrow = OTHER.anchor("narrow", line=9, prefixes=(DC,), purposes=(Purpose.MESSAGE,))
    return TrustStore([root.anchor("wide"), narrow], **parts)  # type: ignore[arg-type]


def holds(asked: TrustStore, *lines: str) -> list[bool]:
    """Tell of each line whether it holds."""
    return [answer(asked, one, NOW).holds for one in read_expectations("\n".join(lines))]


def test_expectations_are_held_against_the_store(root: Authority) -> None:
    """As a person would write them down, with comments; each can fail."""
    text = f"""
    # The wide one is believed for everything,
    {CALLER.e164} by wide for calls: verified  # calls too
    {CALLER.e164} by wide for records in chat.example: verified by anchor
    {CALLER.e164} by narrow for messages: verified
    {CALLER.e164} by narrow for calls: refused by purpose
    {STRANGER.e164} by narrow for messages: refused by anchor-numbers
    {CALLER.e164} by nobody for calls: unverified
    {CALLER.e164} by somebody for calls: unverified
    {CALLER.e164} by narrow and wide for calls: verified
    """
    asked = store(root)
    assert all(holds(asked, text))
    wrong = f"{CALLER.e164} by wide for calls: refused", f"{CALLER.e164} by narrow for calls: refused by until"
    assert holds(asked, *wrong) == [False, False]


def test_an_expectation_may_be_of_another_day(root: Authority) -> None:
    """Of a day to come, on which the user stops to believe."""
    asked = TrustStore([root.anchor("wide", until=date(2026, 6, 30))])
    assert all(
        holds(
            asked,
            f"{CALLER.e164} by wide for calls: verified",
            f"{CALLER.e164} by wide for calls on 2026-06-30: verified",
            f"{CALLER.e164} by wide for calls on 2026-07-01: refused by until",
        )
    )


def test_quorums_and_denies_are_asked_too(root: Authority) -> None:
    """A deny stands above all; a quorum needs several names."""
    quorums = Quorums(
        (Group("both", "all", ("wide", "narrow"), "x"),),
        (Quorum("both", "y", apps=("bank.example",)),),
        {"wide": "Operator of wide", "narrow": "Operator of narrow"},
    )
    asked = store(root, quorums=quorums, denies=[Deny("d", number=STRANGER)])
    assert all(
        holds(
            asked,
            f"{CALLER.e164} by wide for messages in bank.example: refused by quorum",
            f"{CALLER.e164} by wide and narrow for messages in bank.example: verified by quorum",
            f"{CALLER.e164} by wide and narrow for calls in bank.example: refused by quorum",
            f"{STRANGER.e164} by wide for calls: refused by denied-number",
        )
    )


def test_a_prospect_is_made_as_well_as_can_be(root: Authority) -> None:
    """Proved, short-lived and logged as the user asks for; only what nothing can mend refuses it."""
    strict = root.anchor(
        "strict",
        methods=(ValidationMethod.SMS_ROUTES,),
        longest_life=timedelta(hours=1),
        issued_not_after=date(2026, 6, 1),
        scts=1,
    )
    line = f"{CALLER.e164} by strict for calls: verified"
    assert holds(TrustStore([strict], logs=known(SealedLog())), line) == [True]
    assert holds(TrustStore([strict]), line.replace("verified", "refused by logged")) == [True]
    moved = Transitions.of([Transition(CALLER, NOW + timedelta(hours=1), TransitionKind.PORT, "x")])
    told = line.replace("strict", "example-ca").replace("verified", "refused by transition")
    assert holds(TrustStore([root.anchor()], transitions=moved), told) == [True]
    denied = [Deny("d", certificate=sha256_of(root.certificate))]
    told = told.replace("transition", "denied-certificate")
    assert holds(TrustStore([root.anchor()], denied), told) == [True]
    assert holds(TrustStore([root.anchor()], settings=Settings(proofs=2)), line.replace("strict", "example-ca")) == [
        True
    ]


def constrained(limits: x509.NameConstraints) -> x509.Certificate:
    """Return an authority's certificate with nameConstraints alone."""
    plain = small_pki.root()
    return reissued(plain.certificate, plain.key, extra=[(limits, True)])


def names(*prefixes: str) -> list[x509.GeneralName]:
    """Return the ENUM domains of prefixes."""
    return [x509.DNSName(NumberPrefix.parse(prefix).enum_domain) for prefix in prefixes]


@pytest.mark.parametrize(
    ("permitted", "excluded", "fault"),
    [
        (names("+1202"), None, None),
        (names("+44", "+12025550123"), None, None),
        (names("+44"), None, "outside"),
        (None, names("+1202"), "exclude"),
        (names("+1"), names("+1202"), "exclude"),
        ([x509.UniformResourceIdentifier("example.com")], None, None),
    ],
)
def test_an_authoritys_own_constraints_are_asked(
    permitted: list[x509.GeneralName] | None, excluded: list[x509.GeneralName] | None, fault: str | None
) -> None:
    """They hold as well as the user's."""
    certificate = constrained(x509.NameConstraints(permitted, excluded))
    found = name_constraints_fault(certificate, CALLER)
    assert (found is None) if fault is None else (found is not None and fault in found)
    narrow = small_pki.root(prefixes=["+1303"]).anchor()
    assert holds(TrustStore([narrow]), f"{CALLER.e164} by example-ca for calls: refused by path") == [True]
    assert name_constraints_fault(small_pki.root().certificate, CALLER) is None


def test_a_number_is_explained_by_each_anchor(root: Authority) -> None:
    """Who could certify it so that it is believed."""
    found = prospects(store(root), Use(CALLER, NOW, Purpose.CALL))
    assert found.denied.passed
    assert [one.is_believed for one in found.anchors] == [True, False]
    assert found.anchors[1].findings[-1].rule is Rule.PURPOSE
    assert found.quorums == ()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("+12025550123 by a for calls", "write it as"),
        ("+12025550123 by a for faxes: verified", "write it as"),
        ("+12025550123 by a and for calls: verified", "write it as"),
        ("12025550123 by a for calls: verified", "begins with"),
        ("+12025550123 by a for calls on 2026-02-30: verified", "day is out of range"),
        ("+12025550123 by a for calls: refused by magic", "magic"),
    ],
)
def test_a_line_that_says_nothing_is_told(line: str, told: str) -> None:
    """With its number; a misspelled expectation must not hold."""
    with pytest.raises(ExpectationError, match=told) as caught:
        read_expectations(f"# first\n\n{line}\n")
    assert str(caught.value).startswith("line 3: ")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No line makes the reader raise anything else."""
    try:
        read = read_expectations(text)
    except ExpectationError:
        return
    assert all(one.outcome in Outcome for one in read)
