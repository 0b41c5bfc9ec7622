"""Text in TOML that is changed entry by entry. Whatever a change does not concern stays as it stands, comments and all.

A comment right above an entry belongs to it and goes with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Generic, Self, TypeAlias, TypeVar

from trust_store.errors import TrustFileError
from trust_store.files import write_file
from trust_store.lines import Lines, Statement

Content = TypeVar("Content")

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class Block(str):
    """Text of several lines, such as a certificate in PEM, that is written as it is."""

    __slots__ = ()


Value: TypeAlias = str | int | date | tuple[str, ...]


class TomlText(Generic[Content]):
    """The text of a file that is valid, and what can be done to it. Each change makes another, valid text.

    `parse` reads the text of the file at a path, or raises.
    """

    def __init__(self, path: Path, text: str, parse: Callable[[str, Path], Content]) -> None:
        """Read the text; raise what `parse` raises."""
        self.path = path
        self.content = parse(text, path)
        self._parse = parse
        self._lines = _LINE.findall(text)
        self._statements = Lines.of(text).statements

    @property
    def text(self) -> str:
        """The text as it is."""
        return "".join(self._lines)

    def write(self) -> None:
        """Put the text in the file's place."""
        write_file(self.path, self.text.encode())

    def with_entry(self, kind: str, values: Mapping[str, Value | None]) -> Self:
        """Append a `[[kind]]`."""
        written = [_assignment(key, value) for key, value in values.items() if value is not None and value != ""]
        return self._with(len(self._lines), len(self._lines), ["\n", f"[[{kind}]]\n", *written])

    def without_entry(self, kind: str, index: int) -> Self:
        """Take a `[[kind]]` away, with the comment right above it and the empty lines around it."""
        first, last = self._above(self._header(kind, index).first) - 1, self._last_line(kind, index)
        while last < len(self._lines) and not self._lines[last].strip():
            last += 1
        while last == len(self._lines) and first and not self._lines[first - 1].strip():
            first -= 1
        return self._with(first, last, [])

    def with_value(self, path: tuple[str, int, str], value: Value | None) -> Self:
        """Set a key of an entry, or take it away with None; a comment behind a value that is replaced stays."""
        kind, index, key = path
        own = [one for one in self._statements if one.path == path]
        if value is None:
            return self._with(own[0].first - 1, own[0].last, []) if own else self
        if own:
            return self._with(own[0].first - 1, own[0].last, [_assignment(key, value, own[0].comment)])
        last = self._last_line(kind, index)
        return self._with(last, last, [_assignment(key, value)])

    def _header(self, kind: str, index: int) -> Statement:
        for statement in self._statements:
            if statement.is_header and statement.path == (kind, index):
                return statement
        msg = f"{self.path}: the entries are not written as [[{kind}]]; change the file by hand"
        raise TrustFileError(msg)

    def _last_line(self, kind: str, index: int) -> int:
        header = self._header(kind, index)
        return max(one.last for one in self._statements if one.path[:2] == header.path)

    def _above(self, line: int) -> int:
        """Return the first of the lines of comment right above a line."""
        while line > 1 and self._lines[line - 2].lstrip().startswith("#"):
            line -= 1
        return line

    def _with(self, first: int, last: int, lines: list[str]) -> Self:
        """Return the text with other lines in place of those from index `first` up to `last`."""
        before = self._lines[:first]
        if lines and before and not before[-1].endswith("\n"):
            before[-1] += "\n"
        return type(self)(self.path, "".join((*before, *lines, *self._lines[last:])), self._parse)


def _assignment(key: str, value: Value, comment: str = "") -> str:
    return f"{key} = {_written(value)}{'  ' if comment else ''}{comment}\n"


def _written(value: Value) -> str:
    """Write a value as TOML."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_written(one) for one in value)}]"
    if isinstance(value, Block):
        return f"'''\n{value}'''"
    if not value.isprintable():
        msg = "names and notes are plain text, without line breaks or control characters"
        raise TrustFileError(msg)
    return json.dumps(value, ensure_ascii=False)  # printable text is the same in JSON and in TOML
