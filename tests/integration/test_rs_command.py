"""`answerback rs` at a terminal: what it makes, what it says, and which other commands take its settings."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from answerback.cli import front_door
from answerback.rs.config import DirectoryPart, LogPart
from answerback.rs.loading import load_settings
from number_directory.description import DirectoryDescription
from number_directory.server.config import DirectoryConfig, Hidden
from tests.fakes.process_log import log_given_back
from transparency.log_description import LogDescription
from transparency.server.config import LogConfig
from trust_store import TrustStore

URL = "http://127.0.0.1:14000"
INIT = ("--name", "Example", "--operator", "Example Ltd", "--country", "US", "--gateway", "outbox")
OPEN = ("--public-url", URL, "--unencrypted-keys")


def run(*arguments: str, code: int = 0, environment: dict[str, str] | None = None) -> Result:
    """Run a command and make sure of its exit code."""
    result = CliRunner().invoke(front_door, arguments, env=environment)
    assert result.exit_code == code, result.output
    return result


def told(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run it with --json, and return what it printed."""
    found: dict[str, Any] = json.loads(run(*arguments, "--json", code=code).stdout)
    return found


@pytest.fixture(autouse=True)
def log_kept() -> Iterator[None]:
    """Give the process's log back: `answerback ca` makes it its own."""
    with log_given_back():
        yield


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Make a service with a log, and return its settings."""
    run("rs", "init", str(tmp_path / "rs"), *INIT, *OPEN, "--with-log")
    return tmp_path / "rs" / "rs.toml"


def test_a_new_service_has_one_file_of_settings_and_one_database(tmp_path: Path) -> None:
    """`init` makes authority and directory in one folder, the one admitted by the other, and says what comes next."""
    folder = tmp_path / "rs"
    said = run("rs", "init", str(folder), *INIT, *OPEN).output
    assert f"answerback rs serve --config {folder / 'rs.toml'}" in said
    assert f"answerback trust add {folder / 'root.pem'}" in said
    assert f"--directory {URL}/directory" in said
    assert [path.name for path in folder.glob("*.toml")] == ["rs.toml"]
    assert [path.name for path in folder.glob("*.db")] == ["answerback.db"]
    description = DirectoryDescription.from_json((folder / "directory.json").read_bytes())
    assert (description.name, description.operator, description.url) == ("Example", "Example Ltd", f"{URL}/directory")
    (admitted,) = TrustStore.load(folder / "admission" / "trust.toml").anchors
    assert admitted.terms.operator == "Example Ltd"
    assert "certificate_log" not in tomllib.loads((folder / "rs.toml").read_text())
    assert "this service has no log" in run("log", "status", "--config", str(folder / "rs.toml"), code=1).output


def test_a_service_with_a_log_shows_it_every_certificate(service: Path) -> None:
    """The log takes what the authority issues, and the authority's certificates carry its timestamp."""
    settings = tomllib.loads(service.read_text())
    assert settings["policy"]["scts"] == 1
    assert settings["logs"] == [{"description": "log.json", "operator": "Example Ltd"}]
    description = LogDescription.from_json((service.parent / "log.json").read_bytes())
    assert [shard.name for shard in description.shards] == [
        shard["name"] for shard in settings["certificate_log"]["shards"]
    ]


def test_every_setting_that_is_commented_out_shows_its_default(tmp_path: Path) -> None:
    """With the # taken away from each line that is a setting, the directory's part says the same."""
    run("rs", "init", str(tmp_path / "rs"), *INIT, *OPEN)
    config = tmp_path / "rs" / "rs.toml"
    before, table, after = config.read_text().partition("[directory]\n")
    after, _, _ = after.partition("# Ports and reassignments")
    shown = re.sub(r"^#(?=\[directory|[a-z_]+ = )(?!token_file|depth)", "", after, flags=re.MULTILINE)
    assert shown.count("#") < after.count("#") - 10
    config.write_text(before + table + shown)
    assert load_settings(config).authority.directory == DirectoryPart(hidden=Hidden(offered=True))


