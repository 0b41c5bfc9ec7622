"""Puts the web room together: one Falcon application for one log."""

from __future__ import annotations

from urllib.parse import urlsplit

import falcon

from serving.web.client_address import ClientAddresses
from serving.web.problems import Problems
from transparency.server.log import Log
from transparency.server.releases import Releases
from transparency.server.web.problems import PROBLEM_TYPES
from transparency.server.web.resources import AddPreChain, Description, Files, GetRoots, Health, OwnersDoor
from transparency.server.web.responses import EveryResponse

WebApp = falcon.App[falcon.Request, falcon.Response]

_SHARE_OF_READERS = 8
"""One thread in so many never waits for the sequencer: it answers those who read, also while nothing is sequenced."""


def build_web(log: Log) -> WebApp:
    """Return the WSGI application of the log."""
    app: WebApp = falcon.App(
        media_type=falcon.MEDIA_JSON, middleware=[EveryResponse(ClientAddresses(log.config.server))]
    )
    Problems(PROBLEM_TYPES, log.random_bytes, begin_at="log.json says what there is").install(app)
    threads = log.config.server.threads
    releases = Releases(log.storage, most=max(1, threads - max(1, threads // _SHARE_OF_READERS)))
    submission, monitoring = (urlsplit(url).path for url in (log.config.url, log.config.read_url))
    app.add_route(f"{submission}/health", Health(log))
    app.add_route(f"{submission}/log.json", Description(log))
    app.add_route(f"{submission}/{{shard}}/ct/v1/add-pre-chain", AddPreChain(log, releases))
    app.add_route(f"{submission}/{{shard}}/ct/v1/get-roots", GetRoots(log))
    app.add_route(f"{submission}/{{shard}}/owner", OwnersDoor(log, releases))
    if log.config.publishing.type == "files":
        app.add_route(f"{monitoring}/{{shard}}/{{path:path}}", Files(log))
    return app
