from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from unittest.mock import Mock

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from answerback import cli
from answerback.doors import Door
from answerback.failure import Failure

ROOMS = (
    "acme_client",
    "ca_server",
    "number_directory",
    "policies",
    "serving",
    "stir",
    "transparency",
    "trust_store",
)


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Put a command into the table that runs the given function."""

    def put(name: str, action: Callable[[], object]) -> None:
        module = ModuleType("offered")
        vars(module)["command"] = click.command(name)(action)
        monkeypatch.setitem(sys.modules, "offered", module)
        door = Door("offered", "command", "Offered by a test.", extra="bells")
        monkeypatch.setattr(cli.front_door, "doors", {**cli.DOORS, name: door})

    return put


def main_with(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the program as the shell would, and return its exit code."""
    monkeypatch.setattr(sys, "argv", ["answerback", *arguments])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def test_help_lists_every_command_and_imports_no_room() -> None:
    """Listing the commands imports nothing but click and the table."""
    script = (
        "import sys\nfrom answerback.cli import front_door\nfront_door(['--help'], standalone_mode=False)\n"
        f"print([name for name in sys.modules if name.partition('.')[0] in {ROOMS!r}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
    for name, door in cli.DOORS.items():
        assert f"  {name} " in done.stdout
        assert door.summary in done.stdout


def test_help_fits_on_one_screen() -> None:
    """A person sees all commands at once, whatever the size of the terminal."""
    assert len(CliRunner().invoke(cli.front_door, ["--help"]).output.splitlines()) <= 24


@pytest.mark.parametrize("name", [*cli.DOORS, *cli.ALIASES])
def test_every_command_in_the_table_exists(name: str) -> None:
    """Each name opens a click command that explains itself."""
    result = CliRunner().invoke(cli.front_door, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Usage:")


@pytest.mark.parametrize("name", list(cli.DOORS))
def test_every_command_says_what_it_does_in_a_line(name: str) -> None:
    """In a list of commands on a terminal of 80 columns, no line is cut short."""
    door = cli.DOORS[name]
    groups = [(name, getattr(importlib.import_module(door.module), door.attribute))]
    while groups:
        called, command = groups.pop()
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=called, terminal_width=80)
            *_, listed = command.get_help(context).partition("Commands:")
            assert "..." not in listed
            inner = {one: command.get_command(context, one) for one in command.list_commands(context)}
            groups.extend((one, found) for one, found in inner.items() if found is not None)


@pytest.mark.parametrize("name", list(cli.DOORS))
def test_every_option_says_what_it_takes(name: str) -> None:
    """Each option has its line, names its unit where it is a number, and says whether it may be repeated."""
    door = cli.DOORS[name]
    commands = [getattr(importlib.import_module(door.module), door.attribute)]
    while commands:
        command = commands.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            commands.extend(command.get_command(context, one) for one in command.list_commands(context))
        for option in [one for one in command.params if isinstance(one, click.Option)]:
            called = (command.name, *option.opts)
            assert option.help, called
            assert option.metavar or not isinstance(option.type, click.IntRange), called
            assert not option.multiple or "May be repeated" in option.help, called


@pytest.mark.parametrize("name", list(cli.DOORS))
def test_every_command_has_json(name: str) -> None:
    """Each command, and each leaf of a group of commands, takes --json."""
    door = cli.DOORS[name]
    leaves = [getattr(importlib.import_module(door.module), door.attribute)]
    while leaves:
        command = leaves.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            leaves.extend(command.get_command(context, one) for one in command.list_commands(context))
        else:
            assert any("--json" in option.opts for option in command.params), command.name


def test_the_american_spelling_opens_the_same_door() -> None:
    """`enroll` is `enrol`, and is not listed twice."""
    context = click.Context(cli.front_door)
    assert cli.front_door.get_command(context, "enroll") is cli.front_door.get_command(context, "enrol")
    assert "enroll" not in cli.front_door.list_commands(context)


def test_an_unknown_command_is_a_usage_error() -> None:
    """A name that is not in the table exits with 2 and says so."""
    result = CliRunner().invoke(cli.front_door, ["telegraph"])
    assert result.exit_code == 2
    assert "No such command 'telegraph'" in result.output


@pytest.mark.parametrize(
    "typed",
    [
        ["nonsense", "--json"],
        ["--nonsense", "--json"],
        ["call", "verify", "--json"],
        ["call", "nonsense", "--json"],
        ["trust", "list", "extra", "--json"],
    ],
)
def test_a_program_that_misuses_a_command_is_told_in_json(typed: list[str]) -> None:
    """Under --json a command line that cannot be understood is one JSON object on standard output, and exit code 2."""
    result = CliRunner().invoke(cli.front_door, typed)
    assert result.exit_code == 2
    assert list(json.loads(result.stdout)) == ["error"]
    assert not result.stderr


def test_the_version_is_the_installed_one() -> None:
    """--version says which answerback this is."""
    assert CliRunner().invoke(cli.front_door, ["--version"]).output.startswith("answerback, version ")


@pytest.mark.parametrize(
    ("command", "module", "requirement"),
    [
        ("ca", "falcon", "answerback[ca]"),
        ("ca", "psycopg", "answerback[postgresql]"),
        ("demo", "smpp34", "answerback[demo]"),
        ("enroll", "requests", "answerback"),
    ],
)
def test_a_command_whose_extra_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, command: str, module: str, requirement: str
) -> None:
    """A part that is not installed is one line with the pip command that brings it."""
    monkeypatch.setattr(importlib, "import_module", Mock(side_effect=ModuleNotFoundError(name=module)))
    result = CliRunner().invoke(cli.front_door, [command])
    assert result.exit_code == 1
    assert result.output.endswith(f"pip install '{requirement}'\n")
    assert result.output.count("\n") == 1


