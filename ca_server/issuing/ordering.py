"""Orders and authorizations: made, found, given up (RFC 8555 §7.4, §7.5)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.issuing.authority import CertificateAuthority, Enter, new_name, not_found, require_owner, unhindered
from ca_server.issuing.finalization import complete, is_abandoned
from ca_server.issuing.limits import take_tokens
from ca_server.orders import Account, Authorization, Challenge, ChallengeType, Order, Status
from policies.issuance import decide, order_buckets
from stir.errors import TnAuthListError
from stir.key_authorization import TOKEN_BYTES, token_from_bytes
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList

IDENTIFIER_TYPE = "TNAuthList"
"""RFC 9448 §3."""
MOST_ORDERS = 100
"""How many orders one page of the list has at most."""


def create_order(
    ca: CertificateAuthority,
    account: Account,
    identifiers: Sequence[tuple[str, str]],
    not_before: datetime | None,
    not_after: datetime | None,
    *,
    enter: Enter = unhindered,
) -> Order:
    """Make an order for a certificate of one number (RFC 8555 §7.4).

    An authorization that the account holds for the number, valid or still pending, serves the new order too.
    """
    numbers = _one_number(identifiers)
    require_allowed(ca, numbers)
    now = ca.clock()
    _require_life(ca, now, not_before, not_after)
    policy = ca.config.policy
    with ca.storage.transaction():
        enter()
        take_tokens(ca, order_buckets(policy, account.id), "orders were made", now)
        authorization = _authorization(ca, account, numbers, now)
        order = Order(
            id=new_name(ca),
            account_id=account.id,
            numbers=numbers,
            created_at=now,
            expires_at=now + timedelta(hours=policy.order_hours),
            not_before=not_before,
            not_after=not_after,
            authorization=authorization,
            issuance=None,
            certificate_id=None,
            error=None,
        )
        ca.storage.orders.add(order)
    record(
        Decision.ORDER_CREATED,
        number=numbers.single_number,
        account=account.id,
        order=order.id,
        authorization=authorization.id,
    )
    return order


def order(ca: CertificateAuthority, account: Account, order_id: str) -> Order:
    """Return an order; where a crash left it without its certificate, sign that first."""
    found = ca.storage.orders.get(order_id)
    if found is None:
        not_found("order")
    require_owner(account, found.account_id)
    return complete(ca, found) if is_abandoned(found, ca.clock()) else found


def orders(ca: CertificateAuthority, account: Account, after: str | None, limit: int) -> tuple[list[str], str | None]:
    """Return a page of the account's order ids, oldest first, and where the next one starts (RFC 8555 §7.1.2.1)."""
    size = min(limit, MOST_ORDERS)
    found = ca.storage.orders.page(account.id, after, size + 1, ca.clock())
    page = found[:size]
    return page, page[-1] if len(found) > size else None


def authorization(ca: CertificateAuthority, account: Account, authorization_id: str) -> Authorization:
    """Return an authorization (RFC 8555 §7.5)."""
    found = ca.storage.authorizations.get(authorization_id)
    if found is None:
        not_found("authorization")
    require_owner(account, found.account_id)
    return found


def deactivate_authorization(ca: CertificateAuthority, account: Account, authorization_id: str) -> Authorization:
    """Give an authorization up for good, pending or valid (RFC 8555 §7.5.2)."""
    now = ca.clock()
    with ca.storage.transaction():
        found = ca.storage.authorizations.locked(authorization_id)
        if found is None:
            not_found("authorization")
        require_owner(account, found.account_id)
        status = found.status(now)
        if status not in {Status.PENDING, Status.VALID}:
            detail = f"this authorization is {status} and cannot be deactivated"
            raise Refusal(RefusalKind.MALFORMED, detail)
        ca.storage.authorizations.deactivate(authorization_id, now)
    record(Decision.AUTHORIZATION_DEACTIVATED, account=account.id, authorization=authorization_id)
    return authorization(ca, account, authorization_id)


