from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from policies.terms import KeyType, Purpose
from policies.transitions import TransitionKind
from stir.telephone_number import NumberPrefix
from stir.validation_method import ValidationMethod
from tests.fakes import small_pki
from tests.fakes.sealed_log import SHARD_LENGTH, SealedLog, witness
from tests.fakes.small_pki import NOW, Authority
from transparency.signed_note import Ed25519Signer
from trust_store import TrustedLog, TrustHome, TrustStore, TrustStoreError, loading
from trust_store import editing as edit
from trust_store.entries import AuditorEntry, DenyEntry, GroupEntry, QuorumEntry, TransitionEntry, WitnessEntry
from trust_store.errors import AnchorError, LogError, TrustFileError
from trust_store.loading import load
from trust_store.toml_text import TomlText
from trust_store.trust_file import Beliefs, parse_content

BY_HAND = """\
# My own notes.
[settings]
revocation = "required"   # I want to know

# The one in town.
[[anchor]]
name = "first"
operator = "First"  # since 2024
sha256 = "aa{0}"
prefixes = [ # ours
  "+1202",
]  # only here

# Somebody's cousin runs this one.
[[anchor]]
until = 2027-01-01 # then think again
name = "second"
sha256 = "bb{0}"
operator = "Second"

# Never again.
[[deny]]
number = "+12025550123"
# the end
""".format("0" * 62)


def lines_without(*numbers: int) -> str:
    """Return the file without these lines, counted from 1."""
    kept = (line for number, line in enumerate(BY_HAND.splitlines(keepends=True), start=1) if number not in numbers)
    return "".join(kept)


@pytest.fixture
def by_hand(home: TrustHome) -> TrustHome:
    """Return a store whose file somebody wrote by hand."""
    home.trust_file.parent.mkdir()
    home.trust_file.write_text(BY_HAND)
    return home


def test_an_anchor_is_added_with_its_certificate(home: TrustHome, root: Authority) -> None:
    """The entry stands in the file, and the certificate beside it."""
    anchor = root.anchor(
        prefixes=(NumberPrefix.parse("+1202"),), until=date(2027, 1, 1), issued_not_after=date(2026, 1, 1)
    )
    edit.add_anchor(home, anchor)
    (found,) = TrustStore.load(home.trust_file).anchors
    assert found.certificate == root.certificate
    assert found.terms.prefixes == anchor.terms.prefixes
    assert (found.terms.until, found.terms.issued_not_after) == (anchor.terms.until, anchor.terms.issued_not_after)


def test_an_anchor_is_added_with_every_constraint(home: TrustHome, root: Authority) -> None:
    """What was asked for is what is read back."""
    terms: dict[str, object] = {
        "prefixes": (NumberPrefix.parse("+1202"),),
        "purposes": (Purpose.MESSAGE,),
        "issued_not_after": date(2026, 12, 31),
        "until": date(2027, 6, 30),
        "methods": (ValidationMethod.SMS_CODE, ValidationMethod.SMS_ROUTES),
        "longest_life": timedelta(days=8),
        "authority_keys": (KeyType.P256, KeyType.P384),
        "scts": 0,
        "log_operators": ("North Watch",),
    }
    edit.add_anchor(home, root.anchor(**terms))
    (found,) = load(home).anchors
    assert {key: getattr(found.terms, key) for key in terms} == terms


def test_a_constraint_that_allows_nothing_is_not_dropped(home: TrustHome, root: Authority) -> None:
    """To leave it out would be to believe more than was meant."""
    with pytest.raises(TrustFileError):
        edit.add_anchor(home, root.anchor(prefixes=()))
    assert not home.trust_file.exists()


QUORUM = QuorumEntry("pair", prefixes=("+1202",), purposes=(Purpose.CALL,), apps=("chat.example",))


def two_anchors(home: TrustHome, root: Authority) -> None:
    """Believe two authorities."""
    edit.add_anchor(home, root.anchor("one"))
    edit.add_anchor(home, small_pki.root("Two", key_number=40).anchor("two"))


def test_a_quorum_is_added_and_removed_without_a_trace(home: TrustHome, root: Authority) -> None:
    """With its group, or of what is there."""
    two_anchors(home, root)
    before = home.trust_file.read_bytes()
    edit.add_quorum(home, QUORUM, GroupEntry("pair", 2, ("one", "two")))
    (asked,) = load(home).quorums.quorums
    assert (asked.prefixes, asked.purposes, asked.apps) == (
        (NumberPrefix.parse("+1202"),),
        (Purpose.CALL,),
        ("chat.example",),
    )
    edit.add_quorum(home, QuorumEntry("pair"), None)
    assert len(load(home).quorums.quorums) == 2
    edit.remove_quorum(home, "pair")
    assert home.trust_file.read_bytes() == before
    with pytest.raises(AnchorError, match="no quorum of 'pair'"):
        edit.remove_quorum(home, "pair")


