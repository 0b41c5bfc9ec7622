"""What every response has: the peer is admitted, and whatever was raised leaves as a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from math import ceil
from typing import Any

import falcon
import msgspec

from transparency.server.config import Server
from transparency.server.errors import Refusal, RefusalKind
from transparency.server.web.problems import CONTENT_TYPE, STATUSES, problem_document

_log = logging.getLogger(__name__)

_INCIDENT_BYTES = 4


def send_json(resp: falcon.Response, value: object) -> None:
    """Make `value` the body, as JSON that nobody keeps."""
    resp.data = msgspec.json.encode(value)
    resp.set_header("Cache-Control", "no-store")


class EveryResponse:
    """Falcon middleware: admits the peer, and lets any web page read what everybody may read."""

    def __init__(self, server: Server) -> None:
        """Read `trusted_proxies`, which the settings' check has found good."""
        self._proxies = tuple(ip_network(text) for text in server.trusted_proxies)
        self._only_proxies = bool(self._proxies) and server.tls is None

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Refuse a peer that speaks plain HTTP to us without being the proxy that plain HTTP is served for."""
        if self._only_proxies and not self._is_proxy(req.remote_addr):
            detail = "this server takes requests from its own proxy only; use its public URL"
            raise Refusal(RefusalKind.UNAUTHORIZED, detail)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        """Let browsers read files from any page; there are no cookies to steal."""
        if req.method in {"GET", "HEAD"}:
            resp.set_header("Access-Control-Allow-Origin", "*")

    def _is_proxy(self, peer: str) -> bool:
        try:
            address: IPv4Address | IPv6Address = ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._proxies)


class Problems:
    """Falcon error handlers."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        """Take the randomness that names incidents."""
        self._random_bytes = random_bytes

    def install(self, app: falcon.App[falcon.Request, falcon.Response]) -> None:
        """Put the handlers in place of Falcon's own."""
        app.add_error_handler(Exception, self._unexpected)
        app.add_error_handler(falcon.HTTPError, self._of_falcon)
        app.add_error_handler(Refusal, self._refused)

    def _refused(self, _req: falcon.Request, resp: falcon.Response, refusal: Refusal, _params: dict[str, Any]) -> None:
        if refusal.retry_after is not None:
            resp.set_header("Retry-After", str(max(1, ceil(refusal.retry_after.total_seconds()))))
        _send(resp, STATUSES[refusal.kind], problem_document(refusal.kind, refusal.detail))

    def _of_falcon(
        self, _req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
    ) -> None:
        """Say what Falcon refused in our words; its headers, such as Allow, stay."""
        resp.set_headers(error.headers or {})
        status = HTTPStatus(error.status_code)
        match status:
            case HTTPStatus.NOT_FOUND:
                kind, detail = RefusalKind.NOT_FOUND, "there is no such resource; log.json says what there is"
            case HTTPStatus.METHOD_NOT_ALLOWED:
                kind, detail = RefusalKind.METHOD_NOT_ALLOWED, "this resource does not take this method; see Allow"
            case _:
                kind, detail = RefusalKind.MALFORMED, "the HTTP request is malformed"
        _send(resp, status, problem_document(kind, detail, status))

    def _unexpected(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
    ) -> None:
        """Tell the client nothing but a name for what happened, under which the operator finds it in the log."""
        incident = self._random_bytes(_INCIDENT_BYTES).hex()
        _log.error("incident %s: %s %s", incident, req.method, req.uri_template, exc_info=error)
        detail = f"something went wrong here, and not by your fault; tell the operator: incident {incident}"
        document = problem_document(RefusalKind.SERVER_INTERNAL, detail)
        _send(resp, HTTPStatus.INTERNAL_SERVER_ERROR, document)


def _send(resp: falcon.Response, status: HTTPStatus, document: dict[str, object]) -> None:
    resp.status = status
    send_json(resp, document)
    resp.content_type = CONTENT_TYPE
