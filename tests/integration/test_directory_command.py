"""Owners and callers at a terminal, against directories that are made and served by their own commands."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acme_client.addresses import AuthorityAddress
from acme_client.store import Store
from answerback.cli import front_door
from answerback.directory_asking import signer_of
from number_directory.access_list import AccessList, AppAccess, Grant, sign_access_list
from number_directory.client import DirectoryClient
from number_directory.record import Medium, Record, sign_record
from stir.jws import MOST_CHAINS
from tests.fakes import small_pki
from tests.fakes.running_directory import RunningDirectory
from tests.fakes.running_log import unused_port
from tests.fakes.small_pki import CALLED, CALLER, STRANGER, Authority, Held
from transparency.transport import HttpTransport
from trust_store import TrustHome
from trust_store.editing import add_anchor, remove_anchor

BEGAN = datetime.now(UTC).replace(microsecond=0)
LIFE = {"not_before": BEGAN - timedelta(days=1), "not_after": BEGAN + timedelta(days=6)}
ROOT = small_pki.root()
ISSUING = ROOT.authority("Example Issuing")
ROGUE = small_pki.root("Rogue Root", key_number=41)
OWNER = ISSUING.number(CALLED, key_number=51, **LIFE)
ASKER = ISSUING.number(CALLER, key_number=52, **LIFE)
OTHER = ISSUING.number(STRANGER, key_number=53, **LIFE)
THIEF = ROGUE.number(CALLED, key_number=54, **LIFE)
CHAT, VIDEO = "chat.example", "com.example.video"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the directories."""
    return tmp_path_factory.mktemp("directories")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Serve a directory that admits the authority of the numbers, and a rogue one."""
    with RunningDirectory.make(folder / "first", admits=[ROOT.certificate, ROGUE.certificate]).running() as made:
        yield made.url


@pytest.fixture(scope="module")
def other_url(folder: Path) -> Iterator[str]:
    """Serve another one."""
    with RunningDirectory.make(folder / "second", admits=[ROOT.certificate]).running() as made:
        yield made.url


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home that holds three numbers and believes their authority."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for held in (OWNER, ASKER, OTHER):
        install(held)
    add_anchor(TrustHome.of_user(), ROOT.anchor())
    return tmp_path / "home"


def install(held: Held, ca: str = "https://ca.example/acme/index") -> None:
    """Keep a certificate in the user's store, as an enrolment does."""
    Store.open().install(
        AuthorityAddress.parse(ca), held.number, held.chain, held.key, validation=("sms-code",), now=BEGAN
    )


def run(*arguments: str, code: int = 0) -> Result:
    """Run `answerback directory …` and make sure of its exit code."""
    result = CliRunner().invoke(front_door, ["directory", *arguments])
    assert result.exit_code == code, result.output
    return result


