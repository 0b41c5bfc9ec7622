from __future__ import annotations

import hashlib
import json
import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from answerback.cli import front_door
from answerback.constraints import KEYS
from number_directory.record import Medium, Record, sign_record
from stir.certificate_chain import write_pem_chain
from stir.passport import Passport, sign
from stir.tn_auth_list import OID, RangeEntry, TnAuthList
from tests.fakes import small_pki
from tests.fakes.sealed_log import SealedLog, logged, witness
from tests.fakes.small_pki import CALLED, CALLER, STRANGER, Held
from trust_store.fingerprints import key_sha256_of, sha256_of

ROOT = small_pki.root("Example Root", prefixes=["+1202", "+44"])
ISSUING = ROOT.authority("Example Issuing", prefixes=["+1202"])
SHA = sha256_of(ROOT.certificate)
NOW = small_pki.NOW.isoformat()


HOW_TO = (Path(__file__).parents[2] / "docs" / "how-to" / "choose-whom-to-trust.md").read_text()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own, and work in the folder of its files."""
    folder = tmp_path / "home"
    monkeypatch.setenv("ANSWERBACK_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root.pem").write_bytes(write_pem_chain([ROOT.certificate]))
    (tmp_path / "root.der").write_bytes(ROOT.certificate.public_bytes(Encoding.DER))
    (tmp_path / "chain.pem").write_bytes(write_pem_chain(ISSUING.number().chain))
    return folder


def run(*arguments: str, typed: str | None = None, code: int = 0) -> Result:
    """Run `answerback trust …` and make sure of its exit code."""
    result = CliRunner().invoke(front_door, ["trust", *arguments], input=typed)
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # what JSON holds
    """Run `answerback trust … --json` and return what it printed."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def believed() -> None:
    """Believe the root."""
    run("add", "root.pem", "--sha256", SHA)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve the test's folder on loopback."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{serving.server_address[1]}"
    serving.shutdown()
    thread.join(10)
    serving.server_close()


# add


def test_an_authority_is_shown_and_asked_about_before_it_is_believed(home: Path) -> None:
    """The person sees the fingerprint, the operator and the numbers, and says yes."""
    result = run("add", "root.pem", typed="y\n")
    shown = re.sub(r"\s", "", result.stderr)
    assert SHA in shown
    assert "Operator of Example Root" in result.stderr
    assert "+1202, +44" in result.stderr
    assert "is believed from now on" in result.stdout
    assert f'sha256 = "{SHA}"' in (home / "trust.toml").read_text()
    assert data("list")["anchors"][0]["name"] == "example-root"


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
def test_whoever_does_not_say_yes_believes_nobody(home: Path, typed: str) -> None:
    """No is the default, and nobody there to answer means no."""
    assert "nothing was added" in run("add", "root.pem", typed=typed, code=1).stderr
    assert not home.exists()


def test_a_known_fingerprint_asks_nothing() -> None:
    """However it is written down."""
    written = ":".join(SHA[at : at + 2].upper() for at in range(0, 64, 2))
    run("add", "root.der", "--sha256", written)
    assert data("show", "example-root")["sha256"] == SHA


@pytest.mark.parametrize(("given", "told"), [("00" * 32, "do not believe it"), ("abc", "64 hexadecimal digits")])
def test_another_fingerprint_is_refused(home: Path, given: str, told: str) -> None:
    """The certificate that stands there is not the one that the operator told of."""
    assert told in run("add", "root.pem", "--sha256", given, code=1).stderr
    assert not home.exists()


def test_with_json_a_fingerprint_is_needed() -> None:
    """A program cannot be asked."""
    assert "--sha256" in data("add", "root.pem", code=1)["error"]
    assert data("add", "root.pem", "--sha256", SHA)["added"]["sha256"] == SHA


def test_an_anchor_is_added_on_terms(home: Path) -> None:
    """Names and constraints go into the file."""
    terms = ("--prefix", "+1202", "--prefix", "+44", "--until", "2027-06-30", "--issued-not-after", "2026-12-31")
    run("add", "root.pem", "--sha256", SHA, "--name", "mine", "--operator", "A friend", *terms)
    shown = data("show", "mine")
    assert (shown["operator"], shown["prefixes"]) == ("A friend", ["+1202", "+44"])
    assert (shown["until"], shown["issued_not_after"]) == ("2027-06-30", "2026-12-31")
    assert shown["may_certify"] == ["+1202", "+44"]
    assert "until = 2027-06-30" in (home / "trust.toml").read_text()


def test_an_anchor_is_fetched_from_a_url(server: str) -> None:
    """From this machine, or over https."""
    assert "127.0.0.1" in run("add", f"{server}/root.pem", typed="y\n").stderr


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("http://ca.example/root.pem", "use https"),
        ("ftp://ca.example/root.pem", "use https"),
        ("nothing.pem", "cannot read nothing.pem"),
    ],
)
def test_a_source_that_cannot_be_used_is_told(source: str, told: str) -> None:
    """In one line that says what to do."""
    assert told in run("add", source, code=1).stderr


