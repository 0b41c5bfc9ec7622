from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from answerback import serving
from answerback.commands import log as module
from transparency.server.config import PASSPHRASE_VARIABLE
from transparency.server.keys import open_key_store
from transparency.server.loading import load_config


def test_the_passphrase_is_asked_for_where_it_spoils_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person may answer while a program reads the JSON: the question goes to standard error."""
    monkeypatch.setattr(serving, "at_terminal", lambda: True)
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    names = ["--name", "A", "--operator", "B", "--url", "http://127.0.0.1:14100"]
    answers = "correct horse\ncorrect horse\n"
    result = CliRunner().invoke(module.log, ["init", str(tmp_path / "log"), *names, "--json"], input=answers)
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert "Passphrase" in result.stderr
    assert "correct horse" not in result.output
    monkeypatch.setenv(PASSPHRASE_VARIABLE, "correct horse")
    config = load_config(Path(made["config"]))
    shard = config.shards[0]
    assert open_key_store(config.keys).open(shard.name, config.origin(shard))
