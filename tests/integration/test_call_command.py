from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from acme_client.addresses import AuthorityAddress
from acme_client.store import Store
from answerback.cli import front_door
from stir.certificate_chain import write_pem_chain
from stir.identity_header import IdentityHeader
from stir.passport import SignedPassport, message_integrity
from tests.fakes import small_pki
from tests.fakes.small_pki import CALLED, CALLER, STRANGER, Held
from trust_store import TrustHome
from trust_store.editing import add_anchor

REPOSITORY = Path(__file__).parents[2]
ROOT = small_pki.root()
ISSUING = ROOT.authority("Example Issuing")
BEGAN = datetime.now(UTC).replace(microsecond=0)
SIGNALLING = ("--from", CALLER.e164, "--to", CALLED.e164)


def certified(*, days: int = 6, key_number: int = 3) -> Held:
    """Return a certificate for the caller that lasts this long from now."""
    begins = min(BEGAN, BEGAN + timedelta(days=days)) - timedelta(days=1)
    ends = BEGAN + timedelta(days=days)
    return ISSUING.number(not_before=begins, not_after=ends, key_number=key_number)


def install(held: Held, ca: str = "https://ca.example/acme/index") -> None:
    """Keep a certificate in the user's store, as an enrolment does."""
    store = Store.open()
    store.install(AuthorityAddress.parse(ca), held.number, held.chain, held.key, validation=("sms-code",), now=BEGAN)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own that believes the root, and work in the folder of its files."""
    folder = tmp_path / "home"
    monkeypatch.setenv("ANSWERBACK_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    add_anchor(TrustHome.of_user(), ROOT.anchor())
    return folder


def run(*arguments: str, typed: str | None = None, code: int = 0) -> Result:
    """Run `answerback call …` and make sure of its exit code."""
    result = CliRunner().invoke(front_door, ["call", *arguments], input=typed)
    assert result.exit_code == code, result.output
    return result


def verdict(*arguments: str, typed: str | None = None, code: int = 0) -> dict[str, Any]:
    """Run `answerback call verify … --offline --json` and return what it printed."""
    found: dict[str, Any] = json.loads(run("verify", *arguments, "--offline", "--json", typed=typed, code=code).stdout)
    return found


# sign


def test_a_call_that_was_signed_is_verified() -> None:
    """The caller signs, the called party's trust store believes."""
    install(certified())
    token = run("sign", *SIGNALLING).stdout.strip()
    told = run("verify", token, *SIGNALLING, "--offline").stdout
    assert told.startswith("VERIFIED: the certificates lead to example-ca")
    assert "trust.toml:5" in told


def test_a_signed_token_brings_its_chain_and_states_the_call() -> None:
    """So that it can be verified with neither end online."""
    held = certified()
    install(held)
    data = json.loads(run("sign", *SIGNALLING, "--json").stdout)
    signed = SignedPassport.parse(data["token"])
    assert signed.chain == held.chain
    assert (signed.passport.orig, signed.passport.dest, signed.passport.ppt) == (CALLER, (CALLED.digits,), None)
    assert abs(datetime.fromisoformat(data["issued_at"]) - BEGAN) < timedelta(hours=1)
    assert data["ca"] == "https://ca.example/acme/index"


def test_a_header_is_for_sip() -> None:
    """It carries the token, and is verified like it, with or without its name."""
    install(certified())
    header = run("sign", *SIGNALLING, "--identity-header").stdout.strip()
    assert IdentityHeader.parse(header).token.count(".") == 2
    assert verdict(header, *SIGNALLING)["verdict"] == "verified"
    assert verdict(f"Identity: {header}", *SIGNALLING)["verdict"] == "verified"
    assert "identity_header" in json.loads(run("sign", *SIGNALLING, "--identity-header", "--json").stdout)


def test_the_certificate_that_lasts_longest_signs_or_the_one_that_is_named() -> None:
    """A caller may be certified by several authorities."""
    short, long = certified(days=2, key_number=11), certified(days=5, key_number=12)
    install(short, "https://short.example/acme/index")
    install(long, "https://long.example/acme/index")
    for options, held in (((), long), (("--ca", "short.example"), short), (("--ca", "long.example"), long)):
        token = run("sign", *SIGNALLING, *options).stdout.strip()
        assert SignedPassport.parse(token).chain == held.chain


def test_nobody_signs_for_a_number_that_is_not_certified_here() -> None:
    """The person is told what to do."""
    assert "no such certificate is held here" in run("sign", *SIGNALLING, code=1).stderr
    install(certified(days=-1))
    assert "answerback renew" in run("sign", *SIGNALLING, code=1).stderr
    assert "telephone number" in run("sign", "--from", "911", "--to", CALLED.e164, code=1).stderr
    assert "error" in json.loads(run("sign", "--from", "911", "--to", CALLED.e164, "--json", code=1).stdout)


