"""Curated lists at the command line, from both sides, over HTTP on loopback."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
from click.testing import CliRunner, Result

from answerback.cli import front_door
from stir.certificate_chain import write_pem_chain
from tests.fakes import small_pki
from tests.fakes.list_world import Mirror, serving
from tests.fakes.sealed_log import SealedLog
from tests.fakes.small_pki import CALLED, CALLER
from trust_store.fingerprints import sha256_of

DOCS = Path(__file__).parents[2] / "docs" / "how-to"
ROOT = small_pki.root("Example Root", prefixes=["+1202", "+44"])
ISSUING = ROOT.authority("Example Issuing", prefixes=["+1202"])
OTHER = small_pki.root("Other Root", key_number=81)
NOW = small_pki.NOW.isoformat()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own, and work in the folder of its files."""
    folder = tmp_path / "home"
    monkeypatch.setenv("ANSWERBACK_HOME", str(folder))
    monkeypatch.delenv("ANSWERBACK_PASSPHRASE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root.pem").write_bytes(write_pem_chain([ROOT.certificate]))
    (tmp_path / "other.pem").write_bytes(write_pem_chain([OTHER.certificate]))
    (tmp_path / "chain.pem").write_bytes(write_pem_chain(ISSUING.number().chain))
    (tmp_path / "token.txt").write_text(ISSUING.number().token())
    return folder


def run(*arguments: str, typed: str | None = None, code: int = 0) -> Result:
    """Run `answerback trust …` and make sure of its exit code."""
    result = CliRunner().invoke(front_door, ["trust", *arguments], input=typed)
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # what JSON holds
    """Run `answerback trust … --json` and return what it printed."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


def curate(*arguments: str, code: int = 0) -> Result:
    """Run a curator's command."""
    return run("list-publish", *arguments, code=code)


def verdict() -> str:
    """Return the verdict on a call of the caller's."""
    asked = ["call", "verify", "-", "--from", CALLER.e164, "--to", CALLED.e164, "--at", NOW, "--offline", "--json"]
    result = CliRunner().invoke(front_door, asked, input=Path("token.txt").read_text())
    found: str = json.loads(result.stdout)["verdict"]
    return found


def anchors() -> list[str]:
    """Return whom the user believes."""
    return [anchor["name"] for anchor in data("list")["anchors"]]


def publish(*names: str) -> None:
    """Put authorities into the list, and publish it."""
    for name in names:
        curate("add", "list", f"{name}.pem", "--name", name)
    curate("release", "list")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """Return a mirror of a list with one authority, which a curator signs alone."""
    curate("init", "list", "--name", "street-list", "--curator", "Street Council", "--unencrypted-keys")
    publish("root")
    with serving(Path("list/public").absolute()) as mirror:
        yield mirror


def pin() -> str:
    """Return the SHA-256 of the newest root, as the curator hands it out."""
    found: str = data("list-publish", "status", "list")["pin"]
    return found


@pytest.fixture
def followed(mirror: Mirror) -> Mirror:
    """Follow the list, and agree to it."""
    run("subscribe", mirror.url, "--pin", pin(), "--accept", "all")
    return mirror


def refused(words: str) -> str:
    """Update in vain, and return the one line; whom the user believed is believed as before."""
    before = data("list")
    result = run("update", code=1)
    line = result.stderr.strip()
    assert line.startswith("Error: the list street-list: ")
    assert "\n" not in line
    assert re.search(words, line), line
    assert data("list")["anchors"] == before["anchors"]
    assert verdict() == "verified"
    answer = data("update", code=1)
    assert (answer["lists"], len(answer["failed"])) == ([], 1)
    return line


# Following


