from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from policies.terms import Settings
from policies.verdicts import Outcome, Rule
from trust_store.entries import (
    AnchorEntry,
    AuditorEntry,
    ConstrainedEntry,
    DenyEntry,
    FeedEntry,
    GroupEntry,
    LimitEntry,
    LogEntry,
    QuorumEntry,
    SettingsEntry,
    SubscriptionEntry,
    TransitionEntry,
    TrustFileContent,
    WitnessEntry,
)
from trust_store.trust_file import parse

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "trust-toml.md").read_text()
VERDICTS = (DOCS / "explanation" / "verdicts.md").read_text()


OTHERS: list[tuple[str, type]] = [
    ("`[[group]]`", GroupEntry),
    ("`[[quorum]]`", QuorumEntry),
    ("`[[limit]]`", LimitEntry),
    ("`[[transition]]`", TransitionEntry),
    ("`[[feed]]`", FeedEntry),
    ("`[[log]]`", LogEntry),
    ("`[[witness]]`", WitnessEntry),
    ("`[[auditor]]`", AuditorEntry),
    ("`[[subscription]]`", SubscriptionEntry),
]


def first_cells(page: str, section: str) -> list[str]:
    """Return what stands in backquotes in the first column of a section's table."""
    text = page.split(f"## {section}", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_the_rules_are_documented_in_their_order() -> None:
    """What a verdict names can be looked up."""
    assert first_cells(VERDICTS, "The rules, in order") == [rule.value for rule in Rule]
    assert all(f"*{outcome}*" in VERDICTS for outcome in Outcome)


@pytest.mark.parametrize(
    ("section", "entry"),
    [("`[[anchor]]`", AnchorEntry), ("`[settings]`", SettingsEntry), ("`[[deny]]`", DenyEntry), *OTHERS],
)
def test_every_key_is_documented(section: str, entry: type) -> None:
    """And no key that there is not."""
    documented = set(first_cells(REFERENCE, section))
    elsewhere = {DenyEntry: {"note"}, LimitEntry: set(ConstrainedEntry.__struct_fields__)}
    assert documented | elsewhere.get(entry, set()) == set(entry.__struct_fields__)


def test_the_defaults_are_documented() -> None:
    """As they are."""
    usual = Settings()
    shown = re.findall(r"^\| `(\w+)` \| `?\"?([\w-]+)\"?`? \|", REFERENCE, re.MULTILINE)
    defaults = {name: str(getattr(usual, name, True)).lower() for name in SettingsEntry.__struct_fields__}
    assert defaults == dict(shown)


def test_the_example_is_a_file_that_is_read() -> None:
    """What the reference shows works."""
    (example,) = re.findall(r"^```toml\n(.*?)^```$", REFERENCE, re.MULTILINE | re.DOTALL)
    assert set(tomllib.loads(example)) == set(TrustFileContent.__struct_fields__)
    beliefs = parse(example, Path("trust.toml"))
    assert beliefs.layer.offers[0].terms.name == "our-street"
