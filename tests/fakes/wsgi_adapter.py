"""A `requests` adapter with a WSGI application behind it instead of a socket."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import falcon.testing
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse


def response_to(
    request: requests.PreparedRequest, status: int, headers: Mapping[str, str], body: bytes
) -> requests.Response:
    """Return what `requests` makes of an answer."""
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    response.raw = HTTPResponse(body=io.BytesIO(body), headers=dict(headers), status=status, preload_content=False)
    response.url = request.url or ""
    response.request = request
    return response


class WsgiAdapter(BaseAdapter):
    """Answers each request by an application. `before` and `after` may look on, or raise as a broken network does."""

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        before: Callable[[requests.PreparedRequest], None] = lambda _: None,
        after: Callable[[requests.Response], None] = lambda _: None,
    ) -> None:
        """Take the application."""
        super().__init__()
        self._app = app
        self.before = before
        self.after = after
        self.verifying: Callable[[object], None] = lambda _: None
        self.requests: list[tuple[str, str]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **how: Any) -> requests.Response:  # noqa: ANN401  # theirs
        """Ask the application; `verifying` hears which TLS roots would have been believed."""
        self.verifying(how.get("verify"))
        parts = urlsplit(request.url or "")
        method = request.method or "GET"
        self.requests.append((method, parts.path))
        self.before(request)
        result = falcon.testing.simulate_request(
            self._app,
            method,
            parts.path,
            query_string=parts.query,
            headers=dict(request.headers),
            body=request.body,
            protocol=parts.scheme,
            host=parts.hostname or "",
            port=parts.port,
            remote_addr="192.0.2.1",
        )
        response = response_to(request, result.status_code, result.headers, result.content)
        self.after(response)
        return response

    def close(self) -> None:
        """Close nothing."""
