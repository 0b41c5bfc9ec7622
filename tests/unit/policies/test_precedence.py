from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import belief, verdicts
from policies.facts import CertificateFacts, PathFacts, Use
from policies.precedence import Effective, Layer, LayerKind, Offer, effective, narrowed
from policies.quorum import Group, Quorum
from policies.terms import Deny, KeyType, Purpose, Settings, Terms
from policies.transitions import Transition, TransitionKind
from policies.verdicts import Outcome
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CALLER = TelephoneNumber.parse("+12025550123")
X, Y = "aa", "bb"
"""Two anchors, by the SHA-256 of their certificates."""
DC, US, LONDON = (NumberPrefix.parse(text) for text in ("+1202", "+1", "+4420"))


def offer(sha256: str = X, name: str = "x", source: str = "trust.toml:1", **terms: Any) -> Offer:  # noqa: ANN401
    """Return an anchor on some terms."""
    return Offer(sha256, Terms(name, f"Operator of {name}", source, **terms))


def own(*offers: Offer, **said: Any) -> Layer:  # noqa: ANN401
    """Return the user's own word."""
    return Layer(LayerKind.LOCAL, "home", offers, **said)


def curated(*offers: Offer, name: str = "list", **said: Any) -> Layer:  # noqa: ANN401
    """Return a curator's word."""
    return Layer(LayerKind.LIST, name, offers, **said)


def shipped(*offers: Offer, **said: Any) -> Layer:  # noqa: ANN401
    """Return what an app ships."""
    return Layer(LayerKind.APP, "app", offers, **said)


def verdict(counts: Effective) -> tuple[Outcome, str | None]:
    """Return the verdict on a call from +1 202 whose certificates lead to anchor X, and the line that decides."""
    day = timedelta(days=1)
    leaf = CertificateFacts("the number's certificate", NOW - day, NOW + day, TnAuthList.for_number(CALLER))
    root = CertificateFacts("the authority X", NOW - day, NOW + day, None, frozenset({X}))
    findings = [belief.denied_number(CALLER, counts.denies), belief.denied_certificate([leaf, root], counts.denies)]
    for one in counts.offers:
        if one.sha256 == X:
            path = PathFacts((leaf, root), one.terms)
            findings.extend(belief.on_path(path, Use(CALLER, NOW, Purpose.CALL), counts.settings))
    found = verdicts.verdict(verdicts.in_order(findings))
    return found.outcome, found.source


