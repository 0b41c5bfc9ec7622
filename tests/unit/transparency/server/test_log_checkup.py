from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.log_world import Authority, make_config
from transparency.server.checkup import examine
from transparency.server.config import LogConfig
from transparency.server.initialise import DESCRIPTION_NAME, describe


@pytest.fixture
def config(tmp_path: Path) -> LogConfig:
    """Make a log, with its description handed out."""
    config = make_config(tmp_path / "log", Authority.make())
    (config.folder / DESCRIPTION_NAME).write_bytes(describe(config).to_json())
    return config


def found(config: LogConfig, now: datetime | None = None) -> dict[str, tuple[bool, str]]:
    """Return what was found, by name."""
    at = now or config.shards[0].not_after_start
    return {finding.name: (finding.is_ok, finding.detail) for finding in examine(config, at)}


def test_a_log_that_can_be_served_is_well(config: LogConfig) -> None:
    """Keys, shards and database are looked at, and what they are is told."""
    last = config.shards[-1].not_after_limit
    assert found(config) == {
        "keys": (True, "open, as log.json tells them"),
        "shards": (True, f"take certificates that end before {last:%Y-%m-%d}"),
        "database": (True, "answers, and has 0 entries"),
    }


def test_a_missing_key_is_found(config: LogConfig) -> None:
    """Serving would be refused."""
    next(config.keys.directory.glob("*-sct.key")).unlink()
    assert found(config)["keys"][0] is False


@pytest.mark.parametrize(
    ("description", "is_ok", "why"),
    [(None, True, "no "), (b"{}", False, "cannot be read"), (b"other", False, "another log")],
)
def test_what_is_handed_out_must_tell_of_this_log(
    config: LogConfig, tmp_path: Path, description: bytes | None, is_ok: bool, why: str
) -> None:
    """A description of other keys makes timestamps that nobody believes; none at all is the operator's affair."""
    path = config.folder / DESCRIPTION_NAME
    if description is None:
        path.unlink()
    elif description == b"other":
        path.write_bytes(describe(make_config(tmp_path / "other", Authority.make())).to_json())
    else:
        path.write_bytes(description)
    assert found(config)["keys"][0] is is_ok
    assert why in found(config)["keys"][1]


def test_shards_that_are_over_are_found(config: LogConfig) -> None:
    """Nothing could be logged any more: the next shard is to be begun."""
    is_ok, detail = found(config, datetime(2099, 1, 1, tzinfo=UTC))["shards"]
    assert (is_ok, "begin the next one" in detail) == (False, True)
