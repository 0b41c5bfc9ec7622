from __future__ import annotations

from datetime import timedelta

import pytest

from ca_server import issuing
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.ordering import MOST_ORDERS
from ca_server.orders import ChallengeType, Order, Status
from ca_server.storage import Storage
from policies.issuance import Cap, IssuancePolicy
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import NumberEntry, ServiceProviderCode, TnAuthList
from tests.fakes.authority import make_issuer
from tests.fakes.issuing_authority import (
    NUMBER,
    OTHER_NUMBER,
    Client,
    IssuingAuthority,
    csr,
    identifier,
)


@pytest.fixture
def authority(storage: Storage) -> IssuingAuthority:
    """Return an authority on each database."""
    return IssuingAuthority(storage)


@pytest.fixture
def client(authority: IssuingAuthority) -> Client:
    """Return an account."""
    return authority.client()


def order_of(authority: IssuingAuthority, client: Client, *identifiers: tuple[str, str]) -> Order:
    """Order a certificate for whatever these name."""
    return issuing.create_order(authority.ca, client.account, identifiers, None, None)


def test_an_order_is_pending_with_one_authorization_and_both_challenges(
    authority: IssuingAuthority, client: Client
) -> None:
    """A newOrder makes an order for the number, and an authorization to prove it by SMS (RFC 8555 §7.4)."""
    made = authority.order(client)
    found = issuing.order(authority.ca, client.account, made.id)
    assert found == made
    assert found.status(authority.clock()) is Status.PENDING
    assert found.numbers.single_number == NUMBER
    assert found.expires_at == authority.clock() + timedelta(hours=24)
    assert found.authorization.expires_at == authority.clock() + timedelta(hours=1)
    assert {challenge.type for challenge in found.authorization.challenges} == set(ChallengeType)
    tokens = {challenge.token for challenge in found.authorization.challenges}
    assert {len(token) for token in tokens} == {22}
    assert len(tokens) == 2


def test_the_authorization_of_an_order_is_found_by_its_name(authority: IssuingAuthority, client: Client) -> None:
    """An authorization and its challenges can be fetched by their ids (RFC 8555 §7.5)."""
    order = authority.order(client)
    found = issuing.authorization(authority.ca, client.account, order.authorization.id)
    assert found == order.authorization
    for challenge in found.challenges:
        assert issuing.challenge(authority.ca, client.account, challenge.id) == (challenge, found)


@pytest.mark.parametrize(
    ("identifiers", "kind"),
    [
        ((), RefusalKind.MALFORMED),
        ((("dns", "example.com"),), RefusalKind.UNSUPPORTED_IDENTIFIER),
        ((identifier(NUMBER), ("dns", "example.com")), RefusalKind.UNSUPPORTED_IDENTIFIER),
        ((identifier(NUMBER), identifier(OTHER_NUMBER)), RefusalKind.REJECTED_IDENTIFIER),
        ((identifier(NUMBER), identifier(NUMBER)), RefusalKind.REJECTED_IDENTIFIER),
        ((("TNAuthList", "+12025550123"),), RefusalKind.MALFORMED),
        ((("TNAuthList", identifier(NUMBER)[1] + "="),), RefusalKind.MALFORMED),
        ((("TNAuthList", ""),), RefusalKind.MALFORMED),
        (
            (("TNAuthList", TnAuthList.for_prefixes([NumberPrefix("1202555")]).identifier),),
            RefusalKind.REJECTED_IDENTIFIER,
        ),
        ((("TNAuthList", TnAuthList((ServiceProviderCode("1234"),)).identifier),), RefusalKind.REJECTED_IDENTIFIER),
        (
            (("TNAuthList", TnAuthList((NumberEntry("12025550123"), NumberEntry("12025550124"))).identifier),),
            RefusalKind.REJECTED_IDENTIFIER,
        ),
        ((("TNAuthList", TnAuthList((NumberEntry("*12"),)).identifier),), RefusalKind.REJECTED_IDENTIFIER),
        ((identifier(TelephoneNumber("14165550123")),), RefusalKind.REJECTED_IDENTIFIER),
    ],
)
def test_an_order_for_anything_but_one_allowed_number_is_refused(
    authority: IssuingAuthority, client: Client, identifiers: tuple[tuple[str, str], ...], kind: RefusalKind
) -> None:
    """Each wrong identifier gets its ACME error and leaves no order (RFC 8555 §7.4, RFC 9448 §3)."""
    with pytest.raises(Refusal) as caught:
        order_of(authority, client, *identifiers)
    assert caught.value.kind is kind
    assert issuing.orders(authority.ca, client.account, None, 10) == ([], None)


def test_a_number_that_policy_refuses_is_told_the_rules_reason(authority: IssuingAuthority, client: Client) -> None:
    """The refusal carries the sentence of the rule that decided."""
    with pytest.raises(Refusal, match="no numbers of CA, only of US"):
        order_of(authority, client, identifier(TelephoneNumber("14165550123")))