def test_a_quorum_that_cannot_be_is_not_written(home: TrustHome, root: Authority) -> None:
    """The file stays one that is read."""
    two_anchors(home, root)
    before = home.trust_file.read_bytes()
    with pytest.raises(TrustFileError, match="needs 3 of 2"):
        edit.add_quorum(home, QUORUM, GroupEntry("pair", 3, ("one", "two")))
    with pytest.raises(TrustFileError, match="no anchor and no group"):
        edit.add_quorum(home, QUORUM, None)
    assert home.trust_file.read_bytes() == before


def test_what_a_quorum_needs_is_not_removed(home: TrustHome, root: Authority) -> None:
    """The person is told what to remove first."""
    two_anchors(home, root)
    edit.add_quorum(home, QUORUM, GroupEntry("pair", 2, ("one", "two")))
    edit.add_quorum(home, QuorumEntry("outer"), GroupEntry("outer", "any", ("pair",)))
    edit.add_anchor(home, small_pki.root("Three", key_number=41).anchor("three"))
    edit.remove_anchor(home, "three")
    with pytest.raises(AnchorError, match="one is in the group pair"):
        edit.remove_anchor(home, "one")
    with pytest.raises(TrustFileError, match="'pair' is no anchor"):
        edit.remove_quorum(home, "pair")
    for name in ("outer", "pair"):
        edit.remove_quorum(home, name)
    edit.add_quorum(home, QuorumEntry("one"), None)
    with pytest.raises(AnchorError, match="a quorum asks for one"):
        edit.remove_anchor(home, "one")


