"""E.164 telephone numbers and the ranges they fall into.

A number is written `+12025550123` by people and in JSON, and `12025550123` in certificates and PASSporTs (RFC 8226 §9,
RFC 8225 §5.2.1). Nothing here guesses: white space, punctuation, trunk prefixes and extensions are refused, because a
number that two programs read differently is a number that somebody else may be certified for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from stir.errors import TelephoneNumberError

SHORTEST_NUMBER = 7
LONGEST_NUMBER = 15  # ITU-T E.164 §6

_E164_DIGITS = re.compile(rf"[1-9][0-9]{{{SHORTEST_NUMBER - 1},{LONGEST_NUMBER - 1}}}", re.ASCII)
_PREFIX_DIGITS = re.compile(rf"[1-9][0-9]{{0,{LONGEST_NUMBER - 1}}}", re.ASCII)
_ENUM_ROOT = "e164.arpa"
_HIDDEN_DIGITS = 6


@dataclass(frozen=True, slots=True, order=True)
class TelephoneNumber:
    """An E.164 subscriber number: 7 to 15 digits, the first of which is not 0.

    `str()` and `repr()` mask the number so that no log line or traceback carries it by accident; ask for `.e164` or
    `.digits` where the number itself is wanted.
    """

    digits: str

    def __post_init__(self) -> None:
        """Refuse anything but the digits of an E.164 number."""
        if not _E164_DIGITS.fullmatch(self.digits):
            msg = (
                f"a telephone number is + and {SHORTEST_NUMBER} to {LONGEST_NUMBER} digits with its country code, "
                "such as +12025550123, without spaces or punctuation"
            )
            raise TelephoneNumberError(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `+12025550123`."""
        if not text.startswith("+"):
            msg = "a telephone number begins with + and its country code, such as +12025550123"
            raise TelephoneNumberError(msg)
        return cls(text[1:])

    @classmethod
    def from_tel_uri(cls, uri: str) -> Self:
        """Read `tel:+12025550123`, a global number without parameters (RFC 3966 §5.1.4)."""
        scheme, _, rest = uri.partition(":")
        if scheme.lower() != "tel":
            msg = "a telephone number's URI begins with tel:+"
            raise TelephoneNumberError(msg)
        return cls.parse(rest)

    @classmethod
    def from_enum_domain(cls, name: str) -> Self:
        """Read `3.2.1.0.5.5.5.2.0.2.1.e164.arpa` (RFC 6116 §3.2)."""
        labels = name.removesuffix(f".{_ENUM_ROOT}")
        if labels == name:
            msg = f"a number's ENUM name ends in .{_ENUM_ROOT}"
            raise TelephoneNumberError(msg)
        number = cls("".join(reversed(labels.split("."))))
        if number.enum_domain != name:
            msg = "an ENUM name has one digit to each label"
            raise TelephoneNumberError(msg)
        return number

    @property
    def e164(self) -> str:
        """The number as people write it: `+12025550123`."""
        return f"+{self.digits}"

    @property
    def tel_uri(self) -> str:
        """The number as a URI: `tel:+12025550123` (RFC 3966)."""
        return f"tel:+{self.digits}"

    @property
    def enum_domain(self) -> str:
        """The number's name in the ENUM tree: `3.2.1.….1.e164.arpa` (RFC 6116 §3.2)."""
        return enum_domain(self.digits)

    @property
    def masked(self) -> str:
        """The number with at least six digits hidden, for logs: `+120******23`."""
        hidden = max(_HIDDEN_DIGITS, len(self.digits) - 5)
        shown = len(self.digits) - hidden
        first = shown - min(2, shown // 2)
        return f"+{self.digits[:first]}{'*' * hidden}{self.digits[first + hidden :]}"

    def __str__(self) -> str:
        """Return the masked number."""
        return self.masked

    def __repr__(self) -> str:
        """Return the masked number in the form of a call."""
        return f"TelephoneNumber({self.masked!r})"


@dataclass(frozen=True, slots=True, order=True, repr=False)
class NumberRange:
    """All numbers of one length from `first` to `last`, both included.

    Numbers of different lengths are never neighbours: `012` is not `12` (RFC 8226 §9 counts within one length). The
    strings may be shorter than an E.164 number and begin with 0, as TNAuthLists allow.
    """

    length: int
    first: int
    last: int

    def __post_init__(self) -> None:
        """Refuse an empty range and one that leaves its length."""
        if not 1 <= self.length <= LONGEST_NUMBER:
            msg = f"the numbers of a range have 1 to {LONGEST_NUMBER} digits"
            raise TelephoneNumberError(msg)
        if not 0 <= self.first <= self.last < 10**self.length:
            msg = "a range runs upward and stays within its number of digits"
            raise TelephoneNumberError(msg)

    @classmethod
    def starting_at(cls, start: str, count: int) -> Self:
        """Return the `count` numbers from the digits `start` on."""
        if not (start.isascii() and start.isdigit()):
            msg = "a range starts at a number of digits only"
            raise TelephoneNumberError(msg)
        if count < 1:
            msg = "a range holds at least one number"
            raise TelephoneNumberError(msg)
        first = int(start[: LONGEST_NUMBER + 1])
        return cls(len(start), first, first + count - 1)

    @classmethod
    def of(cls, number: TelephoneNumber) -> Self:
        """Return the range that holds just this number."""
        return cls.starting_at(number.digits, 1)

    @property
    def start(self) -> str:
        """The first number's digits."""
        return str(self.first).zfill(self.length)

    @property
    def count(self) -> int:
        """How many numbers the range holds."""
        return self.last - self.first + 1

    def covers(self, other: NumberRange) -> bool:
        """Tell whether every number of `other` is in this range."""
        return self.length == other.length and self.first <= other.first and other.last <= self.last

    def __repr__(self) -> str:
        """Hide the numbers: a range may hold a single one."""
        return f"NumberRange(<{self.count} numbers of {self.length} digits>)"


@dataclass(frozen=True, slots=True, order=True)
class NumberPrefix:
    """The leading digits that a group of numbers shares: a country code, or more. Written `+1202`."""

    digits: str

    def __post_init__(self) -> None:
        """Refuse what no E.164 number begins with."""
        if not _PREFIX_DIGITS.fullmatch(self.digits):
            msg = f"a number prefix is + and 1 to {LONGEST_NUMBER} digits, such as +1202"
            raise TelephoneNumberError(msg)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `+1202`."""
        if not text.startswith("+"):
            msg = "a number prefix begins with + and a country code, such as +1202"
            raise TelephoneNumberError(msg)
        return cls(text[1:])

    @property
    def e164(self) -> str:
        """The prefix as people write it: `+1202`."""
        return f"+{self.digits}"

    @property
    def enum_domain(self) -> str:
        """The domain under which the ENUM names of all these numbers fall: `2.0.2.1.e164.arpa`."""
        return enum_domain(self.digits)

    def covers(self, number: TelephoneNumber) -> bool:
        """Tell whether the number begins with this prefix."""
        return number.digits.startswith(self.digits)

    def ranges(self) -> Iterator[NumberRange]:
        """Yield one range for each length that an E.164 number with this prefix can have."""
        for length in range(max(SHORTEST_NUMBER, len(self.digits)), LONGEST_NUMBER + 1):
            free = length - len(self.digits)
            yield NumberRange.starting_at(self.digits + "0" * free, 10**free)

    def __str__(self) -> str:
        """Return `+1202`."""
        return self.e164


def enum_domain(digits: str) -> str:
    """Return the ENUM domain of a number or of the number prefix `digits` (RFC 6116 §3.2)."""
    return f"{'.'.join(reversed(digits))}.{_ENUM_ROOT}"