def test_what_a_program_can_be_told_the_service_can_tell_it() -> None:
    """Each setting of a directory and of a log stands in its part of the service's settings, or is everybody's."""
    shared = {"name", "operator", "url", "server", "keys", "database", "folder"}
    assert set(DirectoryConfig.__struct_fields__) - set(DirectoryPart.__struct_fields__) == shared | {"log"}
    others = shared | {"logging", "admit", "monitoring_url"}
    assert set(LogConfig.__struct_fields__) - set(LogPart.__struct_fields__) == others


def test_checking_looks_at_all_programs(service: Path) -> None:
    """`rs check` tells what each program needs, and ends with 1 where something is missing."""
    findings = told("rs", "check", "--config", str(service))["findings"]
    assert all(one["ok"] for one in findings)
    told_of = {(one["of"], one["name"]) for one in findings}
    assert {("authority", "key"), ("directory", "record log"), ("log", "keys"), ("log", "shards")} <= told_of
    (service.parent / "keys" / "record-log.key").unlink()
    next((service.parent / "keys").glob("*-sct.key")).unlink()
    said = run("rs", "check", "--config", str(service), code=1).output
    assert "FAILED directory: key" in said
    assert "FAILED log: keys" in said


def test_the_programs_own_commands_take_the_services_settings(service: Path) -> None:
    """`--config rs.toml` serves for what is done to an authority, a directory or a log."""
    config = ("--config", str(service))
    assert told("ca", "accounts", *config) == {"accounts": []}
    assert told("ca", "export-anchor", *config)["operator"] == "Example Ltd"
    assert told("ca", "check", *config)["ok"]
    assert all(shard["size"] == 0 for shard in told("log", "status", *config)["shards"])
    run("directory", "check", *config)
    nothing = service.parent / "nothing"
    nothing.write_text("")
    assert told("directory", "import", str(nothing), *config)["taken"] == 0


def test_a_shard_is_begun_in_time(service: Path) -> None:
    """`shards add` makes keys, and writes the shard into settings and description."""
    shards = told("rs", "shards", "add", "2031h1", "--config", str(service))["shards"]
    assert shards[-1] == "2031h1"
    assert [one["shard"] for one in told("log", "status", "--config", str(service))["shards"]] == shards


def test_keys_are_under_one_passphrase(tmp_path: Path) -> None:
    """Authority and record log open with the passphrase of the service, and not without."""
    (tmp_path / "passphrase").write_text("correct horse\n")
    options = ("--public-url", "https://rs.example", "--passphrase-file", str(tmp_path / "passphrase"))
    run("rs", "init", str(tmp_path / "rs"), *INIT, *options)
    config = str(tmp_path / "rs" / "rs.toml")
    assert told("rs", "check", "--config", config)["ok"]
    (tmp_path / "passphrase").write_text("wrong\n")
    findings = told_failing("rs", "check", "--config", config)
    assert {one["of"] for one in findings if one["name"] == "key" and not one["ok"]} == {"authority", "directory"}


def told_failing(*arguments: str) -> list[dict[str, Any]]:
    """Return the findings of a check that fails, which prints them before its error."""
    findings, _ = json.JSONDecoder().raw_decode(run(*arguments, "--json", code=1).stdout)
    found: list[dict[str, Any]] = findings["findings"]
    return found


@pytest.mark.parametrize(
    ("changed", "to", "why"),
    [
        ("[directory]\n", "[directory]\nadmision = 1\n", "admision"),
        ("#[directory.metrics]", '[directory.metrics]\naccess = "token"', "directory.metrics.token_file"),
        (
            "[certificate_log.publishing]",
            "[certificate_log.witnessing]\nquorum = 1\n[certificate_log.publishing]",
            "certificate_log.witnessing.quorum",
        ),
        (f'public_url = "{URL}"', f'public_url = "{URL}/rs"', "public_url"),
        ('bind = "127.0.0.1:14000"', 'bind = "0.0.0.0:14000"', "server"),
    ],
)
def test_a_mistake_is_named_as_it_stands_in_the_file(service: Path, changed: str, to: str, why: str) -> None:
    """One line names the file, the key and what to write, whichever program refuses it."""
    text = service.read_text()
    assert changed in text
    service.write_text(text.replace(changed, to, 1))
    error = run("rs", "serve", "--config", str(service), code=1).output
    assert error.startswith(f"Error: {service}: ")
    assert why in error