def test_a_page_that_is_not_there_is_told(server: str) -> None:
    """With the server's status."""
    assert "404" in run("add", f"{server}/other.pem", code=1).stderr


def test_among_several_certificates_the_root_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    """A file with a whole chain will do."""
    both = tmp_path / "both.pem"
    both.write_bytes(write_pem_chain([ISSUING.certificate, ROOT.certificate]))
    run("add", "both.pem", typed="y\n")
    assert data("list")["anchors"][0]["sha256"] == SHA
    run("add", "both.pem", "--sha256", sha256_of(ISSUING.certificate))
    assert data("show", "example-issuing")["may_certify"] == ["+1202"]
    both.write_bytes(write_pem_chain([ROOT.certificate, small_pki.root("Other", key_number=9).certificate]))
    assert "choose one with --sha256" in run("add", "both.pem", code=1).stderr


@pytest.mark.parametrize("name", ["chain.pem", "home"])
def test_what_is_no_authority_is_no_anchor(tmp_path: Path, name: str) -> None:
    """A number's certificate vouches for nobody, and other files are no certificates."""
    (tmp_path / "home").write_text("hello")
    leaf = tmp_path / "chain.pem"
    leaf.write_bytes(write_pem_chain(ISSUING.number().chain[:1]))
    run("add", name, code=1)


@pytest.mark.usefixtures("believed")
def test_an_anchor_is_not_added_twice() -> None:
    """The person is told which one it is."""
    assert "example-root already" in run("add", "root.pem", "--sha256", SHA, code=1).stderr


@pytest.mark.parametrize(("option", "value"), [("--prefix", "1202"), ("--until", "soon"), ("--name", "No Name")])
def test_terms_that_make_no_sense_are_told(option: str, value: str, home: Path) -> None:
    """And nothing is written."""
    result = CliRunner().invoke(front_door, ["trust", "add", "root.pem", "--sha256", SHA, option, value])
    assert result.exit_code in {1, 2}
    assert not (home / "trust.toml").exists()


def test_an_authority_whose_ranges_are_no_prefix_is_shown_by_its_ranges(tmp_path: Path) -> None:
    """Whatever its limits are, the person sees them."""
    for start, shown in (("12025550123", "12025550123 to 12025550132"), ("00", "00 to 09")):
        numbers = x509.UnrecognizedExtension(x509.ObjectIdentifier(OID), TnAuthList((RangeEntry(start, 10),)).to_der())
        plain = small_pki.root()
        odd = small_pki.reissued(plain.certificate, plain.key, extra=[(numbers, False)])
        (tmp_path / "odd.pem").write_bytes(write_pem_chain([odd]))
        assert shown in run("add", "odd.pem", typed="n\n", code=1).stderr


# list, show, remove


def test_an_empty_store_is_told_as_such() -> None:
    """With what to do about it."""
    assert "answerback trust add" in run("list").stdout
    assert data("list")["anchors"] == []


@pytest.mark.usefixtures("believed")
def test_a_list_shows_whom_and_what_and_where(home: Path) -> None:
    """Anchors with their terms, and denies, each with its line."""
    run("constrain", "example-root", "--prefix", "+1202", "--issued-not-after", "2026-12-31", "--until", "2027-01-01")
    run("deny", "--number", "+12025550199", "--note", "solar panels")
    run("deny", "--prefix", "+1900")
    run("deny", "--certificate", "ab" * 32)
    shown = run("list").stdout
    assert f"believed for +1202, if issued up to 2026-12-31, until 2027-01-01  [{home / 'trust.toml'}:5]" in shown
    assert f"never +12025550199 (solar panels)  [{home / 'trust.toml'}:13]" in shown
    assert "never numbers that begin with +1900" in shown
    assert f"never the certificate or key {'ab' * 32}" in shown
    assert data("list")["settings"]["call_seconds"] == 60


@pytest.mark.usefixtures("believed")
def test_an_anchor_is_shown_in_full() -> None:
    """Its certificate and its terms."""
    shown = run("show", "example-root").stdout
    assert SHA in re.sub(r"\s", "", shown)
    assert "trust.toml:5" in shown
    assert "no anchor 'other'" in run("show", "other", code=1).stderr


def test_an_anchor_that_has_expired_is_marked(tmp_path: Path) -> None:
    """A list that looks well and believes nobody would mislead."""
    old = small_pki.reissued(
        ROOT.certificate,
        ROOT.key,
        not_before=datetime(2020, 1, 1, tzinfo=UTC),
        not_after=datetime(2021, 1, 1, tzinfo=UTC),
    )
    (tmp_path / "old.pem").write_bytes(write_pem_chain([old]))
    run("add", "old.pem", "--sha256", sha256_of(old))
    assert "EXPIRED" in run("list").stdout


@pytest.mark.usefixtures("believed")
def test_an_anchor_is_removed() -> None:
    """From then on it is not believed."""
    run("test", "chain.pem", "--at", NOW, "--offline")
    assert "no longer believed" in run("remove", "example-root").stdout
    run("test", "chain.pem", "--at", NOW, "--offline", code=3)
    assert "no anchor" in run("remove", "example-root", code=1).stderr