def test_a_person_sees_what_is_in_a_list_before_agreeing(mirror: Mirror, home: Path) -> None:
    """Who curates it, each authority with its fingerprint and how far it is believed; then a question."""
    shown = run("subscribe", mirror.url, "--pin", pin(), typed="y\n")
    assert "street-list: version 1 by Street Council" in shown.stdout
    assert "? anchor root: new (Operator of Example Root)" in shown.stdout
    assert sha256_of(ROOT.certificate) in shown.stdout.replace(" ", "")
    assert "agreed: root" in shown.stdout
    assert verdict() == "verified"
    assert "[[subscription]]" in (home / "trust.toml").read_text()
    assert "list street-list: version 1 by Street Council, 1 anchors, good until" in run("list").stdout
    assert data("list")["lists"][0]["health"] == "fresh"


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_whoever_does_not_agree_believes_nobody_and_is_told(mirror: Mirror, typed: str) -> None:
    """The list is followed, and every verdict says what waits."""
    run("subscribe", mirror.url, "--pin", pin(), typed=typed)
    assert anchors() == []
    assert verdict() == "unverified"
    told = run("explain", "chain.pem", "--at", NOW, "--offline", code=3).stdout
    assert "1 anchor of the list street-list must be agreed to by you" in told
    assert "1 changes wait for you" in run("list").stdout
    assert "must be agreed to by you" in run("doctor", code=1).stdout
    assert "? anchor root: new" in run("diff").stdout
    run("diff", "--accept", "root")
    assert verdict() == "verified"
    assert "nothing is other than you agreed to" in run("diff").stdout


def test_a_list_may_be_pinned_by_its_root(mirror: Mirror) -> None:
    """A file, where one was handed out."""
    answer = data(
        "subscribe", mirror.url, "--pin", "list/public/metadata/1.root.json", "--accept", "root", "--name", "a"
    )
    assert (answer["agreed"], answer["lists"][0]["name"]) == (["root"], "a")
    assert data("list")["lists"][0]["name"] == "a"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pin", "ab" * 32], "do not believe it"),
        (["--pin", "abc"], "64 hexadecimal digits"),
        (["--pin", "root.pem"], "malformed"),
    ],
)
def test_a_list_of_another_root_is_not_followed(mirror: Mirror, home: Path, arguments: list[str], words: str) -> None:
    """Nothing is written."""
    assert words in run("subscribe", mirror.url, *arguments, code=1).stderr
    assert not (home / "trust.toml").exists()


@pytest.mark.parametrize("arguments", [["http://x?y", "--name", "a"], ["https://x", "--name", "A b"]])
def test_what_trust_toml_could_not_hold_is_refused(mirror: Mirror, arguments: list[str]) -> None:
    """Before anybody is asked."""
    url, *more = arguments
    result = run("subscribe", url, *more, "--pin", "list/public/metadata/1.root.json", code=1)
    assert "cannot be subscribed to" in result.stderr
    assert not mirror.asked


@pytest.mark.usefixtures("followed")
def test_what_a_newer_version_does_is_told() -> None:
    """Line by line: what counts now, and what waits."""
    curate("constrain", "list", "root", "--prefix", "+1202", "--purpose", "call")
    publish("other")
    shown = run("update", typed="n\n").stdout
    assert "! anchor root: limited more from now on: prefixes, purposes" in shown
    assert "? anchor other: new (Operator of Other Root)" in shown
    assert anchors() == ["root"]
    assert data("show", "root")["prefixes"] == ["+1202"]
    answer = data("update", "--accept", "other")
    assert (answer["agreed"], answer["lists"][0]["waiting"]) == (["other"], 1)
    assert anchors() == ["root", "other"]
    assert "nothing of the name zero waits" in run("update", "--accept", "zero", code=1).stderr


@pytest.mark.usefixtures("followed")
def test_to_check_changes_nothing() -> None:
    """It says what there is."""
    publish("other")
    assert "? anchor other: new" in run("update", "--check").stdout
    assert data("list")["lists"][0]["version"] == 1


