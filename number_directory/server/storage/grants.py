"""Who may see what: the one question of a lookup, and its one statement.

What a caller may not see has no row under any of the names that the caller answers to. So the statement looks for as
many keys, and finds nothing, whether there is a record that is denied or none at all: there is nothing to compare.

A name and a number are one key, in one column. With two, SQLite would stop at the first when a number has no rows at
all, and PostgreSQL could read the rows of a number to leave them out: both would tell denied from absent by their work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from number_directory.server.storage.statements import Frames
from serving.database import Database
from serving.times import to_column
from stir.telephone_number import LONGEST_NUMBER, TelephoneNumber

ANYONE: Final = b"*"
RECORD: Final = 1
MEDIA: Final = 2

_Value = TypeVar("_Value")

_NUMBERS_AT_ONCE = (1, 4, 16, 100)
_GRANTEES_AT_ONCE = (1, 17, 33)
"""A statement is made for these counts and what is missing is filled up, so that the database knows every statement."""
_ADD = "INSERT INTO directory_grants (key, app, number, shows) VALUES (?, ?, ?, ?)"
_NOTE_OPEN = "INSERT INTO directory_hidden (number) VALUES (?) ON CONFLICT (number) DO NOTHING"
_BETWEEN = b":"
_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True)
class Visibility:
    """What a grantee sees of an app: `RECORD`, `MEDIA`, which alone are not shown, or both."""

    grantee: bytes
    app: str
    shows: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What a caller is shown of one number and app; `media` is None where it may not be seen, or is not there."""

    number: int = field(repr=False)
    app: str
    statement: str = field(repr=False)
    media: str | None = field(repr=False)


def of_prefix(digits: str) -> bytes:
    """Return the grantee that is every number which begins so."""
    return b"+" + digits.encode("ascii")


def of_number(number: TelephoneNumber) -> bytes:
    """Return the grantee that is one number."""
    return b"=" + number.digits.encode("ascii")


def of_token(sha256: bytes) -> bytes:
    """Return the grantee that is whoever shows the token of this hash."""
    return b"#" + sha256


def key_of(grantee: bytes, number: int) -> bytes:
    """Return the key of what a grantee sees of a number: all of one grantee stand together."""
    return grantee + _BETWEEN + number.to_bytes(_NUMBER_BYTES, "big")


def names_of(caller: TelephoneNumber | None, tokens: Sequence[bytes]) -> list[bytes]:
    """Return all names that a caller answers to: as many for each number, however long it is."""
    names = [ANYONE, *map(of_token, tokens)]
    if caller is not None:
        digits = caller.digits.ljust(LONGEST_NUMBER, "-")  # prefixes that no grantee has keep the count
        names += [of_number(caller), *(of_prefix(digits[:length]) for length in range(1, LONGEST_NUMBER + 1))]
    return names


@dataclass(frozen=True, slots=True)
class Grants:
    """All grants, as each number's access list makes them of its entries."""

    database: Database
    frames: Frames
    _statements: dict[int, str] = field(default_factory=dict, init=False)

    def replace(self, number: TelephoneNumber, grants: Sequence[Visibility]) -> None:
        """Put grants in the place of all that there are of a number, in a transaction that holds the number."""
        self.replace_all({number: grants})

    def replace_all(self, grants: Mapping[TelephoneNumber, Sequence[Visibility]]) -> None:
        """Put grants in the places of all that there are of these numbers; see `replace`."""
        of_numbers = [(int(number.digits), ones) for number, ones in grants.items()]
        new = [(key_of(one.grantee, value), one.app, value, one.shows) for value, ones in of_numbers for one in ones]
        are_open = {value for value, ones in of_numbers if any(one.grantee == ANYONE for one in ones)}
        closed = [(value,) for value, _ in of_numbers if value not in are_open]
        run_many = self.database.run_many
        run_many("DELETE FROM directory_grants WHERE number = ?", [(value,) for value, _ in of_numbers])
        run_many(_ADD, new)
        run_many(_NOTE_OPEN, [(value,) for value in sorted(are_open)])
        run_many("DELETE FROM directory_hidden WHERE number = ?", closed)

    def grantees(self, number: TelephoneNumber) -> list[bytes]:
        """Return everybody who may see a record of a number: whom media alone are granted sees none."""
        value = int(number.digits)
        rows = self.database.rows(
            "SELECT DISTINCT key FROM directory_grants WHERE number = ? AND shows <> ?", value, MEDIA
        )
        return [bytes(key).removesuffix(key_of(b"", value)) for (key,) in rows]

    def shown(self, numbers: Sequence[TelephoneNumber], names: Sequence[bytes], now: datetime) -> list[Shown]:
        """Return what whoever has these names may see of numbers, each app once, in one statement."""
        values = _filled([int(number.digits) for number in numbers], _NUMBERS_AT_ONCE)
        grantees = _filled(names, _GRANTEES_AT_ONCE)
        keys = [key_of(grantee, value) for value in values for grantee in grantees]
        rows = self.database.rows(self._statement(len(keys)), *keys, to_column(now))
        shows: dict[tuple[int, str], int] = {}
        for number, app, _, _, one in rows:
            shows[number, app] = shows.get((number, app), 0) | one
        found = {
            (number, app): Shown(
                number, app, self.frames.read(kept).text, media if shows[number, app] & MEDIA else None
            )
            for number, app, kept, media, _ in rows
            if shows[number, app] & RECORD
        }
        return list(found.values())

    def _statement(self, keys: int) -> str:
        made = self._statements.get(keys)
        if made is None:
            made = self._statements[keys] = (
                "SELECT g.number, e.app, e.statement, e.media, g.shows"
                " FROM directory_grants g JOIN directory_entries e ON e.number = g.number AND e.app = g.app"
                f" WHERE g.key IN ({', '.join('?' * keys)}) AND e.ends_at > ? AND e.state = 'live'"
            )
        return made


def _filled(values: Sequence[_Value], counts: Sequence[int]) -> list[_Value]:
    """Repeat the first of the values until there are as many as a statement is made for."""
    count = next((count for count in counts if count >= len(values)), len(values))
    return [*values, *[values[0]] * (count - len(values))]
