"""The settings of a map's publisher: `map.toml`, which a person edits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import msgspec

from number_directory.routing.errors import MapFormatError
from number_directory.routing.services import ResolutionService
from serving.settings import Keys, Listener
from transparency.releases.errors import PublishingError
from transparency.releases.repository import Lives

CONFIG_NAME: Final = "map.toml"

_Hours = Annotated[int, msgspec.Meta(ge=1, le=24 * 366)]
_Days = Annotated[int, msgspec.Meta(ge=1, le=366 * 10)]


class ServiceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A resolution service, as the publisher writes it down."""

    name: str
    operator: str
    url: str
    description_sha256: str | None = None


class Valid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long signatures hold: people's on the map and on who signs, and the online key's that both still hold."""

    timestamp_hours: _Hours = 48
    map_days: _Days = 90
    root_days: _Days = 730

    @property
    def lives(self) -> Lives:
        """The same, as the repository takes it."""
        return Lives(
            timedelta(days=self.root_days), timedelta(days=self.map_days), timedelta(hours=self.timestamp_hours)
        )


class PublisherConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. `defaults` are the services that take the numbers which no prefix covers."""

    name: str
    defaults: tuple[str, ...] = ()
    services: tuple[ServiceSettings, ...] = ()
    valid: Valid = Valid()
    keys: Keys = Keys()
    server: Listener = Listener(bind="127.0.0.1:14300")

    def resolution_services(self) -> dict[str, ResolutionService]:
        """Return the services by name; raise PublishingError for one that cannot be used, or that is there twice."""
        services: dict[str, ResolutionService] = {}
        for given in self.services:
            try:
                service = ResolutionService(given.name, given.operator, given.url, given.description_sha256)
            except MapFormatError as error:
                msg = f"{CONFIG_NAME}: services: {error}"
                raise PublishingError(msg) from error
            if services.setdefault(given.name, service) is not service:
                msg = f"{CONFIG_NAME}: services: {given.name} is there twice"
                raise PublishingError(msg)
        if not services or not services.keys() >= set(self.defaults):
            msg = f"{CONFIG_NAME}: name each resolution service as one of [[services]], those of `defaults` too"
            raise PublishingError(msg)
        return services


def load_config(folder: Path) -> PublisherConfig:
    """Read the settings in a publisher's folder; raise PublishingError, which says what to mend."""
    path = folder / CONFIG_NAME
    try:
        return msgspec.toml.decode(path.read_bytes(), type=PublisherConfig, dec_hook=_convert)
    except OSError as error:
        msg = f"{path} cannot be read ({error.strerror}): name the folder of a publisher, or make one with `map init`"
        raise PublishingError(msg) from error
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        msg = f"{path}: {error}"
        raise PublishingError(msg) from error


def _convert(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, str) and "\0" not in value:
        return Path(value)
    msg = "a path is text"
    raise ValueError(msg)
