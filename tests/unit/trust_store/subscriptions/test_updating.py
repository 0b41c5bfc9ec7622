"""Following a list over HTTP: what a mirror may do, and what stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes import small_pki
from tests.fakes.list_world import NAME, ListWorld, fingerprint, list_world
from tests.fakes.small_pki import Authority, Held
from transparency.releases.files import write_whole
from transparency.releases.repository import NewFile
from transparency.transport import HttpTransport
from trust_store import Outcome, Rule, TrustHome, TrustStore, editing
from trust_store.entries import SubscriptionEntry
from trust_store.errors import ListError, TrustFileError
from trust_store.files import write_file
from trust_store.subscriptions import updating
from trust_store.subscriptions.state import ListFolder

DAY = 24 * 3600


def believed(home: TrustHome) -> list[str]:
    """Return the names of the anchors that there are."""
    return [anchor.terms.name for anchor in TrustStore.load(home.trust_file).anchors]


def verified(home: TrustHome, held: Held) -> bool:
    """Tell whether a call is verified."""
    return TrustStore.load(home.trust_file).judge(held.call()).outcome is Outcome.VERIFIED


def other_root(place: int) -> Authority:
    """Return an authority of its own."""
    return small_pki.root(f"Other Root {place}", key_number=60 + place)


def test_a_list_is_followed_and_its_newest_version_fetched(world: ListWorld, home: TrustHome, held: Held) -> None:
    """What was agreed to counts; what is new waits, and counts when the user agrees to it."""
    done = world.subscribe(home)
    assert (done.version, done.before, [change.name for change in done.waiting]) == (1, None, ["example-ca"])
    assert verified(home, held)
    world.publish(second=other_root(1))
    done = world.update(home)
    assert (done.version, done.before, [change.name for change in done.waiting]) == (2, 1, ["second"])
    assert believed(home) == ["example-ca"]
    updating.accept(home, done)
    assert believed(home) == ["example-ca", "second"]
    assert world.update(home).changes == ()


def test_a_part_may_be_agreed_to(world: ListWorld, home: TrustHome) -> None:
    """By name; at hand is what goes on waiting."""
    world.publish(second=other_root(1))
    done = world.subscribe(home, accept=False)
    assert believed(home) == []
    updating.accept(home, done, {"second"})
    assert believed(home) == ["second"]
    assert [change.name for change in updating.at_hand(home, world.entry, datetime.now(UTC)).waiting] == ["example-ca"]


def test_what_was_not_shown_cannot_be_agreed_to(world: ListWorld, home: TrustHome) -> None:
    """A version that comes between showing and agreeing is looked at again."""
    shown = world.subscribe(home, accept=False)
    world.publish(second=other_root(1))
    world.update(home)
    with pytest.raises(ListError, match="has become another one"):
        updating.accept(home, shown)
    shutil.rmtree(home.lists / NAME)
    with pytest.raises(ListError, match="has become another one"):
        updating.accept(home, shown)
    with pytest.raises(ListError, match="was never fetched"):
        updating.at_hand(home, world.entry, datetime.now(UTC))


def test_to_check_changes_nothing(world: ListWorld, home: TrustHome) -> None:
    """It tells what there is, even what would take effect at once."""
    entry = world.entry
    world.subscribe(home)
    world.write('operator = "Operator', 'purposes = ["message"]\noperator = "Operator')
    assert [change.detail for change in world.update(home, entry, check=True).changes] == ["purposes"]
    assert TrustStore.load(home.trust_file).anchors[0].terms.purposes is None
    world.update(home, entry)
    assert TrustStore.load(home.trust_file).anchors[0].terms.purposes is not None


def test_whoever_agrees_beforehand_is_not_asked(world: ListWorld, home: TrustHome) -> None:
    """But about a list that drops most of what it had."""
    entry = msgspec.structs.replace(world.entry, auto_accept=True)
    world.subscribe(home, entry, accept=False)
    assert believed(home) == ["example-ca"]
    world.publish(second=other_root(1))
    done = world.update(home, entry)
    assert ([change.name for change in done.changes], done.waiting) == (["second"], ())
    assert believed(home) == ["example-ca", "second"]
    world.curator.remove("second")
    world.curator.remove("example-ca")
    world.publish(third=other_root(3))
    done = world.update(home, entry)
    assert {change.name for change in done.waiting} == {"example-ca", "second"}
    assert set(believed(home)) == {"example-ca", "second", "third"}
    updating.accept(home, done)
    assert believed(home) == ["third"]


def test_a_revocation_needs_no_word(world: ListWorld, home: TrustHome, held: Held) -> None:
    """From the update on nobody below that key is believed, even by an entry of the user's own."""
    world.subscribe(home)
    world.curator.revoke("example-ca", "its key was stolen")
    world.curator.release()
    assert world.update(home).waiting == ()
    verdict = TrustStore.load(home.trust_file).judge(held.call())
    assert verdict.outcome is Outcome.REFUSED
    assert "its key was stolen" in verdict.reason
    assert f"{NAME}/2-" in (verdict.source or "")
    assert TrustStore.load(home.trust_file).lists[0].lack == "the list street-list brings no anchor any more"