def told(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run it with --json, and return what it printed."""
    found: dict[str, Any] = json.loads(run(*arguments, "--json", code=code).stdout)
    return found


def own(*arguments: str, url: str) -> tuple[str, ...]:
    """Return the arguments of a command of the owner's."""
    return (arguments[0], "--from", CALLED.e164, "--directory", url, *arguments[1:])


def publish(url: str) -> None:
    """Publish a chat and a video app, for one caller only."""
    run(*own("publish", "--app", CHAT, "--uri", "https://chat.example/u/7", "--medium", "message", url=url))
    run(*own("publish", "--app", VIDEO, "--uri", "https://video.example/7", "--medium", "video", url=url))
    run(*own("acl", "--allow", CALLER.e164, "--from-scratch", url=url))


def test_one_caller_gets_both_apps_and_a_stranger_gets_nothing(url: str) -> None:
    """The story of the demo: published, visible to one caller only, verified by the caller's own trust store."""
    publish(url)
    lookup = ("lookup", CALLED.e164, "--directory", url, "--offline")
    said = run(*lookup, "--from", CALLER.e164).stdout
    assert said.splitlines()[1].split() == ["APP", "MEDIA", "VERDICT", "WHY"]
    assert "message  verified" in said
    assert "trust.toml:5" in said
    (found,) = told(*lookup, "--from", CALLER.e164)["numbers"]
    assert [(one["app"], one["media"], one["verdict"]) for one in found["records"]] == [
        (CHAT, ["message"], "verified"),
        (VIDEO, ["video"], "verified"),
    ]
    assert found["asked"] == [url]
    (stranger,) = told(*lookup, "--from", STRANGER.e164, code=3)["numbers"]
    (nobody,) = told("lookup", "+12025550199", "--directory", url, "--offline", code=3)["numbers"]
    assert stranger["records"] == nobody["records"] == []
    assert "nothing that you may see" in run(*lookup, code=3).stdout


def another(place: int) -> Authority:
    """Return another authority."""
    return small_pki.root(f"Root {place}", key_number=60 + place)


def test_what_an_owner_signs_brings_the_chains_of_all_authorities_of_the_key(url: str) -> None:
    """As a call's token does: who asks for two operators believes a record, and who believes any one of them."""
    second, third = another(0), another(1)
    install(second.number(CALLED, key_number=51, **LIFE), "https://second.example/acme/index")
    install(third.number(CALLED, key_number=99, **LIFE), "https://third.example/acme/index")  # of another key
    publish(url)
    listing = DirectoryClient(url, HttpTransport()).own_records(signer_of(CALLED.e164))
    assert listing.access_list is not None
    for statement in (*(one.record for one in listing.records if one.record.app in {CHAT, VIDEO}), listing.access_list):
        assert {chain[-1] for chain in statement.chains} == {ROOT.certificate, second.certificate}
    add_anchor(TrustHome.of_user(), second.anchor("second-ca"))
    command = ["trust", "quorum", "both", "--need", "2", "--member", "example-ca", "--member", "second-ca"]
    assert CliRunner().invoke(front_door, command).exit_code == 0
    (found,) = told("lookup", CALLED.e164, "--directory", url, "--offline", "--from", CALLER.e164)["numbers"]
    verdicts = {one["app"]: one["verdict"] for one in found["records"]}
    assert {verdicts[CHAT], verdicts[VIDEO]} == {"verified"}


def test_what_an_owner_signs_has_as_many_chains_as_it_has_room_for(url: str) -> None:
    """Nine authorities are more than a statement may bring; a long record has room for fewer still."""
    for place in range(2, 10):
        install(another(place).number(CALLED, key_number=51, **LIFE), f"https://ca{place}.example/acme/index")
    uris = [part for place in range(12) for part in ("--uri", f"https://chat.example/{place}/{'x' * 400}")]
    run(*own("publish", "--app", CHAT, *uris, url=url))
    run(*own("publish", "--app", VIDEO, "--uri", "https://video.example/7", url=url))
    listing = DirectoryClient(url, HttpTransport()).own_records(signer_of(CALLED.e164))
    chains = {one.record.app: len(one.record.chains) for one in listing.records}
    assert 1 <= chains[CHAT] < chains[VIDEO] <= MOST_CHAINS


def test_a_number_that_is_not_shown_is_found(url: str) -> None:
    """With --hidden, what is open to anyone is found and judged as ever, signed or not; the rest is not there."""
    publish(url)
    lookup = ("lookup", CALLED.e164, "--directory", url, "--offline", "--hidden")
    run(*lookup, "--from", CALLER.e164, code=3)
    run(*own("acl", "--app", CHAT, "--allow", "anyone", url=url))
    wait_for_labels(*lookup)
    for caller in ((), ("--from", CALLER.e164)):
        (found,) = told(*lookup, *caller)["numbers"]
        assert [(one["app"], one["verdict"]) for one in found["records"]] == [(CHAT, "verified")]
        assert found["asked"] == [url]
    described = DirectoryClient(url, HttpTransport()).description().to_json()
    pinned = ("lookup", CALLED.e164, "--offline", "--hidden", "--directory")
    run(*pinned, f"{url}/#sha256={sha256(described).hexdigest().upper()}")
    assert "is not the one with the SHA-256" in run(*pinned, f"{url}#sha256={'0' * 64}", code=1).output
    assert "leave out --token" in run(*lookup, "--token", "t" * 22, code=1).output
    run(*own("acl", "--app", CHAT, "--nobody", url=url))
    run(*lookup, code=3)


def wait_for_labels(*lookup: str) -> None:
    """Wait until the worker has made the labels of what was opened."""
    deadline = time.monotonic() + 60
    while CliRunner().invoke(front_door, ["directory", *lookup]).exit_code != 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_media_and_tokens(url: str) -> None:
    """A record may be seen without its media; a token opens it for whoever has it."""
    publish(url)
    allowed = told(*own("acl", "--app", CHAT, "--allow", "anyone", "--media-for", "nobody", url=url))
    assert allowed["apps"][CHAT] == {"allow": ["anyone"], "media": []}
    assert allowed["default"]["allow"] == [CALLER.e164]
    (found,) = told("lookup", CALLED.e164, "--directory", url, "--offline")["numbers"]
    assert [(one["app"], one["media"]) for one in found["records"]] == [(CHAT, None)]
    token = told(*own("acl", "--app", VIDEO, "--new-token", "--allow", "+4420*", url=url))["token"]
    (found,) = told("lookup", CALLED.e164, "--directory", url, "--offline", "--token", token)["numbers"]
    assert [one["app"] for one in found["records"]] == [CHAT, VIDEO]
    shown = run(*own("acl", url=url)).stdout
    assert f"{CHAT}: anyone; media: nobody" in shown
    assert "the token with the SHA-256" in shown
    assert "+4420*" in shown
    run(*own("acl", "--nobody", "--app", CHAT, url=url))
    run("lookup", CALLED.e164, "--directory", url, "--offline", code=3)


def test_what_cannot_be_is_said(url: str) -> None:
    """A token that nobody could show is not granted; a record that should hold for ages ends with the certificate."""
    assert "22 to 128" in run(*own("acl", "--allow", "token:short", url=url), code=1).output
    ages = ("--for-days", "9" * 12)
    ends = told(*own("publish", "--app", CHAT, "--uri", "sip:a@b.example", *ages, url=url))["expires"]
    assert ends == LIFE["not_after"].isoformat()


def test_an_owner_holds_the_directory_to_account(url: str) -> None:
    """Records, receipts, and what others are shown, also from another address."""
    publish(url)
    run(*own("withdraw", "--app", VIDEO, url=url))
    checked = ("records", "--verify", "--as", CALLER.e164, "--as", STRANGER.e164, "--via", "127.0.0.7")
    found = told(*own(*checked, url=url))
    assert all(check["good"] for check in found["checks"])
    assert {check["what"] for check in found["checks"]} >= {
        CHAT,
        VIDEO,
        "access list",
        "anyone",
        f"your {CALLER.e164}",
        "anyone, via 127.0.0.7",
    }
    assert "proved to be in the record log" in run(*own(*checked, url=url)).stdout
    said = run(*own("records", url=url)).stdout
    assert f"{VIDEO}  withdrawn" in said
    assert "may be seen by" in said


def test_a_directory_that_shows_a_strangers_record_is_refused(url: str) -> None:
    """A record that another authority's certificate signed is not believed, though the directory took it."""
    now = int(datetime.now(UTC).timestamp())
    client = DirectoryClient(url, HttpTransport())
    swapped = Record(
        CALLED, "swap.example", ("https://evil.example/7",), frozenset({Medium.VIDEO}), now, now, now + 3600
    )
    client.publish(sign_record(swapped, THIEF.key, THIEF.chain))
    access = AccessList(CALLED, 2**40, now, AppAccess(frozenset({Grant.to_number(CALLER)})))
    client.set_access_list(sign_access_list(access, THIEF.key, THIEF.chain))
    lookup = ("lookup", CALLED.e164, "--directory", url, "--offline", "--from", CALLER.e164)
    (one,) = told(*lookup, code=3)["numbers"][0]["records"]
    assert (one["app"], one["verdict"], one["rule"]) == ("swap.example", "unverified", "anchor")
    failed = run(*own("records", "--verify", url=url), code=1)
    assert "FAIL  swap.example: no key of yours has signed this record" in failed.stdout
    refused = run(*own("acl", "--allow", "anyone", url=url), code=1)
    assert "no key of yours" in refused.output


def test_a_recycled_number_is_its_new_holders(folder: Path) -> None:
    """What the former holder let friends see is not theirs to see any more; the new one learns of the list."""
    former = ISSUING.number(CALLED, key_number=58, **LIFE)
    now = int(datetime.now(UTC).timestamp())
    with RunningDirectory.make(folder / "recycled", admits=[ROOT.certificate]).running() as made:
        client = DirectoryClient(made.url, HttpTransport())
        left = Record(CALLED, CHAT, ("https://chat.example/former",), frozenset(), now, now, now + 3600)
        client.publish(sign_record(left, former.key, former.chain))
        access = AccessList(CALLED, now, now, AppAccess(frozenset({Grant.to_number(CALLER)})))
        client.set_access_list(sign_access_list(access, former.key, former.chain))
        lookup = ("lookup", CALLED.e164, "--directory", made.url, "--offline", "--from", CALLER.e164)
        assert told(*lookup)["numbers"][0]["records"]
        said = run(*own("publish", "--app", CHAT, "--uri", "https://chat.example/u/7", url=made.url))
        assert "perhaps a former holder's" in said.stderr
        assert told(*lookup, code=3)["numbers"][0]["records"] == []
        assert told(*own("records", url=made.url))["access_list_is_yours"] is False
        shown = run(*own("records", url=made.url)).stdout
        assert "no key of yours has signed this access list" in shown
        assert "another key" in shown
        assert "from scratch" in run(*own("acl", "--allow", STRANGER.e164, url=made.url), code=1).output
        run(*own("acl", "--allow", STRANGER.e164, "--from-scratch", url=made.url))
        run(*lookup, code=3)
        run("lookup", CALLED.e164, "--directory", made.url, "--offline", "--from", STRANGER.e164)


def test_a_renewal_closes_nothing(url: str) -> None:
    """The first record under a new key takes the others and the access list along."""
    publish(url)
    install(ISSUING.number(CALLED, key_number=59, **LIFE))
    said = run(*own("publish", "--app", CHAT, "--uri", "https://chat.example/u/8", url=url))
    assert f"signed with your present key, too: {VIDEO}, the access list" in said.stderr
    lookup = ("lookup", CALLED.e164, "--directory", url, "--offline", "--from", CALLER.e164)
    (found,) = told(*lookup)["numbers"]
    shown = {one["app"]: one["uris"] for one in found["records"] if one["verdict"] == "verified"}
    assert shown == {CHAT: ["https://chat.example/u/8"], VIDEO: ["https://video.example/7"]}


def test_a_number_moves(other_url: str, folder: Path) -> None:
    """Its records go along; the old directory sends callers on, by the owner's word."""
    with RunningDirectory.make(folder / "third", admits=[ROOT.certificate]).running() as made:
        old_url = made.url
        publish(old_url)
        moved = told(*own("move", "--to", f"{other_url}/", url=old_url))
        assert moved == {"from": old_url, "to": other_url, "apps": [CHAT, VIDEO]}
        lookup = ("lookup", CALLED.e164, "--directory", old_url, "--offline", "--from", CALLER.e164)
        (found,) = told(*lookup)["numbers"]
        assert found["asked"] == [old_url, other_url]
        assert {one["directory"] for one in found["records"]} == {other_url}
        assert f"note: the number has moved from {old_url} to {other_url}" in run(*lookup).stdout
        assert f"moved to {other_url}" in run(*own("records", url=old_url)).stdout


def test_two_directories_side_by_side(url: str, other_url: str) -> None:
    """R10: asked at once, merged and compared; one that is down is told."""
    second = ISSUING.number(CALLER, key_number=52, **LIFE)
    assert second.number == CALLER
    for place, app in ((url, CHAT), (other_url, VIDEO)):
        run("publish", "--from", CALLER.e164, "--directory", place, "--app", app, "--uri", "sip:7@sip.example")
        run("acl", "--from", CALLER.e164, "--directory", place, "--allow", "anyone")
    down = f"http://127.0.0.1:{unused_port()}"
    places = [option for place in (url, other_url, down) for option in ("--directory", place)]
    (found,) = told("lookup", CALLER.e164, *places, "--offline")["numbers"]
    assert [one["app"] for one in found["records"]] == [CHAT, VIDEO]
    assert f"{CHAT}: {other_url} shows none" in found["told"]
    assert any(down in words for words in found["told"])


def test_an_older_record_is_refused_at_either_of_two_directories(folder: Path) -> None:
    """R10: one that was left behind, or lies, is told and refused, also when it alone is asked; until one forgets."""
    with (
        RunningDirectory.make(folder / "behind", admits=[ROOT.certificate]).running() as behind,
        RunningDirectory.make(folder / "ahead", admits=[ROOT.certificate]).running() as ahead,
    ):
        for made, uri in ((behind, "https://chat.example/old"), (ahead, "https://chat.example/new")):
            run(*own("publish", "--app", CHAT, "--uri", uri, url=made.url))
            run(*own("acl", "--allow", "anyone", url=made.url))
            wait_for_another_second()
        alone = ("lookup", CALLED.e164, "--directory", behind.url, "--offline")
        assert told(*alone)["numbers"][0]["records"][0]["evidence"] is None
        (found,) = told(*alone, "--directory", ahead.url)["numbers"]
        assert [one["uris"] for one in found["records"]] == [["https://chat.example/new"]]
        assert any(words.startswith(f"{CHAT}: {behind.url} shows an older record, ") for words in found["told"])
        (one,) = told(*alone, code=3)["numbers"][0]["records"]
        assert (one["verdict"], one["rule"]) == ("refused", "outdated")
        assert f"an older record than {ahead.url} showed before" in one["reason"]
        assert one["evidence"]["directory"] == ahead.url
        assert one["evidence"]["before"] != one["evidence"]["shown"]
        assert "refused     the directory shows an older record" in run(*alone, code=3).stdout
        assert told(*alone, "--no-memory")["numbers"][0]["records"][0]["verdict"] == "verified"
        run(*alone, code=3)
        run(*alone, "--forget")
        run(*alone)


def test_who_is_believed_no_more_blinds_nobody(folder: Path) -> None:
    """What a rogue authority certified is remembered while the user believes it, and speaks against nothing after."""
    made = RunningDirectory.make(folder / "rogue", admits=[ROOT.certificate, ROGUE.certificate])
    with made.running() as place:
        client, now = DirectoryClient(place.url, HttpTransport()), int(datetime.now(UTC).timestamp())
        theirs = Record(CALLED, CHAT, ("https://evil.example/7",), frozenset(), now * 1000, now, now + 3600)
        client.publish(sign_record(theirs, THIEF.key, THIEF.chain))
        access = AccessList(CALLED, now, now, AppAccess(frozenset({Grant.to_number(CALLER)})))
        client.set_access_list(sign_access_list(access, THIEF.key, THIEF.chain))
        lookup = ("lookup", CALLED.e164, "--offline", "--from", CALLER.e164, "--directory")
        add_anchor(TrustHome.of_user(), ROGUE.anchor("rogue-ca"))
        assert told(*lookup, place.url)["numbers"][0]["records"][0]["uris"] == ["https://evil.example/7"]
        with RunningDirectory.make(folder / "honest", admits=[ROOT.certificate]).running() as honest:
            publish(honest.url)
            refused = told(*lookup, honest.url)["numbers"][0]["records"]
            assert {one["app"]: one["rule"] for one in refused}[CHAT] == "outdated"
            remove_anchor(TrustHome.of_user(), "rogue-ca")
            believed = told(*lookup, honest.url)["numbers"][0]["records"]
            assert {one["verdict"] for one in believed} == {"verified"}
            assert told(*lookup, honest.url)["numbers"][0]["records"] == believed


def wait_for_another_second() -> None:
    """Wait until what is signed has a higher number, which is the time."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.05)


def test_a_memory_that_cannot_be_used_is_told(url: str, home: Path) -> None:
    """With the way to do without it."""
    run("lookup", STRANGER.e164, "--directory", url, "--offline", "--forget", code=3)
    (home / "seen-records.sqlite3").write_bytes(b"no database" * 1000)
    failed = run("lookup", STRANGER.e164, "--directory", url, "--offline", "--forget", code=1)
    assert "move it away to begin a new one, or do without: --no-memory" in failed.output
    run("lookup", STRANGER.e164, "--directory", url, "--offline", "--no-memory", code=3)


def test_a_directory_that_is_down_is_told(url: str) -> None:
    """Those are asked instead that were named, and otherwise nothing was looked up."""
    down = f"http://127.0.0.1:{unused_port()}"
    failed = run("lookup", STRANGER.e164, "--directory", down, "--offline", code=1)
    assert f"{down} gave no answer" in failed.output
    (found,) = told("lookup", STRANGER.e164, "--directory", down, "--fallback", url, "--offline", code=3)["numbers"]
    assert found["asked"] == [url]
    assert f"{url} was asked instead" in found["told"]
    assert "error" in told(*own("records", url=down), code=1)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("lookup", "12025550123", "--directory", "https://rs.example"), "begins with +"),
        (("lookup", CALLED.e164, "--directory", "rs.example"), "no directory's URL"),
        (("lookup", CALLED.e164, "--directory", "https://rs.example#sha256=00"), "64 hexadecimal digits"),
        (("lookup", CALLED.e164, "--directory", "https://rs.example#00"), "no directory's URL"),
        (("lookup", CALLED.e164), "map"),
        (("lookup", CALLED.e164, "--map-server", "http://127.0.0.1:9"), ""),
        (("lookup", CALLED.e164, "--from", "+12025550177", "--directory", "https://rs.example"), "no such certificate"),
        (own("acl", "--nobody", "--allow", "anyone", url="https://rs.example"), "not both"),
        (own("acl", "--media-for", "anyone", url="https://rs.example"), "--allow WHO"),
        (own("acl", "--allow", "token:é", url="http://127.0.0.1:9"), ""),
        (
            own("publish", "--app", CHAT, "--uri", "sip:a@b.example", "--for-days", "9" * 12, url="http://127.0.0.1:9"),
            "",
        ),
        (own("records", "--via", "127.0.0.1", url="https://rs.example"), "--verify"),
        (("records", "--from", CALLED.e164), "map"),
        (own("publish", "--app", "Chat", "--uri", "sip:a@b.example", url="http://127.0.0.1:9"), ""),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: tuple[str, ...], why: str) -> None:
    """What is wrong, and what to do."""
    failed = run(*arguments, code=1)
    assert why in failed.output
    assert failed.output.startswith("Error: ")
    assert failed.output.count("\n") == 1


def test_a_certificate_that_ended_signs_nothing(url: str) -> None:
    """The owner is told to renew."""
    old = ISSUING.number(
        CALLED, key_number=51, not_before=BEGAN - timedelta(days=9), not_after=BEGAN - timedelta(days=2)
    )
    install(old)
    assert "answerback renew" in run(*own("records", url=url), code=1).output


def test_the_group_lists_its_commands() -> None:
    """Those of owners and callers first, without importing any."""
    said = run("--help").stdout
    assert said.index("publish") < said.index("lookup") < said.index("serve")
    assert CliRunner().invoke(front_door, ["directory", "nothing"]).exit_code == 2