@pytest.mark.parametrize("typed", ["token.txt", "a token.v1.txt", "no-such-file.txt"])
def test_a_files_name_is_not_judged_as_a_token(tmp_path: Path, typed: str) -> None:
    """It says nothing of the caller: the person is told how to have the file read."""
    for name in ("token.txt", "a token.v1.txt"):
        (tmp_path / name).write_text("whatever")
    told = run("verify", typed, *SIGNALLING, "--offline", code=1).stderr
    assert "read it from a file with `- < " in told
    assert "REFUSED" not in told


def test_what_is_read_from_a_file_is_judged_whatever_it_is() -> None:
    """Garbage that came in with a call is refused, not excused."""
    assert verdict("-", *SIGNALLING, typed="garbage", code=4)["rule"] == "token"
    assert verdict("not.a.token", *SIGNALLING, code=4)["rule"] == "token"


def test_a_malformed_certificate_is_told_with_its_file(tmp_path: Path) -> None:
    """Of several files, the person knows which to mend."""
    (tmp_path / "chain.der").write_bytes(b"\x30 no certificate")
    told = run("verify", "a.b.c", *SIGNALLING, "--chain", "chain.der", "--offline", code=1).stderr
    assert "chain.der: the certificate" in told


# messages


def test_a_message_is_verified_once_with_its_text(tmp_path: Path) -> None:
    """Another text, or the same message again, is refused."""
    install(certified())
    (tmp_path / "text").write_bytes(b"hello")
    (tmp_path / "other").write_bytes(b"send money")
    token = run("sign", *SIGNALLING, "--message", "text").stdout.strip()
    assert SignedPassport.parse(token).passport.message_integrity == message_integrity(b"hello")
    assert verdict(token, *SIGNALLING, "--message", "other", code=4)["rule"] == "message-text"
    assert verdict(token, *SIGNALLING, code=4)["rule"] == "kind"
    assert verdict(token, *SIGNALLING, "--message", "text")["verdict"] == "verified"
    assert verdict(token, *SIGNALLING, "--message", "text", code=4)["rule"] == "duplicate"
    assert "cannot read nothing" in run("verify", token, *SIGNALLING, "--message", "nothing", code=1).stderr


def test_the_sender_of_a_message_is_judged_without_its_text(tmp_path: Path) -> None:
    """With --purpose, where the text is not at hand."""
    install(certified())
    (tmp_path / "text").write_bytes(b"hello")
    token = run("sign", *SIGNALLING, "--message", "text").stdout.strip()
    assert verdict(token, *SIGNALLING, "--purpose", "message")["verdict"] == "verified"


def test_a_call_is_never_judged_as_a_record() -> None:
    """What is no use of a call is not offered for one."""
    refused = run("verify", "-", *SIGNALLING, "--purpose", "record", code=2)
    assert "'call', 'message'" in refused.stderr


# verify


def test_a_token_may_come_on_standard_input() -> None:
    """With a line's end behind it."""
    token = certified().token(issued_at=BEGAN)
    at = BEGAN.isoformat()
    assert verdict("-", *SIGNALLING, "--at", at, typed=f"{token}\n")["verdict"] == "verified"


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--from", STRANGER.e164, "--to", CALLED.e164), "caller"),
        (("--from", CALLER.e164, "--to", STRANGER.e164), "called"),
        ((*SIGNALLING, "--at", (BEGAN + timedelta(minutes=2)).isoformat()), "freshness"),
    ],
)
def test_what_an_attacker_tries_is_refused_with_its_reason(arguments: tuple[str, ...], rule: str) -> None:
    """Exit code 4, and the rule by name; no whole number in it."""
    found = verdict(certified().token(issued_at=BEGAN), "--at", BEGAN.isoformat(), *arguments, code=4)
    assert (found["verdict"], found["rule"]) == ("refused", rule)
    assert CALLER.digits not in json.dumps(found)


