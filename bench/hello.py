"""The least that a WSGI program can do: one answer of the size of a directory's, whatever is asked."""

from __future__ import annotations

import falcon

_ANSWER = b"0" * 8192


class _Hello:
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Read the body, and answer."""
        req.bounded_stream.read()
        resp.data = _ANSWER


app: falcon.App[falcon.Request, falcon.Response] = falcon.App()
app.add_route("/lookup", _Hello())
