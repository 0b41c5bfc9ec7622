from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import CommonKind, ConfigurationError, Refusal
from serving.settings import Server, Tls
from serving.web.client_address import ClientAddresses

BEHIND_PROXIES = ClientAddresses(Server(trusted_proxies=("10.0.0.1", "10.1.0.0/16", "fd00::/8")))
TLS = Tls(certificate=Path("tls.pem"), key=Path("tls.key"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5, 10.1.2.3", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5,10.1.2.3 , 10.0.0.1", "203.0.113.5"),
        ("10.0.0.1", "10.1.2.3, 10.0.0.1", "10.1.2.3"),
        ("fd00::1", "2001:db8::5", "2001:db8::5"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.5, nonsense, 10.1.2.3", "10.1.2.3"),
        ("10.0.0.1", "203.0.113.5:4711", "10.0.0.1"),
    ],
)
def test_the_client_is_the_first_address_behind_the_trusted_proxies(
    peer: str, forwarded: str | None, client: str
) -> None:
    """From the peer outwards, the first address that is no trusted proxy is the client's."""
    assert BEHIND_PROXIES.of(peer, forwarded) == client


@given(st.text(max_size=60))
def test_nobody_else_is_believed(forwarded: str) -> None:
    """What a peer that is no trusted proxy says of others is not believed."""
    assert BEHIND_PROXIES.of("203.0.113.9", forwarded) == "203.0.113.9"
    assert ClientAddresses(Server()).of("127.0.0.1", forwarded) == "127.0.0.1"


@given(st.text(alphabet="0123456789.:abcf, %x", max_size=60))
def test_any_header_gives_an_address(forwarded: str) -> None:
    """Whatever a trusted proxy passes on, the answer is some address."""
    assert BEHIND_PROXIES.of("10.0.0.1", forwarded)


def test_what_a_client_made_up_does_not_count() -> None:
    """A client that sends many made-up hops is still known by the one that the proxy added."""
    made_up = ", ".join(["10.0.0.1"] * 5000 + ["203.0.113.5"])
    assert BEHIND_PROXIES.of("10.0.0.1", made_up) == "203.0.113.5"


def test_plain_http_is_for_the_proxies_only() -> None:
    """With proxies named and no TLS, a peer that is none of them is refused, however it is spelled."""
    BEHIND_PROXIES.admit("10.1.255.1")
    BEHIND_PROXIES.admit("::ffff:10.0.0.1")
    for peer in ("203.0.113.5", "127.0.0.1", "", "nonsense"):
        with pytest.raises(Refusal) as refused:
            BEHIND_PROXIES.admit(peer)
        assert refused.value.kind is CommonKind.UNAUTHORIZED


def test_with_tls_or_without_proxies_every_peer_is_admitted() -> None:
    """A server that speaks TLS itself, or names no proxy, takes requests from every peer."""
    ClientAddresses(Server(tls=TLS, trusted_proxies=("10.0.0.1",))).admit("203.0.113.5")
    ClientAddresses(Server()).admit("203.0.113.5")


def test_a_proxy_that_is_no_address_is_a_mistake_of_the_operator() -> None:
    """A trusted proxy must be an address or a network; the message shows how to write one."""
    with pytest.raises(ConfigurationError, match=r"proxy\.example.*10\.0\.0\.0/24"):
        ClientAddresses(Server(trusted_proxies=("proxy.example",)))
