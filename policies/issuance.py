"""What an authority may issue, to whom, how often, and what it spends on it: the `[policy]` of a CA's configuration.

An empty policy refuses: no country is allowed until the operator names it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
CodeDigits = Annotated[int, msgspec.Meta(ge=6, le=10)]
Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$", examples=["US"])]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^\+[1-9][0-9]{0,14}$", examples=["+881"])]


class Cap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token bucket: `burst` at once, and one more comes back every `refill_seconds`."""

    burst: PositiveInt
    refill_seconds: PositiveInt

    @property
    def refill(self) -> timedelta:
        """The time in which one token comes back."""
        return timedelta(seconds=self.refill_seconds)


class SmsCaps(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many SMS may be asked for; each ask takes one token from every bucket that it falls into.

    `address` counts a client's IPv4 address or IPv6 /64, `prefix` the first digits of the number that leave the last
    three free, `country` an ISO 3166 country, and `everything` the whole authority: the operator's bill.
    """

    number: Cap = Cap(burst=5, refill_seconds=288 * 60)
    account: Cap | None = Cap(burst=20, refill_seconds=10 * 60)
    address: Cap | None = Cap(burst=20, refill_seconds=3 * 60)
    prefix: Cap | None = Cap(burst=50, refill_seconds=60)
    country: Cap | None = Cap(burst=1000, refill_seconds=10)
    everything: Cap | None = Cap(burst=2000, refill_seconds=5)


class IssuancePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What this authority certifies, and how it asks."""

    countries: tuple[Country, ...] = ()
    """ISO 3166 codes of the countries whose numbers are certified. Empty: none."""
    denied_prefixes: tuple[Prefix, ...] = ("+881", "+882", "+883", "+979")
    """Satellite, international-network and premium-rate codes; an SMS there can cost the operator much."""
    code_digits: CodeDigits = 8
    code_seconds: PositiveInt = 600
    attempts: PositiveInt = 5
    sends: PositiveInt = 5
    min_routes: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    """With 2, each code is cut in two halves that travel by gateways of distinct operators."""
    certificate_hours: PositiveInt = 7 * 24
    longest_certificate_hours: PositiveInt = 14 * 24
    backdate_minutes: PositiveInt = 60
    pending_authorization_minutes: PositiveInt = 60
    valid_authorization_hours: PositiveInt = 30 * 24
    """How long a proof of the number serves further orders of the same account without another SMS."""
    order_hours: PositiveInt = 24
    sms: SmsCaps = SmsCaps()
