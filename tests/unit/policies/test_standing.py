from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from policies import belief, verdicts
from policies.facts import CertificateFacts, PathFacts, Use
from policies.precedence import Layer, LayerKind, Offer, effective
from policies.terms import Purpose, Settings, Standing, Terms
from policies.verdicts import Finding, Outcome, Rule
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CALLER = TelephoneNumber.parse("+12025550123")
DAY = timedelta(days=1)


def standing(name: str = "street-list", *, fresh: int = 1, ends: int = 15, note: str = "") -> Standing:
    """Return the standing of a list that is good for so many days."""
    return Standing(name, NOW + fresh * DAY, NOW + ends * DAY, "trust.toml:4", note)


def offer(of: Standing | None) -> Offer:
    """Return an anchor that stands on a list, or on nobody's."""
    return Offer("aa", Terms("x", "X Ltd", "list.toml:1", standing=of))


def findings(of: Standing | None) -> list[Finding]:
    """Return what the rules find of a call whose certificates lead to such an anchor."""
    leaf = CertificateFacts("the number's certificate", NOW - DAY, NOW + DAY, TnAuthList.for_number(CALLER))
    root = CertificateFacts("the authority X", NOW - DAY, NOW + DAY, None)
    path = PathFacts((leaf, root), offer(of).terms)
    return list(verdicts.in_order(belief.on_path(path, Use(CALLER, NOW, Purpose.CALL), Settings())))


@pytest.mark.parametrize(
    ("of", "outcome", "words"),
    [
        (None, Outcome.VERIFIED, "lead to x (X Ltd)"),
        (standing(), Outcome.VERIFIED, "lead to x (X Ltd)"),
        (standing(fresh=0), Outcome.VERIFIED, "lead to x (X Ltd)"),
        (
            standing(fresh=-1),
            Outcome.VERIFIED,
            "out of date since 2026-05-31 12:00 UTC; its anchors count until 2026-06-16: run `answerback trust update`",
        ),
        (
            standing(fresh=-15, ends=0),
            Outcome.VERIFIED,
            "its anchors count until 2026-06-01: run `answerback trust update`",
        ),
        (
            standing(fresh=-15, ends=-1),
            Outcome.UNVERIFIED,
            "so its anchors count no more: run `answerback trust update`",
        ),
        (standing(note="it has left the list"), Outcome.VERIFIED, "lead to x (X Ltd); it has left the list"),
        (standing(fresh=-1, note="it has left"), Outcome.VERIFIED, "`answerback trust update`; it has left"),
    ],
)
def test_a_list_is_warned_of_and_then_believed_no_more(of: Standing | None, outcome: Outcome, words: str) -> None:
    """While it is out of date the verdict says so; after the grace its anchors vouch for nobody."""
    found = verdicts.verdict(findings(of))
    assert found.outcome is outcome
    assert found.reason.endswith(words)
    assert found.rule is (Rule.ANCHOR if outcome is Outcome.VERIFIED else Rule.LIST)
    assert found.source == ("list.toml:1" if outcome is Outcome.VERIFIED else "trust.toml:4")


def test_a_warning_stands_with_a_quorum_too() -> None:
    """Whatever the verdict rests on, what a rule warns of is told behind it."""
    quorum = Finding(Rule.QUORUM, "this key was certified by x and y", source="trust.toml:9")
    found = verdicts.verdict([*findings(standing(note="mind this")), quorum])
    assert (found.rule, found.reason) == (Rule.QUORUM, "this key was certified by x and y; mind this")


@pytest.mark.parametrize("kind", [LayerKind.LOCAL, LayerKind.APP])
def test_whoever_names_the_anchor_needs_no_list_for_it(kind: LayerKind) -> None:
    """A list that goes out of date takes nothing away that the user or an app offers."""
    layers = [Layer(LayerKind.LIST, "one", (offer(standing("one")),)), Layer(kind, "", (offer(None),))]
    for order in (layers, layers[::-1]):
        (found,) = effective(order).offers
        assert found.terms.standing is None


def test_of_several_lists_the_one_that_holds_longest_counts() -> None:
    """One list that is kept up to date is enough for an anchor that stands on both."""
    layers = [Layer(LayerKind.LIST, name, (offer(standing(name, ends=ends)),)) for name, ends in (("a", 1), ("b", 2))]
    for order in (layers, layers[::-1]):
        (found,) = effective(order).offers
        assert found.terms.standing == standing("b", ends=2)
