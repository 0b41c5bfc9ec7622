"""Who is asking: the client's address, seen through the proxies that the operator trusts and through no others."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from serving.errors import CommonKind, ConfigurationError, Refusal
from serving.settings import Server

Address = IPv4Address | IPv6Address

_MOST_HOPS = 32
"""Where no more proxies than this are believed in: a longer X-Forwarded-For is read from its near end only."""


class ClientAddresses:
    """Tells clients apart by address, for caps and quotas.

    An entry of X-Forwarded-For is believed only if the proxy that wrote it is trusted: from the peer outwards, the
    first address that is no trusted proxy is the client's. The client may have made up what stands to the left of it.
    """

    def __init__(self, server: Server) -> None:
        """Read `trusted_proxies`: addresses or networks. Raises ConfigurationError where one is neither."""
        self._trusted = tuple(_network(text) for text in server.trusted_proxies)
        self._only_proxies = bool(self._trusted) and server.tls is None

    def admit(self, peer: str) -> None:
        """Refuse a peer that speaks plain HTTP to us without being the proxy that plain HTTP is served for."""
        if self._only_proxies and not self._is_trusted(_address(peer)):
            detail = "this server takes requests from its own proxy only; use its public URL"
            raise Refusal(CommonKind.UNAUTHORIZED, detail)

    def of(self, peer: str, forwarded_for: str | None) -> str:
        """Return the client's address, given the peer's and the X-Forwarded-For header.

        Where the header holds something else than an address, the trusted proxy that passed it on answers for it.
        """
        client = _address(peer)
        for entry in reversed((forwarded_for or "").rsplit(",", _MOST_HOPS)[-_MOST_HOPS:]):
            if client is None or not self._is_trusted(client):
                break
            hop = _address(entry.strip())
            if hop is None:
                break
            client = hop
        return peer if client is None else str(client)

    def _is_trusted(self, address: Address | None) -> bool:
        return address is not None and _is_in(address, self._trusted)


def _is_in(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """Return the address; an IPv4 client of a dual-stack socket is the IPv4 client that it is."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        msg = (
            f"server.trusted_proxies: {text!r} is neither an address nor a network; "
            "write 10.0.0.5, 10.0.0.0/24 or 2001:db8::/64"
        )
        raise ConfigurationError(msg) from error
