"""`answerback trust witness` and `answerback trust auditor`, as a person or a program types them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from answerback.cli import front_door
from tests.fakes.sealed_log import witness
from transparency.signed_note import Ed25519Signer

KEY = witness("witness.example/w1").verifier.format()
AUDITOR = Ed25519Signer(
    "auditor.example", Ed25519PrivateKey.from_private_bytes(sha256(b"auditor").digest())
).verifier.format()
URL = "https://auditor.example/audited"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own."""
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path))
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    """Run `answerback trust …` and make sure of its exit code."""
    result = CliRunner().invoke(front_door, ["trust", *arguments])
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str, code: int = 0) -> Any:  # noqa: ANN401  # what JSON holds
    """Run `answerback trust … --json` and return what it printed."""
    return json.loads(run(*arguments, "--json", code=code).stdout)


def test_a_witness_is_added_listed_and_removed(home: Path) -> None:
    """It is called after its key, unless the person says otherwise."""
    assert "You know no witnesses yet" in run("witness", "list").stdout
    added = data("witness", "add", KEY, "--operator", "Town Library")["added"]
    assert (added["name"], added["operator"], added["key"]) == ("witness-example-w1", "Town Library", KEY)
    assert [one["name"] for one in data("witness", "list")["witnesses"]] == ["witness-example-w1"]
    assert "Town Library" in run("witness", "list").stdout
    assert "already" in data("witness", "add", KEY, "--operator", "Town Library", "--name", "w", code=1)["error"]
    assert data("witness", "remove", "witness-example-w1") == {
        "removed": "witness-example-w1",
        "file": str(home / "trust.toml"),
    }
    assert data("witness", "list")["witnesses"] == []
    assert "has no witness" in data("witness", "remove", "w", code=1)["error"]


def test_an_auditor_is_added_listed_and_removed() -> None:
    """With where it publishes."""
    assert "You know no auditors yet" in run("auditor", "list").stdout
    added = data("auditor", "add", AUDITOR, URL, "--operator", "Watchers", "--name", "watch")["added"]
    assert (added["name"], added["key"], added["url"], added["logs"]) == ("watch", AUDITOR, URL, None)
    assert "all logs" in run("auditor", "list").stdout
    assert [one["name"] for one in data("auditor", "list")["auditors"]] == ["watch"]
    run("auditor", "remove", "watch")
    assert "no longer" not in run("auditor", "list").stdout
    assert "no [[log]]" in data("auditor", "add", AUDITOR, URL, "--operator", "W", "--log", "x", code=1)["error"]


def test_what_is_no_key_is_told() -> None:
    """In one line, and nothing is written."""
    for arguments in (("witness", "add", "nonsense"), ("auditor", "add", KEY, URL)):
        assert "key" in data(*arguments, "--operator", "X", code=1)["error"]
    assert data("witness", "list")["witnesses"] == []
