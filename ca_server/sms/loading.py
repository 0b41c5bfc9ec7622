"""From the gateways in the configuration to gateways that send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ca_server.config import Gateway
from ca_server.errors import ConfigurationError
from ca_server.sms.gateway import SmsGateway
from ca_server.sms.outbox_gateway import DevelopmentOutbox
from ca_server.sms.smpp_gateway import SmppGateway
from serving.loading import import_named

GatewayFactory = Callable[[Gateway, Path], SmsGateway]
"""Makes a gateway of its table in the configuration and the folder that relative paths start from.

It reads the options, connects to nothing, and raises ConfigurationError for settings that cannot work.
"""

_BUILT_IN: dict[str, GatewayFactory] = {"outbox": DevelopmentOutbox, "smpp": SmppGateway}
_ALLOWED = ", ".join(map(repr, _BUILT_IN)) + ", or 'module:attribute' of your own"


def open_gateway(settings: Gateway, base: Path) -> SmsGateway:
    """Return the gateway that `settings.type` names; paths in its options are relative to `base`.

    Raises ConfigurationError where there is none, or its options are wrong.
    """
    factory = _BUILT_IN.get(settings.type) or _import_factory(settings)
    gateway = factory(settings, base)
    said = (gateway.name, gateway.operator, gateway.sender)
    if said != (settings.name, settings.operator, settings.sender):
        msg = (
            f"gateway {settings.name!r}: {settings.type!r} must report the name, operator and sender "
            "that it is configured with"
        )
        raise ConfigurationError(msg)
    return gateway


def open_gateways(gateways: Sequence[Gateway], base: Path) -> tuple[SmsGateway, ...]:
    """Return all gateways of a configuration, in its order. Raises ConfigurationError."""
    return tuple(open_gateway(settings, base) for settings in gateways)


def _import_factory(settings: Gateway) -> GatewayFactory:
    if not all(settings.type.partition(":")):
        msg = f"gateway {settings.name!r}: there is no type {settings.type!r}; the types are: {_ALLOWED}"
        raise ConfigurationError(msg)
    return import_named(f"gateway {settings.name!r}: type", settings.type)
