"""The reference pages say what the program does."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from number_directory.server import config
from number_directory.server.web.problems import PROBLEM_TYPES
from serving.settings import Log

REFERENCE = Path(__file__).parents[4] / "docs" / "reference"
SECTIONS: dict[str, tuple[type[msgspec.Struct], msgspec.Struct | None]] = {
    "Top level": (config.DirectoryConfig, None),
    "`[server]`": (config.DirectoryListener, None),
    "`[keys]`": (config.Keys, None),
    "`[quotas.caller]`": (config.Quota, config.Quotas().caller),
    "`[quotas.address]`": (config.Quota, config.Quotas().address),
    "`[quotas.publisher]`": (config.Quota, config.Quotas().publisher),
    "`[quotas.buckets]`": (config.Quota, config.Quotas().buckets),
    "`[records]`": (config.Records, None),
    "`[record_log]`": (config.RecordLog, None),
    "`[hidden]`": (config.Hidden, None),
    "`[metrics]`": (config.Metrics, None),
    "`[[number_events]]`": (config.NumberEvents, None),
    "`[log]`": (Log, None),
}
TABLES = {"server", "keys", "quotas", "records", "record_log", "hidden", "metrics", "number_events", "log"}


def rows(page: str, section: str) -> dict[str, list[str]]:
    """Return the table of a section, the cells of each key's row."""
    text = (REFERENCE / page).read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in found}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_of_settings_lists_every_key_with_its_default(section: str) -> None:
    """Each key that the program takes, no other, and what it is where nobody sets it."""
    type_, given = SECTIONS[section]
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    told = rows("directory-configuration.md", section)
    assert set(told) == set(fields) - (TABLES if section == "Top level" else set())
    for key, cells in told.items():
        default = fields[key].default if given is None else getattr(given, key)
        if given is None and fields[key].required:
            assert cells[1] == "*required*"
        elif default not in (None, (), Path()):
            assert cells[1].strip("`") == (str(default).lower() if isinstance(default, bool) else str(default))


def test_the_page_of_refusals_lists_every_type_with_its_status() -> None:
    """Each kind of refusal, and no other."""
    told = rows("directory-http.md", "Refusals")
    assert {key: int(cells[0]) for key, cells in told.items()} == {
        str(kind): int(known.status) for kind, known in PROBLEM_TYPES.items()
    }
