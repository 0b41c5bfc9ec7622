from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from policies.terms import Purpose, Terms
from policies.transitions import TransitionKind
from stir.telephone_number import NumberPrefix
from tests.fakes import small_pki
from tests.fakes.sealed_log import SHARD_LENGTH, SealedLog
from tests.fakes.small_crl import AUTHORITY, crl
from tests.fakes.small_pki import NOW, Authority, reissued
from trust_store import Anchor, TrustHome
from trust_store.doctor import Diagnosis, Severity, examine
from trust_store.editing import add_anchor, add_deny, add_log, add_quorum, add_transition
from trust_store.entries import DenyEntry, GroupEntry, QuorumEntry, TransitionEntry
from trust_store.fingerprints import key_sha256_of

DC = NumberPrefix.parse("+1202")


def found(home: TrustHome, now: datetime = NOW) -> list[Diagnosis]:
    """Return what is found of a store whose files were written in time."""
    for path in (home.trust_file, home.seen_messages):
        if path.exists():
            os.utime(path, (0, 0))
    return list(examine(home, now))


def only(home: TrustHome, now: datetime = NOW) -> Diagnosis:
    """Return the one thing that is found."""
    (one,) = found(home, now)
    return one


def until(authority: Authority, ends: datetime, name: str = "example-ca") -> Anchor:
    """Return an anchor whose certificate ends at a time."""
    made = reissued(authority.certificate, authority.key, not_after=ends)
    return Anchor(Terms(name, "Example", "trust.toml:5"), made)


def say(home: TrustHome, text: str) -> None:
    """Write something more into the store."""
    with home.trust_file.open("a") as file:
        file.write(text)


def test_a_good_store_has_nothing(home: TrustHome, root: Authority) -> None:
    """The control of all tests below."""
    add_anchor(home, root.anchor(prefixes=(DC,)))
    assert found(home) == []


def test_a_store_of_nobody_is_told(home: TrustHome) -> None:
    """It believes nobody, which is never meant."""
    one = only(home)
    assert (one.severity, one.source) == (Severity.ERROR, "trust.toml")
    assert "you believe nobody" in one.finding
    assert "answerback trust add" in one.advice


def test_a_damaged_store_is_told(home: TrustHome, root: Authority) -> None:
    """With what the reader says."""
    add_anchor(home, root.anchor())
    say(home, "[[anchor]\n")
    one = only(home)
    assert one.severity is Severity.ERROR
    assert "trust.toml: not TOML" in one.finding


@pytest.mark.parametrize(
    ("ends", "severity", "told"),
    [
        (NOW - timedelta(days=1), Severity.ERROR, "expired on 2026-05-31"),
        (NOW + timedelta(days=29), Severity.WARNING, "expires on 2026-06-30"),
    ],
)
def test_an_anchor_that_ends_is_told(
    home: TrustHome, root: Authority, ends: datetime, severity: Severity, told: str
) -> None:
    """A month before, and from then on."""
    add_anchor(home, until(root, ends))
    one = only(home)
    assert (one.severity, one.source) == (severity, "trust.toml:5")
    assert told in one.finding


def test_an_anchor_that_is_believed_no_longer_is_told(home: TrustHome, root: Authority) -> None:
    """It could be taken out."""
    add_anchor(home, root.anchor(until=date(2026, 5, 31)))
    assert "you stopped believing example-ca on 2026-05-31" in only(home).finding


def test_constraints_that_nothing_meets_are_told(home: TrustHome, root: Authority, tmp_path: Path) -> None:
    """By several sources together, or by the authority's own certificate."""
    app = TrustHome.beside(tmp_path / "app" / "trust.toml")
    add_anchor(app, root.anchor(prefixes=(DC,)))
    home.trust_file.parent.mkdir()
    say(home, f'[[limit]]\nsha256 = "{root.anchor().sha256}"\nprefixes = ["+44"]\n')
    os.utime(home.trust_file, (0, 0))
    (one,) = examine(home, NOW, app.trust_file)
    assert "leaves no prefixes" in one.finding
    narrow = small_pki.root("Narrow", prefixes=["+1303", "+44"], key_number=41)
    other = TrustHome.beside(tmp_path / "other" / "trust.toml")
    add_anchor(other, narrow.anchor(prefixes=(DC, NumberPrefix.parse("+1"), NumberPrefix.parse("+44207"))))
    assert "may certify no number that begins with +1202" in only(other).finding


