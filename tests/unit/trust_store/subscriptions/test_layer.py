"""Lists among all else that a user believes."""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from tests.fakes import list_text, small_pki
from tests.fakes.list_text import HEAD
from tests.fakes.list_world import ListWorld
from tests.fakes.sealed_log import SealedLog, logged
from tests.fakes.sealed_log import witness as made_witness
from tests.fakes.small_pki import NOW, Authority, Held
from trust_store import Anchor, LiveTrustStore, Outcome, Rule, TrustedLog, TrustHome, TrustStore, editing, moving
from trust_store.doctor import Severity, examine
from trust_store.editing import written_constraints
from trust_store.entries import DenyEntry, SubscriptionEntry
from trust_store.errors import AnchorError, MovingError
from trust_store.fingerprints import sha256_of
from trust_store.subscriptions import updating
from trust_store.subscriptions.consent import Agreed, ChangeKind
from trust_store.subscriptions.layer import ListHealth
from trust_store.subscriptions.list_file import parse
from trust_store.subscriptions.state import FORMAT, ListFolder, ListState, Newest

DAY = timedelta(days=1)
KEY = made_witness().verifier.format()


def keep(  # what a list that was fetched leaves, without fetching it
    home: TrustHome, *entries: str, name: str = "street-list", agreed: str | None = None, age: timedelta = timedelta()
) -> SubscriptionEntry:
    """Follow a list of these entries, of which the user agreed to all, or to what `agreed` says."""
    data = (HEAD + "".join(entries)).encode()
    entry = SubscriptionEntry(name=name, url="https://council.example/list", root=sha256_of_data(name.encode()))
    folder = ListFolder(home, name)
    folder.write_root(name.encode())
    as_of = int((NOW - age).timestamp())
    newest = Newest(1, sha256_of_data(data), 1, 1, as_of, as_of + 7 * 24 * 3600)
    consented = parse(data if agreed is None else (HEAD + agreed).encode(), Path("list.toml"))
    folder.write(ListState(FORMAT, entry.root, newest, Agreed.to_all_of(consented.content)), data)
    if not home.trust_file.exists() or f'"{name}"' not in home.trust_file.read_text():
        editing.add_subscription(home, entry)
    return entry


def sha256_of_data(data: bytes) -> str:
    """Return a hash in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def store(home: TrustHome) -> TrustStore:
    """Load the user's store."""
    return TrustStore.load(home.trust_file)


def test_an_anchor_of_a_list_is_believed_by_its_own_line(home: TrustHome, root: Authority, held: Held) -> None:
    """The verdict names the list's file and line."""
    keep(home, list_text.anchor(root))
    found = store(home).explain(held.call())
    assert found.verdict.outcome is Outcome.VERIFIED
    source = found.verdict.source or ""
    assert source.endswith(".toml:5")
    assert str(home.lists / "street-list") in source
    (listed,) = (finding for finding in found.findings if finding.rule is Rule.LIST)
    assert (listed.reason, listed.source) == ("the list street-list is good until 2026-06-08 12:00 UTC", "trust.toml:5")


def test_the_user_narrows_what_a_list_brings_and_denies_it(home: TrustHome, root: Authority, held: Held) -> None:
    """A limit, a constraint of the list's and a deny hold together."""
    keep(home, list_text.anchor(root, more='prefixes = ["+1"]\n'))
    editing.constrain(home, "example-ca", {"purposes": ("message",)})
    assert "[[limit]]" in home.trust_file.read_text()
    found = store(home).judge(held.call())
    assert (found.rule, found.source) == (Rule.PURPOSE, "trust.toml:12")
    editing.add_deny(home, DenyEntry(certificate=sha256_of(root.certificate), note="never"))
    assert store(home).judge(held.message()).rule is Rule.DENIED_CERTIFICATE


def test_a_list_narrows_the_users_own_anchor_and_never_widens_it(home: TrustHome, root: Authority, held: Held) -> None:
    """What the user says of it stays, and what the list says is added."""
    editing.add_anchor(home, Anchor(root.anchor("mine").terms, root.certificate))
    keep(home, list_text.anchor(root, more='purposes = ["message"]\nscts = 0\n'))
    (anchor,) = store(home).anchors
    assert (anchor.terms.name, anchor.terms.standing) == ("mine", None)
    assert store(home).judge(held.call()).rule is Rule.PURPOSE
    assert store(home).judge(held.message()).outcome is Outcome.VERIFIED


