"""Accounts: made, read, updated, given another key, and deactivated (RFC 8555 §7.3)."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from ca_server import issuing
from ca_server.errors import Refusal, RefusalKind
from ca_server.orders import Account, Status
from ca_server.web import payloads
from ca_server.web.jwk import read_jwk
from ca_server.web.jws import FlattenedJws
from ca_server.web.parts import Parts
from ca_server.web.responses import link
from ca_server.web.signed_request import AccountRequest
from ca_server.web.urls import is_id
from serving.strict_json import read_as, read_object
from serving.web.responses import send_json

_PAGE = 50


@dataclass(frozen=True, slots=True)
class NewAccount:
    """Makes an account for a key, or finds the one that the key has (RFC 8555 §7.3, §7.3.1)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return the account: 201 where it is new, 200 where the key had one."""
        request = self.parts.requests.by_key(req)
        payload = request.read(payloads.NewAccount)
        account, created = issuing.create_account(
            self.parts.ca,
            request.jwk,
            payload.contact or (),
            payload.terms_of_service_agreed is True,
            payload.only_return_existing is True,
            self.parts.addresses.of(req.remote_addr, req.get_header("X-Forwarded-For")),
        )
        send_json(resp, self.parts.objects.account(account))
        resp.location = self.parts.urls.account(account.id)
        resp.status = falcon.HTTP_201 if created else falcon.HTTP_200


@dataclass(frozen=True, slots=True)
class AccountResource:
    """One account, for itself only (RFC 8555 §7.3.2, §7.3.6)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Read the account, replace its contacts, or deactivate it; other members are ignored."""
        request = self.parts.requests.by_account(req)
        account = _own(request, object_id)
        if not request.is_get:
            account = self._update(account, request.read(payloads.AccountUpdate))
        send_json(resp, self.parts.objects.account(account))

    def _update(self, account: Account, update: payloads.AccountUpdate) -> Account:
        if update.status == Status.DEACTIVATED:
            return issuing.deactivate_account(self.parts.ca, account)
        return issuing.update_account(self.parts.ca, account, update.contact)


@dataclass(frozen=True, slots=True)
class AccountOrders:
    """The orders of an account, a page at a time (RFC 8555 §7.1.2.1)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Return one page, with a link to the next where there is one."""
        request = self.parts.requests.by_account(req)
        account = _own(request, object_id)
        request.expect_get()
        cursor = req.get_param("cursor")
        if cursor is not None and not is_id(cursor):
            raise Refusal(RefusalKind.MALFORMED, "the cursor is none that this server gave; start from the first page")
        page, following = issuing.orders(self.parts.ca, account, cursor, _PAGE)
        send_json(resp, {"orders": [self.parts.urls.order(order_id) for order_id in page]})
        if following is not None:
            link(resp, self.parts.urls.orders(account.id, following), "next")


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Gives an account another key, with the consent of both (RFC 8555 §7.3.5)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Check the request inside the request, then change the key."""
        request = self.parts.requests.by_account(req)
        inner = FlattenedJws.parse(read_object(request.body, "the inner request"))
        self._check_inner_header(inner, self.parts.urls.at(req.path, req.query_string))
        new_key = inner.jwk
        inner.verify(new_key)
        payload = read_as(read_object(inner.payload, "the inner payload"), payloads.KeyChange, "the inner payload")
        if payload.account != self.parts.urls.account(request.account.id):
            raise Refusal(RefusalKind.MALFORMED, "the inner payload's account is not the one that signed the request")
        if read_jwk(payload.old_key).thumbprint() != request.account.thumbprint:
            raise Refusal(RefusalKind.MALFORMED, "the inner payload's oldKey is not the account's key")
        send_json(resp, self.parts.objects.account(issuing.change_key(self.parts.ca, request.account, new_key)))

    def _check_inner_header(self, inner: FlattenedJws, url: str) -> None:
        if inner.key_member != "jwk":
            raise Refusal(RefusalKind.MALFORMED, "the inner request names the new key by jwk")
        if inner.url != url:
            raise Refusal(RefusalKind.MALFORMED, "the inner request's url is not that of the outer one")
        if "nonce" in inner.header:
            raise Refusal(RefusalKind.MALFORMED, "the inner request has no nonce; the outer one's serves for both")


def _own(request: AccountRequest, object_id: str) -> Account:
    """Return the account that asks; refuse it another's resources."""
    if request.account.id != object_id:
        raise Refusal(RefusalKind.UNAUTHORIZED, "an account may use its own resources only")
    return request.account
