from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from ca_server.config import Gateway
from ca_server.sms.loading import open_gateway
from ca_server.sms.routing import Routes
from ca_server.sms.smpp_gateway import SmppOptions

ROOT = Path(__file__).parents[4]
HOW_TO = (ROOT / "docs" / "how-to" / "sms-gateway.md").read_text(encoding="utf-8")


def test_every_smpp_option_is_documented_and_no_other() -> None:
    """The table of the how-to names the options that the gateway has."""
    section = HOW_TO.split("## SMPP")[1].split("### ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert documented == {field.name for field in msgspec.structs.fields(SmppOptions)}


def test_each_example_of_the_how_to_opens_a_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables that the how-to shows work as they stand."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    (tmp_path / "smpp-password").write_text("secret\n")
    (tmp_path / "token").write_text("t0ken\n")
    examples = re.findall(r"```toml\n(.*?)```", HOW_TO, re.DOTALL)
    tables = [msgspec.convert(table, Gateway) for text in examples for table in tomllib.loads(text)["gateways"]]
    assert [open_gateway(table, tmp_path).name for table in tables] == ["main", "files", "aggregator"]
    assert Routes.from_config(tables).count == 1