def test_what_was_agreed_to_bounds_a_newer_version(home: TrustHome, root: Authority, held: Held) -> None:
    """It may say less than that, and not more; the verdict tells where each stands."""
    keep(home, list_text.anchor(root), agreed=list_text.anchor(root, "agreed", 'prefixes = ["+44"]\n', "Agreed Ltd"))
    (anchor,) = store(home).anchors
    assert (anchor.terms.name, anchor.terms.operator) == ("agreed", "Agreed Ltd")
    found = store(home).judge(held.call())
    assert (found.rule, found.source) == (Rule.ANCHOR_NUMBERS, "trust.toml:5 (as you agreed)")
    (told,) = store(home).lists
    assert [change.kind for change in told.waiting] == [ChangeKind.WIDER]


def test_a_deny_stays_until_the_user_lets_it_go(home: TrustHome, root: Authority, held: Held) -> None:
    """Though the list has it no more."""
    text = list_text.anchor(root)
    keep(home, text, agreed=text + list_text.deny('prefix = "+1202"\nnote = "premium"'))
    found = store(home).judge(held.call())
    assert (found.rule, found.source) == (Rule.DENIED_NUMBER, "trust.toml:5 (as you agreed)")


def test_an_empty_list_does_not_go_unseen(home: TrustHome, root: Authority, held: Held) -> None:
    """What the user agreed to stays, and the verdict says so."""
    keep(home, agreed=list_text.anchor(root))
    found = store(home).judge(held.call())
    assert found.outcome is Outcome.VERIFIED
    assert "the list street-list names example-ca no more, which waits for you" in found.reason
    assert (found.source or "").endswith("(as you agreed)")


@pytest.mark.parametrize(
    ("waiting", "words"),
    [(1, "1 anchor of the list street-list must be agreed to by you"), (2, "2 anchors of the list street-list must")],
)
def test_a_store_that_lacks_an_anchor_says_what_waits(home: TrustHome, held: Held, waiting: int, words: str) -> None:
    """An authority that nobody agreed to yet vouches for nobody, and the verdict says where it is."""
    entries = [list_text.anchor(small_pki.root(f"R{place}", key_number=70 + place), f"r{place}") for place in range(2)]
    keep(home, *entries[:waiting], agreed="")
    found = store(home).judge(held.call())
    assert found.outcome is Outcome.UNVERIFIED
    assert words in found.reason
    editing.add_anchor(home, small_pki.root("Mine", key_number=79).anchor("mine"))
    assert words in store(home).judge(held.call()).reason


def test_a_list_that_was_never_fetched_says_so(home: TrustHome, held: Held) -> None:
    """As after a restored backup."""
    editing.add_subscription(home, SubscriptionEntry(name="street-list", url="https://c.example", root="ab" * 32))
    found = store(home)
    assert "was never fetched: run `answerback trust update`" in found.judge(held.call()).reason
    assert found.lists[0].health(NOW) is ListHealth.NEVER_FETCHED


def test_several_lists_stand_side_by_side(home: TrustHome, root: Authority, held: Held) -> None:
    """All that have an authority narrow it; names that are taken tell their list; the one that holds longest counts."""
    other = small_pki.root("Other", key_number=71)
    keep(home, list_text.anchor(root), age=5 * DAY)
    keep(home, list_text.anchor(root, more='prefixes = ["+1"]\n'), list_text.anchor(other, "b"), name="second-list")
    keep(home, list_text.anchor(other, "example-ca", more='purposes = ["record"]\n'), name="third-one-list")
    anchors = {anchor.terms.name: anchor.terms for anchor in store(home).anchors}
    assert set(anchors) == {"example-ca", "b"}
    assert anchors["b"].purposes is not None
    assert anchors["example-ca"].prefixes is not None
    standing = anchors["example-ca"].standing
    assert standing is not None
    assert standing.name == "second-list"
    assert store(home).judge(held.call()).outcome is Outcome.VERIFIED
    keep(home, list_text.anchor(small_pki.root("Third", key_number=72)), name="a-fourth-list-too")
    assert [anchor.terms.name for anchor in store(home).anchors][-1] == "example-ca@a-fourth-list-too"


@pytest.mark.parametrize(
    ("days", "health"), [(0, ListHealth.FRESH), (8, ListHealth.STALE), (21, ListHealth.STALE), (22, ListHealth.ENDED)]
)
def test_a_list_is_told_by_its_health(home: TrustHome, root: Authority, days: int, health: ListHealth) -> None:
    """Seven days fresh, fourteen stale."""
    keep(home, list_text.anchor(root))
    (told,) = store(home).lists
    assert told.health(NOW + timedelta(days=days)) is health
    assert (told.curator, told.title, told.version, told.believed) == (
        "Street Council",
        "street-list",
        1,
        ("example-ca",),
    )