def test_a_last_day_without_logs_is_told(home: TrustHome, root: Authority) -> None:
    """An authority that dates back evades it."""
    add_anchor(home, root.anchor(issued_not_after=date(2026, 5, 1)))
    assert "dating back" in only(home).finding


def test_logs_that_are_not_there_are_told(home: TrustHome, root: Authority) -> None:
    """No certificate can carry what is asked for."""
    add_anchor(home, root.anchor(scts=2))
    log = SealedLog()
    add_log(home, log.trusted())
    one = only(home)
    assert one.severity is Severity.ERROR
    assert "needs the logs of 2 operators, and you know 1" in one.finding
    late = found(home, NOW + 10 * SHARD_LENGTH)
    told = " ".join(one.finding for one in late)
    assert "and you know 0" in told
    assert "all shards of the log example-log are over" in told


def test_a_general_wish_for_logs_is_told_by_its_own_line(home: TrustHome, root: Authority) -> None:
    """It stands in the settings."""
    add_anchor(home, root.anchor())
    say(home, "\n[settings]\nscts = 1\nproofs = 1\nwitnesses = 1\n")
    diagnoses = found(home)
    assert [one.source for one in diagnoses] == ["trust.toml:11", "trust.toml:12", "trust.toml:13"]


def test_a_quorum_that_nobody_meets_is_told(home: TrustHome, root: Authority) -> None:
    """Too many of its anchors are expired, denied, or believed no longer."""
    other = small_pki.root("Other", key_number=40)
    add_anchor(home, root.anchor("one"))
    add_anchor(home, other.anchor("two", until=date(2026, 7, 1)))
    add_quorum(home, QuorumEntry("both"), GroupEntry("both", 2, ("one", "two")))
    assert found(home) == []
    later = found(home, NOW + timedelta(days=40))
    assert [one.severity for one in later] == [Severity.ERROR, Severity.WARNING]
    assert "nobody can meet the quorum of 2 of 2 of both (one, two)" in later[0].finding
    add_deny(home, DenyEntry(certificate=key_sha256_of(root.certificate)))
    told = [one.finding for one in found(home)]
    assert "nobody can meet" in told[0]
    assert "shadows the anchor one" in told[1]


def test_a_deny_that_shadows_is_told(home: TrustHome, root: Authority) -> None:
    """What takes an anchor's whole use away, and what adds nothing."""
    add_anchor(home, root.anchor(prefixes=(DC,)))
    add_deny(home, DenyEntry(prefix="+1"))
    add_deny(home, DenyEntry(number="+12025550123"))
    add_deny(home, DenyEntry(prefix="+1303"))
    add_deny(home, DenyEntry(certificate="0" * 64))
    shadow, first, second = found(home)
    assert "your deny of +1 shadows all that you believe example-ca for" in shadow.finding
    assert [first.source, second.source] == ["trust.toml:14", "trust.toml:17"]
    assert "adds nothing to the one at trust.toml:11" in first.finding


def test_a_change_to_come_is_told(home: TrustHome, root: Authority) -> None:
    """It may be a slip in the date."""
    add_anchor(home, root.anchor())
    add_transition(home, TransitionEntry("+12025550123", date(2027, 1, 1), TransitionKind.PORT))
    one = only(home)
    assert one.severity is Severity.NOTE
    assert "2027-01-02, which is to come" in one.finding


def test_a_stale_list_of_an_anchor_is_told(home: TrustHome) -> None:
    """Lists of others, and what is none, are passed over."""
    add_anchor(home, AUTHORITY.anchor())
    home.revocation_lists.mkdir()
    for name, data in {
        "a": crl(this_update=NOW - timedelta(days=3)),
        "b": crl(this_update=NOW - timedelta(days=3), issuer=small_pki.root("X", key_number=9).certificate.subject),
        "c": crl(),
        "d": b"nothing",
    }.items():
        (home.revocation_lists / f"{name}.crl").write_bytes(data)
    (home.revocation_lists / "e.crl").mkdir()
    one = only(home)
    assert one.severity is Severity.NOTE
    assert "is out of date since 2026-05-30" in one.finding


