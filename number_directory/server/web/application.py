"""Puts the web room together: one Falcon application for one directory."""

from __future__ import annotations

import falcon

from number_directory.server.directory import Directory
from number_directory.server.web.addresses import Payers
from number_directory.server.web.openapi import openapi_document
from number_directory.server.web.operations import operations
from number_directory.server.web.problems import CountedProblems
from number_directory.server.web.resources import Document, EveryRequest, Resource
from serving.web.client_address import ClientAddresses

WebApp = falcon.App[falcon.Request, falcon.Response]


def build_web(directory: Directory) -> WebApp:
    """Return the WSGI application of the directory."""
    payers = Payers(ClientAddresses(directory.config.server))
    app: WebApp = falcon.App(media_type=falcon.MEDIA_JSON, middleware=[EveryRequest(payers)])
    CountedProblems(directory).install(app)
    prefix = directory.config.path
    offered = operations(directory)
    for path in dict.fromkeys(one.path for one in offered):
        resource = Resource(tuple(one for one in offered if one.path == path))
        app.add_route(prefix + path.replace("{path}", "{path:path}"), resource)
    document = openapi_document(directory.config, offered)
    app.add_route(f"{prefix}/openapi.json", Document(document))
    return app
