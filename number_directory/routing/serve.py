"""The map server at work: for a publisher's folder it hands out its files, too; for a replica's it answers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from number_directory.routing.errors import RoutingError
from number_directory.routing.publisher import MapPublisher
from number_directory.routing.publisher_config import CONFIG_NAME
from number_directory.routing.routing_map import LiveMap
from number_directory.routing.web import create_app
from serving.errors import ConfigurationError
from serving.gunicorn import Announce, WebProgram, serve
from serving.log import configure_log
from serving.settings import Listener, Tls

PROGRAM: Final = "answerback-map"


def serve_map(folder: Path, announce: Announce, bind: str | None = None, tls: Tls | None = None) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code.

    `bind` and `tls` are a publisher's own settings unless given. Raises a ServingError, RoutingError or ReleaseError,
    before anything is served, where settings, map or address cannot be used.
    """
    configure_log(own=("number_directory",))
    listener, data, public = Listener(bind="127.0.0.1:14300"), folder, None
    if (folder / CONFIG_NAME).exists():
        publisher = MapPublisher(folder)
        listener, data, public = publisher.listener, publisher.map_folder, publisher.public
    listener = Listener(bind or listener.bind, listener.threads, listener.graceful_seconds, tls or listener.tls)
    if listener.tls is None and not listener.address.is_loopback:
        msg = f"{listener.bind}: without TLS a map is served on this machine only: set tls, or a loopback address"
        raise ConfigurationError(msg)

    def create() -> object:
        try:
            return create_app(LiveMap(data), public)
        except RoutingError as error:
            raise ConfigurationError(str(error)) from error

    return serve(WebProgram(PROGRAM, listener, create), announce)