# Logs and witnesses


def test_a_lists_log_counts_once_it_was_agreed_to(
    home: TrustHome, root: Authority, issuing: Authority, held: Held
) -> None:
    """For the anchors of the list, by the names that the list has for it."""
    log = SealedLog()
    call = logged(issuing, held, log).call()
    anchor = list_text.anchor(root, more='scts = 1\nlogs = ["north-log"]\n')
    keep(home, anchor + list_text.log(log))
    assert store(home).judge(call).outcome is Outcome.VERIFIED
    assert store(home).logs[0].name == "north-log"
    keep(home, anchor + list_text.log(log), agreed=anchor + list_text.log(SealedLog("x")))
    assert store(home).judge(call).rule is Rule.LOGGED


def test_a_log_that_the_user_knows_goes_by_the_users_name(
    home: TrustHome, root: Authority, issuing: Authority, held: Held
) -> None:
    """And operator: one log of two names would count as two. Its further shards count, too."""
    log, grown = SealedLog(), SealedLog(shards=("2026h1", "2026h2"))
    editing.add_log(home, TrustedLog("mine", "My Own Word", "", log.trusted().data))
    more = 'scts = 1\nlogs = ["north-log"]\nlog_operators = ["North Watch"]\n'
    keep(home, list_text.anchor(root, more=more), list_text.log(grown))
    found = store(home)
    assert [(one.name, one.operator) for one in found.logs] == [("mine", "My Own Word")] * 2
    terms = found.anchors[0].terms
    assert (terms.logs, terms.log_operators) == (("mine",), ("My Own Word",))
    call = logged(issuing, held, log, log).call()
    assert found.judge(call).outcome is Outcome.VERIFIED
    keep(home, list_text.anchor(root, more=more.replace("1", "2")), list_text.log(grown))
    assert store(home).judge(call).rule is Rule.LOGGED


def test_another_log_of_a_name_that_is_taken_tells_its_list(home: TrustHome, root: Authority) -> None:
    """The user's limits to logs mean the user's logs."""
    editing.add_log(home, TrustedLog("north-log", "Mine", "", SealedLog("mine").trusted().data))
    keep(home, list_text.anchor(root, more='logs = ["north-log"]\n'), list_text.log(SealedLog()))
    found = store(home)
    assert [one.name for one in found.logs] == ["north-log", "north-log@street-list"]
    assert found.anchors[0].terms.logs == ("north-log@street-list",)


def test_a_witness_that_the_user_knows_goes_by_the_users_operator(home: TrustHome, root: Authority) -> None:
    """Two names of one key are one witness."""
    other = made_witness("other.example").verifier.format()
    keep(home, list_text.anchor(root), list_text.witness(KEY, operator="Theirs"), list_text.witness(other, "archive"))
    with home.trust_file.open("a") as file:
        file.write(f'\n[[witness]]\nname = "mine"\noperator = "Mine"\nkey = "{KEY}"\n')
    assert [(one.name, one.operator) for one in store(home).witnesses] == [
        ("mine", "Mine"),
        ("archive", "Town Library"),
    ]


# Following its files


def test_a_live_store_follows_its_lists(world: ListWorld, home: TrustHome, held: Held) -> None:
    """What another process fetches and agrees to counts from the next question on."""
    entry = world.entry
    editing.add_subscription(home, entry)
    with LiveTrustStore(home.trust_file, settles_in=0) as live:
        assert live.judge(held.call()).outcome is Outcome.UNVERIFIED
        editing.remove_subscription(home, entry.name)
        world.subscribe(home)
        assert live.judge(held.call()).outcome is Outcome.VERIFIED
        world.curator.revoke("example-ca", "stolen")
        world.curator.release()
        world.update(home)
        assert live.judge(held.call()).outcome is Outcome.REFUSED
        assert live.trouble is None


def test_lists_load_fast(home: TrustHome) -> None:
    """Two hundred authorities in a list, read when a store is loaded."""
    made = (small_pki.root(f"Root {place}", key_number=1000 + place) for place in range(200))
    keep(home, *(list_text.anchor(one, f"r{place}", 'prefixes = ["+1"]\n') for place, one in enumerate(made)))
    began = time.process_time()
    assert len(store(home).anchors) == 200
    assert time.process_time() - began < 3