def test_a_clock_that_is_behind_is_told(home: TrustHome) -> None:
    """By lists that others signed, or by files that were written here."""
    add_anchor(home, AUTHORITY.anchor())
    home.revocation_lists.mkdir()
    (home.revocation_lists / "a.crl").write_bytes(crl(this_update=NOW + timedelta(hours=3)))
    one = only(home)
    assert one.severity is Severity.ERROR
    assert "clock is behind" in one.finding
    assert "a revocation list is of 2026-06-01 15:00" in one.finding
    (home.revocation_lists / "a.crl").unlink()
    written = (NOW + timedelta(days=1)).timestamp()
    os.utime(home.trust_file, (written, written))
    (one,) = examine(home, NOW)
    assert "trust.toml is of 2026-06-02" in one.finding


def test_a_clock_that_is_ahead_is_told_as_far_as_lists_show_it(home: TrustHome) -> None:
    """Authorities do not give out lists that are out of date; that two of them do is not to be believed."""
    add_anchor(home, AUTHORITY.anchor())
    home.revocation_lists.mkdir()
    other = small_pki.root("Other", key_number=9)
    old = {"this_update": NOW - timedelta(days=3)}
    files = {"a.crl": crl(**old), "b.crl": crl(**old), "c.crl": crl(signer=other, **old), "d.crl": crl()}

    def told(*names: str, came: datetime = NOW) -> list[Severity]:
        for path in home.revocation_lists.iterdir():
            path.unlink()
        for name in names:
            path = home.revocation_lists / name
            path.write_bytes(files[name])
            os.utime(path, (came.timestamp(), came.timestamp()))
        found = [one for one in examine(home, NOW) if "clock is ahead" in one.finding]
        assert all("by 2 days, 0:00:00 at least" in one.finding for one in found)
        return [one.severity for one in found]

    os.utime(home.trust_file, (NOW.timestamp(), NOW.timestamp()))
    assert told() == []
    assert told("a.crl", "b.crl") == [Severity.WARNING]
    assert told("a.crl", "c.crl") == [Severity.ERROR]
    assert told("a.crl", "c.crl", "d.crl") == []
    assert told("a.crl", "c.crl", came=NOW - timedelta(days=2)) == []
    assert told("a.crl", "c.crl", came=NOW + timedelta(days=2)) == []


def test_files_that_others_may_change_are_told(home: TrustHome, root: Authority) -> None:
    """They could choose whom the user believes."""
    add_anchor(home, root.anchor())
    home.trust_file.chmod(0o660)
    one = only(home)
    assert (one.severity, one.advice) == (Severity.ERROR, f"chmod go-w {home.trust_file}")
    home.trust_file.chmod(0o600)
    home.anchors.chmod(0o777)
    assert str(home.anchors) in only(home).finding


def test_files_of_another_user_are_told(home: TrustHome, root: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's owner, who can do as they like, is none of them."""
    add_anchor(home, root.anchor())
    monkeypatch.setattr("trust_store.doctor._own_users", lambda: frozenset({12345}))
    diagnoses = found(home)
    assert diagnoses
    assert all("belongs to another user" in one.finding for one in diagnoses)


def test_the_worst_comes_first(home: TrustHome, root: Authority) -> None:
    """A person reads from the top."""
    add_anchor(home, root.anchor("one", until=date(2026, 5, 1)))
    add_anchor(home, until(small_pki.root("Old", key_number=42), NOW - timedelta(days=1), "old"))
    add_deny(home, DenyEntry(prefix="+1"))
    add_deny(home, DenyEntry(prefix="+1303"))
    assert [one.severity for one in found(home)] == [Severity.ERROR, Severity.WARNING, Severity.NOTE]


def test_the_real_clock_agrees_with_the_real_files(home: TrustHome, root: Authority) -> None:
    """What was written just now is not of the future."""
    add_anchor(home, root.anchor(purposes=(Purpose.CALL,)))
    assert list(examine(home, datetime.now(UTC))) == []
