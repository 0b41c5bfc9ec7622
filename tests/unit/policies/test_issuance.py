from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.issuance import Bucket, Cap, IssuancePolicy, SmsCaps, account_buckets, decide, order_buckets, sms_buckets
from stir.telephone_number import TelephoneNumber

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
NUMBER = TelephoneNumber("12025550123")
POLICY = IssuancePolicy(countries=("US", "DE"))


def test_an_empty_policy_refuses_every_number() -> None:
    """Until the operator names a country, no number is certified."""
    permission = decide(IssuancePolicy(), NUMBER)
    assert not permission.allowed
    assert permission.rule == "policy.countries"
    assert "no country" in permission.reason


@pytest.mark.parametrize("digits", ["12025550123", "4915112345678"])
def test_a_number_of_an_allowed_country_is_certified(digits: str) -> None:
    """A number of a country that the policy names is allowed, and its country told."""
    permission = decide(POLICY, TelephoneNumber(digits))
    assert permission.allowed
    assert permission.country in POLICY.countries


@pytest.mark.parametrize(
    ("digits", "rule", "words"),
    [
        ("390612345678", "policy.countries", "no numbers of IT, only of US, DE"),
        ("14165550123", "policy.countries", "no numbers of CA"),
        ("80012345678", "policy.countries", "belongs to no country"),
        ("8816123456789", "policy.denied_prefixes", "begin with +881"),
        ("19005550123", "numbering plan", "premium-rate"),
        ("4407700900123", "numbering plan", "leave out any 0"),
        ("120255501230", "numbering plan", "in no numbering plan"),
    ],
)
def test_other_numbers_are_refused_with_the_rule_and_the_reason(digits: str, rule: str, words: str) -> None:
    """A refusal names the key of the policy that decided, and says why in words."""
    permission = decide(POLICY, TelephoneNumber(digits))
    assert not permission.allowed
    assert permission.rule == rule
    assert words in permission.reason


def test_a_denied_prefix_wins_over_an_allowed_country() -> None:
    """Prefixes are denied whatever country they are in."""
    policy = IssuancePolicy(countries=("US",), denied_prefixes=("+1900", "+1202"))
    assert decide(policy, NUMBER).rule == "policy.denied_prefixes"
    assert decide(policy, TelephoneNumber("12125550123")).allowed


@given(st.from_regex(r"\A[1-9][0-9]{6,14}\Z"))
def test_no_reason_spells_the_number(digits: str) -> None:
    """Every number gets a decision, whose words do not hold it, in the form of all that the authority refuses."""
    permission = decide(POLICY, TelephoneNumber(digits))
    assert digits not in repr(permission)
    assert not permission.reason.endswith(".")
    assert permission.allowed or permission.reason[0].islower()


def test_an_ask_takes_from_every_bucket() -> None:
    """The number, account, address, prefix, country and the whole authority each have a bucket."""
    buckets = sms_buckets(SmsCaps(), NUMBER, "US", "account-1", "192.0.2.1")
    assert [(bucket.rule, bucket.key) for bucket in buckets] == [
        ("policy.sms.number", "number:12025550123"),
        ("policy.sms.account", "account:account-1"),
        ("policy.sms.address", "address:192.0.2.1"),
        ("policy.sms.prefix", "prefix:12025550"),
        ("policy.sms.country", "country:US"),
        ("policy.sms.everything", "everything:"),
    ]


def test_a_cap_that_is_taken_out_has_no_bucket() -> None:
    """All caps but the number's may be taken out."""
    caps = SmsCaps(account=None, address=None, prefix=None, country=None, everything=None)
    assert [bucket.rule for bucket in sms_buckets(caps, NUMBER, None, "a", "b")] == ["policy.sms.number"]


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
    ],
)
def test_an_address_counts_as_what_one_client_holds(address: str, key: str) -> None:
    """An IPv6 client holds a /64; an IPv4 address is the same in IPv6's clothes; other text stands for itself."""
    buckets = {bucket.rule: bucket.key for bucket in sms_buckets(SmsCaps(), NUMBER, None, "a", address)}
    assert buckets["policy.sms.address"] == f"address:{key}"


def test_a_bucket_prints_no_number() -> None:
    """The key of a bucket is not in its repr."""
    assert repr(Bucket("policy.sms.number", "number:12025550123", Cap(1, 1))) == "Bucket('policy.sms.number')"


def test_a_bucket_gives_its_burst_at_once_and_then_one_for_each_refill() -> None:
    """Five at once, then one every 288 minutes: the default of a number."""
    cap, full_at = SmsCaps().number, NOW - timedelta(days=1)
    for _ in range(5):
        assert cap.wait(full_at, NOW) == timedelta()
        full_at = cap.taken(full_at, NOW)
    assert cap.wait(full_at, NOW) == timedelta(minutes=288)
    assert cap.wait(full_at, NOW + timedelta(minutes=288)) == timedelta()


@given(
    st.integers(1, 20),
    st.integers(1, 1000),
    st.lists(st.integers(0, 500), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate(burst: int, refill: int, gaps: list[int]) -> None:
    """In any stretch of time, no more is given than the burst and what came back meanwhile."""
    cap, now, full_at = Cap(burst, refill), NOW, NOW - timedelta(days=10)
    given_at: list[datetime] = []
    for gap in gaps:
        now += timedelta(seconds=gap)
        if not cap.wait(full_at, now):
            full_at = cap.taken(full_at, now)
            given_at.append(now)
    for index, first in enumerate(given_at):
        for count, last in enumerate(given_at[index:], start=1):
            assert count <= burst + (last - first) / cap.refill


def test_a_policy_reads_from_its_toml() -> None:
    """The struct is what `[policy]` says, and a wrong country is named."""
    read = msgspec.toml.decode('countries = ["US"]\nsms.number = {burst = 3, refill_seconds = 60}', type=IssuancePolicy)
    assert read.sms.number == Cap(3, 60)
    with pytest.raises(msgspec.ValidationError, match="countries"):
        msgspec.toml.decode('countries = ["usa"]', type=IssuancePolicy)


def test_a_cap_that_is_not_set_counts_nothing() -> None:
    """Without caps on accounts and orders there are no buckets for them."""
    policy = IssuancePolicy(new_accounts=None, new_orders=None)
    assert account_buckets(policy, "192.0.2.1") == []
    assert order_buckets(policy, "account") == []


def test_new_accounts_count_by_network_and_orders_by_account() -> None:
    """Two addresses of one IPv6 /64 share a bucket for new accounts; orders have one for each account."""
    policy = IssuancePolicy()
    same = [account_buckets(policy, address)[0].key for address in ("2001:db8::1", "2001:db8::2")]
    assert same[0] == same[1]
    assert account_buckets(policy, "192.0.2.1")[0].key != same[0]
    assert order_buckets(policy, "one")[0].key != order_buckets(policy, "other")[0].key
