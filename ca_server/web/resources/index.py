"""Where clients start: the index, nonces, and the terms (RFC 8555 §7.1.1, §7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon
import msgspec

from ca_server.web import urls
from ca_server.web.parts import Parts


class AcmeIndex:
    """What RFC 8555 §7.1.1 calls the directory: the URLs of all that is served here, and of nothing else."""

    def __init__(self, parts: Parts) -> None:
        """Write the index once; it never changes while the server runs."""
        self._parts = parts
        self._body = msgspec.json.encode(_index(parts))

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Return the index."""
        resp.data = self._body
        resp.set_header("Cache-Control", "public, max-age=300")

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return the index to a POST-as-GET (RFC 8555 §6.3)."""
        self._parts.requests.by_account(req).expect_get()
        resp.data = self._body


@dataclass(frozen=True, slots=True)
class NewNonce:
    """A place to get a nonce without asking for anything else (RFC 8555 §7.2)."""

    parts: Parts

    def on_head(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Return a nonce, with 200."""
        resp.set_header("Replay-Nonce", self.parts.nonces.issue())
        resp.set_header("Cache-Control", "no-store")

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return a nonce, with 204."""
        self.on_head(req, resp)
        resp.status = falcon.HTTP_204

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Return a nonce to a POST-as-GET (RFC 8555 §6.3), though its answer to any request has one."""
        self.parts.requests.by_account(req).expect_get()
        resp.status = falcon.HTTP_204


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of service, where the configuration holds their text and no URL."""

    text: str

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Return the text."""
        resp.content_type = "text/plain; charset=utf-8"
        resp.text = self.text
        resp.set_header("Cache-Control", "public, max-age=300")

    on_head = on_get


def _index(parts: Parts) -> dict[str, Any]:
    at = parts.urls.at
    meta = {"termsOfService": parts.terms_url, "website": parts.ca.config.website}
    return {
        "newNonce": at(urls.NEW_NONCE),
        "newAccount": at(urls.NEW_ACCOUNT),
        "newOrder": at(urls.NEW_ORDER),
        "revokeCert": at(urls.REVOKE_CERT),
        "keyChange": at(urls.KEY_CHANGE),
        "meta": {name: value for name, value in meta.items() if value is not None},
    }