VERIFIED, UNVERIFIED, REFUSED = Outcome
FAR = {"prefixes": (LONDON,), "sources": {"prefixes": "far:2"}}
NEAR = {"prefixes": (DC,), "sources": {"prefixes": "near:2"}}
WIDE = {"prefixes": (US,), "sources": {"prefixes": "wide:2"}}
DENY_NUMBER, DENY_X = Deny("deny:1", number=CALLER), Deny("deny:2", certificate=X)
PRECEDENCE: list[tuple[str, list[Layer], Outcome, str | None]] = [
    # membership: any layer may name an anchor
    ("nobody names it", [own(), curated(), shipped()], UNVERIFIED, None),
    ("the user names it", [own(offer())], VERIFIED, "trust.toml:1"),
    ("a list names it", [own(), curated(offer(source="list:1"))], VERIFIED, "list:1"),
    ("an app names it", [own(), shipped(offer(source="app:1"))], VERIFIED, "app:1"),
    ("the user stands first", [shipped(offer(source="app:1")), own(offer())], VERIFIED, "trust.toml:1"),
    ("a list stands before an app", [shipped(offer(source="app:1")), curated(offer(source="l:1"))], VERIFIED, "l:1"),
    # a list narrows, never widens
    ("a list narrows the user", [own(offer()), curated(offer(**FAR))], REFUSED, "far:2"),
    ("a list does not widen the user", [own(offer(**FAR)), curated(offer())], REFUSED, "far:2"),
    ("nor with a constraint of its own", [own(offer(**FAR)), curated(offer(**NEAR))], REFUSED, "far:2 and near:2"),
    ("what both allow is allowed", [own(offer(**WIDE)), curated(offer(**NEAR))], VERIFIED, "trust.toml:1"),
    ("a list narrows another", [own(), curated(offer()), curated(offer(**FAR), name="b")], REFUSED, "far:2"),
    ("and does not widen it", [own(), curated(offer(**FAR)), curated(offer(), name="b")], REFUSED, "far:2"),
    ("a list's limit narrows", [own(offer()), curated(limits=(offer(**FAR),))], REFUSED, "far:2"),
    ("a limit offers nothing", [own(limits=(offer(),)), curated(limits=(offer(),))], UNVERIFIED, None),
    ("the user limits a list's", [own(limits=(offer(**FAR),)), curated(offer())], REFUSED, "far:2"),
    ("the user limits an app's", [own(limits=(offer(**FAR),)), shipped(offer())], REFUSED, "far:2"),
    ("a list narrows an app's", [own(), shipped(offer()), curated(limits=(offer(**FAR),))], REFUSED, "far:2"),
    ("an app's terms narrow a list's", [own(), curated(offer()), shipped(offer(**FAR))], REFUSED, "far:2"),
    # the user overrides an app
    ("the user widens an app's", [own(offer()), shipped(offer(**FAR))], VERIFIED, "trust.toml:1"),
    ("the user narrows an app's", [own(offer(**FAR)), shipped(offer())], REFUSED, "far:2"),
    ("the user leaves an app out", [own(app_defaults=False), shipped(offer())], UNVERIFIED, None),
    # denies stand above all
    ("the user denies the number", [own(offer(), denies=(DENY_NUMBER,))], REFUSED, "deny:1"),
    ("the user denies an app's anchor", [own(denies=(DENY_X,)), shipped(offer())], REFUSED, "deny:2"),
    ("the user denies a list's anchor", [own(denies=(DENY_X,)), curated(offer())], REFUSED, "deny:2"),
    ("a deny stands above a constraint", [own(offer(**FAR), denies=(DENY_X,))], REFUSED, "deny:2"),
    ("a list denies the user's anchor", [own(offer()), curated(denies=(DENY_X,))], REFUSED, "deny:2"),
    ("an app denies a number", [own(offer()), shipped(denies=(DENY_NUMBER,))], REFUSED, "deny:1"),
    (
        "unless the user leaves the app out",
        [own(offer(), app_defaults=False), shipped(denies=(DENY_NUMBER,))],
        VERIFIED,
        "trust.toml:1",
    ),
]


@pytest.mark.parametrize(
    ("layers", "outcome", "source"), [row[1:] for row in PRECEDENCE], ids=[row[0] for row in PRECEDENCE]
)
def test_precedence(layers: list[Layer], outcome: Outcome, source: str | None) -> None:
    """Local deny > local constraints and list constraints > list membership; an app's word is a default."""
    assert verdict(effective(layers)) == (outcome, source)


BOTH: list[tuple[str, Any, Any, Any]] = [
    # constraint, what one layer says, what another says, what counts
    ("prefixes", (US,), (DC, LONDON), (DC,)),
    ("prefixes", (DC, LONDON), (LONDON,), (LONDON,)),
    ("prefixes", (DC,), (LONDON,), ()),
    ("purposes", (Purpose.CALL, Purpose.RECORD), (Purpose.RECORD, Purpose.MESSAGE), (Purpose.RECORD,)),
    ("issued_not_after", date(2026, 1, 1), date(2026, 2, 1), date(2026, 1, 1)),
    ("until", date(2026, 3, 1), date(2026, 2, 1), date(2026, 2, 1)),
    ("methods", (ValidationMethod.SMS_CODE,), (ValidationMethod.SMS_REPLY,), ()),
    ("longest_life", timedelta(days=8), timedelta(days=2), timedelta(days=2)),
    ("authority_keys", (KeyType.P256, KeyType.P384), (KeyType.P384,), (KeyType.P384,)),
    ("scts", 1, 2, 2),
    ("scts", 3, 2, 3),
    ("logs", ("a", "b"), ("b", "c"), ("b",)),
    ("log_operators", ("A",), ("A", "B"), ("A",)),
]


