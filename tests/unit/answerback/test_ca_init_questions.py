from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from answerback import serving
from answerback.commands import ca as module
from ca_server import audit
from ca_server.loading import load_config
from ca_server.signing.file_key_store import FileKeyStore


@pytest.fixture(autouse=True)
def no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process's log as it is: the command would tie it to a stream that ends with the test."""
    monkeypatch.setattr(audit, "configure_log", lambda _level: None)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command believe that somebody is there to be asked."""
    monkeypatch.setattr(serving, "at_terminal", lambda: True)
    monkeypatch.delenv("ANSWERBACK_PASSPHRASE", raising=False)


@pytest.mark.usefixtures("at_a_terminal")
def test_a_person_is_asked_for_what_was_left_out(tmp_path: Path) -> None:
    """Name, operator, URL and, twice, the passphrase are asked for; the answers stand in what is made."""
    answers = ["Example CA", "Example Ltd", "https://ca.example", "correct horse", "correct horse"]
    result = CliRunner().invoke(module.ca, ["init", str(tmp_path / "ca")], input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert "correct horse" not in result.output
    config = load_config(tmp_path / "ca" / "ca.toml")
    assert (config.authority.name, config.authority.operator) == ("Example CA", "Example Ltd")
    assert config.public_url == "https://ca.example"
    FileKeyStore(config.keys.directory, b"correct horse").open("issuing")


@pytest.mark.usefixtures("at_a_terminal")
def test_two_different_passphrases_are_asked_for_again(tmp_path: Path) -> None:
    """A slip of the finger does not lock the operator out for ever."""
    names = ["--name", "A", "--operator", "B", "--public-url", "https://ca.example"]
    answers = ["one", "two", "three", "three"]
    result = CliRunner().invoke(module.ca, ["init", str(tmp_path / "ca"), *names], input="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    FileKeyStore(tmp_path / "ca" / "keys", b"three").open("root")


@pytest.mark.parametrize(
    ("public_url", "bind"),
    [
        ("https://ca.example", "127.0.0.1:14000"),
        ("http://127.0.0.1:15000", "127.0.0.1:15000"),
        ("http://localhost", "localhost:80"),
        ("http://[::1]:15000", "[::1]:15000"),
        ("http://[::1]", "[::1]:80"),
    ],
)
def test_a_local_server_listens_at_its_public_url(tmp_path: Path, public_url: str, bind: str) -> None:
    """A URL on this machine says where to listen; behind a proxy it is any port of this machine."""
    names = ["--name", "A", "--operator", "B", "--public-url", public_url, "--unencrypted-keys"]
    result = CliRunner().invoke(module.ca, ["init", str(tmp_path / "ca"), *names])
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "ca" / "ca.toml").server.bind == bind