def test_a_damaged_store_is_told(home: Path) -> None:
    """In one line with the file's name."""
    home.mkdir()
    (home / "trust.toml").write_text("[[anchor]]\nname = 1\n")
    assert "trust.toml: anchor[0].name" in run("list", code=1).stderr
    assert "trust.toml: anchor[0].name" in data("test", "chain.pem", code=1)["error"]


# deny, constrain


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize("what", [("--number", CALLER.e164), ("--prefix", "+1202"), ("--anchor", "example-root")])
def test_what_is_denied_is_refused_and_may_be_taken_back(what: tuple[str, str]) -> None:
    """A deny stands above every anchor."""
    assert "denied from now on" in run("deny", *what).stdout
    assert "nothing to change" in run("deny", *what).stdout
    run("test", "chain.pem", "--at", NOW, "--offline", code=4)
    assert data("deny", *what, "--undo")["changed"]
    assert not data("deny", *what, "--undo")["changed"]
    run("test", "chain.pem", "--at", NOW, "--offline")


@pytest.mark.usefixtures("believed")
def test_a_certificate_is_denied_by_its_file_or_its_fingerprint() -> None:
    """A file stands for its key, which no other certificate brings back."""
    assert data("deny", "--certificate", "chain.pem")["certificate"] == key_sha256_of(ISSUING.number().chain[0])
    run("test", "chain.pem", "--at", NOW, "--offline", code=4)
    run("deny", "--certificate", "chain.pem", "--undo")
    run("deny", "--certificate", sha256_of(ISSUING.certificate))
    run("test", "chain.pem", "--at", NOW, "--offline", code=4)


@pytest.mark.parametrize("what", [(), ("--number", "+12025550123", "--prefix", "+1"), ("--anchor", "nobody")])
def test_a_deny_names_one_thing(what: tuple[str, ...]) -> None:
    """Not none, not two, and not an anchor that is not there."""
    run("deny", *what, code=1)


@pytest.mark.usefixtures("believed")
def test_a_constraint_is_set_and_taken_away() -> None:
    """The verdict follows, and names the line."""
    assert data("constrain", "example-root", "--prefix", "+44")["prefixes"] == ["+44"]
    verdict = data("test", "chain.pem", "--at", NOW, "--offline", code=4)
    assert (verdict["rule"], verdict["source"]) == ("anchor-numbers", "trust.toml:9")
    assert "believed for  any number" in run("constrain", "example-root", "--clear", "prefix").stdout
    run("test", "chain.pem", "--at", NOW, "--offline")


def test_every_constraint_has_an_option(home: Path) -> None:
    """When an anchor is added and later, shown in words and as data, and taken away again."""
    log = SealedLog().trusted()
    (home.parent / "log.json").write_bytes(log.data)
    run("log", "add", "log.json", "--sha256", log.sha256, "--name", "example-log")
    options = {
        "prefix": (("+1202",), "prefixes", ["+1202"]),
        "purpose": (("call", "record"), "purposes", ["call", "record"]),
        "issued-not-after": (("2026-12-31",), "issued_not_after", "2026-12-31"),
        "until": (("2027-06-30",), "until", "2027-06-30"),
        "method": (("sms-code",), "methods", ["sms-code"]),
        "longest-life": (("8d",), "longest_life_hours", 192),
        "authority-key": (("p256", "p384"), "authority_keys", ["p256", "p384"]),
        "scts": (("0",), "scts", 0),
        "log": (("example-log",), "logs", ["example-log"]),
        "log-operator": (("Example",), "log_operators", ["Example"]),
    }
    assert list(options) == list(KEYS)
    given = [part for name, (values, _, _) in options.items() for value in values for part in (f"--{name}", value)]
    expected = {key: value for _, key, value in options.values()}
    added = data("add", "root.pem", "--sha256", SHA, *given)["added"]
    assert {key: added[key] for key in expected} == expected
    cleared = data("constrain", "example-root", *[part for name in options for part in ("--clear", name)])
    assert {cleared[key] for key in expected} == {None}
    constrained = data("constrain", "example-root", *given)
    assert {key: constrained[key] for key in expected} == expected
    words = run("list").stdout
    for part in ("for calls, records only", "proved by sms-code", "for 192 hours at most", "p256, p384", "of Example"):
        assert part in words


@pytest.mark.parametrize("life", ["8", "d", "8w", "-1d"])
def test_a_life_is_written_in_days_or_hours(life: str) -> None:
    """What it means is told."""
    result = CliRunner().invoke(front_door, ["trust", "add", "root.pem", "--sha256", SHA, f"--longest-life={life}"])
    assert result.exit_code == 2
    assert "8d or 36h" in result.stderr


@pytest.mark.usefixtures("believed")
def test_a_constraint_of_nothing_or_on_nobody_is_told() -> None:
    """The person is told what can be said."""
    assert "--clear" in run("constrain", "example-root", code=1).stderr
    assert "no anchor" in run("constrain", "nobody", "--prefix", "+1", code=1).stderr


