"""What the world's numbering plans say of a number: its country, and whether it can be anybody's.

The plans are those of the `phonenumbers` library, which lives here and nowhere else. It guesses what people mean: it
drops spaces, extensions and a stray trunk 0. An authority must not, so a number counts only if reading and writing it
gives the same digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from stir.errors import TelephoneNumberError
from stir.telephone_number import TelephoneNumber

_NO_COUNTRY = "001"
_REMEMBERED = 1024
_PAID_BY_THE_SENDER = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST})


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """What the plans say of one number.

    `country` is an ISO 3166 code, None where no country's plan has the number, as with +800 or +881. `in_plan` tells
    that subscribers have such numbers, exactly as the digits stand. `premium` tells that whoever sends to the number
    pays its holder, by the range that it was allotted in.
    """

    country: str | None
    in_plan: bool
    premium: bool


@lru_cache(maxsize=_REMEMBERED)
def look_up(number: TelephoneNumber) -> PlanEntry:
    """Return what the plans say of a number. The youngest answers are remembered: an order asks more than once."""
    read = _read(number)
    if read is None:
        return PlanEntry(country=None, in_plan=False, premium=False)
    country, kind = phonenumbers.region_code_for_number(read), phonenumbers.number_type(read)
    return PlanEntry(
        country=None if country == _NO_COUNTRY else country,
        in_plan=kind != PhoneNumberType.UNKNOWN,  # what is_valid_number says, which would find the country once more
        premium=kind in _PAID_BY_THE_SENDER,
    )


def country_of(number: TelephoneNumber) -> str | None:
    """Return the ISO 3166 code of the country whose plan has the number, None where no country's has."""
    return look_up(number).country


def has_plan(country: str) -> bool:
    """Tell whether a country of this ISO 3166 code has a numbering plan of its own."""
    return country in phonenumbers.SUPPORTED_REGIONS


def is_in_plan(number: TelephoneNumber) -> bool:
    """Tell whether a numbering plan gives the number, exactly as its digits stand, to subscribers."""
    return look_up(number).in_plan


def parse_strictly(text: str) -> TelephoneNumber:
    """Read `+12025550123`; raise TelephoneNumberError unless every program would read the same number from it."""
    number = TelephoneNumber.parse(text)
    if not is_in_plan(number):
        msg = f"{number.masked} is in no numbering plan; check the country code, and leave out any 0 that follows it"
        raise TelephoneNumberError(msg)
    return number


def _read(number: TelephoneNumber) -> PhoneNumber | None:
    """Return the number as the library has it, unless the library changed it."""
    try:
        read = phonenumbers.parse(number.e164)
    except NumberParseException:
        return None
    return read if phonenumbers.format_number(read, PhoneNumberFormat.E164) == number.e164 else None