def test_a_grace_is_the_subscribers_to_say(home: TrustHome, root: Authority, held: Held) -> None:
    """Without any, a list that is out of date ends at once."""
    keep(home, list_text.anchor(root), age=8 * DAY)
    assert store(home).judge(held.call()).outcome is Outcome.VERIFIED
    with home.trust_file.open("a") as file:
        file.write("grace_days = 0\n")
    assert store(home).judge(held.call()).rule is Rule.LIST
    assert msgspec.structs.asdict(store(home).lists[0].entry)["grace_days"] == 0


def test_what_is_at_hand_is_held_against_the_agreement(home: TrustHome, root: Authority) -> None:
    """Without asking anybody."""
    entry = keep(home, list_text.anchor(root), agreed="")
    shown = updating.at_hand(home, entry, datetime.now(UTC))
    assert [(change.kind, change.name) for change in shown.waiting] == [(ChangeKind.NEW, "example-ca")]


# Moving and examining a store with lists


def test_an_export_keeps_lists_with_what_was_agreed_to(home: TrustHome, root: Authority, held: Held) -> None:
    """Constraints, denies, the agreement and the end of the list survive; the other device follows on."""
    agreed = list_text.anchor(root, more='prefixes = ["+1202"]\n')
    keep(home, list_text.anchor(root, more='purposes = ["call"]\n'), list_text.deny('prefix = "+1900"'), agreed=agreed)
    editing.add_subscription(home, SubscriptionEntry(name="never", url="https://c.example", root="ab" * 32))
    other = TrustHome.beside(home.trust_file.parent / "other" / "trust.toml")
    exported = moving.exported(home)
    assert len(moving.parts_of(exported).lists) == 2
    moving.import_export(other, exported, replace=False)
    (before,), (after,) = store(home).anchors, store(other).anchors
    assert written_constraints(after.terms) == written_constraints(before.terms)
    assert after.terms.standing == before.terms.standing
    assert [deny.prefix for deny in store(other).denies] == [deny.prefix for deny in store(home).denies]
    assert [one.waiting for one in store(other).lists] == [one.waiting for one in store(home).lists]
    assert store(other).judge(held.call()).outcome is Outcome.VERIFIED
    assert store(other).judge(held.message()).rule is Rule.PURPOSE
    assert (other.lists / "street-list" / "root.json").read_bytes() == b"street-list"


def test_pem_would_lose_what_a_list_may_say_later(home: TrustHome, root: Authority) -> None:
    """Certificates alone follow no list."""
    keep(home, list_text.anchor(root))
    with pytest.raises(MovingError, match="that the list street-list may revoke or limit"):
        moving.pem(store(home), lossy=False)
    assert b"BEGIN" in moving.pem(store(home), lossy=True)


@pytest.mark.parametrize(
    ("days", "severity", "words"),
    [
        (0, None, ""),
        (8, Severity.WARNING, "out of date since 2026-06-08 12:00 UTC: its anchors count until 2026-06-22"),
        (30, Severity.ERROR, "its anchors count no more"),
    ],
)
def test_the_doctor_looks_at_how_fresh_a_list_is(
    home: TrustHome, root: Authority, days: int, severity: Severity | None, words: str
) -> None:
    """A quorum that only its anchors could meet is told of, too."""
    keep(home, list_text.anchor(root))
    with home.trust_file.open("a") as file:
        file.write('\n[[quorum]]\ngroup = "example-ca"\n')
    found = [one for one in examine(home, NOW + days * DAY) if one.source == "trust.toml:5"]
    assert [one.severity for one in found] == ([] if severity is None else [severity])
    assert all(words in one.finding for one in found)
    quorum = [one for one in examine(home, NOW + days * DAY) if "quorum" in one.finding]
    assert len(quorum) == (severity is Severity.ERROR)


def test_the_doctor_says_what_waits(home: TrustHome, root: Authority) -> None:
    """Anchors that are missed are worse than others."""
    keep(home, list_text.anchor(root), agreed="")
    assert "1 anchor of the list street-list must be agreed to by you" in {one.finding for one in examine(home, NOW)}
    keep(home, list_text.anchor(root), agreed=list_text.anchor(root, more="scts = 0\n"))
    (found,) = (one for one in examine(home, NOW) if "wait for you" in one.finding)
    assert (found.severity, found.finding) == (Severity.NOTE, "1 changes of the list street-list wait for you")


def test_an_anchor_of_a_list_is_not_removed_by_hand(home: TrustHome, root: Authority) -> None:
    """The error says how not to believe it."""
    keep(home, list_text.anchor(root))
    with pytest.raises(AnchorError, match="deny --anchor example-ca"):
        editing.remove_anchor(home, "example-ca")
    with pytest.raises(AnchorError, match="no anchor 'nobody'"):
        editing.remove_anchor(home, "nobody")
