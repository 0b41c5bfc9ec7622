from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from number_directory.routing import entries as module
from number_directory.routing.entries import read_entries
from number_directory.routing.errors import BuildError
from stir.telephone_number import NumberPrefix

SERVICES = {"rs-a.example": 4, "rs-b.example": 7}


def read(path: Path, text: str | bytes, name: str = "entries.csv", *, are_changes: bool = False) -> list[object]:
    """Read a file with this text."""
    file = path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_entries(file, SERVICES, are_changes=are_changes))


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_lines_say_numbers_and_prefixes(tmp_path: Path, end: str) -> None:
    """A line is a number or, with * behind it, a prefix; a header may come first."""
    lines = ["number_or_prefix,service\n", "+12025550123,rs-a.example\n", f"+1202*,rs-b.example{end}"]
    assert read(tmp_path, "".join(lines)) == [(12025550123, 4), (NumberPrefix("1202"), 7)]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    """A file whose name ends in .jsonl has an object on each line."""
    text = '{"number": "+12025550123", "service": "rs-a.example"}\n{"prefix": "+1202", "service": "rs-b.example"}\n'
    assert read(tmp_path, text, "entries.jsonl") == [(12025550123, 4), (NumberPrefix("1202"), 7)]


def test_only_changes_take_a_service_away(tmp_path: Path) -> None:
    """A hyphen in place of a service is for changes."""
    assert read(tmp_path, "+12025550123,-\n", are_changes=True) == [(12025550123, None)]
    with pytest.raises(BuildError, match="line 1: '-' is no service of this map"):
        read(tmp_path, "+12025550123,-\n")


@pytest.mark.parametrize(
    "line",
    [
        "12025550123,rs-a.example",
        "+1202555,rs-c.example",
        "+120255,rs-a.example",
        "+02025550123,rs-a.example",
        "+1202555012345678,rs-a.example",
        "+1 2025550123,rs-a.example",
        "+1202555012٣,rs-a.example",
        "+*,rs-a.example",
        "+01*,rs-a.example",
        "+12025550123",
        "+12025550123,",
        "+12025550123,rs-a.example,more",
        "+12025550123, rs-a.example",
        "number_or_prefix,service",
        "",
        "+",
    ],
)
def test_a_line_that_is_unclear_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    """The error names file and line, and never shows a number."""
    with pytest.raises(BuildError, match=r"entries\.csv: line 2: ") as caught:
        read(tmp_path, f"+12025550199,rs-a.example\n{line}\n")
    assert "0199" not in str(caught.value)
    assert "2025550123" not in str(caught.value).replace("such as +12025550123", "")


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "{",
        '{"number": "+12025550123"}',
        '{"number": "+12025550123", "prefix": "+1202", "service": "rs-a.example"}',
        '{"service": "rs-a.example"}',
        '{"number": "+12025550123", "service": "rs-a.example", "more": 1}',
    ],
)
def test_an_object_that_is_unclear_is_named(tmp_path: Path, line: str) -> None:
    """A line of JSON is an object with a number or a prefix, and a service."""
    with pytest.raises(BuildError, match="line 1: "):
        read(tmp_path, line, "entries.jsonl")


@given(st.binary(max_size=50))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever a file holds, it is entries or BuildError."""
    folder = tmp_path_factory.getbasetemp()
    for name in ("any.csv", "any.jsonl"):
        with contextlib.suppress(BuildError):
            read(folder, data, name)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """Where a file cannot be read, the error says which."""
    with pytest.raises(BuildError, match=r"missing\.csv: cannot be read"):
        list(read_entries(tmp_path / "missing.csv", SERVICES))


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, and at the end, whoever waits is told how many lines were read."""
    monkeypatch.setattr(module, "PROGRESS_STEP", 2)
    file = tmp_path / "entries.csv"
    file.write_text("".join(f"+1202555012{place},rs-a.example\n" for place in range(5)))
    told: list[int] = []
    list(read_entries(file, SERVICES, progress=told.append))
    assert told == [2, 4, 5]
