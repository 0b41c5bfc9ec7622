"""What every response has: the peer is admitted, and any web page may read what everybody may read."""

from __future__ import annotations

import falcon

from serving.web import responses
from serving.web.client_address import ClientAddresses


def send_json(resp: falcon.Response, value: object) -> None:
    """Make `value` the body, as JSON that nobody keeps."""
    responses.send_json(resp, value)
    resp.set_header("Cache-Control", "no-store")


class EveryResponse:
    """Falcon middleware: admits the peer, and lets any web page read what everybody may read."""

    def __init__(self, addresses: ClientAddresses) -> None:
        """Take what tells the proxy from others."""
        self._addresses = addresses

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Refuse a peer that should have come through the proxy."""
        self._addresses.admit(req.remote_addr)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool) -> None:
        """Let browsers read files from any page; there are no cookies to steal."""
        if req.method in {"GET", "HEAD"}:
            resp.set_header("Access-Control-Allow-Origin", "*")
