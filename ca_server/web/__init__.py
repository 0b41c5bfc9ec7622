"""The authority on the web: ACME requests in, objects and problem documents out. Falcon lives here only.

`application` builds it; `signed_request` is what every POST goes through; `problems` holds the one table of errors.
"""

from ca_server.web.application import WebApp, build_web

__all__ = ["WebApp", "build_web"]