def test_a_number_outside_the_authoritys_own_range_is_refused_before_any_sms(storage: Storage) -> None:
    """An authority that may speak for +1 202 only takes no order for others."""
    authority = IssuingAuthority(storage, issuer=make_issuer(prefixes=("+1202",)))
    client = authority.client()
    assert authority.order(client)
    with pytest.raises(Refusal, match="outside the range"):
        authority.order(client, TelephoneNumber("12125550123"))


@pytest.mark.parametrize(("start", "end"), [(-0.99, None), (0, 24), (None, 24 * 14), (23, 24 * 8), (None, 1)])
def test_times_within_policy_are_kept(
    authority: IssuingAuthority, client: Client, start: float | None, end: float | None
) -> None:
    """A notBefore and notAfter within policy stand in the order (RFC 8555 §7.4)."""
    now = authority.clock()
    not_before = None if start is None else now + timedelta(hours=start)
    not_after = None if end is None else now + timedelta(hours=end)
    made = issuing.create_order(authority.ca, client.account, [identifier(NUMBER)], not_before, not_after)
    found = issuing.order(authority.ca, client.account, made.id)
    assert (found.not_before, found.not_after) == (not_before, not_after)


@pytest.mark.parametrize(
    ("start", "end"), [(-1.01, None), (25, None), (None, 0), (None, -1), (None, 24 * 14 + 1), (2, 1), (None, 24 * 366)]
)
def test_times_outside_policy_are_refused(
    authority: IssuingAuthority, client: Client, start: float | None, end: float | None
) -> None:
    """A certificate too early, too late, too long or of no life is refused, with what is allowed."""
    now = authority.clock()
    not_before = None if start is None else now + timedelta(hours=start)
    not_after = None if end is None else now + timedelta(hours=end)
    with pytest.raises(Refusal, match="leave it out") as caught:
        issuing.create_order(authority.ca, client.account, [identifier(NUMBER)], not_before, not_after)
    assert caught.value.kind is RefusalKind.MALFORMED


def test_a_valid_authorization_serves_the_next_order(authority: IssuingAuthority, client: Client) -> None:
    """A number proved once is ready at once in the next order, for as long as policy says."""
    first = authority.ready(client)
    again = authority.order(client)
    assert again.id != first.id
    assert again.authorization.id == first.authorization.id
    assert again.status(authority.clock()) is Status.READY
    authority.clock.advance(hours=30 * 24)
    assert authority.order(client).status(authority.clock()) is Status.PENDING


def test_a_pending_authorization_serves_the_next_order_with_what_was_used_up(
    authority: IssuingAuthority, client: Client
) -> None:
    """A new order gives back no attempts and no sends while the authorization is young."""
    first = authority.order(client)
    challenge, _ = authority.ask(client, authority.challenge(client, first))
    authority.answer(client, challenge, "00000000")
    again = authority.order(client)
    assert again.authorization.id == first.authorization.id
    assert authority.challenge(client, again).attempts_remaining == 4
    authority.clock.advance(minutes=30)
    assert authority.order(client).authorization.id != first.authorization.id


def test_a_failed_authorization_serves_no_order(authority: IssuingAuthority, client: Client) -> None:
    """After the last attempt the next order starts anew."""
    first = authority.order(client)
    challenge, _ = authority.ask(client, authority.challenge(client, first))
    for _ in range(5):
        authority.answer(client, challenge, "00000000")
    again = authority.order(client)
    assert again.authorization.id != first.authorization.id
    assert again.status(authority.clock()) is Status.PENDING


def test_authorizations_of_others_and_of_other_numbers_serve_no_order(
    authority: IssuingAuthority, client: Client
) -> None:
    """A proof belongs to one account and one number."""
    first = authority.ready(client)
    other_number = authority.order(client, OTHER_NUMBER)
    other_account = authority.order(authority.client())
    assert other_number.status(authority.clock()) is Status.PENDING
    assert other_account.status(authority.clock()) is Status.PENDING
    assert len({first.authorization.id, other_number.authorization.id, other_account.authorization.id}) == 3


@pytest.mark.parametrize("proved", [False, True])
def test_an_authorization_is_deactivated(authority: IssuingAuthority, client: Client, proved: bool) -> None:
    """Pending or valid, it is given up for good, and its orders with it (RFC 8555 §7.5.2)."""
    order = authority.ready(client) if proved else authority.order(client)
    if not proved:
        authority.ask(client, authority.challenge(client, order))
    found = issuing.deactivate_authorization(authority.ca, client.account, order.authorization.id)
    assert found.status(authority.clock()) is Status.DEACTIVATED
    assert issuing.order(authority.ca, client.account, order.id).status(authority.clock()) is Status.INVALID
    assert authority.order(client).authorization.id != order.authorization.id
    assert authority.received() == ""
    with pytest.raises(Refusal, match="deactivated") as caught:
        issuing.deactivate_authorization(authority.ca, client.account, order.authorization.id)
    assert caught.value.kind is RefusalKind.MALFORMED


