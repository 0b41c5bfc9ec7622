from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from answerback import making, serving
from answerback.commands.ca_server import init as ca_init
from answerback.commands.directory_map_publish import init as map_init
from answerback.commands.directory_server import init as directory_init
from answerback.commands.log_server import init as log_init
from answerback.commands.log_witness import PASSPHRASE_VARIABLE as WITNESS_VARIABLE
from answerback.commands.log_witness import init as witness_init
from answerback.commands.rs import init as rs_init
from ca_server import config as ca_config
from ca_server.loading import load_config
from ca_server.signing.file_key_store import FileKeyStore
from number_directory.server import config as directory_config
from transparency.server import config as log_config
from transparency.server.keys import open_key_store
from transparency.server.loading import load_config as load_log
from transparency.witness import config as witness_config
from transparency.witness.config import WitnessConfig
from transparency.witness.cosigning import open_witness

INITS = {"ca": ca_init, "rs": rs_init, "log": log_init, "directory": directory_init}
NAMES = ("--name", "A", "--operator", "B", "--public-url", "https://a.example")


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment have none."""
    for variable in (
        "ANSWERBACK_PASSPHRASE",
        "ANSWERBACK_LOG_PASSPHRASE",
        "ANSWERBACK_DIRECTORY_PASSPHRASE",
        WITNESS_VARIABLE,
    ):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command believe that somebody is there to be asked."""
    monkeypatch.setattr(serving, "at_terminal", lambda: True)


def run(program: str, *arguments: str | Path, answers: tuple[str, ...] = ()) -> Result:
    """Run a program's `init`, with answers to what it asks."""
    given = "".join(f"{answer}\n" for answer in answers)
    return CliRunner().invoke(INITS[program], [str(argument) for argument in arguments], input=given)


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize("program", list(INITS))
def test_a_person_is_asked_for_what_was_left_out(tmp_path: Path, program: str) -> None:
    """Name, operator, URL and, twice, the passphrase are asked for on standard error: the JSON stays a document."""
    answers = ("Example", "Example Ltd", "https://a.example", "correct horse", "correct horse")
    result = run(program, tmp_path / "made", "--json", answers=answers)
    assert result.exit_code == 0, result.output
    config = Path(json.loads(result.stdout)["config"]).read_text(encoding="utf-8")
    for answer in answers[:3]:
        assert f'"{answer}"' in config
    for question in ("Name of the ", "Operator of the ", "Public URL", "Passphrase for the keys"):
        assert question in result.stderr
    assert "correct horse" not in result.output


@pytest.mark.parametrize("program", list(INITS))
def test_a_program_is_told_which_option_is_missing(tmp_path: Path, program: str) -> None:
    """Where nobody can be asked, what was left out is named, and nothing is made."""
    for given in range(0, len(NAMES), 2):
        result = run(program, tmp_path / "made", *NAMES[:given])
        assert result.exit_code == 1
        assert f"give {NAMES[given]}," in result.output
    result = run(program, tmp_path / "made", *NAMES)
    assert result.exit_code == 1
    assert "give --passphrase-file" in result.output
    assert not (tmp_path / "made").exists()


def test_the_variables_of_passphrases_are_those_that_the_servers_read() -> None:
    """What `init` encrypts with, `serve` finds."""
    assert making.AUTHORITY.passphrase_variable == making.SERVICE.passphrase_variable == ca_config.PASSPHRASE_VARIABLE
    assert making.LOG.passphrase_variable == log_config.PASSPHRASE_VARIABLE
    assert making.DIRECTORY.passphrase_variable == directory_config.PASSPHRASE_VARIABLE
    assert witness_config.PASSPHRASE_VARIABLE == WITNESS_VARIABLE


@pytest.mark.usefixtures("at_a_terminal")
def test_an_authoritys_keys_open_by_the_answer(tmp_path: Path) -> None:
    """A slip of the finger does not lock the operator out for ever: two different answers are asked for again."""
    result = run("ca", tmp_path / "ca", *NAMES, answers=("one", "two", "three", "three"))
    assert result.exit_code == 0, result.output
    FileKeyStore(tmp_path / "ca" / "keys", b"three").open("root")


@pytest.mark.usefixtures("at_a_terminal")
def test_a_logs_keys_open_by_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is the passphrase that the server is given later."""
    result = run("log", tmp_path / "log", *NAMES, answers=("correct horse", "correct horse"))
    assert result.exit_code == 0, result.output
    monkeypatch.setenv(log_config.PASSPHRASE_VARIABLE, "correct horse")
    config = load_log(tmp_path / "log" / "log.toml")
    shard = config.shards[0]
    assert open_key_store(config.keys).open(shard.name, config.origin(shard))


@pytest.mark.usefixtures("at_a_terminal")
def test_a_witness_asks_as_the_others_do(tmp_path: Path) -> None:
    """Its name and its passphrase are asked for beside the JSON, and the answer opens its key."""
    answers = "witness.example/w1\ncorrect horse\ncorrect horse\n"
    result = CliRunner().invoke(witness_init, [str(tmp_path / "w"), "--json"], input=answers)
    assert result.exit_code == 0, result.output
    assert "Name of the witness" in result.stderr
    config = WitnessConfig.load(Path(json.loads(result.stdout)["config"]))
    open_witness(config, b"correct horse").close()


def test_a_witness_finds_its_passphrase_where_init_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file that was given, else in the environment; without either, nothing is made."""
    names = ["--name", "witness.example/w1"]
    refused = CliRunner().invoke(witness_init, [str(tmp_path / "none"), *names])
    assert "give --passphrase-file" in refused.output
    assert not (tmp_path / "none").exists()
    (tmp_path / "secret").write_text("correct horse\n")
    given = CliRunner().invoke(
        witness_init, [str(tmp_path / "a"), *names, "--passphrase-file", str(tmp_path / "secret")]
    )
    assert given.exit_code == 0, given.output
    monkeypatch.setenv(witness_config.PASSPHRASE_VARIABLE, "another horse")
    made = CliRunner().invoke(witness_init, [str(tmp_path / "b"), *names])
    assert made.exit_code == 0, made.output
    for folder, passphrase in (("a", b"correct horse"), ("b", b"another horse")):
        config = WitnessConfig.load(tmp_path / folder / "witness.toml")
        assert config.passphrase() == passphrase
        open_witness(config, config.passphrase()).close()


@pytest.mark.usefixtures("at_a_terminal")
def test_a_publisher_of_releases_is_asked_beside_the_json_too(tmp_path: Path) -> None:
    """Maps and lists ask for their passphrase as programs do."""
    arguments = [str(tmp_path / "map"), "--name", "Example", "--json"]
    result = CliRunner().invoke(map_init, arguments, input="correct horse\ncorrect horse\n")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["waiting"] == []
    assert "Passphrase for the keys" in result.stderr


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
    names = ("--name", "A", "--operator", "B", "--public-url", public_url, "--unencrypted-keys")
    result = run("ca", tmp_path / "ca", *names)
    assert result.exit_code == 0, result.output
    assert load_config(tmp_path / "ca" / "ca.toml").server.bind == bind
