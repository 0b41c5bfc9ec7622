from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ConfigurationError
from serving.settings import Address, Listener, Server, Tls, resolved_database


@pytest.mark.parametrize(
    "text", ["", "x", ":1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:80", "[127.0.0.1]:80"]
)
def test_an_address_that_none_can_bind_is_refused(text: str) -> None:
    """An address is an IP address, IPv6 in brackets, and a port."""
    with pytest.raises(ConfigurationError, match=r"write \"127\.0\.0\.1:14000\""):
        Address.parse(text)


@given(text=st.text(max_size=40) | st.from_regex(r"\[?[0-9a-f:.]{1,20}\]?:[0-9]{1,6}", fullmatch=True))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Reading an address never fails in another way."""
    try:
        address = Address.parse(text)
    except ConfigurationError:
        return
    assert 0 <= address.port <= 65535


def test_paths_start_from_a_folder(tmp_path: Path) -> None:
    """Relative paths are taken from it, absolute ones and what is no file are left as they are."""
    assert Tls(Path("a.pem"), Path("/b.key")).resolved(tmp_path) == Tls(tmp_path / "a.pem", Path("/b.key"))
    assert resolved_database("sqlite:///a.db", tmp_path) == f"sqlite:///{tmp_path}/a.db"
    assert resolved_database("sqlite:////b.db", tmp_path) == "sqlite:////b.db"
    assert resolved_database("postgresql://host/name", tmp_path) == "postgresql://host/name"


def test_a_listener_has_one_process_and_a_server_several() -> None:
    """What keeps its state in memory is a listener: settings that would split it are none of its keys."""
    assert Listener().processes == 1
    assert Server(workers=5).processes == 5
    assert not hasattr(Listener(), "workers")
