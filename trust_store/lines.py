"""On which line of a TOML file each value stands, so that a verdict can name the line that decided it.

The parsers of TOML forget lines. This one only finds where statements begin; what they say is tomllib's to read, and
the text must be TOML that tomllib has accepted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

Path = tuple[str | int, ...]
"""The way to a value, such as `("anchor", 0, "until")`: the key `until` of the first `[[anchor]]`."""

_TOKEN = re.compile(
    r"""
      (?P<string> \"{3} (?:\\.|[^\\])*? \"{3,5}(?!\") | '{3} .*? '{3,5}(?!')
                | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<comment> \#[^\n]* )
    | (?P<newline> \n )
    | (?P<open> [\[{] )
    | (?P<close> [\]}] )
    | (?P<equals> = )
    | (?P<other> [^"'\#\n\[\]{}=]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """A table's header or a key with its value, on the lines `first` to `last`, counted from 1.

    `path` ends with the index where it is a header of a list of tables. `comment` stands behind it on its last line.
    """

    path: Path
    first: int
    last: int
    is_header: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """The statements of a file, in the order in which they stand there."""

    statements: tuple[Statement, ...]
    by_path: Mapping[Path, int]
    """The line on which the value at each path begins."""

    @classmethod
    def of(cls, text: str) -> Lines:
        """Find the statements in the text of a TOML file."""
        statements = tuple(_in_their_tables(_statements(text)))
        return cls(statements, {statement.path: statement.first for statement in reversed(statements)})

    def line_of(self, *path: str | int) -> int:
        """Return the line of the value at a path, or of the nearest table or list around it; 1 where none is known."""
        while path:
            if path in self.by_path:
                return self.by_path[path]
            path = path[:-1]
        return 1


def _in_their_tables(statements: Iterable[tuple[str, Statement]]) -> Iterator[Statement]:
    """Complete the paths of statements, each of which comes with what is written before its `=`."""
    table: Path = ()
    counts: dict[Path, int] = {}
    for head, statement in statements:
        path = statement.path
        if head.startswith("[["):
            counts[path] = counts.get(path, -1) + 1
            path = table = (*path, counts[path])
        elif statement.is_header:
            table = path
        else:
            path = (*table, *path)
        yield replace(statement, path=path)


def _statements(text: str) -> Iterator[tuple[str, Statement]]:
    """Yield what is written before each `=`, or the header, with the statement and the path that it says."""
    line, depth, first = 1, 0, 1
    head, complete, comment = "", False, ""
    for token in _TOKEN.finditer(text + "\n"):
        kind, written = token.lastgroup, token[0]
        if kind == "newline" and depth == 0:
            if head := head.strip():
                yield head, Statement(_key_path(head), first, line, head.startswith("["), comment)
            head, complete, comment, first = "", False, "", line + 1
        elif kind == "equals" and depth == 0:
            complete = True
        elif kind == "comment":
            comment = written.rstrip() if depth == 0 else ""
        else:
            depth += {"open": 1, "close": -1}.get(kind or "", 0)
            head = head if complete else head + written
        line += written.count("\n")


@lru_cache(maxsize=256)
def _key_path(head: str) -> Path:
    """Return the keys of `a."b".c`, of `[a.b]` or of `[[a.b]]`."""
    keys = head.strip("[]") if head.startswith("[") else head
    path: list[str | int] = []
    found: object = tomllib.loads(f"{keys} = 0")
    while isinstance(found, dict):
        key, found = next(iter(found.items()))
        path.append(key)
    return tuple(path)