# test, explain


@pytest.mark.usefixtures("believed")
@pytest.mark.parametrize(("expect", "code"), [("verified", 0), ("unverified", 1), ("refused", 1)])
def test_an_expectation_decides_the_exit_code(expect: str, code: int) -> None:
    """So that a script can hold the store to what the user meant."""
    run("test", "chain.pem", "--at", NOW, "--offline", "--expect", expect, code=code)


@pytest.mark.usefixtures("believed")
def test_an_explanation_shows_each_rule_in_order_with_its_line(home: Path) -> None:
    """And the verdict at the end."""
    run("constrain", "example-root", "--until", "2026-01-01")
    shown = run("explain", "chain.pem", "--at", NOW, "--offline", code=4).stdout.splitlines()
    rules = [line.split()[1] for line in shown[: shown.index("")]]
    assert rules[:4] == ["denied-number", "chain", "denied-certificate", "anchor"]
    assert rules[-5:] == ["until", "included", "revocation", "quorum", "duplicate"]
    assert shown[rules.index("until")].startswith("REFUSED")
    assert shown[rules.index("until")].endswith(f"[{home / 'trust.toml'}:9]")
    assert shown[rules.index("revocation")].endswith("not asked")
    assert f"  stands  {home / 'trust.toml'}:9" in shown
    described = data("explain", "chain.pem", "--at", NOW, "--offline", code=4)
    assert described["rules"][-1]["result"] == "refused"
    assert described["not_asked"] == ["included", "revocation", "quorum", "duplicate"]


def token(tmp_path: Path, held: Held, **parts: Any) -> str:  # noqa: ANN401  # see Held.token
    """Write a token into a file, and return the file's name."""
    (tmp_path / "token").write_text(held.token(**parts) + "\n")
    return "token"


@pytest.mark.usefixtures("believed")
def test_a_token_is_explained_with_or_without_the_signalling(tmp_path: Path) -> None:
    """Without who called, it is never verified: the token is not to say."""
    held = ISSUING.number()
    name = token(tmp_path, held)
    signalling = ("--from", CALLER.e164, "--to", CALLED.e164)
    run("explain", name, *signalling, "--at", NOW, "--offline")
    run("test", held.token(), *signalling, "--at", NOW, "--offline")
    alone = data("explain", name, "--at", NOW, "--offline", code=3)
    assert (alone["verdict"], alone["rule"]) == ("unverified", "caller")
    assert [one["rule"] for one in alone["rules"] if one["result"] == "unverified"] == ["caller", "called"]
    half = data("explain", name, "--from", CALLER.e164, "--at", NOW, "--offline", code=3)
    assert (half["verdict"], half["rule"]) == ("unverified", "called")
    stale = data("explain", name, code=4)
    assert (stale["verdict"], stale["rule"]) == ("refused", "freshness")


