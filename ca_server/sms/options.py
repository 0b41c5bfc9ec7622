"""The `options` of a gateway's table in the configuration, read into the gateway's own type."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError
from policies.loading import read_path

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)


def read_options(settings: Gateway, options: type[OptionsT]) -> OptionsT:
    """Return the gateway's options as a value of the struct `options`, where a `Path` is a string.

    Raises ConfigurationError, naming the gateway, the option and what is allowed, for one that is unknown, missing or
    of the wrong type. A value is never repeated in the message: it may be a secret.
    """
    fields = msgspec.structs.fields(options)
    allowed = ", ".join(field.encode_name for field in fields) or "none"
    unknown = sorted(settings.options.keys() - {field.encode_name for field in fields})
    if unknown:
        msg = (
            f"gateway {settings.name!r}: a gateway of type {settings.type!r} has no option "
            f"{', '.join(map(repr, unknown))}; its options are: {allowed}"
        )
        raise ConfigurationError(msg)
    try:
        return msgspec.convert(settings.options, options, dec_hook=read_path)
    except msgspec.ValidationError as error:
        msg = f"gateway {settings.name!r}: options: {error}; its options are: {allowed}"
        raise ConfigurationError(msg) from error
