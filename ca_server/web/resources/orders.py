"""Orders: made, read and finalized (RFC 8555 §7.4)."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from ca_server import issuing
from ca_server.orders import Order
from ca_server.web import payloads
from ca_server.web.parts import Parts
from serving.strict_json import read_base64url
from serving.web.responses import send_json, send_wait


@dataclass(frozen=True, slots=True)
class NewOrder:
    """Asks for a certificate (RFC 8555 §7.4)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return the new order, with its authorization."""
        with self.parts.requests.for_change(req) as request:
            payload = request.read(payloads.NewOrder)
            order = issuing.create_order(
                self.parts.ca,
                request.account,
                [(identifier.type, identifier.value) for identifier in payload.identifiers],
                payloads.read_time(payload.not_before, "notBefore"),
                payloads.read_time(payload.not_after, "notAfter"),
                enter=request.enter,
            )
        _send(self.parts, resp, order)
        resp.status = falcon.HTTP_201


@dataclass(frozen=True, slots=True)
class OrderResource:
    """One order (RFC 8555 §7.1.3)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Return the order."""
        request = self.parts.requests.by_account(req)
        request.expect_get()
        _send(self.parts, resp, issuing.order(self.parts.ca, request.account, object_id))


@dataclass(frozen=True, slots=True)
class Finalize:
    """Takes the CSR of an order that is ready (RFC 8555 §7.4)."""

    parts: Parts

    def on_post(self, req: falcon.Request, resp: falcon.Response, object_id: str) -> None:
        """Return the order, with its certificate's URL unless that takes longer."""
        with self.parts.requests.for_change(req) as request:
            csr = read_base64url(request.read(payloads.Finalize).csr, "csr")
            order = issuing.finalize(self.parts.ca, request.account, object_id, csr, enter=request.enter)
        _send(self.parts, resp, order)


def _send(parts: Parts, resp: falcon.Response, order: Order) -> None:
    send_json(resp, parts.objects.order(order))
    send_wait(resp, parts.objects.order_wait(order))
    resp.location = parts.urls.order(order.id)
