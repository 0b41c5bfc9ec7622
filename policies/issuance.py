"""What an authority may issue, to whom, how often, and what it spends on it: the `[policy]` of a CA's configuration.

An empty policy refuses: no country is allowed until the operator names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Annotated

import msgspec

from policies.numbering_plan import PlanEntry, look_up
from stir.telephone_number import NumberPrefix, TelephoneNumber

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
CodeDigits = Annotated[int, msgspec.Meta(ge=6, le=10)]
_FREE_DIGITS = 3
"""How many last digits the numbers of one `prefix` bucket differ in."""
_COUNTRIES = "policy.countries"
_PLAN = "numbering plan"

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

    def wait(self, full_at: datetime, now: datetime) -> timedelta:
        """Return how long until a token is there, of a bucket that will be full at `full_at`; zero where one is."""
        return max(timedelta(), full_at - now - (self.burst - 1) * self.refill)

    def taken(self, full_at: datetime, now: datetime) -> datetime:
        """Return when the bucket will be full once a token was taken from it (the generic cell rate algorithm)."""
        return max(full_at, now) + self.refill


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
    scts: Annotated[int, msgspec.Meta(ge=0, le=8)] = 0
    """How many signed certificate timestamps a certificate carries, each of another log operator. 0: none is logged."""
    certificate_hours: PositiveInt = 7 * 24
    longest_certificate_hours: PositiveInt = 14 * 24
    backdate_minutes: PositiveInt = 60
    pending_authorization_minutes: PositiveInt = 60
    valid_authorization_hours: PositiveInt = 30 * 24
    """How long a proof of the number serves further orders of the same account without another SMS."""
    order_hours: PositiveInt = 24
    new_accounts: Cap | None = Cap(burst=50, refill_seconds=6 * 60)
    """How many accounts one client address may make, by IPv4 address or IPv6 /64."""
    new_orders: Cap | None = Cap(burst=300, refill_seconds=30)
    """How many orders one account may make."""
    sms: SmsCaps = SmsCaps()


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a number may be certified.

    `rule` is the key of the policy that decided, `reason` a sentence for whoever asked, without capital and full stop,
    and `country` the ISO 3166 country of the number, where it has one.
    """

    allowed: bool
    rule: str
    reason: str
    country: str | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """A token bucket that a request takes from. `key` holds a number or an address: do not log or keep it in clear."""

    rule: str
    key: str
    cap: Cap

    def __repr__(self) -> str:
        """Hide the key."""
        return f"Bucket({self.rule!r})"


def decide(policy: IssuancePolicy, number: TelephoneNumber) -> Permission:
    """Tell whether the authority certifies the number, by the first rule that refuses it."""
    entry = look_up(number)
    for rule, reason in _objections(policy, number, entry):
        return Permission(allowed=False, rule=rule, reason=reason, country=entry.country)
    return Permission(allowed=True, rule=_COUNTRIES, reason=f"{entry.country} is allowed", country=entry.country)


def account_buckets(policy: IssuancePolicy, address: str) -> list[Bucket]:
    """Return the buckets that a new account takes one token from each, made from the IP address `address`."""
    cap = policy.new_accounts
    return [] if cap is None else [Bucket("policy.new_accounts", f"new-accounts:{_network(address)}", cap)]


def order_buckets(policy: IssuancePolicy, account: str) -> list[Bucket]:
    """Return the buckets that a new order of the account with the id `account` takes one token from each."""
    cap = policy.new_orders
    return [] if cap is None else [Bucket("policy.new_orders", f"new-orders:{account}", cap)]


def sms_buckets(
    caps: SmsCaps, number: TelephoneNumber, country: str | None, account: str, address: str
) -> list[Bucket]:
    """Return the buckets that an SMS to the number takes one token from each.

    `account` is the id of the account that asks, `address` the IP address that it asks from.
    """
    keys = (
        ("number", caps.number, number.digits),
        ("account", caps.account, account),
        ("address", caps.address, _network(address)),
        ("prefix", caps.prefix, number.digits[:-_FREE_DIGITS]),
        ("country", caps.country, country or "none"),
        ("everything", caps.everything, ""),
    )
    return [Bucket(f"policy.sms.{name}", f"{name}:{key}", cap) for name, cap, key in keys if cap is not None]


def _objections(policy: IssuancePolicy, number: TelephoneNumber, entry: PlanEntry) -> Iterator[tuple[str, str]]:
    """Yield the rules that refuse the number, each with its reason."""
    for prefix in policy.denied_prefixes:
        if NumberPrefix.parse(prefix).covers(number):
            yield "policy.denied_prefixes", f"this authority certifies no numbers that begin with {prefix}"
    if not entry.in_plan:
        yield _PLAN, "the number is in no numbering plan; check it, and leave out any 0 after the country code"
    if entry.premium:
        yield _PLAN, "the number is a premium-rate or shared-cost number, which this authority does not certify"
    if not policy.countries:
        yield _COUNTRIES, "this authority certifies no numbers yet: its operator has allowed no country"
    if entry.country is None:
        yield _COUNTRIES, "the number belongs to no country, and this authority certifies by country"
    elif entry.country not in policy.countries:
        allowed = ", ".join(policy.countries)
        yield _COUNTRIES, f"this authority certifies no numbers of {entry.country}, only of {allowed}"


def _network(address: str) -> str:
    """Return what one client may be assumed to hold: an IPv4 address or an IPv6 /64; any other text as it is."""
    try:
        read = ip_address(address)
    except ValueError:
        return address
    if isinstance(read, IPv6Address):
        return _mapped(read)
    return str(read)


def _mapped(address: IPv6Address) -> str:
    """Return the /64, or the IPv4 address where the IPv6 address stands for one."""
    mapped: IPv4Address | None = address.ipv4_mapped
    return str(mapped) if mapped is not None else str(IPv6Network((int(address) >> 64 << 64, 64)))
