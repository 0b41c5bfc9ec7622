"""Who pays for a lookup that comes from an address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from serving.web.client_address import ClientAddresses

_REMEMBERED: Final = 4096
_SUBSCRIBER_BITS: Final = 64
"""What one IPv6 subscriber has at least: all addresses in it are one payer."""


class Payers:
    """Tells payers apart: IPv4 addresses, and networks of IPv6."""

    def __init__(self, addresses: ClientAddresses) -> None:
        """Take what sees through the operator's proxies."""
        self._addresses = addresses
        self.payer = lru_cache(_REMEMBERED)(self._payer)

    def _payer(self, peer: str, forwarded_for: str | None) -> str:
        """Return the payer; raise Refusal for a peer that should have come through the proxy."""
        self._addresses.admit(peer)
        client = self._addresses.of(peer, forwarded_for)
        try:
            address = ip_address(client.partition("%")[0])
        except ValueError:
            return client
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, _SUBSCRIBER_BITS), strict=False))
        return client
