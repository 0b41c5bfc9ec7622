"""What every response has: nonces, links, problem documents (RFC 8555 §6.5, §6.7, §7.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from math import ceil
from typing import Any

import falcon
import msgspec

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.web.client_address import ClientAddresses
from ca_server.web.nonces import Nonces
from ca_server.web.problems import CONTENT_TYPE, PROBLEM_TYPES, problem_document
from ca_server.web.urls import INDEX, Urls
from serving.log import describe

_log = logging.getLogger(__name__)

_FIRST_ERROR = 400
_INCIDENT_BYTES = 4
_PREFLIGHT_SECONDS = "86400"


def send_json(resp: falcon.Response, value: object) -> None:
    """Make `value` the body, as JSON."""
    resp.data = msgspec.json.encode(value)


def send_wait(resp: falcon.Response, wait: timedelta | None) -> None:
    """Say in Retry-After when to ask again, in whole seconds and never sooner than after one (RFC 8555 §6.6)."""
    if wait is not None:
        resp.set_header("Retry-After", str(max(1, ceil(wait.total_seconds()))))


def link(resp: falcon.Response, url: str, relation: str) -> None:
    """Add a Link header field (RFC 8288)."""
    resp.append_header("Link", f'<{url}>;rel="{relation}"')


class EveryResponse:
    """Falcon middleware: admits the peer, then adds what each response needs whether it succeeded or not.

    Any web page may talk to the authority (RFC 8555 §6.1): requests carry their own signature, and no cookies.
    """

    def __init__(self, nonces: Nonces, urls: Urls, addresses: ClientAddresses) -> None:
        """Remember what goes into the headers."""
        self._nonces = nonces
        self._index = f'<{urls.at(INDEX)}>;rel="index"'
        self._addresses = addresses

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Refuse a peer that should have come through the proxy."""
        self._addresses.admit(req.remote_addr)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        """Add the nonce, the link to the index, and what browsers ask for.

        A response with a nonce is never cached: a nonce that is served twice is refused once.
        """
        if req.method == "POST" or resp.status_code >= _FIRST_ERROR:
            resp.set_header("Replay-Nonce", self._nonces.issue())
            resp.set_header("Cache-Control", "no-store")
        if req.path != INDEX:
            resp.append_header("Link", self._index)
        resp.set_header("Access-Control-Allow-Origin", "*")
        resp.set_header("Access-Control-Expose-Headers", "Link, Location, Replay-Nonce, Retry-After")
        if req.method == "OPTIONS":
            resp.set_header("Access-Control-Allow-Headers", "Content-Type")
            resp.set_header("Access-Control-Allow-Methods", resp.get_header("Allow") or "")
            resp.set_header("Access-Control-Max-Age", _PREFLIGHT_SECONDS)


class Problems:
    """Falcon error handlers: whatever was raised leaves as a problem document."""

    def __init__(self, urls: Urls, terms_url: str | None, random_bytes: Callable[[int], bytes]) -> None:
        """Remember what documents point to."""
        self._urls = urls
        self._terms_url = terms_url
        self._random_bytes = random_bytes

    def install(self, app: falcon.App[falcon.Request, falcon.Response]) -> None:
        """Put the handlers in place of Falcon's own."""
        app.add_error_handler(Exception, self._unexpected)
        app.add_error_handler(falcon.HTTPError, self._of_falcon)
        app.add_error_handler(Refusal, self._refused)

    def _refused(self, _req: falcon.Request, resp: falcon.Response, refusal: Refusal, _params: dict[str, Any]) -> None:
        if refusal.kind is not RefusalKind.BAD_NONCE:  # clients meet it all the time, and try again
            record(Decision.REFUSED, kind=refusal.kind, detail=refusal.detail)
        status = PROBLEM_TYPES[refusal.kind].status
        document = problem_document(refusal.kind, refusal.detail)
        send_wait(resp, refusal.retry_after)
        if refusal.location is not None:
            is_url = "://" in refusal.location
            resp.location = refusal.location if is_url else self._urls.account(refusal.location)
        if refusal.kind is RefusalKind.USER_ACTION_REQUIRED and self._terms_url is not None:
            document["instance"] = self._terms_url
            link(resp, self._terms_url, "terms-of-service")
        _send_problem(resp, status, document)

    def _of_falcon(
        self, _req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
    ) -> None:
        """Say what Falcon refused in our words; its headers, such as Allow, stay."""
        resp.set_headers(error.headers or {})
        status = HTTPStatus(error.status_code)
        match status:
            case HTTPStatus.NOT_FOUND:
                kind, detail = RefusalKind.NOT_FOUND, "there is no such resource; start from the index"
            case HTTPStatus.METHOD_NOT_ALLOWED:
                kind, detail = RefusalKind.METHOD_NOT_ALLOWED, "this resource does not take this method; see Allow"
            case _:
                kind, detail = RefusalKind.MALFORMED, "the HTTP request is malformed"
        _send_problem(resp, status, problem_document(kind, detail, status))

    def _unexpected(
        self, req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
    ) -> None:
        """Tell the client nothing but a name for what happened, under which the operator finds it in the log."""
        incident = self._random_bytes(_INCIDENT_BYTES).hex()
        _log.error("incident %s: %s %s: %s", incident, req.method, req.uri_template, describe(error))
        detail = f"something went wrong here, and not by your fault; tell the operator: incident {incident}"
        _send_problem(resp, HTTPStatus.INTERNAL_SERVER_ERROR, problem_document(RefusalKind.SERVER_INTERNAL, detail))


def _send_problem(resp: falcon.Response, status: HTTPStatus, document: dict[str, Any]) -> None:
    resp.status = status
    resp.content_type = CONTENT_TYPE
    send_json(resp, document)
