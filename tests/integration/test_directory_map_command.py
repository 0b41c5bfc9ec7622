"""`answerback directory map` from the first key to an answer, with a real server in between."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from answerback.commands.directory_map import map_
from answerback.directory_asking import Asked
from stir.telephone_number import TelephoneNumber

SERVICES = """
[[services]]
name = "rs-a.example"
operator = "A Ltd"
url = "https://rs-a.example"

[[services]]
name = "rs-b.example"
operator = "B Ltd"
url = "https://rs-b.example"
"""
ENTRIES = "+1*,rs-a.example\n+12025550123,rs-b.example\n"
NUMBER = "+12025550123"


def run(*arguments: object, code: int = 0) -> Result:
    """Run a command of the group."""
    result = CliRunner().invoke(map_, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def told(*arguments: object, code: int = 0) -> dict[str, object]:
    """Run a command with --json, and return what it printed."""
    found: dict[str, object] = json.loads(run(*arguments, "--json", code=code).stdout)
    return found


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANSWERBACK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ANSWERBACK_PASSPHRASE", raising=False)


@pytest.fixture
def publisher(tmp_path: Path) -> Path:
    """Return the folder of a publisher that signs alone and has published nothing."""
    folder = tmp_path / "publisher"
    run("init", folder, "--name", "Example Map", "--unencrypted-keys")
    return described(folder)


def described(folder: Path) -> Path:
    """Name two services in a publisher's settings."""
    settings = folder / "map.toml"
    settings.write_text(settings.read_text().replace("defaults = []", 'defaults = ["rs-a.example"]') + SERVICES)
    return folder


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    """Return a file of entries."""
    path = tmp_path / "entries.csv"
    path.write_text(ENTRIES)
    return path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a map by the command, as an operator would."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = "from answerback.commands.directory_map import map_; map_()"
    command = [sys.executable, "-c", script, "serve", str(folder), "--bind", f"127.0.0.1:{port}", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as server:
        try:
            assert server.stdout is not None
            yield json.loads(server.stdout.readline())["listening"]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)


def test_a_map_is_built_served_replicated_and_asked(publisher: Path, entries: Path, tmp_path: Path) -> None:
    """The whole way: build, serve, fetch, ask, change, and fetch what changed."""
    assert "version 1 is published" in run("build", publisher, entries).output
    root = publisher / "public" / "metadata" / "1.root.json"
    with serving(publisher) as url:
        assert told("update", "--mirror", url, "--root", root)["way"] == "chunks"
        assert told("resolve", NUMBER)["service"] == "rs-b.example"
        assert told("resolve", "+12125550123")["service"] == "rs-a.example"
        for hide in (0, 4):
            assert told("resolve", NUMBER, "--server", url, "--hide", hide)["service"] == "rs-b.example"
        changes = tmp_path / "changes.csv"
        changes.write_text(f"{NUMBER},-\n")
        assert told("build", publisher, changes, "--changes")["version"] == 2
        assert "version 2 came" in run("update").output
        shown = run("resolve", NUMBER).output
        assert "rs-a.example  https://rs-a.example  (A Ltd)" in shown
        assert "by version 2 of the map, less than a minute old" in shown
        assert "is the newest already" in run("update").output
    failed = told("update", code=1)
    assert "here that is version 2, less than a minute old" in str(failed["error"])
    assert "2 services" in run("status").output
    assert told("status")["damaged"] == []


def test_a_stale_map_answers_and_says_so(publisher: Path, entries: Path) -> None:
    """A map whose publisher has not been heard of for too long answers on, with a warning."""
    run("build", publisher, entries)
    note = publisher / "map" / "current.json"
    current = json.loads(note.read_bytes())
    note.write_text(json.dumps(current | {"as_of": current["as_of"] - 5 * 86400, "expires": current["as_of"] - 86400}))
    shown = run("resolve", NUMBER, "--map", publisher / "map")
    assert "5 days old" in shown.output
    assert "the map is stale" in shown.stderr
    assert told("resolve", NUMBER, "--map", publisher / "map")["stale"] is True
    entry = next((publisher / "map").glob("*.map"))
    data = bytearray(entry.read_bytes())
    data[40] ^= 1
    entry.write_bytes(data)
    shown = run("status", publisher / "map")
    assert "damaged: the chunks of +1" in shown.output
    assert "is damaged" in str(told("resolve", NUMBER, "--map", publisher / "map", code=1)["error"])


