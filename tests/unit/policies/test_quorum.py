from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyError
from policies.facts import Use
from policies.quorum import MOST_WAYS, Group, Opinion, Quorum, Quorums
from policies.terms import Purpose
from policies.verdicts import Outcome, Rule
from stir.telephone_number import NumberPrefix, TelephoneNumber

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
NUMBER = TelephoneNumber.parse("+12025550123")
CALL = Use(NUMBER, NOW, Purpose.CALL)
OPERATORS = {name: name.upper() for name in ("a", "b", "c", "d", "e")} | {"a2": "A"}


def group(name: str, need: int | str, *members: str) -> Group:
    """Return a group on some line."""
    return Group(name, need, members, "trust.toml:20")


def quorums(*groups: Group, asked: str | None = None) -> Quorums:
    """Return the quorum of the last group, or of what is asked for."""
    return Quorums(groups, (Quorum(asked or groups[-1].name, "trust.toml:30"),), OPERATORS)


def opinions(*anchors: str) -> list[Opinion]:
    """Return an authority's opinion for each anchor; `a+b` is one authority below two anchors."""
    return [Opinion(f"key of {names}", tuple(names.split("+"))) for names in anchors]


def is_met(held: Quorums, *anchors: str, use: Use = CALL) -> bool:
    """Tell whether certificates below these anchors are enough."""
    return held.judge(use, opinions(*anchors)).passed


TWO_OF_FIVE = group("five", 2, "a", "b", "c", "d", "e")
TWO_LEVELS = (group("x", 2, "a", "b", "c"), group("y", "any", "d", "e"), group("g", "all", "x", "y"))
COUNTED = [
    # what is asked for, who certified, whether that is enough
    (quorums(TWO_OF_FIVE), ("a", "d"), True),
    (quorums(TWO_OF_FIVE), ("a", "b", "c", "d", "e"), True),
    (quorums(TWO_OF_FIVE), ("a",), False),
    (quorums(TWO_OF_FIVE), (), False),
    (quorums(TWO_OF_FIVE), ("stranger", "a"), False),
    (quorums(group("g", "any", "a", "b")), ("b",), True),
    (quorums(group("g", "any", "a", "b")), ("c",), False),
    (quorums(group("g", "all", "a", "b")), ("a", "b"), True),
    (quorums(group("g", "all", "a", "b")), ("a",), False),
    (quorums(asked="a"), ("a",), True),
    (quorums(asked="a"), ("b",), False),
    # one operator counts once, by whichever of its anchors
    (quorums(group("g", 2, "a", "a2", "b")), ("a", "a2"), False),
    (quorums(group("g", 2, "a", "a2", "b")), ("a2", "b"), True),
    (quorums(group("g", "all", "a", "a2", "b")), ("a2", "b"), True),
    # groups in groups
    (
        quorums(group("x", 2, "a", "b", "c"), group("y", "any", "d", "e"), group("g", "all", "x", "y")),
        ("a", "c"),
        False,
    ),
    (
        quorums(group("x", 2, "a", "b", "c"), group("y", "any", "d", "e"), group("g", "all", "x", "y")),
        ("a", "c", "e"),
        True,
    ),
    (quorums(group("x", "all", "a", "b"), group("g", "any", "x", "c")), ("c",), True),
    (quorums(group("x", "all", "a", "b"), group("g", 2, "x", "c", "d")), ("a", "c"), False),
    # one authority below two anchors is one opinion, and counts where it helps
    (quorums(TWO_OF_FIVE), ("a+b",), False),
    (quorums(TWO_OF_FIVE), ("a+b", "a"), True),
    (quorums(TWO_OF_FIVE), ("a+b", "a+b"), False),
    (quorums(group("g", "all", "b", "c")), ("a+b", "c"), True),
]


@pytest.mark.parametrize(("held", "certified", "enough"), COUNTED)
def test_distinct_operators_are_counted(held: Quorums, certified: tuple[str, ...], enough: bool) -> None:
    """`all`, `any` and k of n, over anchors and groups (C2SP tlog-policy)."""
    found = held.judge(CALL, opinions(*certified))
    assert (found.passed, found.rule, found.source) == (enough, Rule.QUORUM, "trust.toml:30")


@given(st.sets(st.sampled_from("abcde")), st.integers(1, 5))
def test_k_of_n_is_met_by_k_or_more(certified: set[str], need: int) -> None:
    """Whichever they are."""
    assert is_met(quorums(group("g", need, *"abcde")), *certified) is (len(certified) >= need)


def test_what_is_missing_is_told() -> None:
    """The group, its members, who certified, and why others do not count."""
    found = quorums(TWO_OF_FIVE).judge(CALL, opinions("a"), ["it was revoked"])
    assert found.outcome is Outcome.REFUSED
    assert found.reason == (
        "you ask for 2 of 5 of five (a, b, c, d, e), and this key was certified by a (A); "
        "another certificate does not count: it was revoked"
    )
    assert quorums(asked="a").judge(CALL, ()).reason == (
        "you ask for a, and this key was certified by none of your anchors"
    )
    assert "all 2 of" not in quorums(group("g", "all", "a", "b")).in_words("g")
    assert quorums(group("g", "any", "a", "b"), group("h", "all", "g", "c")).in_words("h") == "2 of 2 of h (g, c)"
    assert quorums(TWO_OF_FIVE).judge(CALL, opinions("a", "b")).reason == "this key was certified by a (A) and b (B)"