def require_allowed(ca: CertificateAuthority, numbers: TnAuthList) -> tuple[TelephoneNumber, str | None]:
    """Return the number and its country; refuse a number that the authority does not certify."""
    number = numbers.single_number
    if number is None:
        detail = "order exactly one E.164 number; ranges and provider codes cannot be proved by SMS"
        raise Refusal(RefusalKind.REJECTED_IDENTIFIER, detail)
    permission = decide(ca.config.policy, number)
    if not permission.allowed:
        raise Refusal(RefusalKind.REJECTED_IDENTIFIER, permission.reason)
    if not ca.issuer.covers(number):
        detail = "the number is outside the range that this authority's own certificate speaks for"
        raise Refusal(RefusalKind.REJECTED_IDENTIFIER, detail)
    return number, permission.country


def _one_number(identifiers: Sequence[tuple[str, str]]) -> TnAuthList:
    """Read the identifiers of a newOrder, which must be one TNAuthList of one number (RFC 9448 §3)."""
    if not identifiers:
        raise Refusal(RefusalKind.MALFORMED, "an order names its identifier: one TNAuthList")
    for kind, _ in identifiers:
        if kind != IDENTIFIER_TYPE:
            detail = f"identifiers of type {kind[:40]!r} are not certified here, only {IDENTIFIER_TYPE}"
            raise Refusal(RefusalKind.UNSUPPORTED_IDENTIFIER, detail)
    if len(identifiers) > 1:
        raise Refusal(RefusalKind.REJECTED_IDENTIFIER, "an order is for one number; make an order for each")
    try:
        return TnAuthList.from_identifier(identifiers[0][1])
    except TnAuthListError as error:
        raise Refusal(RefusalKind.MALFORMED, str(error)) from error


def _require_life(
    ca: CertificateAuthority, now: datetime, not_before: datetime | None, not_after: datetime | None
) -> None:
    """Refuse times that policy does not allow (RFC 8555 §7.4)."""
    policy = ca.config.policy
    earliest = now - timedelta(minutes=policy.backdate_minutes)
    latest = now + timedelta(hours=policy.order_hours)
    if not_before is not None and not earliest <= not_before <= latest:
        detail = (
            f"notBefore lies at most {policy.backdate_minutes} minutes back and {policy.order_hours} hours ahead; "
            "leave it out to take the usual time"
        )
        raise Refusal(RefusalKind.MALFORMED, detail)
    start = max(not_before or now, now)
    longest = min(start + timedelta(hours=policy.longest_certificate_hours), ca.issuer.not_after)
    if not_after is not None and not start < not_after <= longest:
        detail = (
            f"notAfter lies after notBefore, at most {policy.longest_certificate_hours} hours, and not beyond the "
            "authority's own end; leave it out to take the usual time"
        )
        raise Refusal(RefusalKind.MALFORMED, detail)


def _authorization(ca: CertificateAuthority, account: Account, numbers: TnAuthList, now: datetime) -> Authorization:
    """Return an authorization of the account for the numbers that lives long enough to be of use, or a new one."""
    life = timedelta(minutes=ca.config.policy.pending_authorization_minutes)
    found = ca.storage.authorizations.usable(account.id, numbers, now, now + life / 2)
    if found is not None:
        return found
    new = _new_authorization(ca, account, numbers, now, now + life)
    ca.storage.authorizations.add(new)
    return new


def _new_authorization(
    ca: CertificateAuthority, account: Account, numbers: TnAuthList, now: datetime, expires_at: datetime
) -> Authorization:
    name = new_name(ca)
    return Authorization(
        id=name,
        account_id=account.id,
        numbers=numbers,
        created_at=now,
        expires_at=expires_at,
        deactivated_at=None,
        revoked_at=None,
        challenges=tuple(_new_challenge(ca, name, kind) for kind in sorted(ChallengeType)),
    )


def _new_challenge(ca: CertificateAuthority, authorization_id: str, kind: ChallengeType) -> Challenge:
    policy = ca.config.policy
    return Challenge(
        id=new_name(ca),
        authorization_id=authorization_id,
        type=kind,
        token=token_from_bytes(ca.random_bytes(TOKEN_BYTES)),
        attempts_allowed=policy.attempts,
        attempts_used=0,
        sends_allowed=policy.sends,
        sends_used=0,
        next_send_at=None,
        answerable_until=None,
        validated_at=None,
        failed_at=None,
        error=None,
    )