def test_a_part_missing_while_the_command_runs_is_explained_too(
    offer: Callable[[str, Callable[[], object]], None],
) -> None:
    """A command that imports late and finds nothing says what to install."""

    def lack() -> None:
        raise ModuleNotFoundError(name="gunicorn.app")

    offer("ring", lack)
    result = CliRunner().invoke(cli.front_door, ["ring"])
    assert (
        result.output
        == "Error: answerback ring needs gunicorn, which is not installed: pip install 'answerback[bells]'\n"
    )


def test_a_missing_module_of_our_own_is_a_bug(offer: Callable[[str, Callable[[], object]], None]) -> None:
    """Nobody is told to install what we forgot to ship."""

    def lack() -> None:
        raise ModuleNotFoundError(name="stir.lost")

    offer("ring", lack)
    result = CliRunner().invoke(cli.front_door, ["ring"])
    assert isinstance(result.exception, ModuleNotFoundError)


def test_shell_completion_offers_commands_without_failing_where_an_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Completion leaves out what cannot be run."""

    def refuse(name: str) -> ModuleType:
        if name.endswith(".ca"):
            raise ModuleNotFoundError(name="falcon")
        return original(name)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", refuse)
    complete = ShellComplete(cli.front_door, {}, "answerback", "_ANSWERBACK_COMPLETE")
    assert [item.value for item in complete.get_completions([], "ca")] == ["call"]


def test_an_error_nobody_foresaw_is_one_line_without_its_message(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    offer: Callable[[str, Callable[[], object]], None],
) -> None:
    """The message of an unexpected error may quote a secret, so it is not shown."""

    def stumble() -> None:
        raise KeyError("the passphrase is hunter2")

    offer("ring", stumble)
    assert main_with(monkeypatch, "ring") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "KeyError" in printed.err
    assert "hunter2" not in printed.err
    assert printed.err.count("\n") == 1


def test_debugging_shows_the_traceback(
    monkeypatch: pytest.MonkeyPatch, offer: Callable[[str, Callable[[], object]], None]
) -> None:
    """ANSWERBACK_DEBUG lets the exception through."""

    def stumble() -> None:
        raise KeyError("here")

    offer("ring", stumble)
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    monkeypatch.setattr(sys, "argv", ["answerback", "ring"])
    with pytest.raises(KeyError, match="here"):
        cli.main()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "keys/root.pem"), "Error: Permission denied: keys/root.pem ("),
        (ConnectionRefusedError(111, "Connection refused"), "Error: Connection refused ("),
        (OSError("no number"), "Error: this is a bug: unexpected OSError"),
    ],
)
def test_an_error_of_the_system_names_the_file(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    offer: Callable[[str, Callable[[], object]], None],
    error: OSError,
    line: str,
) -> None:
    """What the system refused is said in its words, with the file where there is one."""

    def stumble() -> None:
        raise error

    offer("ring", stumble)
    assert main_with(monkeypatch, "ring") == 1
    assert capsys.readouterr().err.startswith(line)


def test_a_command_that_ends_well_exits_with_zero(
    monkeypatch: pytest.MonkeyPatch, offer: Callable[[str, Callable[[], object]], None]
) -> None:
    """Success is exit code 0."""
    offer("ring", lambda: None)
    assert main_with(monkeypatch, "ring") == 0


def test_a_failure_exits_with_one_and_its_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    offer: Callable[[str, Callable[[], object]], None],
) -> None:
    """A command's own failure is its line on standard error."""

    def fail() -> None:
        raise Failure("no anchor is held: run answerback trust add")

    offer("ring", fail)
    assert main_with(monkeypatch, "ring") == 1
    assert capsys.readouterr().err == "Error: no anchor is held: run answerback trust add\n"


def test_the_package_runs_as_a_module() -> None:
    """`python -m answerback` is the same door."""
    command = [sys.executable, "-m", "answerback", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("Usage: answerback ")
