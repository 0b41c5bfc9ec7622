"""Whatever a page tells people to type is understood: each command exists, and takes the options that are shown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from answerback.cli import ALIASES, DOORS, front_door

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after `answerback` of what stands in a line to type, or is a command between backquotes."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    typed = re.findall(r"^\$ (?:[A-Z_]+=\S+ )?answerback (.+)$", text, re.MULTILINE)
    named = re.findall(rf"`answerback ((?:{'|'.join([*DOORS, *ALIASES])})\b[^`]*)`", text)
    for line in [*typed, *named]:
        words = shlex.split(line.replace("\n", " "), comments=True)
        end = next((place for place, word in enumerate(words) if word in {"|", "||", "&", "&&", ">", "<"}), len(words))
        yield words[:end]


def strangers(words: list[str]) -> Iterator[str]:
    """Yield the words that are no command of the group before them, and the options that the command does not take."""
    context, command = click.Context(front_door), front_door
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            yield words[0]
            return
        command, words = found, words[1:]  # type: ignore[assignment]
    known = {"--help", *(name for parameter in command.params for name in [*parameter.opts, *parameter.secondary_opts])}
    yield from {word.partition("=")[0] for word in words if word.startswith("--")} - known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_of_a_page_exists(page: Path) -> None:
    """No page names a command or an option that is not there."""
    assert [(words, wrong) for words in commands(page) if (wrong := list(strangers(list(words))))] == []


def test_there_are_commands_to_look_at() -> None:
    """What looks for commands finds them."""
    assert sum(1 for page in PAGES for _ in commands(page)) > 150