@pytest.mark.usefixtures("followed")
def test_a_revocation_counts_without_a_word() -> None:
    """And is not taken back by the user's own entry for the authority."""
    run("add", "root.pem", "--sha256", sha256_of(ROOT.certificate), "--name", "mine")
    curate("revoke", "list", "root", "--note", "its key was stolen")
    curate("release", "list")
    assert "! anchor root: REVOKED: never believed again" in run("update").stdout
    assert verdict() == "refused"
    assert "its key was stolen" in run("explain", "chain.pem", "--at", NOW, "--offline", code=4).stdout


@pytest.mark.usefixtures("followed")
def test_a_list_that_drops_everybody_is_held() -> None:
    """What was believed stays, and verdicts say what waits."""
    curate("remove", "list", "root")
    curate("release", "list")
    assert "? anchor root: gone, with most of the list: it stays until you agree" in run("update", typed="n\n").stdout
    assert verdict() == "verified"
    asked = ["call", "verify", "-", "--from", CALLER.e164, "--to", CALLED.e164, "--at", NOW, "--offline"]
    said = CliRunner().invoke(front_door, asked, input=Path("token.txt").read_text()).stdout
    assert "names root no more, which waits for you: run `answerback trust update`" in said
    run("update", "--accept", "all")
    assert verdict() == "unverified"


@pytest.mark.usefixtures("followed")
def test_a_list_is_left() -> None:
    """Its anchors go with it."""
    assert "its anchors are not believed" in run("unsubscribe", "street-list").stdout
    assert anchors() == []
    assert "no subscription" in run("unsubscribe", "street-list", code=1).stderr
    assert "you follow no list:" in run("update", code=1).stderr
    assert "you follow no list 'b'" in run("diff", "b", code=1).stderr


def test_one_list_that_fails_does_not_stop_another(followed: Mirror, tmp_path: Path) -> None:
    """Each is updated, and the command fails with the reason of the one."""
    curate("init", "second", "--name", "second-list", "--curator", "Second", "--unencrypted-keys")
    curate("add", "second", "other.pem", "--name", "other")
    curate("release", "second")
    with serving(tmp_path / "second" / "public") as second:
        root = tmp_path / "second" / "public" / "metadata" / "1.root.json"
        run("subscribe", second.url, "--pin", str(root), "--accept", "all", "--grace-days", "3", "--auto-accept")
        followed.instead["metadata/timestamp.json"] = b"{}"
        answer = data("update", code=1)
        assert [one["name"] for one in answer["lists"]] == ["second-list"]
        assert "malformed" in answer["failed"][0]
    assert anchors() == ["root", "other"]


@pytest.mark.usefixtures("followed")
def test_an_export_keeps_what_a_list_limits(home: Path) -> None:
    """On another device the list is there, with its constraints; as certificates alone it is not handed out."""
    curate("constrain", "list", "root", "--prefix", "+1202")
    curate("release", "list")
    run("update")
    assert "that the list street-list may revoke or limit" in run("export", "all.pem", "--pem", code=1).stderr
    run("export", "all.json")
    shutil.rmtree(home)
    run("import", "all.json", typed="y\n")
    assert data("show", "root")["prefixes"] == ["+1202"]
    run("update")


# What a mirror may do


def test_a_rollback_is_refused(followed: Mirror, tmp_path: Path) -> None:
    """By a mirror that shows what was the newest before."""
    old = Path(shutil.copytree("list/public", tmp_path / "old"))
    publish("other")
    run("update", "--accept", "all")
    followed.folder = old
    assert "here that is version 2" in refused("hands out something older than was seen before")


@pytest.mark.usefixtures("followed")
def test_a_freeze_is_refused_when_the_timestamp_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a mirror that shows nothing new."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time() + 8 * 24 * 3600, tz)

    times = SimpleNamespace(datetime=Later, timezone=timezone)
    monkeypatch.setattr("tuf.ngclient._internal.trusted_metadata_set.datetime", times)
    refused("has nothing that is still valid .*: it is being held back, or was forgotten")