def test_what_is_neither_a_token_nor_a_certificate_is_told(tmp_path: Path) -> None:
    """A misspelled file name is no verdict."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert "neither a file nor a token" in run("explain", "chian.pem", code=1).stderr
    assert "neither a token nor a certificate" in run("explain", "binary", code=1).stderr
    assert data("explain", "a.b.c", code=4)["rule"] == "token"


@pytest.mark.parametrize("at", ["yesterday", "2026-06-01", "2026-06-01T12:00:00"])
def test_a_time_has_a_zone(at: str) -> None:
    """Otherwise it is another moment elsewhere."""
    assert "zone" in run("test", "chain.pem", "--at", at, code=1).stderr


@pytest.mark.usefixtures("believed")
def test_evidence_may_come_on_standard_input() -> None:
    """As for other commands, - stands for it."""
    pem = write_pem_chain(ISSUING.number().chain).decode()
    run("test", "-", "--at", NOW, "--offline", typed=pem)


def test_a_revocation_list_is_fetched_and_counts(tmp_path: Path, server: str) -> None:
    """From the place that the certificate names, unless --offline is said."""
    run("add", "root.pem", "--sha256", SHA)
    held = ISSUING.number(crl_url=f"{server}/0.crl")
    (tmp_path / "held.pem").write_bytes(write_pem_chain(held.chain))
    revoked = x509.RevokedCertificateBuilder().serial_number(held.chain[0].serial_number)
    builder = x509.CertificateRevocationListBuilder().issuer_name(ISSUING.certificate.subject)
    builder = builder.last_update(small_pki.NOW).next_update(small_pki.NOW + timedelta(days=1))
    builder = builder.add_revoked_certificate(revoked.revocation_date(small_pki.NOW).build())
    (tmp_path / "0.crl").write_bytes(builder.sign(ISSUING.key, hashes.SHA256()).public_bytes(Encoding.DER))
    run("test", "held.pem", "--at", NOW, "--offline")
    assert data("test", "held.pem", "--at", NOW, code=4)["rule"] == "revocation"
    assert data("test", "held.pem", "--at", NOW, "--offline", code=4)["rule"] == "revocation"


def test_the_help_of_every_command_says_what_it_is_for() -> None:
    """Each has a sentence, and those that judge tell their exit codes."""
    for name in ("add", "list", "show", "remove", "deny", "constrain", "test", "explain"):
        assert "--json" in run(name, "--help").output
    for name in ("add", "list", "update", "remove"):
        assert "--json" in run("log", name, "--help").output
    for name in ("test", "explain"):
        assert "3 unverified, 4 refused" in " ".join(run(name, "--help").output.split())


# Logs


LOG = SealedLog()
LOG_SHA = LOG.trusted().sha256


@pytest.fixture
def log_file(tmp_path: Path) -> str:
    """Write a log's description, and return the file's name."""
    (tmp_path / "log.json").write_bytes(LOG.trusted().data)
    return "log.json"


def test_a_log_is_shown_and_asked_about_before_it_counts(home: Path, log_file: str) -> None:
    """The person sees the fingerprint, the operator and the shards, and says yes."""
    result = run("log", "add", log_file, typed="y\n")
    assert LOG_SHA in re.sub(r"\s", "", result.stderr)
    assert "2026h1 (to 2026-07-01)" in result.stderr
    assert "example-log counts from now on" in result.stdout
    assert f'sha256 = "{LOG_SHA}"' in (home / "trust.toml").read_text()
    listed = data("log", "list")
    assert [(one["name"], one["operator"]) for one in listed["logs"]] == [("example-log", "Described Operator")]
    assert listed["logs"][0]["shards"][0]["origin"] == "example-log.example/2026h1"
    assert f"{home / 'trust.toml'}:5" in run("log", "list").stdout


def test_a_log_does_not_count_where_nobody_says_yes(home: Path, log_file: str) -> None:
    """Nor with --json, where nobody is asked, nor where another file stands there than was meant."""
    assert "nothing was added" in run("log", "add", log_file, typed="n\n", code=1).stderr
    assert "--sha256" in run("log", "add", log_file, "--json", code=1).output
    assert "do not believe it" in run("log", "add", log_file, "--sha256", "00" * 32, code=1).stderr
    assert (
        "the log's description cannot be read"
        in run("log", "add", "root.pem", "--sha256", _sha("root.pem"), code=1).stderr
    )
    assert not home.exists()
    assert "You know no logs yet" in run("log", "list").stdout


def _sha(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def test_a_log_is_added_from_a_url_updated_and_removed(tmp_path: Path, server: str, log_file: str) -> None:
    """A later description with another shard takes the place of the first."""
    added = data("log", "add", f"{server}/{log_file}", "--sha256", LOG_SHA, "--name", "north", "--operator", "North")
    assert (added["added"]["name"], added["added"]["operator"]) == ("north", "North")
    later = SealedLog(shards=("2026h1", "2026h2", "2999")).trusted()
    (tmp_path / "later.json").write_bytes(later.data)
    run("log", "update", "north", "later.json", typed="y\n")
    (found,) = data("log", "list")["logs"]
    assert (found["operator"], found["sha256"], len(found["shards"])) == ("North", later.sha256, 3)
    assert data("log", "update", "north", "later.json", "--sha256", later.sha256)["updated"]["name"] == "north"
    assert data("log", "remove", "north")["removed"] == "north"
    assert data("log", "list")["logs"] == []
    assert "has no log 'north'" in run("log", "remove", "north", code=1).stderr


@pytest.mark.usefixtures("believed")
def test_an_authority_can_be_held_to_logs(tmp_path: Path, log_file: str) -> None:
    """What no log took is refused, and so is what a log filed under another number."""
    run("log", "add", log_file, "--sha256", LOG_SHA)
    run("constrain", "example-root", "--scts", "1", "--log", "example-log")
    shown = data("show", "example-root")
    assert (shown["scts"], shown["logs"]) == (1, ["example-log"])
    assert "with timestamps of the logs of 1 operator, of the logs example-log alone" in run("list").stdout
    without = data("explain", "chain.pem", "--at", NOW, "--offline", code=4)
    assert (without["rule"], without["source"]) == ("logged", "trust.toml:9")
    log = SealedLog()
    (tmp_path / "taken.pem").write_bytes(write_pem_chain(logged(ISSUING, ISSUING.number(), log).chain))
    run("test", "taken.pem", "--at", NOW, "--offline")
    hidden = logged(ISSUING, ISSUING.number(), log, number=STRANGER)
    (tmp_path / "hidden.pem").write_bytes(write_pem_chain(hidden.chain))
    found = data("explain", "hidden.pem", "--at", NOW, "--offline", code=4)
    assert (found["rule"], found["source"]) == ("log-timestamps", "trust.toml:12")
    assert "the label is not this number's" in found["reason"]
    assert "is limited to the log example-log" in run("log", "remove", "example-log", code=1).stderr
    run("constrain", "example-root", "--scts", "0", "--clear", "log")
    run("test", "chain.pem", "--at", NOW, "--offline")


@pytest.mark.usefixtures("believed")
def test_a_proof_comes_in_a_file(tmp_path: Path, home: Path, log_file: str) -> None:
    """Where one is asked for, the call is verified with it and not without."""
    run("log", "add", log_file, "--sha256", LOG_SHA)
    log = SealedLog()
    held = logged(ISSUING, ISSUING.number(), log)
    (tmp_path / "taken.pem").write_bytes(write_pem_chain(held.chain))
    (tmp_path / "proof").write_bytes(log.proof(0))
    with (home / "trust.toml").open("a") as file:
        file.write("\n[settings]\nproofs = 1\n")
    assert data("test", "taken.pem", "--at", NOW, "--offline", code=4)["rule"] == "included"
    run("test", "taken.pem", "--at", NOW, "--offline", "--proof", "proof")
    name, signalling = token(tmp_path, held), ("--from", CALLER.e164, "--to", CALLED.e164)
    run("explain", name, *signalling, "--at", NOW, "--offline", "--proof", "proof")
    verify = ["call", "verify", held.token(), *signalling, "--at", NOW, "--offline"]
    assert CliRunner().invoke(front_door, verify).exit_code == 4
    assert CliRunner().invoke(front_door, [*verify, "--proof", "proof"]).exit_code == 0


def test_witnesses_are_listed(home: Path) -> None:
    """They are written into the file by hand."""
    home.mkdir()
    key = witness().verifier.format()
    (home / "trust.toml").write_text(f'[[witness]]\nname = "library"\noperator = "Town Library"\nkey = "{key}"\n')
    assert data("log", "list")["witnesses"] == [
        {"name": "library", "operator": "Town Library", "key": key, "source": "trust.toml:1"}
    ]
    assert "Town Library, a witness" in run("log", "list").stdout


# The how-to page


@pytest.fixture
def page_files(tmp_path: Path) -> Held:
    """Write the files that the page names, good for today, and return the caller's certificate."""
    now = datetime.now(UTC)
    nowhere = "http://127.0.0.1:9/0.crl"
    held = ISSUING.number(not_before=now - timedelta(days=1), not_after=now + timedelta(days=1), crl_url=nowhere)
    (tmp_path / "chain.pem").write_bytes(write_pem_chain(held.chain))
    (tmp_path / "stolen.pem").write_bytes(
        write_pem_chain([small_pki.root(key_number=33).number(key_number=34).chain[0]])
    )
    (tmp_path / "token.txt").write_text(held.token(issued_at=now))
    other = small_pki.root("Other Root", key_number=40)
    (tmp_path / "other.pem").write_bytes(write_pem_chain([other.certificate]))
    (expectations,) = re.findall(r"^```text\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
    (tmp_path / "expectations.txt").write_text(expectations)
    for name in ("north", "south"):
        (tmp_path / f"{name}.json").write_bytes(SealedLog(name).trusted().data)
    return held


@pytest.mark.usefixtures("page_files")
def test_what_the_page_tells_a_person_to_type_works(home: Path) -> None:
    """Each command, in its order, with the fingerprint of the test's authority and days that do not pass."""
    blocks = re.findall(r"^```console\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert len(commands) >= 10
    for command in commands:
        program, *arguments = shlex.split(re.sub(r"\b20\d\d-", "2999-", re.sub(r"\b[0-9a-f]{64}\b", SHA, command)))
        if arguments[1:3] == ["add", "root.pem"]:
            (home / "trust.toml").unlink(missing_ok=True)
        result = CliRunner().invoke(front_door, arguments, input="y\n")
        assert (program, result.exit_code) == ("answerback", 0), f"{command}: {result.output}"


@pytest.mark.usefixtures("believed")
def test_the_program_on_the_page_runs(page_files: Held, capsys: pytest.CaptureFixture[str]) -> None:
    """It judges a call by the user's store."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", HOW_TO, re.MULTILINE | re.DOTALL)
    exec(program, {"token": page_files.token(issued_at=datetime.now(UTC))})  # noqa: S102  # the page's own
    assert capsys.readouterr().out.startswith("This is example-root telling the truth")


def test_a_token_to_something_that_is_no_number_needs_to_be_told_where_it_went(tmp_path: Path) -> None:
    """Emergency numbers and service codes are called too, but are certified for nobody."""
    held = ISSUING.number()
    passport = Passport(orig=CALLER, dest=("911",), issued_at=int(small_pki.NOW.timestamp()))
    (tmp_path / "token").write_text(sign(passport, held.key, chain=held.chain))
    assert "--to" in run("explain", "token", "--at", NOW, "--offline", code=1).stderr


# Quorums, several chains, records


@pytest.fixture
def two_believed(tmp_path: Path) -> Held:
    """Believe two authorities, and return a number with one key that both certified, its chains in files."""
    other = small_pki.root("Other Root", key_number=40)
    held, again = ISSUING.number(), other.authority("Other Issuing", key_number=41).number(key_number=3)
    (tmp_path / "other.pem").write_bytes(write_pem_chain([other.certificate]))
    (tmp_path / "again.pem").write_bytes(write_pem_chain(again.chain))
    run("add", "root.pem", "--sha256", SHA)
    run("add", "other.pem", "--sha256", sha256_of(other.certificate))
    return replace(held, chain=again.chain)


def test_a_quorum_is_asked_for_and_met_by_both_chains(two_believed: Held) -> None:
    """One certificate is not enough; two of one key are."""
    members = ("--member", "example-root", "--member", "other-root")
    shown = run("quorum", "both", "--need", "all", *members, "--prefix", "+1202", "--purpose", "call").stdout
    assert "2 of 2 of both (example-root, other-root): asked for from now on" in shown
    refused = data("test", "chain.pem", "--at", NOW, "--offline", code=4)
    assert (refused["rule"], refused["source"]) == ("quorum", "trust.toml:20")
    both = data("test", "chain.pem", "--chain", "again.pem", "--at", NOW, "--offline")
    assert (both["verdict"], both["rule"]) == ("verified", "quorum")
    words = "2 of 2 of both (example-root, other-root), for numbers that begin with +1202, for calls"
    assert words in run("list").stdout
    assert data("list")["quorums"][0] == {
        "group": "both",
        "asks_for": "2 of 2 of both (example-root, other-root)",
        "prefixes": ["+1202"],
        "purposes": ["call"],
        "apps": None,
        "source": "trust.toml:20",
    }
    run("test", "chain.pem", "--purpose", "message", "--at", NOW, "--offline")
    assert "remove that first" in run("remove", "example-root", code=1).stderr
    assert data("quorum", "both", "--remove")["asked"] is False
    run("test", "chain.pem", "--at", NOW, "--offline")
    assert two_believed.number == CALLER


@pytest.mark.usefixtures("two_believed")
def test_a_quorum_may_be_of_one_anchor_and_in_one_app() -> None:
    """Without a group of its own."""
    run("quorum", "other-root", "--app", "bank.example")
    assert ", in bank.example" in run("list").stdout
    assert data("list")["quorums"][0]["apps"] == ["bank.example"]


@pytest.mark.usefixtures("two_believed")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("g", "--member", "example-root"), "--need 2"),
        (("g", "--need", "many", "--member", "example-root"), "--need 2"),
        (("g", "--need", "2"), "members"),
        (("g", "--need", "2", "--member", "example-root"), "it needs 2 of 1"),
        (("nobody",), "no anchor and no group"),
        (("nobody", "--remove"), "no quorum of 'nobody'"),
    ],
)
def test_a_quorum_that_makes_no_sense_is_told(arguments: tuple[str, ...], told: str) -> None:
    """And nothing is written."""
    assert told in run("quorum", *arguments, code=1).stderr


def record(held: Held) -> str:
    """Return a record of a number in an app."""
    issued = int(small_pki.NOW.timestamp())
    media = frozenset({Medium.TEXT})
    said = Record(held.number, "chat.example", ("https://chat.example/1",), media, 1, issued, issued + 3600)
    return sign_record(said, held.key, held.chain)


@pytest.mark.usefixtures("believed")
def test_a_record_is_explained_as_one() -> None:
    """It is never verified without the number and the app that were asked about."""
    text = record(ISSUING.number())
    asked = ("--from", CALLER.e164, "--app", "chat.example", "--at", NOW, "--offline")
    found = data("explain", text, *asked)
    assert (found["verdict"], found["rules"][2]["rule"]) == ("verified", "record")
    alone = data("explain", text, "--at", NOW, "--offline", code=3)
    assert (alone["verdict"], alone["rule"]) == ("unverified", "record")
    assert "--app" in alone["reason"]
    assert data("test", text, "--from", STRANGER.e164, *asked[2:], code=4)["rule"] == "record"
    assert data("test", text[:-5] + "~", "--at", NOW, "--offline", code=4)["rule"] == "token"
    call = ISSUING.number().token()
    assert "no record" in run("test", call, "--purpose", "record", "--at", NOW, "--offline", code=1).stderr


@pytest.mark.usefixtures("believed")
def test_a_number_that_changed_hands_is_told(home: Path) -> None:
    """Certificates from before are refused."""
    reported = data("transition", CALLER.e164, "--date", "2026-06-01", "--kind", "port")
    assert reported["kind"] == "port"
    said = run("transition", CALLER.e164, "--date", "2026-05-01", "--kind", "reassignment").stdout
    assert "believed no longer" in said
    found = data("test", "chain.pem", "--at", NOW, "--offline", code=4)
    assert (found["rule"], found["source"]) == ("transition", "trust.toml:10")
    assert "write it as" in run("transition", "1202", "--date", "2026-05-01", "--kind", "port", code=1).stderr
    assert (home / "trust.toml").read_text().count("[[transition]]") == 2


# Answers: expectations, numbers, the doctor; a store on another device


@pytest.mark.usefixtures("believed")
def test_a_file_of_expectations_is_held_against_the_store(tmp_path: Path) -> None:
    """The exit code tells a script whether all hold; what differs is told with its line."""
    file = tmp_path / "expectations.txt"
    file.write_text(f"{CALLER.e164} by example-root for calls: verified\n")
    assert "1 of 1 expectations hold" in run("test", "--expectations", str(file)).stdout
    run("constrain", "example-root", "--purpose", "message")
    shown = run("test", "--expectations", str(file), code=1).stdout
    assert f"DIFFERS {CALLER.e164} by example-root for calls: verified" in shown
    assert "refused by purpose: you believe example-root only for messages" in shown
    assert "trust.toml:9]" in shown
    told = data("test", "--expectations", str(file), code=1)
    assert (told["failed"], told["expectations"][0]["rule"]) == (1, "purpose")
    file.write_text("+12025550123 by nobody for calls: verified\n")
    assert "unverified by anchor" in run("test", "--expectations", str(file), code=1).stdout
    file.write_text("nonsense\n")
    assert "line 1: write it as" in run("test", "--expectations", str(file), code=1).stderr
    file.write_bytes(b"\xff")
    assert "is no text" in run("test", "--expectations", str(file), code=1).stderr
    assert "say what to try" in run("test", code=1).stderr


@pytest.mark.usefixtures("two_believed")
def test_a_number_is_explained_before_anybody_calls(home: Path) -> None:
    """Who could certify it so that it is believed, and what stands in the way of the others."""
    run("constrain", "example-root", "--prefix", "+44")
    run("quorum", "other-root")
    shown = run("explain", CALLER.e164, "--at", NOW, "--app", "bank.example").stdout
    assert f"{CALLER.e164}, for calls in bank.example:" in shown
    assert "believed if certified by other-root (Operator of Other Root)" in shown
    assert (
        "refused if certified by example-root: you believe example-root only for numbers that begin with +44" in shown
    )
    assert f"[{home / 'trust.toml'}:9]" in shown
    assert "and only if certified by other-root" in shown
    told = data("explain", CALLER.e164, "--at", NOW)
    assert (told["believed_by"], told["denied"]) == (["other-root"], None)
    assert told["anchors"][0]["rules"][-1]["rule"] == "anchor-numbers"
    run("deny", "--number", CALLER.e164)
    assert "never: you deny this number" in run("explain", CALLER.e164, "--at", NOW).stdout
    assert data("explain", CALLER.e164, "--at", NOW)["believed_by"] == []
    assert "country code" in run("explain", "+1", code=1).stderr


def test_the_doctor_says_what_is_wrong_and_what_to_do(home: Path) -> None:
    """Exit code 1 where something does not work, 0 where all is well."""
    ill = run("doctor", code=1).stdout
    assert "error: you believe nobody" in ill
    assert "answerback trust add" in ill
    assert data("doctor", code=1)["diagnoses"][0]["severity"] == "error"
    run("add", "root.pem", "--sha256", SHA)
    assert run("doctor").stdout == f"Nothing is wrong with {home / 'trust.toml'}.\n"
    run("constrain", "example-root", "--issued-not-after", "2026-12-31")
    assert f"[{home / 'trust.toml'}:9]" in run("doctor").stdout


@pytest.mark.usefixtures("believed")
def test_a_store_moves_to_another_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its constraints; the person sees whom it believes before it is taken in."""
    run("constrain", "example-root", "--prefix", "+1202")
    sha256 = data("export", "store.json")["sha256"]
    assert run("export").stdout == (tmp_path / "store.json").read_text()
    assert "SHA-256" in run("export", "store.json").stdout
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path / "other-device"))
    asked = run("import", "store.json", typed="y\n")
    assert "example-root (Operator of Example Root): +1202" in asked.stderr
    assert data("list")["anchors"][0]["prefixes"] == ["+1202"]
    assert "nothing was added" in run("import", "store.json", "--replace", typed="n\n", code=1).stderr
    assert "--replace" in run("import", "store.json", "--sha256", sha256, code=1).stderr
    replaced = data("import", "store.json", "--sha256", sha256, "--replace")
    assert Path(replaced["kept"]).name == "trust.toml.before"
    assert "kept as" in run("import", "store.json", "--sha256", sha256, "--replace").stdout
    assert "do not believe it" in run("import", "store.json", "--sha256", "0" * 64, code=1).stderr
    assert "no export" in run("import", "root.pem", code=1).stderr


@pytest.mark.usefixtures("believed")
def test_pem_is_for_those_who_know_what_it_loses(tmp_path: Path) -> None:
    """Certificates alone hold no constraint."""
    assert run("export", "--pem").stdout == (tmp_path / "root.pem").read_text()
    run("constrain", "example-root", "--prefix", "+1202")
    assert "would lose: prefixes of example-root" in run("export", "--pem", "anchors.pem", code=1).stderr
    assert not (tmp_path / "anchors.pem").exists()
    run("export", "--pem", "--lossy", "anchors.pem")
    assert (tmp_path / "anchors.pem").read_text() == (tmp_path / "root.pem").read_text()
    assert "--lossy is for --pem" in run("export", "--lossy", code=1).stderr
    assert "name a FILE" in data("export", code=1)["error"]
