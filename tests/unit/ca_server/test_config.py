from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.config import Authority, Config, Gateway
from ca_server.errors import ConfigurationError
from ca_server.loading import check_config, load_config
from policies.issuance import IssuancePolicy
from serving.settings import Address

WORKING = """
public_url = "http://127.0.0.1:14000"

[authority]
name = "Example CA"
operator = "Example Ltd"

[[gateways]]
name = "first"
type = "outbox"
operator = "One"
sender = "12025550100"

[policy]
countries = ["US"]
"""
SECOND_GATEWAY = """
[[gateways]]
name = "{name}"
type = "outbox"
operator = "{operator}"
sender = "12025550101"
"""
LOG = """
[[logs]]
description = "log.json"
operator = "{operator}"
"""
TLS = '[server.tls]\ncertificate = "tls.pem"\nkey = "tls.key"\n'


def load(tmp_path: Path, text: str) -> Config:
    """Load a file that says this."""
    path = tmp_path / "ca.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def with_server(settings: str, public_url: str = "https://ca.example") -> str:
    """Return the working file with other settings of the server."""
    return WORKING.replace("http://127.0.0.1:14000", public_url) + f"\n[server]\n{settings}\n"


def test_a_short_file_is_enough(tmp_path: Path) -> None:
    """Whatever the operator does not say has a default that is safe on one machine."""
    config = load(tmp_path, WORKING)
    assert config.authority.name == "Example CA"
    assert config.server.address == Address("127.0.0.1", 14000)
    assert not config.keys.unencrypted


def test_paths_start_from_the_file(tmp_path: Path) -> None:
    """Relative paths are taken from the file's folder, wherever the command is run."""
    config = load(tmp_path, with_server(TLS) + '[keys]\ndirectory = "secret"\npassphrase_file = "/etc/passphrase"\n')
    assert config.folder == tmp_path
    assert config.authority.certificate == tmp_path / "issuing.pem"
    assert config.authority.chain == (tmp_path / "root.pem",)
    assert config.keys.directory == tmp_path / "secret"
    assert config.keys.passphrase_file == Path("/etc/passphrase")
    assert config.server.tls is not None
    assert config.server.tls.key == tmp_path / "tls.key"
    assert config.database == f"sqlite:///{tmp_path}/answerback.db"


def test_paths_may_start_from_another_folder(tmp_path: Path) -> None:
    """`folder` moves the start of relative paths, so that settings and state can live apart."""
    config = load(tmp_path, 'folder = "/var/lib/ca"\n' + WORKING)
    assert config.database == "sqlite:////var/lib/ca/answerback.db"