SCOPES = [
    (Quorum("a", "x"), CALL, True),
    (Quorum("a", "x", prefixes=(NumberPrefix.parse("+1202"),)), CALL, True),
    (Quorum("a", "x", prefixes=(NumberPrefix.parse("+44"),)), CALL, False),
    (Quorum("a", "x", purposes=(Purpose.CALL, Purpose.RECORD)), CALL, True),
    (Quorum("a", "x", purposes=(Purpose.MESSAGE,)), CALL, False),
    (Quorum("a", "x", purposes=(Purpose.MESSAGE,)), Use(NUMBER, NOW), True),
    (Quorum("a", "x", apps=("chat.example",)), CALL, False),
    (Quorum("a", "x", apps=("chat.example",)), Use(NUMBER, NOW, Purpose.RECORD, "chat.example"), True),
    (Quorum("a", "x", apps=("chat.example",)), Use(NUMBER, NOW, Purpose.RECORD, "mail.example"), False),
]


@pytest.mark.parametrize(("quorum", "use", "asked"), SCOPES)
def test_a_quorum_is_asked_for_within_its_scope(quorum: Quorum, use: Use, asked: bool) -> None:
    """By number, use and app; elsewhere one anchor is enough."""
    held = Quorums(quorums=(quorum,), operators=OPERATORS)
    assert bool(held.asked(use)) is asked
    assert held.judge(use, opinions("b")).passed is not asked


def test_every_quorum_in_scope_must_be_met() -> None:
    """The first that is not decides, by its line."""
    held = Quorums((TWO_OF_FIVE,), (Quorum("five", "trust.toml:30"), Quorum("e", "trust.toml:40")), OPERATORS)
    assert is_met(held, "a", "e")
    assert held.judge(CALL, opinions("a", "b")).source == "trust.toml:40"


def test_whether_a_quorum_can_be_met_is_told() -> None:
    """By the anchors that are left."""
    held = quorums(TWO_OF_FIVE)
    assert held.can_be_met(held.quorums[0], ["a", "c"])
    assert not held.can_be_met(held.quorums[0], ["a"])


BROKEN: list[tuple[Iterable[Group], str, str]] = [
    ((group("g", 1, "nobody"),), "g", "'nobody' is no anchor, and no group that stands above"),
    ((group("g", 1, "g"),), "g", "'g' is no anchor"),
    ((group("g", 1, "h"), group("h", 1, "g")), "g", "'h' is no anchor"),
    ((group("a", 1, "b"),), "a", "the name 'a' is taken"),
    ((group("g", 1, "a"), group("g", 1, "b")), "g", "the name 'g' is taken"),
    ((group("g", 3, "a", "b"),), "g", "needs 3 of 2"),
    ((group("g", 2, "a", "a2"),), "g", "needs 2 of 1; anchors of one operator count once"),
    ((group("g", 0, "a"),), "g", "needs 0 of 1"),
    ((), "nothing", "'nothing' is no anchor and no group"),
    ((group("g", 1, "a", "a"),), "g", "'a' stands in it twice"),
    ((group("g", 1, "a"), group("h", 1, "a", "g")), "h", "'a' stands in it twice"),
    ((group("g", 1, "a", "b"), group("h", 1, "a2", "g")), "h", "A stands in two groups of it"),
]


@pytest.mark.parametrize(("groups", "asked", "told"), BROKEN)
def test_groups_that_do_not_hold_together_are_refused(groups: tuple[Group, ...], asked: str, told: str) -> None:
    """C2SP tlog-policy: backward references only, each name once, 1 <= k <= n; and each operator in one group."""
    with pytest.raises(PolicyError, match=told) as caught:
        quorums(*groups, asked=asked)
    assert str(caught.value).startswith("trust.toml:")


def test_two_quorums_may_share_a_group() -> None:
    """That each counts once holds below one quorum."""
    held = Quorums((group("g", 1, "a", "b"), group("h", 1, "a", "c")), (Quorum("g", "x"), Quorum("h", "y")), OPERATORS)
    assert is_met(held, "a")
    assert not is_met(held, "b")


def test_the_work_of_counting_is_bounded() -> None:
    """Many authorities below many anchors are not tried in all ways."""
    names = {f"n{number}": f"operator {number}" for number in range(40)}
    held = Quorums((Group("g", 40, tuple(names), "x"),), (Quorum("g", "x"),), names)
    many = [Opinion(str(number), tuple(names)) for number in range(8)]
    assert MOST_WAYS < 1000
    assert not held.judge(CALL, many).passed
