from __future__ import annotations

import json

import click
from click.testing import CliRunner

from answerback.failure import Failure
from answerback.output import json_option


@click.group()
def outer() -> None:
    """Hold the command."""


@outer.command()
@json_option
def inner(as_json: bool) -> None:
    """Fail in two lines."""
    message = f"two lines,\n  one failure (asked for JSON: {as_json})"
    raise Failure(message)


def test_people_get_one_line_on_standard_error() -> None:
    """A failure is one line, whatever it was made of, and exit code 1."""
    result = CliRunner().invoke(outer, ["inner"])
    assert result.exit_code == 1
    assert result.stderr == "Error: two lines, one failure (asked for JSON: False)\n"
    assert result.stdout == ""


def test_programs_get_a_json_object_on_standard_output() -> None:
    """Under --json the failure is a document with the key `error`."""
    result = CliRunner().invoke(outer, ["inner", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"error": "two lines, one failure (asked for JSON: True)"}
    assert result.stderr == ""


def test_a_failure_outside_of_any_command_is_for_people() -> None:
    """Where no command runs, nobody asked for JSON."""
    assert Failure("no command").as_json is False


def test_the_flag_is_found_on_the_command_above() -> None:
    """A group that was asked for JSON answers in JSON for its commands."""

    @click.group()
    @json_option
    def group(as_json: bool) -> None:
        pass

    @group.command()
    def leaf() -> None:
        raise Failure("below")

    result = CliRunner().invoke(group, ["--json", "leaf"])
    assert json.loads(result.stdout) == {"error": "below"}
