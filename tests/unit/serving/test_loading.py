from __future__ import annotations

from pathlib import Path

import pytest

from serving.errors import ConfigurationError
from serving.loading import check_database, check_keys, check_transport, fail, import_named, load
from serving.settings import Keys, Server, Tls

TLS = Tls(Path("tls.pem"), Path("tls.key"))
PROXIES = ("10.0.0.0/24",)
NO_PART = "none"


def test_a_check_names_the_file_and_the_key(tmp_path: Path) -> None:
    """What every check passes is returned; the first that does not is told."""

    def check(text: str) -> None:
        if text != "good":
            fail("key", f"write good, not {text}")

    path = tmp_path / "a.toml"
    path.write_text("good")
    assert load(path, Path.read_text, (check, check)) == "good"
    path.write_text("bad")
    with pytest.raises(ConfigurationError, match=r"a\.toml: key: write good, not bad$"):
        load(path, Path.read_text, (check,))


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (Server(), "http://127.0.0.1:14000"),
        (Server(bind="0.0.0.0:443", tls=TLS), "https://a.example"),
        (Server(bind="0.0.0.0:80", trusted_proxies=PROXIES), "https://a.example"),
        (Server(trusted_proxies=("127.0.0.1", "fd00::/8")), "https://a.example"),
    ],
)
def test_what_nobody_can_listen_to_is_served(server: Server, url: str) -> None:
    """TLS, a proxy that speaks it, or one machine."""
    check_transport(server, url, "url")


@pytest.mark.parametrize(
    ("server", "url", "told"),
    [
        (Server(bind="nowhere"), "http://127.0.0.1", r"^server\.bind: 'nowhere' is not an address"),
        (Server(tls=TLS), "http://127.0.0.1", r"^url: the server speaks TLS"),
        (Server(bind="0.0.0.0:80"), "http://127.0.0.1", r"^server\.bind: plain HTTP"),
        (Server(), "https://a.example", r"^server\.trusted_proxies: url is https"),
        (Server(trusted_proxies=("proxy",)), "https://a.example", r"^server\.trusted_proxies: 'proxy' does not"),
        (Server(trusted_proxies=("0.0.0.0/0",)), "https://a.example", r"^server\.trusted_proxies: .* half the world"),
    ],
)
def test_what_somebody_could_listen_to_is_refused(server: Server, url: str, told: str) -> None:
    """The message names the setting to change."""
    with pytest.raises(ConfigurationError, match=told):
        check_transport(server, url, "url")


def test_a_database_and_a_passphrase_are_settled() -> None:
    """A database is in a file or behind PostgreSQL's URL; keys are open or under a passphrase, not both."""
    for url in ("sqlite:///a.db", "postgresql://host/a", "postgres://host/a"):
        check_database(url, "sqlite:///a.db")
    with pytest.raises(ConfigurationError, match=r"^database: write sqlite:///a\.db, or postgresql://"):
        check_database("mysql://host/a", "sqlite:///a.db")
    check_keys(Keys(unencrypted=True))
    with pytest.raises(ConfigurationError, match=r"^keys\.unencrypted: a passphrase_file is set too"):
        check_keys(Keys(unencrypted=True, passphrase_file=Path("passphrase")))


def test_an_outsiders_part_is_imported() -> None:
    """By module and attribute, or an attribute of that."""
    assert import_named("part", "pathlib:Path") is Path
    assert import_named("part", "pathlib:Path.cwd") == Path.cwd


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("pathlib", "write module:attribute"),
        ("pathlib:", "write module:attribute"),
        (":Path", "write module:attribute"),
        ("no_such_module_here:x", "No module named .* is its package installed beside answerback"),
        ("pathlib:no_such_path", "has no attribute"),
        ("..pathlib:Path", "cannot be imported"),
        (f"{__name__}:NO_PART", "is not callable"),
    ],
)
def test_a_part_that_is_not_there_is_told(name: str, told: str) -> None:
    """The message names the setting, what it says, and what to do."""
    with pytest.raises(ConfigurationError, match=f"^part: '{name}' .*{told}"):
        import_named("part", name)
