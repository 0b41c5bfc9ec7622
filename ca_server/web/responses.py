"""What every response has: nonces, links, problem documents (RFC 8555 §6.5, §6.7, §7.1)."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import falcon

from ca_server.audit import Decision, record
from ca_server.errors import Refusal, RefusalKind
from ca_server.web.nonces import Nonces
from ca_server.web.problems import PROBLEM_TYPES, problem_document
from ca_server.web.urls import INDEX, Urls
from serving.web.client_address import ClientAddresses
from serving.web.problems import Problems

_FIRST_ERROR = 400
_PREFLIGHT_SECONDS = "86400"


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


class AcmeProblems(Problems):
    """What problem documents of the authority have beside the usual."""

    def __init__(self, urls: Urls, terms_url: str | None, random_bytes: Callable[[int], bytes]) -> None:
        """Remember what documents point to."""
        super().__init__(PROBLEM_TYPES, random_bytes, begin_at="start from the index")
        self._urls = urls
        self._terms_url = terms_url

    def document(self, kind: str, detail: str, status: HTTPStatus | None = None) -> dict[str, Any]:
        """Return the problem document of a refusal."""
        return problem_document(kind, detail, status)

    def refused(self, refusal: Refusal, resp: falcon.Response, document: dict[str, Any]) -> None:
        """Note it in the log, and point to what there is or must be agreed to."""
        if refusal.kind != RefusalKind.BAD_NONCE:  # clients meet it all the time, and try again
            record(Decision.REFUSED, kind=refusal.kind, detail=refusal.detail)
        if refusal.location is not None:
            is_url = "://" in refusal.location
            resp.location = refusal.location if is_url else self._urls.account(refusal.location)
        if refusal.kind == RefusalKind.USER_ACTION_REQUIRED and self._terms_url is not None:
            document["instance"] = self._terms_url
            link(resp, self._terms_url, "terms-of-service")
