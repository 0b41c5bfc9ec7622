from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.transitions import Transition, TransitionKind
from stir.telephone_number import TelephoneNumber
from tests.fakes.small_pki import CALLER, NOW, Authority, Held
from trust_store import Outcome, Rule, TrustHome, TrustStore
from trust_store.editing import add_anchor
from trust_store.errors import TrustFileError
from trust_store.feeds import read_feed

GOOD = "# number,date,kind\n\n+12025550123,2026-05-01,port\n +442079460018 , 2026-05-01T12:00:00Z , reassignment\n"


def test_a_feed_is_read_with_its_lines(tmp_path: Path) -> None:
    """A day counts to its end, a time as it is."""
    feed = tmp_path / "ports.csv"
    feed.write_text(GOOD)
    assert list(read_feed(feed, Path("trust.toml:1"))) == [
        Transition(
            TelephoneNumber.parse("+12025550123"),
            datetime(2026, 5, 2, tzinfo=UTC),
            TransitionKind.PORT,
            "ports.csv:3",
        ),
        Transition(
            TelephoneNumber.parse("+442079460018"),
            datetime(2026, 5, 1, 12, tzinfo=UTC),
            TransitionKind.REASSIGNMENT,
            "ports.csv:4",
        ),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "+12025550123,2026-05-01",
        "+12025550123,2026-05-01,port,more",
        "12025550123,2026-05-01,port",
        "+12025550123,yesterday,port",
        "+12025550123,2026-05-01T12:00:00,port",
        "+12025550123,9999-12-31T23:00:00-05:00,port",
        "+12025550123,2026-05-01,lost",
    ],
)
def test_a_line_that_is_none_makes_the_feed_an_error(tmp_path: Path, line: str) -> None:
    """It would be a change that nobody notices. What is right is told, and not what stands there."""
    feed = tmp_path / "ports.csv"
    feed.write_text(f"{GOOD}{line}\n")
    with pytest.raises(TrustFileError, match=r"ports\.csv:5: a line is") as caught:
        list(read_feed(feed, Path("trust.toml:1")))
    assert "lost" not in str(caught.value)


def test_a_time_counts_as_the_moment_that_it_is(tmp_path: Path) -> None:
    """In whichever zone it is written, it is told in UTC."""
    feed = tmp_path / "ports.csv"
    feed.write_text("+12025550123,2026-05-01T22:30:00-05:00,port\n")
    (found,) = read_feed(feed, Path("trust.toml:1"))
    assert found.until.isoformat() == "2026-05-02T03:30:00+00:00"


def test_a_feed_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that names it."""
    feed = tmp_path / "ports.csv"
    for prepare, told in (
        (lambda: None, "No such file"),
        (lambda: feed.write_bytes(b"\xff"), "not plain text"),
        (lambda: monkeypatch.setattr("trust_store.feeds.LARGEST_FEED", 0), "larger than"),
    ):
        prepare()
        if told == "larger than":
            feed.write_text(GOOD)
        with pytest.raises(TrustFileError, match=told) as caught:
            list(read_feed(feed, Path("trust.toml:7")))
        assert str(caught.value).startswith("trust.toml:7: the feed")


def test_a_number_that_changed_hands_is_believed_by_a_new_certificate_only(
    home: TrustHome, root: Authority, held: Held
) -> None:
    """Reported in the file itself, or in a feed that it names."""
    add_anchor(home, root.anchor())
    assert TrustStore.load(home.trust_file).judge(held.call()).outcome is Outcome.VERIFIED
    before = home.trust_file.read_text()
    entry = f'\n[[transition]]\nnumber = "{CALLER.e164}"\ndate = {NOW.date()}\nkind = "port"\n'
    home.trust_file.write_text(before + entry)
    found = TrustStore.load(home.trust_file).judge(held.call())
    assert (found.outcome, found.rule) == (Outcome.REFUSED, Rule.TRANSITION)
    assert found.source == "trust.toml:10"
    home.trust_file.write_text(before + '\n[[feed]]\nfile = "ports.csv"\n')
    (home.trust_file.parent / "ports.csv").write_text(f"{CALLER.e164},{NOW.date()},reassignment\n")
    found = TrustStore.load(home.trust_file).judge(held.call())
    assert (found.rule, found.source) == (Rule.TRANSITION, "ports.csv:1")
