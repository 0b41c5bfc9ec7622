from __future__ import annotations

import shlex
from pathlib import Path

import click

from answerback.commands.directory import directory

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "be-found.md"


def lines() -> list[list[str]]:
    """Return the commands of the page, in words."""
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line)[3:] for line in text.splitlines() if line.startswith("$ answerback directory ")]


def test_the_page_shows_commands_and_options_that_exist() -> None:
    """Whoever types what it says is understood."""
    context = click.Context(directory)
    typed = lines()
    assert {name for name, *_ in typed} == {"publish", "acl", "lookup", "records", "move"}
    for name, *words in typed:
        command = directory.get_command(context, name)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options
