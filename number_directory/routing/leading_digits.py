"""Numbers as integers, and the part of all numbers that begins with certain digits.

An E.164 number does not begin with 0, so the integer that its digits spell is the number itself, whatever its length.
Numbers that share their leading digits are neighbours only among those of one length. *Aligned* values bring them
together: the digits, filled up with zeros to 15. All numbers that begin with +1202 have an aligned value from
120200000000000 up to, and without, 120300000000000.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from number_directory.routing.errors import MapFormatError
from stir.telephone_number import LONGEST_NUMBER, SHORTEST_NUMBER

LENGTHS: Final = range(SHORTEST_NUMBER, LONGEST_NUMBER + 1)
"""How many digits a number can have."""
SCALE: Final = tuple(10 ** (LONGEST_NUMBER - length) for length in range(LONGEST_NUMBER + 1))
"""By its count of digits, what an integer is multiplied with to be aligned."""
LOWEST: Final = SCALE[1]
"""The least aligned value."""
END: Final = 10 * SCALE[1]
"""What all aligned values are below."""


@dataclass(frozen=True, order=True)
class LeadingDigits:
    """All numbers that begin with `digits`: 1 to 15 digits, the first of which is not 0."""

    digits: str

    def __post_init__(self) -> None:
        """Refuse what no number begins with."""
        text = self.digits
        if not (text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= LONGEST_NUMBER):
            msg = f"the numbers of a chunk begin with 1 to {LONGEST_NUMBER} digits, of which the first is not 0"
            raise MapFormatError(msg)

    @cached_property
    def low(self) -> int:
        """The least aligned value."""
        low: int = int(self.digits) * SCALE[len(self.digits)]
        return low

    @cached_property
    def high(self) -> int:
        """What the aligned values are below."""
        high: int = self.low + SCALE[len(self.digits)]
        return high

    def values(self, length: int) -> tuple[int, int]:
        """Return the first integer of the numbers of this length, and the one after the last; they may be none."""
        scale = SCALE[length]
        return -(-self.low // scale), -(-self.high // scale)

    def children(self) -> tuple[LeadingDigits, ...]:
        """Return the ten parts with one more digit."""
        return tuple(LeadingDigits(f"{self.digits}{digit}") for digit in range(10))

    def covers(self, other: LeadingDigits) -> bool:
        """Tell whether the other part is within this one."""
        return other.digits.startswith(self.digits)


ROOTS: Final = tuple(LeadingDigits(str(digit)) for digit in range(1, 10))
"""The nine parts that make up all numbers."""


def require_partition(leads: Sequence[LeadingDigits]) -> None:
    """Raise MapFormatError unless the parts, in this order, make up all numbers, each once."""
    at = LOWEST
    for lead in leads:
        if lead.low != at:
            msg = "the chunks of a map make up all numbers, each once and in order; these do not"
            raise MapFormatError(msg)
        at = lead.high
    if at != END:
        msg = "the chunks of a map make up all numbers; the last ones are missing"
        raise MapFormatError(msg)