def test_files_are_the_users_alone(world: ListWorld, home: TrustHome) -> None:
    """Folders and files: whoever could write them could choose whom the user believes."""
    world.subscribe(home)
    world.update(home)
    assert stat.S_IMODE(home.lists.stat().st_mode) == 0o700
    for path in (home.lists / NAME).rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


# What a mirror may do


def test_rollback_is_refused(world: ListWorld, home: TrustHome, held: Held) -> None:
    """A mirror that shows what was the newest before; the last good version stays."""
    old = world.copy("old")
    world.subscribe(home)
    world.publish(second=other_root(1))
    updating.accept(home, world.update(home))
    world.mirror.folder = old
    with pytest.raises(ListError, match=r"street-list: .*older than was seen before.*; here that is version 2, as of"):
        world.update(home)
    assert believed(home) == ["example-ca", "second"]
    assert verified(home, held)


def test_rollback_is_refused_though_what_was_seen_is_lost(world: ListWorld, home: TrustHome) -> None:
    """The state of the list remembers by itself, and forgets only with another root."""
    old = world.copy("old")
    world.subscribe(home)
    world.publish(second=other_root(1))
    updating.accept(home, world.update(home))
    shutil.rmtree(home.lists / NAME / "metadata")
    world.mirror.folder = old
    with pytest.raises(ListError, match=r"older than was seen before \(1 after 2\)"):
        world.update(home)
    assert believed(home) == ["example-ca", "second"]