@pytest.mark.parametrize("token", ["", "a.b.c", "hello; world", "Identity: x", "a.b.c;info=<https://x.example>"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """That is a verdict as well."""
    assert verdict(token, *SIGNALLING, code=4)["rule"] == "token"


def test_a_stranger_is_unverified_and_an_empty_store_says_what_to_do(home: Path) -> None:
    """Exit code 3, and the file that knows no anchor for it."""
    stranger = small_pki.root("Stranger", key_number=30).number(
        not_before=BEGAN - timedelta(1), not_after=BEGAN + timedelta(1)
    )
    token, at = stranger.token(issued_at=BEGAN), BEGAN.isoformat()
    found = verdict(token, *SIGNALLING, "--at", at, code=3)
    assert (found["verdict"], found["anchor"], found["file"]) == ("unverified", None, str(home / "trust.toml"))
    (home / "trust.toml").unlink()
    told = run("verify", token, *SIGNALLING, "--at", at, "--offline", code=3).stdout
    assert told.startswith("UNVERIFIED: your trust store is empty")
    assert f"stands  {home / 'trust.toml'}" in told


def test_certificates_may_be_given_beside_a_token(tmp_path: Path) -> None:
    """For a token that only names them; nobody asks the URL of a stranger."""
    held = certified()
    (tmp_path / "chain.pem").write_bytes(write_pem_chain(held.chain))
    token = held.token(chain=(), certificate_url="https://ca.example/chain.pem", issued_at=BEGAN)
    at = ("--at", BEGAN.isoformat())
    assert verdict(token, *SIGNALLING, *at, code=3)["rule"] == "chain"
    assert verdict(token, *SIGNALLING, *at, "--chain", "chain.pem")["verdict"] == "verified"
    (tmp_path / "chain.pem").write_text("no certificate")
    assert "certificate" in run("verify", token, *SIGNALLING, "--chain", "chain.pem", code=1).stderr


def test_who_called_whom_is_needed() -> None:
    """Without it there is nothing to compare: exit code 2, as for every wrong use."""
    run("verify", "a.b.c", "--to", CALLED.e164, code=2)
    run("verify", "a.b.c", "--from", CALLER.e164, code=2)


def test_the_help_tells_the_exit_codes() -> None:
    """A script's author finds them."""
    assert "0 verified, 3 unverified, 4 refused" in " ".join(run("verify", "--help").output.split())


def test_the_installed_command_exits_with_the_verdict(home: Path) -> None:
    """From the shell, as a person runs it."""
    install(certified())
    command = [sys.executable, "-m", "answerback", "call"]

    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY
        )

    signed = shell("sign", *SIGNALLING)
    assert signed.returncode == 0, signed.stderr
    token = signed.stdout.strip()
    assert shell("verify", token, *SIGNALLING, "--offline").returncode == 0
    assert shell("verify", token, "--from", STRANGER.e164, "--to", CALLED.e164, "--offline").returncode == 4
    (home / "trust.toml").unlink()
    assert shell("verify", token, *SIGNALLING, "--offline").returncode == 3


# Several authorities for one key


def other_authority(number: int, **parts: Any) -> Held:  # noqa: ANN401  # see `Authority.number`
    """Return a certificate of another authority for the caller's key."""
    root = small_pki.root(f"Root {number}", key_number=200 + number)
    add_anchor(TrustHome.of_user(), root.anchor(f"root-{number}"))
    dates = {"not_before": BEGAN - timedelta(days=1), "not_after": BEGAN + timedelta(days=5)}
    return root.authority(f"CA {number}", key_number=220 + number).number(**(dates | parts))


def test_a_call_brings_the_chains_of_all_authorities_for_its_key() -> None:
    """So that one who asks for two of them finds two; other keys and what is over stay at home."""
    install(certified())
    install(other_authority(1), "https://one.example/acme/index")
    install(other_authority(2, key_number=9), "https://two.example/acme/index")
    install(other_authority(3, not_after=BEGAN - timedelta(hours=1)), "https://three.example/acme/index")
    signed = json.loads(run("sign", *SIGNALLING, "--json").stdout)
    assert signed["authorities"] == ["https://ca.example/acme/index", "https://one.example/acme/index"]
    assert len(SignedPassport.parse(signed["token"]).chains) == 2
    file = TrustHome.of_user().trust_file
    with file.open("a") as text:
        text.write('\n[[group]]\nname = "both"\nneed = "all"\nmembers = ["example-ca", "root-1"]\n')
        text.write('\n[[quorum]]\ngroup = "both"\n')
    assert verdict(signed["token"], *SIGNALLING)["rule"] == "quorum"
    alone = json.loads(run("sign", *SIGNALLING, "--ca", "https://ca.example/acme/index", "--json").stdout)
    assert len(SignedPassport.parse(alone["token"]).chains) == 1
    assert verdict(alone["token"], *SIGNALLING, code=4)["rule"] == "quorum"


def test_chains_that_have_no_room_are_left_out_and_that_is_told() -> None:
    """A token has its limits; a call with fewer opinions is better than none."""
    install(certified())
    for number in range(8):
        install(other_authority(number), f"https://ca{number}.example/acme/index")
    result = run("sign", *SIGNALLING)
    token = result.stdout.strip()
    assert 3 <= len(SignedPassport.parse(token).chains) <= 8
    assert "has no room for the certificates from" in result.stderr
    assert "ca7.example" in result.stderr or "ca0.example" in result.stderr
