"""The directory over HTTP. Falcon lives here only."""

from number_directory.server.web.application import WebApp, build_web

__all__ = ["WebApp", "build_web"]