def test_parts_of_two_versions_are_refused(followed: Mirror) -> None:
    """By a mirror that mixes and matches."""
    publish("other")
    old = Path("list/public/metadata/1.snapshot.json").read_bytes()
    followed.instead["metadata/2.snapshot.json"] = old
    refused("hands out parts that do not belong together")


def test_what_strangers_signed_is_refused(followed: Mirror, tmp_path: Path) -> None:
    """By a mirror that shows another list."""
    curate("init", "theirs", "--name", "street-list", "--curator", "Street Council", "--unencrypted-keys")
    curate("release", "theirs")
    followed.folder = tmp_path / "theirs" / "public"
    refused("hands out what too few of the known keys signed")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"{}", "malformed"),
        (bytes(1024 * 1024), "do not belong together|could not be asked"),
        (None, "could not be asked"),
    ],
)
def test_nonsense_is_refused(followed: Mirror, given: bytes | None, words: str) -> None:
    """By a mirror that sends anything, too much or nothing."""
    followed.instead["metadata/timestamp.json"] = given
    refused(words)


# Curating


def test_several_people_sign_and_a_lost_key_is_replaced(tmp_path: Path) -> None:
    """Two of three; the remaining two appoint another, and subscribers follow without a word."""
    for name in ("alice", "bob", "carol", "dave"):
        curate("key", f"{name}.key", "--unencrypted-keys")
    signers = [part for name in ("alice", "bob", "carol") for part in ("--signer", f"{name}.pub")]
    made = curate("init", "list", "--name", "l", "--curator", "L", *signers, "--threshold", "2", "--unencrypted-keys")
    assert "root 1 waits for signatures: it has 0 of 2" in made.stdout
    _sign("alice", "bob")
    curate("add", "list", "root.pem", "--name", "root")
    assert "version 1 is made" in curate("release", "list").stdout
    Path("copy.json").write_bytes(Path("list/pending/targets.json").read_bytes())
    curate("sign", "copy.json", "--key", "alice.key", "--unencrypted-keys")
    _sign("carol")
    assert "published" in curate("merge", "list", "copy.json").stdout
    with serving(tmp_path / "list" / "public") as mirror:
        run("subscribe", mirror.url, "--pin", pin(), "--accept", "all")
        left = [part for name in ("alice", "bob", "dave") for part in ("--signer", f"{name}.pub")]
        assert (
            "root 2 waits for signatures: it has 0 of 2" in curate("rotate", "list", *left, "--new-online-key").stdout
        )
        _sign("alice", "bob")
        assert data("update")["lists"][0]["changes"] == []
        publish("other")
        assert "no signer's" in curate("sign", "list", "--key", "carol.key", "--unencrypted-keys", code=1).stderr
        _sign("dave", "bob")
        run("update", "--accept", "all")
        assert anchors() == ["root", "other"]


def _sign(*names: str) -> None:
    for name in names:
        curate("sign", "list", "--key", f"{name}.key", "--unencrypted-keys")


@pytest.mark.usefixtures("mirror")
def test_the_status_tells_what_is_published_and_what_is_to_do() -> None:
    """Until when each signature is good, with the command that renews it."""
    shown = curate("status", "list").stdout
    assert f"version 1 is published; subscribers' pin: {pin()}" in shown
    assert "timestamp good until" in shown
    assert "another one than is published" not in shown
    curate("add", "list", "other.pem", "--name", "other", "--prefix", "+1", "--scts", "1")
    assert "list.toml is another one than is published" in curate("status", "list").stdout
    assert "version 2 is published" in curate("release", "list").stdout
    assert "nothing has changed" in curate("release", "list").stdout
    assert "version 2 is the newest, good until" in curate("timestamp", "list").stdout
    assert "published" in curate("renew", "list").stdout
    assert data("list-publish", "timestamp", "list")["version"] == 2


