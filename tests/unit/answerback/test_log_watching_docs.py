"""The pages about watching, witnessing and auditing name commands and options that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from answerback.commands.log import log
from transparency.alarms import AlarmKind
from transparency.witness.app import _STATUS

HOW_TO = Path(__file__).parents[3] / "docs" / "how-to"
PAGES = ("watch-your-number.md", "run-a-witness.md")


def commands() -> list[str]:
    """Return what the pages tell people to type."""
    lines = (line for page in PAGES for line in (HOW_TO / page).read_text().splitlines())
    return [line.removeprefix("$ answerback log ") for line in lines if line.startswith("$ answerback log ")]


def test_the_pages_tell_people_what_to_type() -> None:
    """There are commands to look at."""
    assert len(commands()) > 8


@pytest.mark.parametrize("line", commands())
def test_each_command_and_option_is_there(line: str) -> None:
    """Every name is a command, and every option is one of the command's."""
    words = shlex.split(line)
    context, command = click.Context(log), log
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found  # type: ignore[assignment]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_each_alarm_is_explained() -> None:
    """The table of alarms has a line for each kind."""
    page = (HOW_TO / "watch-your-number.md").read_text()
    assert {kind.value for kind in AlarmKind} == set(re.findall(r"`([a-z-]+)`", page)) & {
        kind.value for kind in AlarmKind
    }


def test_each_status_is_explained() -> None:
    """The table of a witness's answers has a line for each status."""
    page = (HOW_TO / "run-a-witness.md").read_text()
    assert {str(int(status)) for status in _STATUS.values()} | {"200"} == set(
        re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE)
    )