def test_freeze_is_found_out_when_the_timestamp_ends(
    world: ListWorld, home: TrustHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror that holds back cannot be told from a list that does not change, until the timestamp ends.

    Then the update is refused, the verdict warns, and after the grace the list's anchors vouch for nobody.
    """
    world.subscribe(home)
    world.mirror.folder = world.copy("frozen")
    world.publish(second=other_root(1))
    assert world.update(home).changes == ()
    _pass_days(monkeypatch, 8)
    with pytest.raises(ListError, match=r"nothing that is still valid .* held back, or was forgotten; .* stays in use"):
        world.update(home)
    later, end = datetime.now(UTC) + timedelta(days=8), datetime.now(UTC) + timedelta(days=22)
    store = TrustStore.load(home.trust_file)
    renewed = Authority(store.anchors[0].certificate, held_root().key).number(
        not_before=later - timedelta(days=1), not_after=end + timedelta(days=1)
    )
    found = store.judge(renewed.call(later))
    assert found.outcome is Outcome.VERIFIED
    assert "the list street-list is out of date since" in found.reason
    found = store.judge(renewed.call(end))
    assert (found.outcome, found.rule, found.source) == (Outcome.UNVERIFIED, Rule.LIST, "trust.toml:5")
    assert "its anchors count no more" in found.reason


def held_root() -> Authority:
    """Return the root with its key."""
    return small_pki.root()


def _pass_days(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Have The Update Framework find that so many days have passed."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + days * DAY, tz)

    times = SimpleNamespace(datetime=Later, timezone=timezone)
    monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime", times)


def test_mix_and_match_is_refused(world: ListWorld, home: TrustHome, held: Held) -> None:
    """The timestamp of one version with the snapshot of another; a list with another one's bytes."""
    old = world.copy("old")
    world.subscribe(home)
    world.publish(second=other_root(1))
    world.mirror.instead["metadata/2.snapshot.json"] = (old / "metadata" / "1.snapshot.json").read_bytes()
    with pytest.raises(ListError, match=r"parts that do not belong together .* stays in use"):
        world.update(home)
    world.mirror.instead.clear()
    (newest,) = set((world.curator.public / "targets").iterdir()) - {
        world.curator.public / "targets" / path.name for path in (old / "targets").iterdir()
    }
    (former,) = (old / "targets").iterdir()
    world.mirror.instead[f"targets/{newest.name}"] = former.read_bytes()
    with pytest.raises(ListError, match="parts that do not belong together"):
        world.update(home)
    assert believed(home) == ["example-ca"]
    assert verified(home, held)


def test_a_lost_key_is_replaced_by_the_others(tmp_path: Path, home: TrustHome, root: Authority, held: Held) -> None:
    """Two of three sign somebody else in the third's place; subscribers follow without a word."""
    keys = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "carol")}
    dave = Ed25519PrivateKey.generate()
    with list_world(tmp_path, signers=keys, threshold=2) as world:
        world.publish(example_ca=root)
        for name in ("alice", "bob"):
            world.curator.sign(keys[name])
        entry = world.entry
        world.subscribe(home)
        people = [keys["alice"].public_key(), keys["bob"].public_key(), dave.public_key()]
        world.curator.rotate(people, 2, new_online_key=True)
        assert world.curator.sign(keys["alice"])
        assert world.curator.sign(keys["bob"]) == ()
        assert world.entry.root != entry.root
        assert world.update(home, entry).changes == ()
        world.publish(second=other_root(1))
        world.curator.sign(dave)
        world.curator.sign(keys["alice"])
        updating.accept(home, world.update(home, entry))
        assert believed(home) == ["example-ca", "second"]
        assert verified(home, held)
        with pytest.raises(Exception, match="no signer's"):
            world.curator.sign(keys["carol"])


def test_a_single_stolen_key_signs_nothing(tmp_path: Path, home: TrustHome, root: Authority, held: Held) -> None:
    """One of three signers, and the online key with it, are too few; nor can they replace the others."""
    keys = {name: Ed25519PrivateKey.generate() for name in ("alice", "bob", "carol")}
    with list_world(tmp_path, signers=keys, threshold=2) as world:
        world.publish(example_ca=root)
        for name in ("alice", "bob"):
            world.curator.sign(keys[name])
        world.subscribe(home)
        repository, online = world.curator._desk.repository, world.curator.keys.ed25519("online")
        forged = repository.new_targets(
            {"list.toml": NewFile(b"")}, (), world.curator.config.valid.lives, world.clock.now
        )
        pending = world.curator.folder / "pending" / "targets.json"
        write_whole(pending, forged)
        world.curator.sign(keys["carol"])
        signed = pending.read_bytes()
        pending.unlink()
        write_whole(world.curator.public / "metadata" / "2.targets.json", signed)
        repository._stamp(online, world.curator.config.valid.lives, world.clock.now, signed)
        with pytest.raises(ListError, match="too few of the known keys signed"):
            world.update(home)
        assert verified(home, held)


def test_a_strangers_list_is_refused(world: ListWorld, home: TrustHome, tmp_path: Path, held: Held) -> None:
    """A mirror cannot put another publisher in the place of the one that the user knows."""
    world.subscribe(home)
    with list_world(tmp_path / "stranger") as stranger:
        stranger.publish(mallory=other_root(9))
        stranger.curator.rotate()
        world.mirror.folder = stranger.curator.public
        with pytest.raises(ListError, match="too few of the known keys signed"):
            world.update(home)
    assert verified(home, held)
    assert believed(home) == ["example-ca"]