def test_what_does_not_exist_is_not_found(authority: IssuingAuthority, client: Client) -> None:
    """An unknown name of an order, authorization, challenge or certificate is not found."""
    ca, account = authority.ca, client.account
    for look in (
        lambda: issuing.order(ca, account, "x"),
        lambda: issuing.authorization(ca, account, "x"),
        lambda: issuing.deactivate_authorization(ca, account, "x"),
        lambda: issuing.challenge(ca, account, "x"),
        lambda: issuing.ask(ca, account, "x", "192.0.2.1"),
        lambda: issuing.answer(ca, account, "x", "A" * 43),
        lambda: issuing.finalize(ca, account, "x", csr()),
        lambda: issuing.certificate_chain(ca, account, "x"),
    ):
        with pytest.raises(Refusal) as caught:
            look()
        assert caught.value.kind is RefusalKind.NOT_FOUND


def test_what_belongs_to_another_account_is_refused(authority: IssuingAuthority, client: Client) -> None:
    """Every object is bound to its account (RFC 8555 §6.2): another gets unauthorized and changes nothing."""
    ca, stranger = authority.ca, authority.client().account
    order = authority.ready(client)
    challenge = order.authorization.challenges[0]
    certificate = authority.issue(client)
    for look in (
        lambda: issuing.order(ca, stranger, order.id),
        lambda: issuing.authorization(ca, stranger, order.authorization.id),
        lambda: issuing.deactivate_authorization(ca, stranger, order.authorization.id),
        lambda: issuing.challenge(ca, stranger, challenge.id),
        lambda: issuing.ask(ca, stranger, challenge.id, "192.0.2.1"),
        lambda: issuing.answer(ca, stranger, challenge.id, "A" * 43),
        lambda: issuing.finalize(ca, stranger, order.id, csr()),
        lambda: issuing.certificate_chain(ca, stranger, certificate.id),
    ):
        with pytest.raises(Refusal) as caught:
            look()
        assert caught.value.kind is RefusalKind.UNAUTHORIZED
    assert issuing.order(ca, client.account, order.id).status(authority.clock()) is Status.READY


def test_the_list_of_orders_comes_in_pages(authority: IssuingAuthority, client: Client) -> None:
    """Pages follow one another, oldest first, without gap or overlap; another's orders are not in them (§7.1.2.1)."""
    authority.order(authority.client())
    made = []
    for _ in range(5):
        made.append(authority.order(client).id)
        authority.clock.advance(seconds=1)
    first, after = issuing.orders(authority.ca, client.account, None, 2)
    second, after = issuing.orders(authority.ca, client.account, after, 2)
    third, end = issuing.orders(authority.ca, client.account, after, 2)
    assert [*first, *second, *third] == made
    assert end is None
    assert len(third) == 1
    assert issuing.orders(authority.ca, client.account, None, 10**9) == (made, None)
    assert MOST_ORDERS < 10**9


def test_the_list_leaves_out_what_came_to_nothing(authority: IssuingAuthority, client: Client) -> None:
    """Expired and given-up orders are not listed; valid ones are (RFC 8555 §7.1.2.1)."""
    valid = authority.storage.orders.get(authority.issue(client).order_id)
    assert valid is not None
    given_up = authority.order(client, OTHER_NUMBER)
    issuing.deactivate_authorization(authority.ca, client.account, given_up.authorization.id)
    pending = authority.order(client, TelephoneNumber("12025550125"))
    assert set(issuing.orders(authority.ca, client.account, None, 10)[0]) == {valid.id, pending.id}
    authority.clock.advance(hours=1)
    assert issuing.orders(authority.ca, client.account, None, 10) == ([valid.id], None)


def test_an_order_expires(authority: IssuingAuthority, client: Client) -> None:
    """An order whose authorization was not proved in time is invalid; one that is proved lasts for its own life."""
    pending = authority.order(client)
    ready = authority.ready(client, OTHER_NUMBER)
    authority.clock.advance(hours=1)
    assert issuing.order(authority.ca, client.account, pending.id).status(authority.clock()) is Status.INVALID
    assert issuing.order(authority.ca, client.account, ready.id).status(authority.clock()) is Status.READY
    authority.clock.advance(hours=23)
    assert issuing.order(authority.ca, client.account, ready.id).status(authority.clock()) is Status.INVALID


def test_an_authority_that_allows_no_country_takes_no_order(storage: Storage) -> None:
    """The default policy refuses every number."""
    authority = IssuingAuthority(storage, IssuancePolicy())
    with pytest.raises(Refusal, match="no country"):
        authority.order(authority.client())


def test_an_account_makes_only_so_many_orders(storage: Storage) -> None:
    """A flood of orders from one account is refused with the wait, and costs no other account anything."""
    policy = IssuancePolicy(countries=("US",), new_orders=Cap(burst=2, refill_seconds=60))
    authority = IssuingAuthority(storage, policy)
    client = authority.client()
    authority.order(client)
    authority.order(client)
    with pytest.raises(Refusal) as caught:
        authority.order(client)
    assert caught.value.kind is RefusalKind.RATE_LIMITED
    assert caught.value.retry_after == timedelta(seconds=60)
    authority.order(authority.client())
    authority.clock.advance(seconds=60)
    authority.order(client)