def test_an_empty_list_is_told_before_it_is_published() -> None:
    """Nothing is published yet, and nobody can be given a pin."""
    curate("init", "new", "--name", "new", "--curator", "N", "--unencrypted-keys")
    assert "nothing is published yet" in curate("status", "new").stdout
    assert data("list-publish", "status", "new")["pin"] is None
    assert "nothing is published yet" in curate("timestamp", "new", code=1).stderr


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "list", "root.pem", "--name", "again"], "another anchor has the same sha256"),
        (["add", "list", "chain.pem"], "holds 3 certificates"),
        (["add", "list", "other.pem", "--sha256", "ab" * 32], "not the one that was asked for"),
        (["add", "list", "other.pem", "--log", "none"], "there is no [[log]]"),
        (["constrain", "list", "nobody", "--prefix", "+1"], "has no anchor 'nobody': it has root"),
        (["constrain", "list", "root"], "say how to limit it"),
        (["remove", "list", "nobody"], "has no anchor"),
        (["status", "home"], "name the folder of a list"),
        (["log", "list", "root.pem", "--name", "l"], "description"),
        (["init", "list", "--name", "l", "--curator", "L", "--unencrypted-keys"], "is not empty"),
        (["init", "new", "--name", "No Name", "--curator", "L", "--unencrypted-keys"], "list.name"),
        (["init", "new", "--name", "l", "--curator", "L"], "give --passphrase-file"),
        (["merge", "list", "gone.json"], "gone.json cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(arguments: list[str], words: str) -> None:
    """With what to do."""
    assert words in curate(*arguments, code=1).stderr


@pytest.mark.usefixtures("followed")
def test_the_list_may_be_edited_by_hand() -> None:
    """A comment stays; a mistake is told before it is published."""
    file = Path("list/list.toml")
    file.write_text("# mine\n" + file.read_text())
    curate("constrain", "list", "root", "--until", "2030-01-01", "--purpose", "call")
    curate("constrain", "list", "root", "--clear", "purpose")
    assert file.read_text().startswith("# mine\n")
    file.write_text(file.read_text() + "\n[extra]\n")
    assert "extra: there is no such key" in curate("release", "list", code=1).stderr
    file.unlink()
    assert "restore it from your backup" in curate("status", "list", code=1).stderr


@pytest.mark.usefixtures("mirror")
def test_a_log_is_named_and_described_anew() -> None:
    """By one name: the later description takes the place of the former."""
    Path("log.json").write_bytes(SealedLog().trusted().data)
    curate("log", "list", "log.json", "--name", "north-log")
    Path("log.json").write_bytes(SealedLog(shards=("2026h1", "2026h2")).trusted().data)
    curate("log", "list", "log.json", "--name", "north-log", "--operator", "North Watch")
    text = Path("list/list.toml").read_text()
    assert text.count("[[log]]") == 1
    assert 'operator = "North Watch"' in text
    assert "2026h2" in text
    curate("release", "list")


# What the documentation shows


@pytest.mark.parametrize("page", ["follow-a-list.md", "curate-a-list.md"])
def test_what_the_how_to_shows_works(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command of the page, in its order, with the names on this machine in place of the examples'."""
    monkeypatch.setenv("ANSWERBACK_PASSPHRASE", "correct horse battery staple")
    for name in ("our-street", "next-street"):
        authority = small_pki.root(name, key_number=90 + len(name))
        (tmp_path / f"{name}.pem").write_bytes(write_pem_chain([authority.certificate]))
    text = (DOCS / page).read_text()
    if page == "follow-a-list.md":
        curate("init", "list", "--name", "street-list", "--curator", "Street Council", "--unencrypted-keys")
        publish("root")
    with serving(tmp_path / ("list" if page == "follow-a-list.md" else "street-list") / "public") as mirror:
        for line in re.findall(r"^\$ answerback trust (.*)$", text, re.MULTILINE):
            shown = line.replace("https://council.example/list", mirror.url)
            if re.search(r"[0-9a-f]{64}", shown):
                shown = re.sub(r"[0-9a-f]{64}", pin(), shown)
            run(*shlex.split(shown), typed="y\n")
    assert re.findall(r"^\$ answerback trust", text, re.MULTILINE)
