"""Orders of a certificate for one number: placed, found again, finalized, and the certificate fetched (RFC 8555 §7.4).

`acme` places orders for DNS names and IP addresses only, so the order step is written here on its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
import requests
from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec
from requests.utils import parse_header_links

from acme_client.errors import Misbehaved, Refused
from acme_client.network import AcmeSession, plain
from acme_client.polling import Patience
from stir.certificate_request import number_request
from stir.telephone_number import TelephoneNumber
from stir.tn_auth_list import TnAuthList

TN_AUTH_LIST = messages.IdentifierType("TNAuthList")
"""The identifier type of RFC 9448 §3; naming it registers it with `acme`."""

_ADOPTABLE = frozenset({"pending", "ready"})
_MOST_PAGES = 10
_MOST_LOOKED_AT = 20
_LARGEST_PAGE = 1 << 20
_NO_SUCH_ORDER = re.compile(r"(malformed|unauthorized|.*[Nn]otFound)")
_GONE = frozenset({403, 404, 410})


class _OrdersList(msgspec.Struct):
    orders: list[str]


def place(session: AcmeSession, number: TelephoneNumber) -> messages.OrderResource:
    """Order a certificate for a number (RFC 8555 §7.4)."""
    identifier = _identifier(number)
    response = session.post(session.url("newOrder"), messages.NewOrder(identifiers=[identifier]))
    order = _order(session, number, response.headers.get("Location"), session.decode(messages.Order, response))
    if order is None:
        msg = f"{session.address.name} made an order for something else than the number that was asked for"
        raise Misbehaved(msg)
    return order


def fetch(session: AcmeSession, number: TelephoneNumber, url: str) -> messages.OrderResource | None:
    """Return the order at a URL; None where it is not there any more, failed, or is for something else."""
    try:
        body = session.decode(messages.Order, session.post(url))
    except Refused as refused:
        if refused.status in _GONE and _NO_SUCH_ORDER.fullmatch(refused.kind):
            return None
        raise
    order = _order(session, number, url, body)
    return None if order is None or status(order) == "invalid" else order


def find(session: AcmeSession, number: TelephoneNumber) -> messages.OrderResource | None:
    """Return an order for the number that the account has open, looked up in its list (RFC 8555 §7.1.2.1).

    That is for the order whose URL a killed process did not live to write down. Only the youngest few are looked at,
    and only those that no key is bound to yet.
    """
    urls = list(_listed(session))[-_MOST_LOOKED_AT:]
    found = (fetch(session, number, url) for url in reversed(urls))
    return next((order for order in found if order is not None and status(order) in _ADOPTABLE), None)


def complete(
    session: AcmeSession,
    number: TelephoneNumber,
    order: messages.OrderResource,
    key: ec.EllipticCurvePrivateKey,
    patience: Patience,
) -> bytes:
    """Finalize an order whose number is proved, wait for the certificate, and return its chain in PEM.

    The signing request is the same bytes each time, so a request that a killed process sent may be sent again. Raises
    Refused where the order fails.
    """
    finalized = False
    while True:
        match status(order):
            case "valid" if order.body.certificate:
                return session.post(order.body.certificate).content
            case "invalid":
                raise _failed(session, order)
            case "ready" if not finalized:
                order, finalized = _finalized(session, number, order, key), True
            case _:
                patience.wait(session.headers, "this order")
                order, finalized = look(session, order), False


def look(session: AcmeSession, order: messages.OrderResource) -> messages.OrderResource:
    """Return the order as it is now."""
    return _with_body(session, order, session.post(order.uri))


def status(order: messages.OrderResource) -> str:
    """Return the order's state (RFC 8555 §7.1.6)."""
    return "unknown" if order.body.status is None else str(order.body.status.name)


def _finalized(
    session: AcmeSession, number: TelephoneNumber, order: messages.OrderResource, key: ec.EllipticCurvePrivateKey
) -> messages.OrderResource:
    request = messages.CertificateRequest(csr=number_request(number, key))
    try:
        response = session.post(order.body.finalize, request)
    except Refused as refused:
        if refused.kind == "orderNotReady":  # another look tells why (RFC 8555 §7.4)
            return order
        raise
    return _with_body(session, order, response)


def _with_body(
    session: AcmeSession, order: messages.OrderResource, response: requests.Response
) -> messages.OrderResource:
    body = session.decode(messages.Order, response)
    return messages.OrderResource(uri=order.uri, body=body, authorizations=())


def _failed(session: AcmeSession, order: messages.OrderResource) -> Refused:
    problem = order.body.error
    said = "it gave no reason" if problem is None else plain(problem.detail or problem.title or problem.typ)
    kind = "invalid" if problem is None else plain(problem.typ).rpartition(":")[2]
    return Refused(f"{session.address.name} gave up this order: {said}; start again with a new one", kind=kind)


def _order(
    session: AcmeSession, number: TelephoneNumber, url: object, body: messages.Order
) -> messages.OrderResource | None:
    """Return the order where it is for just this number and has the URLs that every order has; otherwise None."""
    if list(body.identifiers or ()) != [_identifier(number)]:
        return None
    proofs: object = body.authorizations
    if not isinstance(url, str) or not isinstance(proofs, tuple) or not proofs or not body.finalize:
        msg = f"{session.address.name} made an order that lacks its URLs (RFC 8555 §7.1.3)"
        raise Misbehaved(msg)
    return messages.OrderResource(uri=url, body=body, authorizations=())


def _identifier(number: TelephoneNumber) -> messages.Identifier:
    return messages.Identifier(typ=TN_AUTH_LIST, value=TnAuthList.for_number(number).identifier)


def _listed(session: AcmeSession) -> Iterator[str]:
    """Yield the URLs in the account's list of orders; none where the authority keeps no list."""
    with session.calling():
        url = session.post(session.account_url or "").json().get("orders")
    for _ in range(_MOST_PAGES):
        if not isinstance(url, str):
            return
        response = session.post(url)
        with session.calling():
            page = msgspec.json.decode(response.content[:_LARGEST_PAGE], type=_OrdersList).orders
            links = parse_header_links(response.headers.get("Link", ""))
        yield from page
        url = next((link.get("url") for link in links if link.get("rel") == "next"), None)