def test_an_anchor_that_the_user_does_not_name_is_limited(
    home: TrustHome, root: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit is added once, changed in its place, and adds no anchor."""
    app = TrustHome.beside(home.trust_file.parent.parent / "app" / "trust.toml")
    two_anchors(app, root)
    shipped = loading.others(home, Beliefs(), app.trust_file)
    monkeypatch.setattr("trust_store.loading.others", lambda *_: shipped)
    edit.constrain(home, "one", {"prefixes": ("+1202",)})
    edit.constrain(home, "one", {"until": date(2027, 1, 1)})
    sha256 = root.anchor().sha256
    expected = f'[[limit]]\nsha256 = "{sha256}"\nprefixes = ["+1202"]\nuntil = 2027-01-01\n'
    assert home.trust_file.read_text().endswith(expected)
    edit.constrain(home, "two", {"scts": 1})
    assert home.trust_file.read_text().count("[[limit]]") == 2
    with pytest.raises(AnchorError, match="no anchor 'nobody'"):
        edit.constrain(home, "nobody", {"until": date(2027, 1, 1)})


def test_a_transition_is_added(home: TrustHome) -> None:
    """With its line."""
    edit.add_transition(home, TransitionEntry("+12025550123", date(2026, 5, 1), TransitionKind.PORT))
    assert loading.load(home).transitions.last["12025550123"].source == "trust.toml:5"


def test_a_log_or_witness_among_others_is_removed(home: TrustHome) -> None:
    """And the others stay."""
    log, other = SealedLog().trusted(), SealedLog("other-log").trusted()
    for one in (log, other):
        edit.add_log(home, one)
    auditor = Ed25519Signer("a.example", Ed25519PrivateKey.generate()).verifier.format()
    edit.add_auditor(home, AuditorEntry("a", "A", auditor, "https://a.example", (log.name,)))
    for name in ("one.example", "two.example"):
        edit.add_witness(home, WitnessEntry(name, name, witness(name).verifier.format()))
    edit.remove_log(home, other.name)
    edit.remove_witness(home, "two.example")
    assert [one.name for one in loading.load(home).logs.witnesses] == ["one.example"]


def test_files_are_the_users_alone(home: TrustHome, root: Authority) -> None:
    """Whom somebody denies is nobody else's business."""
    edit.add_anchor(home, root.anchor())
    for path in (home.trust_file, *home.anchors.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.trust_file.parent.stat().st_mode) == 0o700


def test_an_anchor_is_added_below_what_was_written_by_hand(by_hand: TrustHome, root: Authority) -> None:
    """Nothing that stood there is lost or moved."""
    edit.add_anchor(by_hand, root.anchor("third"))
    assert by_hand.trust_file.read_text().startswith(BY_HAND + '\n[[anchor]]\nname = "third"\n')


@pytest.mark.parametrize(("name", "number"), [("example-ca", 7), ("other-name", 1)])
def test_an_anchor_is_not_added_twice(home: TrustHome, root: Authority, name: str, number: int) -> None:
    """Neither under its name nor under another, for nobody could say which terms count."""
    edit.add_anchor(home, root.anchor())
    with pytest.raises(AnchorError, match="example-ca already"):
        edit.add_anchor(home, small_pki.root(key_number=number).anchor(name))
    assert len(TrustStore.load(home.trust_file).anchors) == 1


def test_an_entry_is_removed_with_the_comment_above_it_and_with_no_other(by_hand: TrustHome) -> None:
    """The words about another anchor stay where they belong."""
    edit.remove_anchor(by_hand, "first")
    assert by_hand.trust_file.read_text() == lines_without(*range(5, 14))
    edit.remove_anchor(by_hand, "second")
    assert by_hand.trust_file.read_text() == lines_without(*range(5, 21))


def test_to_add_and_to_remove_leaves_no_trace(by_hand: TrustHome, root: Authority) -> None:
    """The file is what it was, and the certificate is gone."""
    for _ in range(3):
        edit.add_anchor(by_hand, root.anchor())
        edit.remove_anchor(by_hand, "example-ca")
    assert by_hand.trust_file.read_text() == BY_HAND
    assert list(by_hand.anchors.iterdir()) == []


def test_an_anchor_can_be_removed_though_its_certificate_is_lost(home: TrustHome, root: Authority) -> None:
    """The way out of a damaged store is open."""
    edit.add_anchor(home, root.anchor())
    next(home.anchors.iterdir()).unlink()
    edit.remove_anchor(home, "example-ca")
    assert TrustStore.load(home.trust_file).anchors == ()


def test_what_is_not_there_cannot_be_changed(by_hand: TrustHome) -> None:
    """A misspelled name is an error, not a silent nothing."""
    for change in (
        lambda: edit.remove_anchor(by_hand, "frist"),
        lambda: edit.constrain(by_hand, "frist", {"until": None}),
    ):
        with pytest.raises(AnchorError, match="no anchor 'frist'"):
            change()


def test_a_constraint_is_set_in_its_place(by_hand: TrustHome) -> None:
    """A value that is replaced keeps its line and the comment behind it; a new one stands at the entry's end."""
    edit.constrain(by_hand, "second", {"until": date(2028, 1, 1), "prefixes": ("+44", "+1")})
    expected = BY_HAND.replace("until = 2027-01-01 # then", "until = 2028-01-01  # then").replace(
        'operator = "Second"\n', 'operator = "Second"\nprefixes = ["+44", "+1"]\n'
    )
    assert by_hand.trust_file.read_text() == expected


def test_a_value_over_several_lines_is_replaced_whole(by_hand: TrustHome) -> None:
    """The list's last line carries the comment that stays."""
    edit.constrain(by_hand, "first", {"prefixes": ("+1303",)})
    assert 'prefixes = ["+1303"]  # only here\n\n# Somebody' in by_hand.trust_file.read_text()


def test_a_constraint_is_taken_away(by_hand: TrustHome) -> None:
    """Only its own lines go; one that is not there is no error."""
    edit.constrain(by_hand, "first", {"prefixes": None, "until": None})
    assert by_hand.trust_file.read_text() == lines_without(10, 11, 12)


def test_a_deny_is_added_once_and_taken_back(by_hand: TrustHome) -> None:
    """To deny what is denied already changes nothing."""
    deny = DenyEntry(prefix="+1900", note='says "hello"')
    assert edit.add_deny(by_hand, deny)
    assert not edit.add_deny(by_hand, DenyEntry(prefix="+1900"))
    assert by_hand.trust_file.read_text() == BY_HAND + '\n[[deny]]\nprefix = "+1900"\nnote = "says \\"hello\\""\n'
    assert edit.remove_deny(by_hand, deny)
    assert not edit.remove_deny(by_hand, deny)
    assert by_hand.trust_file.read_text() == BY_HAND
    assert edit.remove_deny(by_hand, DenyEntry(number="+12025550123"))
    assert by_hand.trust_file.read_text() == lines_without(21, 22, 23)


# Logs.


def test_a_log_is_added_with_its_description_and_removed_without_a_trace(by_hand: TrustHome) -> None:
    """What others wrote stays as it stands."""
    log = SealedLog().trusted()
    with contextlib.suppress(TrustFileError):  # the anchors' certificates are not there
        edit.add_log(by_hand, log)
    assert by_hand.trust_file.read_text() == BY_HAND
    by_hand.trust_file.write_text("# mine\n")
    edit.add_log(by_hand, log)
    assert by_hand.trust_file.read_text() == (
        f'# mine\n\n[[log]]\nname = "example-log"\noperator = "Log Operator"\nsha256 = "{log.sha256}"\n'
    )
    assert (by_hand.logs / f"{log.sha256}.json").read_bytes() == log.data
    edit.remove_log(by_hand, "example-log")
    assert by_hand.trust_file.read_text() == "# mine\n"
    assert list(by_hand.logs.iterdir()) == []


def test_a_log_is_not_added_twice(home: TrustHome) -> None:
    """Not by its name, nor by its description, nor by a shard."""
    log = SealedLog()
    edit.add_log(home, log.trusted())
    same_shard = replace(log.description, name="renamed").to_json()
    for twin, told in (
        (SealedLog("example-log", shards=("2026h1", "2026h2")).trusted(), "has the log example-log already"),
        (TrustedLog("other", "Other", "", log.trusted().data), "has the log example-log already"),
        (TrustedLog("other", "Other", "", same_shard), "shard 2026h1 of other is one of example-log as well"),
    ):
        with pytest.raises(LogError, match=told):
            edit.add_log(home, twin)
    assert len(TrustStore.load(home.trust_file).logs) == 1


def test_a_log_is_updated_in_its_place(home: TrustHome) -> None:
    """Its new description replaces the old one, and nothing else changes."""
    first, grown = SealedLog("other").trusted(), SealedLog(shards=("2026h1", "2026h2")).trusted()
    edit.add_log(home, first)
    edit.add_log(home, SealedLog().trusted())
    before = home.trust_file.read_text()
    later = edit.update_log(home, "example-log", grown.data, NOW)
    assert (later.name, later.operator, later.sha256) == ("example-log", "Log Operator", grown.sha256)
    assert home.trust_file.read_text() == before.replace(SealedLog().trusted().sha256, grown.sha256)
    assert {path.stem for path in home.logs.iterdir()} == {first.sha256, grown.sha256}
    edit.update_log(home, "example-log", grown.data, NOW)
    assert [len(log.description.shards) for log in TrustStore.load(home.trust_file).logs] == [1, 2]


def test_another_log_is_no_update(home: TrustHome) -> None:
    """A shard in use that vanishes or changes is refused, and so is one that another log has."""
    edit.add_log(home, SealedLog().trusted())
    other = SealedLog("other")
    with pytest.raises(LogError, match="changes shard 2026h1 or leaves it out"):
        edit.update_log(home, "example-log", other.trusted().data, NOW)
    edit.add_log(home, other.trusted())
    with pytest.raises(LogError, match="shard 2026h1 of other is one of example-log as well"):
        edit.update_log(home, "example-log", other.trusted().data, NOW + SHARD_LENGTH)
    with pytest.raises(LogError, match="has no log 'third'"):
        edit.update_log(home, "third", other.trusted().data, NOW)


def test_an_anchor_is_limited_to_logs_that_are_there(home: TrustHome, root: Authority) -> None:
    """And a log that an anchor is limited to is not removed: nothing of the anchor's would be believed."""
    with pytest.raises(LogError, match="has no log 'example-log'"):
        edit.add_anchor(home, root.anchor(logs=("example-log",)))
    edit.add_log(home, SealedLog().trusted())
    edit.add_anchor(home, root.anchor(scts=0))
    assert "scts = 0\n" in home.trust_file.read_text()
    with pytest.raises(LogError, match="has no log 'exampel-log'"):
        edit.constrain(home, "example-ca", {"logs": ("exampel-log",)})
    edit.constrain(home, "example-ca", {"logs": ("example-log",), "scts": 2})
    terms = TrustStore.load(home.trust_file).anchors[0].terms
    assert (terms.scts, terms.logs) == (2, ("example-log",))
    with pytest.raises(LogError, match="example-ca is limited to the log example-log"):
        edit.remove_log(home, "example-log")
    edit.constrain(home, "example-ca", {"logs": None})
    edit.remove_log(home, "example-log")
    with pytest.raises(LogError, match="has no log 'example-log'"):
        edit.remove_log(home, "example-log")
    assert TrustStore.load(home.trust_file).logs == ()


def test_a_comment_at_the_end_of_a_file_stays(by_hand: TrustHome) -> None:
    """What does not stand right above an entry is not the entry's."""
    edit.remove_deny(by_hand, DenyEntry(number="+12025550123"))
    assert by_hand.trust_file.read_text().endswith("# the end\n")


def test_a_file_that_does_not_end_its_last_line_is_continued_on_a_new_one(home: TrustHome) -> None:
    """Editors differ in this."""
    home.trust_file.parent.mkdir()
    home.trust_file.write_text('[[deny]]\nprefix = "+1900"')
    edit.add_deny(home, DenyEntry(prefix="+1901"))
    assert home.trust_file.read_text() == '[[deny]]\nprefix = "+1900"\n\n[[deny]]\nprefix = "+1901"\n'


@pytest.mark.parametrize(
    "text",
    [
        'deny = [{ prefix = "+1900" }]\n',
        "deny = []\n",
        "[[deny]]\nprefix = 1\n",
    ],
)
def test_a_file_that_cannot_be_changed_by_line_is_left_as_it_is(home: TrustHome, text: str) -> None:
    """Rare spellings and mistakes are told, and the file stays untouched."""
    home.trust_file.parent.mkdir()
    home.trust_file.write_text(text)
    with pytest.raises(TrustFileError, match=r"trust\.toml"):
        edit.add_deny(home, DenyEntry(prefix="+1901"))
    assert home.trust_file.read_text() == text


def test_an_entry_in_another_spelling_is_not_cut_out(home: TrustHome) -> None:
    """The person is told to change it by hand."""
    home.trust_file.parent.mkdir()
    home.trust_file.write_text('deny = [{ prefix = "+1900" }]\n')
    with pytest.raises(TrustFileError, match="by hand"):
        edit.remove_deny(home, DenyEntry(prefix="+1900"))


@pytest.mark.parametrize("note", ["two\nlines", "\x7f", "\x1b[31mred", "\udcff"])
def test_control_characters_are_not_written(home: TrustHome, note: str) -> None:
    """A note is shown on a terminal some day."""
    with pytest.raises(TrustFileError, match="plain text"):
        edit.add_deny(home, DenyEntry(prefix="+1900", note=note))
    assert not home.trust_file.exists()


def test_a_change_that_the_format_does_not_allow_is_not_written(home: TrustHome, root: Authority) -> None:
    """The changed text is held against the format before it is put in place."""
    with pytest.raises(TrustFileError, match=r"anchor\[0\]\.name"):
        edit.add_anchor(home, root.anchor("No Such Name"))
    assert not home.trust_file.exists()
    edit.add_anchor(home, root.anchor())
    before = home.trust_file.read_text()
    with pytest.raises(TrustFileError, match="prefixes"):
        edit.constrain(home, "example-ca", {"prefixes": ("1202",)})
    assert home.trust_file.read_text() == before


def test_a_place_that_cannot_be_written_is_told(home: TrustHome, root: Authority) -> None:
    """The message names the file."""
    home.trust_file.parent.parent.joinpath("trust").write_text("a file where a folder should be")
    with pytest.raises(TrustStoreError, match=r"cannot write .*trust\.toml"):
        edit.add_anchor(home, root.anchor())


def test_a_killed_change_leaves_the_old_file(home: TrustHome, root: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new text is put in place in one step, after it is on the disk."""
    edit.add_anchor(home, root.anchor())
    before = home.trust_file.read_text()

    def killed(_descriptor: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            edit.constrain(home, "example-ca", {"prefixes": ("+1202",)})
    assert home.trust_file.read_text() == before
    edit.constrain(home, "example-ca", {"prefixes": ("+1202",)})


@given(
    names=st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True), min_size=1, max_size=5, unique=True),
    operator=st.text(min_size=1, max_size=20).filter(str.isprintable),
    data=st.data(),
)
def test_each_change_changes_just_what_was_meant(names: list[str], operator: str, data: st.DataObject) -> None:
    """Whatever anchors there are: an entry added, constrained and removed again leaves the others as they were."""
    text = TomlText(Path("trust.toml"), "# begin\n", parse_content)
    for index, name in enumerate(names):
        text = text.with_entry("anchor", {"name": name, "operator": operator, "sha256": f"{index:064x}"})
    position = data.draw(st.integers(0, len(names) - 1))
    constrained = text.with_value(("anchor", position, "until"), date(2027, 1, 1))
    for index, entry in enumerate(constrained.content.anchor):
        assert (entry.name, entry.operator) == (names[index], operator)
        assert entry.until == (date(2027, 1, 1) if index == position else None)
    assert constrained.with_value(("anchor", position, "until"), None).content == text.content
    removed = constrained.without_entry("anchor", position)
    assert [entry.name for entry in removed.content.anchor] == [name for name in names if name != names[position]]