@pytest.mark.parametrize("given", [b"", b"{}", b'{"signed": 5}', b"[" * 100_000, bytes(2 * 1024 * 1024)])
@pytest.mark.parametrize("path", ["metadata/timestamp.json", "metadata/2.root.json"])
def test_a_malicious_mirror_is_refused(world: ListWorld, home: TrustHome, held: Held, path: str, given: bytes) -> None:
    """Whatever it sends, the answer is one line, and what was believed stays."""
    world.subscribe(home)
    world.mirror.instead[path] = given
    with pytest.raises(ListError, match=r"malformed|do not belong together|could not be asked") as caught:
        world.update(home)
    assert "stays in use" in str(caught.value)
    assert verified(home, held)


def test_a_list_that_is_too_large_is_not_fetched(world: ListWorld, home: TrustHome) -> None:
    """Even where it is signed."""
    world.subscribe(home)
    world.curator._desk.propose({"list.toml": NewFile(bytes(1024 * 1024 + 1), {"version": 2})})
    with pytest.raises(ListError, match="too large"):
        world.update(home)
    assert not [path for path in world.mirror.asked if path.startswith("targets/")][1:]


def test_a_mirror_that_is_away_changes_nothing(world: ListWorld, home: TrustHome, held: Held) -> None:
    """It could not be asked: that is no lie, and a later try may succeed."""
    entry = world.entry
    world.subscribe(home)
    gone = msgspec.structs.replace(entry, url="http://127.0.0.1:9/list")
    with pytest.raises(ListError, match=r"could not be asked .* stays in use; here that is version 1"):
        world.update(home, gone)
    assert verified(home, held)


@pytest.mark.parametrize(
    ("name", "custom"),
    [("manifest", {"version": 1}), ("list.toml", {}), ("list.toml", {"version": 0}), ("list.toml", {"version": "1"})],
)
def test_what_is_signed_must_be_a_list(
    world: ListWorld, home: TrustHome, held: Held, name: str, custom: dict[str, object]
) -> None:
    """Another kind of release is none."""
    world.subscribe(home)
    data = (world.curator.folder / "list.toml").read_bytes()
    world.curator._desk.propose({name: NewFile(data, custom)})
    with pytest.raises(ListError, match="no curated list"):
        world.update(home)
    assert verified(home, held)


def test_a_list_that_cannot_be_read_is_refused(world: ListWorld, home: TrustHome, held: Held) -> None:
    """Signed or not: a limit that this version does not know must not be skipped."""
    world.subscribe(home)
    data = (world.curator.folder / "list.toml").read_bytes() + b"\n[weights]\n"
    world.curator._desk.propose({"list.toml": NewFile(data, {"version": 2})})
    with pytest.raises(ListError, match="there is no such key"):
        world.update(home)
    assert verified(home, held)


# Following and leaving


def test_a_list_goes_by_its_own_name_unless_the_user_has_another(world: ListWorld, home: TrustHome) -> None:
    """A name that is taken is refused, and nothing is written."""
    unnamed = msgspec.structs.replace(world.entry, name="list")

    def subscribe() -> updating.Update:
        now = datetime.now(UTC)
        return updating.subscribe(home, unnamed, world.curator.root, HttpTransport(), now, by_its_own_name=True)

    assert subscribe().entry.name == NAME
    updating.unsubscribe(home, NAME)
    editing.add_subscription(home, SubscriptionEntry(name=NAME, url="https://other.example", root="ab" * 32))
    with pytest.raises(ListError, match="has the list street-list already"):
        subscribe()
    assert not list(home.lists.iterdir())


def test_a_root_is_found_by_its_fingerprint(world: ListWorld) -> None:
    """Any of the list's roots; where none has it, nothing is believed."""
    first = world.curator.root
    world.curator.rotate()
    for root in (first, world.curator.root):
        assert updating.fetch_root(world.mirror.url, fingerprint(root), HttpTransport()) == root
    with pytest.raises(ListError, match="do not believe it"):
        updating.fetch_root(world.mirror.url, "ab" * 32, HttpTransport())
    with pytest.raises(ListError, match="could not be asked"):
        updating.fetch_root("http://127.0.0.1:9/list", "ab" * 32, HttpTransport())


