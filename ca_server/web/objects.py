"""Accounts, orders, authorizations and challenges as the JSON objects of RFC 8555 §7.1."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ca_server.errors import RefusalKind
from ca_server.issuing import CertificateAuthority
from ca_server.orders import Account, Authorization, Challenge, ChallengeType, Delivery, Order, Problem, Status
from ca_server.web.problems import kept_problem
from ca_server.web.urls import Urls
from stir.tn_auth_list import TnAuthList

_ORDER_POLL, _LONGEST_ORDER_POLL = timedelta(seconds=1), timedelta(seconds=15)
_REPLY_POLL = timedelta(seconds=1)
_QUEUED_POLL = timedelta(seconds=1)
_PERSON_POLL = timedelta(seconds=3)
_NOT_DELIVERED = Problem(
    RefusalKind.SMS_NOT_DELIVERED, "the SMS could not be delivered; check the number, and ask for another SMS"
)


class Objects:
    """Writes what the authority keeps as its clients see it."""

    def __init__(self, ca: CertificateAuthority, urls: Urls) -> None:
        """Remember whose objects they are."""
        self._ca = ca
        self._urls = urls

    def account(self, account: Account) -> dict[str, Any]:
        """Return an account object (RFC 8555 §7.1.2)."""
        return _without_none(
            status=account.status,
            contact=list(account.contacts) or None,
            termsOfServiceAgreed=account.terms_agreed or None,
            orders=self._urls.orders(account.id),
        )

    def order(self, order: Order) -> dict[str, Any]:
        """Return an order object (RFC 8555 §7.1.3)."""
        certificate = order.certificate_id
        return _without_none(
            status=order.status(self._ca.clock()),
            expires=write_time(order.expires_at),
            identifiers=[_identifier(order.numbers)],
            notBefore=write_time(order.not_before),
            notAfter=write_time(order.not_after),
            error=kept_problem(order.error) if order.error else None,
            authorizations=[self._urls.authorization(order.authorization.id)],
            finalize=self._urls.finalize(order.id),
            certificate=self._urls.certificate(certificate) if certificate else None,
        )

    def authorization(self, authorization: Authorization) -> dict[str, Any]:
        """Return an authorization object (RFC 8555 §7.1.4), with the challenges that still say something."""
        status = authorization.status(self._ca.clock())
        return _without_none(
            identifier=_identifier(authorization.numbers),
            status=status,
            expires=write_time(authorization.expires_at),
            challenges=[self.challenge(challenge) for challenge in _telling(authorization, status)],
        )

    def challenge(self, challenge: Challenge) -> dict[str, Any]:
        """Return a challenge object, with all that a client needs to show a person (docs/reference/challenges.md)."""
        under_way = challenge.status is Status.PROCESSING
        return _without_none(
            type=challenge.type,
            url=self._urls.challenge(challenge.id),
            status=challenge.status,
            token=challenge.token,
            host=self._ca.config.host,
            codeLength=self._ca.config.policy.code_digits if challenge.type is ChallengeType.SMS_CODE else None,
            attemptsRemaining=challenge.attempts_remaining,
            sendsRemaining=challenge.sends_remaining,
            sendsUsed=challenge.sends_used,
            nextSend=write_time(challenge.next_send_at, up=True) if under_way and challenge.sends_remaining else None,
            expires=write_time(challenge.answerable_until) if under_way else None,
            delivery=challenge.delivery if under_way else None,
            validated=write_time(challenge.validated_at),
            error=_challenge_error(challenge),
        ) | {"from": self._sender(challenge)}

    def order_wait(self, order: Order) -> timedelta | None:
        """Return how long to wait before looking at an order again; None where waiting changes nothing.

        The longer its certificate has been on its way already, the longer: logs that are down may be so for hours.
        """
        now = self._ca.clock()
        if order.status(now) is not Status.PROCESSING or order.issuance is None:
            return None
        return min(max((now - order.issuance.reserved_at) / 4, _ORDER_POLL), _LONGEST_ORDER_POLL)

    def challenge_wait(self, challenge: Challenge) -> timedelta | None:
        """Return how long to wait before looking at a challenge again; None where waiting changes nothing.

        A program reads its SMS at once, and a message in the queue leaves within a second; a person takes longer.
        """
        if challenge.status is not Status.PROCESSING:
            return None
        if challenge.type is ChallengeType.SMS_REPLY:
            return _REPLY_POLL
        return _QUEUED_POLL if challenge.delivery is Delivery.QUEUED else _PERSON_POLL

    def authorization_wait(self, authorization: Authorization) -> timedelta | None:
        """Return how long to wait before looking at an authorization again: as long as for its quickest challenge."""
        if authorization.status(self._ca.clock()) is not Status.PENDING:
            return None
        waits = (self.challenge_wait(challenge) for challenge in authorization.challenges)
        return min((wait for wait in waits if wait is not None), default=None)

    def _sender(self, challenge: Challenge) -> str:
        """Return what the phone shows as sender: of each part of the code, in the order in which they are typed.

        Before an SMS has left, it is the sender of each route's first gateway; a gateway that stood in shows its own.
        """
        routes = self._ca.routes
        latest = sorted(challenge.messages, key=lambda message: message.ask)
        gateways = {message.route: message.gateway for message in latest}
        senders = []
        for route in range(routes.count):
            gateway = gateways.get(route)
            senders.append((routes.sender_of(gateway) if gateway else None) or routes.sender(route))
        return ", ".join(senders)


def write_time(moment: datetime | None, *, up: bool = False) -> str | None:
    """Return the time in RFC 3339, in UTC and whole seconds, cut off or rounded `up`.

    The end of a life is cut off and the start of a permission rounded up, so that a client which acts on the second is
    never too late or too early.
    """
    if moment is None:
        return None
    if up and moment.microsecond:
        moment += timedelta(seconds=1)
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _challenge_error(challenge: Challenge) -> dict[str, Any] | None:
    """Return what went wrong: with the last answer, else with the SMS."""
    if challenge.error is not None:
        return kept_problem(challenge.error)
    if challenge.status is Status.PROCESSING and challenge.delivery is Delivery.FAILED:
        return kept_problem(_NOT_DELIVERED)
    return None


def _identifier(numbers: TnAuthList) -> dict[str, str]:
    """Return the identifier of a TNAuthList (RFC 9448 §3)."""
    return {"type": "TNAuthList", "value": numbers.identifier}


def _telling(authorization: Authorization, status: Status) -> tuple[Challenge, ...]:
    """Return the challenges to show: all while pending, then those that decided it (RFC 8555 §7.1.4)."""
    if status is Status.PENDING:
        return authorization.challenges
    decided = Status.INVALID if status is Status.INVALID else Status.VALID
    return tuple(one for one in authorization.challenges if one.status is decided) or authorization.challenges


def _without_none(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - the members of a JSON object are of any type
    return {name: value for name, value in members.items() if value is not None}
