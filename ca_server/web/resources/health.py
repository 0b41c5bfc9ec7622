"""Whether this front end works, for load balancers and service managers."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from ca_server.web.parts import Parts
from serving.web.responses import send_json


@dataclass(frozen=True, slots=True)
class Health:
    """Answers 200 while the database answers; a database that does not makes it 500."""

    parts: Parts

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Ask the database for a sign of life."""
        self.parts.ca.storage.ping()
        resp.set_header("Cache-Control", "no-store")
        send_json(resp, {"status": "ok"})

    on_head = on_get