def test_a_database_server_is_left_as_it_stands(tmp_path: Path) -> None:
    """A PostgreSQL URL holds no path of ours."""
    assert load(tmp_path, 'database = "postgresql://ca@db/ca"\n' + WORKING).database == "postgresql://ca@db/ca"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://ca.example", "ca.example"),
        ("https://ca.example:8443", "ca.example"),
        ("http://127.0.0.1:14000", "127.0.0.1"),
        ("http://[::1]:14000", "[::1]"),
        ("http://[::1]", "[::1]"),
    ],
)
def test_the_host_is_the_urls_without_its_port(url: str, host: str) -> None:
    """The host in the SMS is what phones bind the code to: no port, and IPv6 in brackets."""
    config = Config(url, Authority("A", "B"), (Gateway("g", "outbox", "o", "1"),), IssuancePolicy())
    assert config.host == host


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            WORKING.replace("countries", "contries"),
            "policy.contries: there is no such key; the keys here are countries",
        ),
        (
            WORKING.replace('"US"', '"usa"'),
            "policy.countries[0]: Expected text matching regex '^[A-Z]{2}$'; write it as \"US\"",
        ),
        (
            WORKING.replace("http://127.0.0.1:14000", "http://ca.example"),
            "public_url: http is for a host on this machine",
        ),
        (WORKING.replace("http://127.0.0.1:14000", "ftp://ca.example"), "public_url: Expected text matching"),
        (WORKING.replace("127.0.0.1:14000", "127.0.0.1:port"), "public_url: "),
        (WORKING.replace("http://127.0.0.1:14000", "http://[::1"), "public_url: "),
        (WORKING.replace("127.0.0.1:14000", "a b"), "public_url: this is not the URL of a host"),
        (WORKING.replace("127.0.0.1:14000", "me@127.0.0.1"), "public_url: this is not the URL of a host"),
        (WORKING.replace("127.0.0.1:14000", "LOCALHOST"), "public_url: write it in its plain form, http://localhost:"),
        (WORKING.replace("14000", "80"), "public_url: write it in its plain form, http://127.0.0.1:"),
        (WORKING.replace("http://127.0.0.1:14000", "https://ca.example."), "public_url: write it in its plain form"),
        (with_server(TLS, f"https://{'a' * 60}.{'b' * 60}.example"), "public_url: its host is too long for an SMS"),
        (with_server('bind = "8080"', "http://127.0.0.1"), "server.bind: '8080' is not an address and a port"),
        (with_server('bind = "0.0.0.0:80"', "http://127.0.0.1"), "server.bind: plain HTTP is served on this machine"),
        (with_server('trusted_proxies = ["proxy"]'), "server.trusted_proxies: "),
        (with_server('trusted_proxies = ["127.0.0.1", "0.0.0.0/0"]'), "server.trusted_proxies: 0.0.0.0/0 is no proxy"),
        (with_server('trusted_proxies = ["::/1"]'), "server.trusted_proxies: ::/1 is no proxy"),
        (with_server('bind = "127.0.0.1:1"'), "server.trusted_proxies: public_url is https and the server has no TLS"),
        (
            with_server(TLS, "http://127.0.0.1"),
            "public_url: the server speaks TLS (server.tls); write the URL with https",
        ),
        ('database = "mysql://x"\n' + WORKING, "database: write sqlite:///answerback.db, or postgresql://"),
        (WORKING + "min_routes = 2\n", "gateways: policy.min_routes is 2"),
        (WORKING + SECOND_GATEWAY.format(name="first", operator="Two"), "gateways: two are named 'first'"),
        (
            WORKING + "min_routes = 2\n" + SECOND_GATEWAY.format(name="second", operator="ONE"),
            "gateways: policy.min_routes is 2, and the gateways have 1 distinct",
        ),
        (
            WORKING + "certificate_hours = 400\n",
            "policy.certificate_hours: write at most longest_certificate_hours, 336",
        ),
        (WORKING + "code_seconds = 7200\n", "policy.code_seconds: a code cannot outlive its authorization"),
        (WORKING + '[keys]\nstore = "hsm"\n', "keys.store: there is no store 'hsm'"),
        (WORKING + '[keys]\nunencrypted = true\npassphrase_file = "p"\n', "keys.unencrypted: a passphrase_file is set"),
        ('website = "ca.example"\n' + WORKING, "website: write a whole URL, beginning with https://"),
        ("gateways = []\n" + WORKING.partition("[[gateways]]")[0] + "[policy]\n", "gateways: policy.min_routes is 1"),
    ],
)
def test_settings_that_cannot_work_are_told_with_file_key_and_remedy(tmp_path: Path, text: str, told: str) -> None:
    """The operator reads one line: the file, the key, what is wrong, what to write."""
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'ca.toml'}: {told}")


@pytest.mark.parametrize(
    "text",
    [
        with_server(f'bind = "0.0.0.0:443"\n{TLS}'),
        with_server('bind = "0.0.0.0:80"\ntrusted_proxies = ["10.0.0.0/8", "fc00::/7", "2001:db8::1"]'),
        with_server('trusted_proxies = ["127.0.0.1"]', "https://ca.example:8443"),
        with_server('bind = "[::1]:14000"', "http://[::1]:14000"),
        with_server('bind = "localhost:14000"', "http://localhost:14000"),
        WORKING + "min_routes = 2\n" + SECOND_GATEWAY.format(name="second", operator="Two"),
        WORKING + '[keys]\nstore = "my_hsm:open_store"\n[keys.options]\nslot = 1\n',
        WORKING + "scts = 2\n" + LOG.format(operator="One") + LOG.format(operator="Two"),
        WORKING + LOG.format(operator="One") + "[logging]\ndeadline_seconds = 5\n",
    ],
)
def test_settings_that_work_are_taken(tmp_path: Path, text: str) -> None:
    """TLS, a named proxy, IPv6, several gateways and a key store of one's own are all accepted."""
    load(tmp_path, text)


@pytest.mark.parametrize("operators", [(), ("One",), ("One", " one ")])
def test_more_timestamps_than_log_operators_are_refused(tmp_path: Path, operators: tuple[str, ...]) -> None:
    """A certificate's timestamps are of distinct operators, and two spellings of one name are one operator."""
    text = WORKING + "scts = 2\n" + "".join(LOG.format(operator=operator) for operator in operators)
    with pytest.raises(ConfigurationError, match=r"policy\.scts: .*add a \[\[logs\]\] table"):
        load(tmp_path, text)


@given(url=st.from_regex(r"\Ahttps?://[^/?#]{1,30}\Z"))
def test_any_public_url_is_taken_or_refused(url: str) -> None:
    """A strange URL gives this room's error and no other."""
    config = Config("http://127.0.0.1", Authority("A", "B"), (Gateway("g", "outbox", "o", "1"),), IssuancePolicy())
    try:
        check_config(msgspec.structs.replace(config, public_url=url))
    except ConfigurationError as refused:
        told = str(refused)
    else:
        told = "public_url: "
    assert told.startswith(("public_url: ", "server."))
