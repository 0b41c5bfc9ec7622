"""The log on the web: submissions and owners' requests in, SCTs, files and problem documents out. Falcon lives here."""

from transparency.server.web.application import WebApp, build_web

__all__ = ["WebApp", "build_web"]
