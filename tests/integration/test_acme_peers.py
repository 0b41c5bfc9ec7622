from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.running_authority import RunningAuthority, free_port, make_authority, run, serving
from tests.peers import require

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAuthority]:
    """Serve an authority over loopback, as an operator would."""
    folder, url = tmp_path_factory.mktemp("peers") / "ca", f"http://127.0.0.1:{free_port()}"
    make_authority(folder, url)
    with serving(folder, url) as running:
        yield running


def accounts(authority: RunningAuthority) -> dict[str, dict[str, object]]:
    """Return what the operator sees of the accounts, by id."""
    shown = json.loads(run("ca", "accounts", "--config", authority.config, "--json").stdout)["accounts"]
    return {account["id"]: account for account in shown}


def play(*command: str | Path, code: int = 0) -> str:
    """Run a client, and return all that it said."""
    done = subprocess.run(
        [*map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def test_certbot_registers_updates_shows_and_deactivates(authority: RunningAuthority, tmp_path: Path) -> None:
    """RFC 8555 §7.3: certbot has an account with us from its first day to its last."""

    def certbot(*arguments: str) -> str:
        folders = ("--config-dir", tmp_path / "c", "--work-dir", tmp_path / "w", "--logs-dir", tmp_path / "l")
        server = ("--non-interactive", "--server", authority.index_url)
        return play(require("certbot", "certbot"), *folders, *server, *arguments)

    certbot("register", "--agree-tos", "--no-eff-email", "--email", "first@example.org")
    shown = certbot("show_account")
    (account,) = re.findall(rf"Account URL: {re.escape(authority.url)}/acme/account/(\S+)", shown)
    assert "Email contact: first@example.org" in shown
    certbot("update_account", "--no-eff-email", "--email", "second@example.org")
    assert "Email contact: second@example.org" in certbot("show_account")
    assert accounts(authority)[account]["contacts"] == ["mailto:second@example.org"]
    certbot("unregister")
    assert accounts(authority)[account]["status"] == "deactivated"


def test_uacme_registers_rolls_its_key_over_and_deactivates(authority: RunningAuthority, tmp_path: Path) -> None:
    """RFC 8555 §7.3, §7.3.5: uacme, with an RSA key, keeps its account under a new key and gives it up."""

    def uacme(*arguments: str) -> str:
        return play(require("uacme", "uacme"), "-v", "-y", "-c", tmp_path, "-a", authority.index_url, *arguments)

    made = uacme("new", "someone@example.org")
    (account,) = re.findall(rf"account created at {re.escape(authority.url)}/acme/account/(\S+)", made)
    before = (tmp_path / "private" / "key.pem").read_bytes()
    uacme("newkey")
    assert (tmp_path / "private" / "key.pem").read_bytes() != before
    uacme("update", "other@example.org")
    assert accounts(authority)[account]["contacts"] == ["mailto:other@example.org"]
    uacme("deactivate")
    assert accounts(authority)[account]["status"] == "deactivated"


def test_uacme_may_use_an_elliptic_curve_key(authority: RunningAuthority, tmp_path: Path) -> None:
    """RFC 8555 §6.2: an account key on P-384 serves as well."""
    uacme = require("uacme", "uacme")
    made = play(uacme, "-v", "-y", "-t", "EC", "-b", "384", "-c", tmp_path, "-a", authority.index_url, "new")
    assert "account created at" in made


def test_lego_registers_and_is_told_what_is_certified_here(authority: RunningAuthority, tmp_path: Path) -> None:
    """RFC 8555 §7.4: lego gets its account, and for a domain name the problem that says why not."""
    before = accounts(authority).keys()
    lego = (require("lego", "lego"), "--server", authority.index_url, "--path", tmp_path, "--accept-tos")
    told = play(*lego, "--email", "a@example.org", "--domains", "example.org", "--http", "run", code=1)
    (account,) = accounts(authority).keys() - before
    assert accounts(authority)[account]["contacts"] == ["mailto:a@example.org"]
    assert "urn:ietf:params:acme:error:unsupportedIdentifier" in told
    assert "only TNAuthList" in told