@pytest.mark.parametrize(("key", "one", "other", "both"), BOTH)
def test_of_two_constraints_the_narrower_counts_and_keeps_its_line(
    key: str, one: object, other: object, both: object
) -> None:
    """In either order, and where only one of the two is set."""
    first = Terms("x", "X", "a:1", sources={key: "a:2"}, **{key: one})  # type: ignore[arg-type]
    second = Terms("y", "Y", "b:1", sources={key: "b:2"}, **{key: other})  # type: ignore[arg-type]
    bare = Terms("z", "Z", "c:1")
    settings = Settings()
    for found in (narrowed(first, second, settings), narrowed(second, first, settings)):
        assert getattr(found, key) == both
    place = "a:2" if both == one else "b:2" if both == other else "a:2 and b:2"
    assert narrowed(first, second, settings).source_of(key) == place
    assert narrowed(first, bare, settings) == first
    assert getattr(narrowed(bare, second, settings), key) == other
    assert narrowed(bare, second, settings).source_of(key) == "b:2"
    assert (narrowed(bare, second, settings).name, narrowed(bare, second, settings).source) == ("z", "c:1")


def test_a_list_asks_for_no_fewer_timestamps_than_the_settings() -> None:
    """Only the user's own entry may stand in place of the settings with less."""
    terms = Terms("x", "X", "a:1")
    assert narrowed(terms, replace(terms, scts=1), Settings(scts=2)).scts is None
    assert narrowed(terms, replace(terms, scts=3), Settings(scts=2)).scts == 3
    assert narrowed(replace(terms, scts=0), replace(terms, scts=1), Settings(scts=2)).scts == 1


PREFIXES = st.none() | st.lists(
    st.text("0123", min_size=1, max_size=3).filter(lambda text: text[0] != "0").map(NumberPrefix), max_size=3
).map(tuple)


@given(PREFIXES, PREFIXES, st.text("0123", min_size=6, max_size=6))
def test_a_number_is_allowed_where_both_allow_it(
    one: tuple[NumberPrefix, ...] | None, other: tuple[NumberPrefix, ...] | None, digits: str
) -> None:
    """Neither more nor less."""

    def allows(prefixes: tuple[NumberPrefix, ...] | None) -> bool:
        return prefixes is None or any(prefix.covers(number) for prefix in prefixes)

    number = TelephoneNumber("1" + digits)
    terms = Terms("x", "X", "a:1")
    both = narrowed(replace(terms, prefixes=one), replace(terms, prefixes=other), Settings()).prefixes
    assert allows(both) is (allows(one) and allows(other))


def test_each_setting_is_the_users_or_the_apps_or_the_usual() -> None:
    """With the place where it stands; a list has no say."""
    counts = effective(
        [
            curated(given={"call_seconds": (1, "l:1")}),
            shipped(given={"call_seconds": (30, "app:1"), "scts": (2, "app:2")}),
            own(given={"call_seconds": (60, "trust.toml:1")}),
        ]
    )
    assert (counts.settings.call_seconds, counts.settings.scts) == (60, 2)
    assert counts.settings.sources == {"call_seconds": "trust.toml:1", "scts": "app:2"}
    assert counts.settings.message_seconds == Settings().message_seconds


GROUP, QUORUM = Group("g", 1, ("x",), "app:5"), Quorum("g", "app:6")


def test_an_apps_quorums_are_asked_for_where_the_user_has_none() -> None:
    """The user's own stand in their place, all of them."""
    asking = shipped(groups=(GROUP,), quorums=(QUORUM,))
    assert effective([own(), asking]).quorums == (QUORUM,)
    mine = Quorum("x", "trust.toml:6")
    counts = effective([own(quorums=(mine,)), asking])
    assert (counts.groups, counts.quorums) == ((), (mine,))
    assert effective([own(), curated(groups=(GROUP,), quorums=(QUORUM,))]).quorums == ()


def test_every_layers_transitions_count() -> None:
    """Whoever reports that a number changed hands."""
    moved = [Transition(CALLER, NOW, TransitionKind.PORT, f"{layer}:1") for layer in ("own", "list", "app")]
    layers = [own(transitions=(moved[0],)), curated(transitions=(moved[1],)), shipped(transitions=(moved[2],))]
    assert effective(layers).transitions == tuple(moved)


def test_names_are_told_apart() -> None:
    """Two layers may call two anchors alike; one anchor has one name, the user's."""
    counts = effective([own(offer(X, "x")), curated(offer(X, "other"), offer(Y, "x")), shipped(offer("cc", "x@list"))])
    assert [(one.sha256, one.terms.name) for one in counts.offers] == [(X, "x"), (Y, "x@list"), ("cc", "x@list@app")]