def test_a_server_with_a_stale_map_is_told_of(
    publisher: Path, entries: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever looks numbers up by a map server hears that its map is old, once, as with a map of one's own."""
    run("build", publisher, entries)
    note = publisher / "map" / "current.json"
    current = json.loads(note.read_bytes())
    note.write_text(json.dumps(current | {"as_of": current["as_of"] - 5 * 86400, "expires": current["as_of"] - 86400}))
    with serving(publisher) as url:
        routing = Asked(map_server=url).routing()
        for _ in range(2):
            place = routing.place_of(TelephoneNumber.parse(NUMBER))
            assert place is not None
            assert place.url == "https://rs-b.example"
    warning = f"Warning: the map at {url} is 5 days old, and numbers may have moved since: ask another server\n"
    assert capsys.readouterr().err == warning


def test_two_of_three_people_sign(tmp_path: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signers make their own keys, sign here or on copies, and the second signature publishes."""
    monkeypatch.setenv("ANSWERBACK_PASSPHRASE", "correct horse")
    people = [tmp_path / f"{name}.key" for name in ("alice", "bob", "carol")]
    signers = [option for key in people for option in ("--signer", told("key", key)["public_key"])]
    folder = tmp_path / "publisher"
    made = told("init", folder, "--name", "Example", *signers, "--threshold", 2)
    assert made["waiting"] == [{"role": "root", "version": 1, "signatures": 0, "needed": 2}]
    described(folder)
    assert "it has 1 of 2" in run("sign", folder, "--key", people[0]).output
    run("sign", folder, "--key", people[1])
    shown = run("build", folder, entries).output
    assert "version 1 is built" in shown
    assert "targets 1 waits for signatures: it has 0 of 2" in shown
    assert "nothing is published yet" in run("status", folder).output
    copies = []
    for key in people[1:]:
        copy = tmp_path / f"{key.stem}.json"
        copy.write_bytes((folder / "pending" / "targets.json").read_bytes())
        assert "signed" in run("sign", copy, "--key", key).output
        copies.append(copy)
    assert told("merge", folder, copies[0])["waiting"] == [
        {"role": "targets", "version": 1, "signatures": 1, "needed": 2}
    ]
    assert run("merge", folder, copies[1]).output == "published\n"
    status = told("status", folder)
    assert status["waiting"] == []
    assert "version 1 is published" in run("status", folder).output
    assert "is the newest, good until" in run("timestamp", folder).output
    assert [one["needed"] for one in told("renew", folder)["waiting"]] == [2]  # type: ignore[attr-defined]
    waiting = told("rotate", folder, "--threshold", 1, "--new-online-key")["waiting"]
    assert [one["role"] for one in waiting] == ["root", "targets"]  # type: ignore[attr-defined]
    run("sign", folder, "--key", people[0])
    assert run("sign", folder, "--key", people[2]).output.startswith("signed")
    assert told("status", folder)["waiting"] == []


def test_what_cannot_be_done_is_one_line(tmp_path: Path, publisher: Path, entries: Path) -> None:
    """Each failure says what is wrong and what to do."""
    failures = {
        ("resolve", NUMBER): "there is no map in",
        ("resolve", "12025550123"): "begins with +",
        ("update",): "--mirror and --root",
        ("update", "--mirror", "https://map.example"): "give --mirror and --root together",
        ("update", "--mirror", "https://map.example", "--root", tmp_path / "none"): "cannot be read",
        ("serve", "--tls-key", "x"): "give --tls-certificate and --tls-key together",
        ("serve", publisher, "--bind", "0.0.0.0:80"): "without TLS",
        ("status",): "there is no map in",
        ("build", tmp_path, entries): "map init",
        ("key", tmp_path / "a.key"): "give --passphrase-file",
        ("key", tmp_path / "a.key", "--unencrypted-keys", "--passphrase-file", entries): "not both",
        ("init", publisher, "--name", "Again", "--unencrypted-keys"): "publisher",
    }
    for arguments, words in failures.items():
        assert words in str(told(*arguments, code=1)["error"]), arguments
    entries.write_text("nonsense\n")
    assert "line 1" in run("build", publisher, entries, code=1).stderr


def test_nothing_new_is_said_to_be_so(publisher: Path, entries: Path) -> None:
    """A build of the same entries publishes nothing."""
    run("build", publisher, entries)
    assert "nothing has changed" in run("build", publisher, entries).output
    assert told("build", publisher, entries)["version"] is None


def test_progress_is_shown_on_a_terminal(publisher: Path, entries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits at a terminal sees how far the work is; a file of what is printed has nothing of it."""
    assert "lines" not in run("build", publisher, entries).stderr
    entries.write_text(ENTRIES.replace("+1*,rs-a", "+1*,rs-b"))

    class Terminal:
        isatty = staticmethod(lambda: True)
        write = staticmethod(lambda _: None)
        flush = staticmethod(lambda: None)

    shown: list[str] = []
    monkeypatch.setattr(sys, "stderr", Terminal)
    monkeypatch.setattr(click, "echo", lambda text="", **_: shown.append(str(text)))
    map_.main(["build", str(publisher), str(entries)], standalone_mode=False)
    assert "\r2 lines" in shown


def test_a_passphrase_is_asked_for_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person without a file or a variable is asked, twice for a new key; a file works as well."""
    asked: list[bool] = []

    def prompt(*_: object, confirmation_prompt: bool, **__: object) -> str:
        asked.append(confirmation_prompt)
        return "correct horse"

    class Terminal:
        isatty = staticmethod(lambda: True)

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr(sys, "stdin", Terminal)
    map_.main(["key", str(tmp_path / "a.key")], standalone_mode=False)
    assert asked == [True]
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    run("key", tmp_path / "b.key", "--passphrase-file", secret)
    assert (tmp_path / "b.key").stat().st_mode & 0o077 == 0
    assert os.environ.get("ANSWERBACK_PASSPHRASE") is None


def test_the_how_to_names_what_there_is() -> None:
    """Every command and option of the how-to exists, and it says nothing of those that do not."""
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "run-a-map.md").read_text(encoding="utf-8")
    named = re.findall(r"answerback directory map ([a-z]+)((?:[^`\n]|\\\n)*)", text)
    assert {name for name, _ in named} >= {"init", "build", "serve", "update", "resolve", "timestamp", "sign", "merge"}
    for name, rest in named:
        command = map_.get_command(click.Context(map_), name)
        assert command is not None, name
        known = {option for parameter in command.params for option in parameter.opts}
        assert known.issuperset(re.findall(r"--[a-z-]+", rest)), name


def test_the_example_of_the_how_to_works(tmp_path: Path) -> None:
    """The settings and the entries of the how-to make a map."""
    text = (Path(__file__).parents[2] / "docs" / "how-to" / "run-a-map.md").read_text(encoding="utf-8")
    settings, lines = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)[0] for kind in ("toml", "text"))
    folder = tmp_path / "publisher"
    run("init", folder, "--name", "Example Map", "--unencrypted-keys")
    defaults, _, services = settings.partition("\n\n")
    file = folder / "map.toml"
    file.write_text(file.read_text().replace("defaults = []", defaults) + services)
    entries = tmp_path / "entries.csv"
    entries.write_text(lines)
    assert "version 1 is published: 9 chunks" in run("build", folder, entries).output
    assert told("resolve", NUMBER, "--map", folder / "map")["service"] == "rs-b.example"