def test_no_more_roots_are_asked_for_than_there_may_be(world: ListWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that has ever another one comes to an end."""
    monkeypatch.setattr(updating, "MOST_ROOTS", 4)
    for version in range(1, 9):
        world.mirror.instead[f"metadata/{version}.root.json"] = b"{}"
    with pytest.raises(ListError, match="do not believe it"):
        updating.fetch_root(world.mirror.url, "ab" * 32, HttpTransport())
    assert len(world.mirror.asked) == 3


def test_a_list_is_followed_once(world: ListWorld, home: TrustHome) -> None:
    """Under one name, with one root; nothing is fetched for a second time."""
    entry = world.entry
    world.subscribe(home)
    for again in (entry, msgspec.structs.replace(entry, name="other"), msgspec.structs.replace(entry, root="ab" * 32)):
        with pytest.raises(ListError, match=r"already|not the one"):
            world.subscribe(home, again)


@pytest.mark.parametrize("cause", ["root", "mirror"])
def test_a_list_that_cannot_be_fetched_is_not_followed(world: ListWorld, home: TrustHome, cause: str) -> None:
    """Nothing of it stays."""
    entry = world.entry
    if cause == "root":
        entry = msgspec.structs.replace(entry, root="ab" * 32)
    else:
        world.mirror.instead["metadata/timestamp.json"] = None
    with pytest.raises(ListError):
        world.subscribe(home, entry)
    assert not home.trust_file.exists()
    assert not home.lists.exists() or not list(home.lists.iterdir())


def test_a_list_is_left(world: ListWorld, home: TrustHome) -> None:
    """With all that was kept of it; to follow it again begins anew."""
    world.subscribe(home)
    updating.unsubscribe(home, NAME)
    assert believed(home) == []
    assert not (home.lists / NAME).exists()
    assert "[[subscription]]" not in home.trust_file.read_text()
    with pytest.raises(ListError, match="no subscription 'street-list'"):
        updating.unsubscribe(home, NAME)
    (home.lists / NAME).mkdir(parents=True)
    (home.lists / NAME / "state.json").write_bytes(b"of another time")
    world.subscribe(home)
    assert believed(home) == ["example-ca"]


def test_another_list_stays(world: ListWorld, home: TrustHome, tmp_path: Path) -> None:
    """Each is followed and left by itself."""
    with list_world(tmp_path / "other") as other:
        other.publish(second=other_root(1))
        other.subscribe(home, msgspec.structs.replace(other.entry, name="second-list"))
        world.subscribe(home)
        assert sorted(believed(home)) == ["example-ca", "second"]
        updating.unsubscribe(home, NAME)
        assert believed(home) == ["second"]


def test_a_list_that_a_quorum_needs_is_not_left(world: ListWorld, home: TrustHome) -> None:
    """The quorum goes first."""
    world.subscribe(home)
    with home.trust_file.open("a") as file:
        file.write('\n[[quorum]]\ngroup = "example-ca"\n')
    with pytest.raises(TrustFileError, match="'example-ca' is no anchor"):
        updating.unsubscribe(home, NAME)
    assert believed(home) == ["example-ca"]


def test_settings_of_a_subscription_are_written_where_they_are_unusual(world: ListWorld, home: TrustHome) -> None:
    """And read again."""
    entry = msgspec.structs.replace(world.entry, auto_accept=True, grace_days=3)
    world.subscribe(home, entry)
    assert "auto_accept = true\ngrace_days = 3\n" in home.trust_file.read_text()
    assert TrustStore.load(home.trust_file).lists[0].entry == entry
    with pytest.raises(ListError, match="has the list street-list already"):
        editing.add_subscription(home, entry)


# What was kept


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (b"", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'{"format": "answerback-list-state-0"}', "cannot be read"),
    ],
)
def test_a_state_that_is_damaged_is_told(world: ListWorld, home: TrustHome, damage: bytes, words: str) -> None:
    """Rather an error than a store without its list."""
    world.subscribe(home)
    (home.lists / NAME / "state.json").write_bytes(damage)
    with pytest.raises(ListError, match=words):
        TrustStore.load(home.trust_file)
    with pytest.raises(ListError, match="subscribe again"):
        world.update(home)


@pytest.mark.parametrize("change", [{"format": "answerback-list-state-9"}, {"root": "ab" * 32}])
def test_a_state_of_something_else_is_told(world: ListWorld, home: TrustHome, change: dict[str, str]) -> None:
    """Another format, or another root than the one subscribed to."""
    world.subscribe(home)
    file = home.lists / NAME / "state.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ListError, match="of another list or format"):
        TrustStore.load(home.trust_file)


@pytest.mark.parametrize(
    ("kind", "entry"),
    [("deny", {"note": "of nothing"}), ("witness", {"name": "w", "operator": "W", "key": "none"})],
)
def test_an_agreement_that_no_list_could_have_asked_for_is_told(
    world: ListWorld, home: TrustHome, kind: str, entry: dict[str, str]
) -> None:
    """Somebody wrote into the file."""
    world.subscribe(home)
    file = home.lists / NAME / "state.json"
    state = json.loads(file.read_text())
    state["agreed"][kind] = [entry]
    file.write_text(json.dumps(state))
    with pytest.raises(ListError, match="says what no list can"):
        TrustStore.load(home.trust_file)


@pytest.mark.parametrize("gone", [True, False])
def test_a_version_that_is_damaged_is_told_and_fetched_again(
    world: ListWorld, home: TrustHome, held: Held, *, gone: bool
) -> None:
    """An update mends it, and what was agreed to stays."""
    world.subscribe(home)
    (text,) = (home.lists / NAME).glob("*.toml")
    text.unlink() if gone else text.write_bytes(b"# nothing\n")
    with pytest.raises(ListError, match="answerback trust update"):
        TrustStore.load(home.trust_file)
    assert world.update(home).changes == ()
    assert verified(home, held)


def test_a_root_that_is_damaged_is_told(world: ListWorld, home: TrustHome) -> None:
    """Nothing is believed about a list whose root is another."""
    world.subscribe(home)
    root = home.lists / NAME / "root.json"
    root.write_bytes(b"{}")
    with pytest.raises(ListError, match="not the root that you subscribed to"):
        world.update(home)
    root.unlink()
    with pytest.raises(ListError, match="cannot be read"):
        world.update(home)


def test_a_killed_update_leaves_the_old_version_or_the_new(world: ListWorld, home: TrustHome, held: Held) -> None:
    """At whatever file it dies, the store loads, and the next update goes through."""
    world.subscribe(home)
    kept = home.lists.parent / "kept"
    shutil.copytree(home.lists, kept, symlinks=True)
    world.publish(second=other_root(1))
    found = set()
    for step in range(1, 60):
        shutil.rmtree(home.lists)
        shutil.copytree(kept, home.lists, symlinks=True)
        if not _killed_at(step, world, home):
            break
        assert verified(home, held)
        found.add(TrustStore.load(home.trust_file).lists[0].version)
        assert world.update(home).version == 2
        assert believed(home) == ["example-ca"]
    assert step > 8
    assert found == {1, 2}


def _killed_at(step: int, world: ListWorld, home: TrustHome) -> bool:
    """Update in a child that dies before its file operation of this number; tell whether it died there."""
    child = os.fork()
    if child == 0:
        count = 0

        def dying(*arguments: object, of: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return of(*arguments, **options)  # type: ignore[operator]

        try:
            for name in ("fsync", "replace", "symlink"):
                real = getattr(os, name)
                setattr(os, name, lambda *a, real=real, **o: dying(*a, of=real, **o))
            for name in ("replace", "unlink", "mkdir"):
                real = getattr(Path, name)
                setattr(Path, name, lambda self, *a, real=real, **o: dying(self, *a, of=real, **o))
            world.update(home)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_folder_keeps_one_version(world: ListWorld, home: TrustHome) -> None:
    """Earlier ones are deleted, drafts of a killed process too where they are whole."""
    world.subscribe(home)
    write_file(home.lists / NAME / "0-00000000.toml", b"")
    world.publish(second=other_root(1))
    world.update(home)
    names = [path.name for path in (home.lists / NAME).glob("*.toml")]
    assert names == [f"2-{fingerprint((world.curator.folder / 'list.toml').read_bytes())[:8]}.toml"]
    assert ListFolder(home, NAME).state(SubscriptionEntry(name=NAME, url="http://x", root=world.entry.root).root)
