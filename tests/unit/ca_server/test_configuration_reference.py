from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ca_server.config import Authority, CertificateLog, Config, Gateway, Keys, Logging
from policies.issuance import IssuancePolicy, SmsCaps
from serving.settings import Log, Server

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "ca-configuration.md"
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "Top level": Config,
    "`[authority]`": Authority,
    "`[keys]`": Keys,
    "`[server]`": Server,
    "`[log]`": Log,
    "`[[gateways]]`": Gateway,
    "`[[logs]]`": CertificateLog,
    "`[logging]`": Logging,
    "`[policy]`": IssuancePolicy,
    "`[policy.sms]`": SmsCaps,
}
TABLES_OF_THEIR_OWN = {"authority", "keys", "server", "log", "gateways", "logs", "logging", "policy", "sms"}


def rows(section: str) -> dict[str, list[str]]:
    """Return the table of a section, the cells of each key's row."""
    text = REFERENCE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `"))
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in found}


@pytest.mark.parametrize(("section", "type_"), SECTIONS.items())
def test_the_reference_lists_every_key_and_no_other(section: str, type_: type[msgspec.Struct]) -> None:
    """The page says what the program takes."""
    assert set(rows(section)) == {field.encode_name for field in msgspec.structs.fields(type_)} - TABLES_OF_THEIR_OWN


@pytest.mark.parametrize(
    ("section", "type_"), [(section, type_) for section, type_ in SECTIONS.items() if type_ is not SmsCaps]
)
def test_the_reference_tells_the_true_defaults(section: str, type_: type[msgspec.Struct]) -> None:
    """Numbers, texts and lists in the column of defaults are those of the program."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    for key, cells in rows(section).items():
        default, told = fields[key].default, cells[1]
        if fields[key].required:
            assert told == "*required*", key
        elif isinstance(default, (bool, int, str, tuple)) and default:
            assert str(default) in told or all(str(one) in told for one in _each(default)), key
        elif default is False:
            assert told == "`false`"


def _each(value: object) -> list[object]:
    return list(value) if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("field", msgspec.structs.fields(SmsCaps))
def test_the_reference_tells_the_true_caps(field: msgspec.structs.FieldInfo) -> None:
    """Each bucket's size and refill are the program's."""
    told = rows("`[policy.sms]`")[field.encode_name][0]
    assert re.findall(r"\d+", told) == [str(field.default.burst), str(field.default.refill_seconds)]
