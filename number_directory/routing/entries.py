"""What a publisher feeds a map with: lines that say which service has a number, or all numbers with a prefix.

    +12025550123,rs.example         a number
    +1202*,rs.example               all numbers that begin with +1202, but for those that stand here themselves
    +12025550123,-                  among changes: the number is where its prefix is, again

Nothing is guessed: +1202555 is a number of seven digits, and +1202555* a prefix. A file whose name ends in .jsonl has
objects instead: {"number": "+12025550123", "service": "rs.example"}, or with "prefix": "+1202".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from number_directory.routing.errors import BuildError
from stir.telephone_number import LONGEST_NUMBER, SHORTEST_NUMBER, NumberPrefix

HEADER: Final = b"number_or_prefix,service"
"""The first line of a file of lines may be this one."""
PROGRESS_STEP: Final = 1 << 17
"""Progress is told after so many lines."""

_JSON_LINES = ".jsonl"
_REMOVED = b"-"
_PLUS, _ZERO = b"+0"

Entry = tuple[int | NumberPrefix, int | None]
"""A number as an integer or a prefix, and the number of its service; None where its prefix decides."""
Progress = Callable[[int], None]
"""Told how many lines of a file were read."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An object of a JSON Lines file."""

    service: str
    number: str | None = None
    prefix: str | None = None


def read_entries(
    path: Path, services: Mapping[str, int], *, are_changes: bool = False, progress: Progress = lambda _: None
) -> Iterator[Entry]:
    """Yield what the lines of a file say; raise BuildError, which names file and line, for one that cannot be used.

    `services` are the numbers of the services, by name. Only `are_changes` may take a number's service away.
    """
    known: dict[bytes, int | None] = {name.encode(): number for name, number in services.items()}
    if are_changes:
        known[_REMOVED] = None
    fields = _fields_of_json if path.suffix == _JSON_LINES else _fields_of_line
    place = 0
    try:
        with path.open("rb") as file:
            for place, line in enumerate(file, start=1):
                number, name = fields(line)
                if (
                    number[0] == _PLUS
                    and number[1] != _ZERO
                    and number[1:].isdigit()
                    and SHORTEST_NUMBER < len(number) <= LONGEST_NUMBER + 1
                ):
                    yield int(number), known[name]
                elif place > 1 or line.strip() != HEADER:
                    yield _prefix(number), known[name]
                if not place % PROGRESS_STEP:
                    progress(place)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise BuildError(msg) from error
    except (KeyError, IndexError, ValueError, msgspec.DecodeError) as error:
        raise _explained(path, place, error) from error
    progress(place)


def _fields_of_line(line: bytes) -> tuple[bytes, bytes]:
    number, _, name = line.rstrip(b"\r\n").partition(b",")
    return number, name


def _fields_of_json(line: bytes) -> tuple[bytes, bytes]:
    said = msgspec.json.decode(line, type=_Line)
    if (said.number is None) == (said.prefix is None):
        msg = "a number or a prefix, and not both"
        raise ValueError(msg)
    return (said.number or f"{said.prefix}*").encode(), said.service.encode()


def _prefix(text: bytes) -> NumberPrefix:
    if not text.endswith(b"*"):
        msg = "no number"
        raise ValueError(msg)
    return NumberPrefix.parse(text[:-1].decode("ascii"))


def _explained(path: Path, place: int, error: Exception) -> BuildError:
    """Say what is wrong with a line, without showing its number."""
    if isinstance(error, msgspec.DecodeError):
        return BuildError(f'{path}: line {place}: not an object such as {{"number": "+12025550123", "service": "…"}}')
    if isinstance(error, KeyError):
        shown = str(error.args[0].decode("utf-8", "replace"))[:80]
        return BuildError(f"{path}: line {place}: {shown!r} is no service of this map")
    return BuildError(
        f"{path}: line {place}: write a number as + and {SHORTEST_NUMBER} to {LONGEST_NUMBER} digits, such as "
        "+12025550123, or a prefix with * behind it, such as +1202*; then a comma and the service"
    )
