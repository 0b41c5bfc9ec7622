from __future__ import annotations

import json

import click
import pytest

from answerback.output import emit


def test_programs_get_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the data is printed, and no words."""
    emit(as_json=True, data={"operator": "Ünion"}, human=lambda: click.echo("words"))
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"operator": "Ünion"}
    assert "Ünion" in printed


def test_people_get_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json only the words are printed."""
    emit(as_json=False, data={"operator": "Union"}, human=lambda: click.echo("words"))
    assert capsys.readouterr().out == "words\n"
