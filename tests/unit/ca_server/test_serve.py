from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ca_server import serve as module
from ca_server.config import Authority, Config, Gateway, Server, Tls
from ca_server.errors import ConfigurationError
from ca_server.processes import Child, in_child
from ca_server.serve import listen, serve
from policies.issuance import IssuancePolicy
from serving.errors import ServingError


def config_with(server: Server) -> Config:
    """Return settings with these of the server."""
    return Config(
        "http://127.0.0.1", Authority("A", "B"), (Gateway("g", "outbox", "o", "1"),), IssuancePolicy(), server=server
    )


def write_tls(folder: Path) -> Tls:
    """Write a new TLS certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "tls.pem").write_bytes(certificate.public_bytes(encoding))
    (folder / "tls.key").write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return Tls(folder / "tls.pem", folder / "tls.key")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_server_listens_where_it_is_told(host: str) -> None:
    """IPv4, IPv6 and `localhost` are listened at."""
    with listen(config_with(Server(bind=f"{host}:0"))) as listener:
        assert listener.getsockname()[0] in {"127.0.0.1", "::1"}


def test_a_port_in_use_is_told_with_its_setting() -> None:
    """The message names `server.bind` and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match=rf"^server\.bind: {bind} is in use by another program; stop"):
            listen(config_with(Server(bind=bind)))


def test_another_machines_address_is_told() -> None:
    """An address that this machine does not have says so."""
    with pytest.raises(ConfigurationError, match="is no address of this machine"):
        listen(config_with(Server(bind="192.0.2.1:14000")))


def test_another_error_of_the_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the system says is repeated."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(97, "Address family not supported")

    monkeypatch.setattr(socket, "create_server", fail)
    with pytest.raises(ConfigurationError, match="cannot be opened: Address family not supported"):
        listen(config_with(Server()))


def test_tls_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    """A missing file and a key of another certificate are told before anything is served."""
    with pytest.raises(ConfigurationError, match=r"^server\.tls: .* cannot be used: No such file"):
        module._tls_context(Tls(tmp_path / "no.pem", tmp_path / "no.key"))
    (tmp_path / "other").mkdir()
    write_tls(tmp_path / "other")
    with pytest.raises(ConfigurationError, match=r"^server\.tls: .* cannot be used"):
        module._tls_context(Tls(write_tls(tmp_path).certificate, tmp_path / "other" / "tls.key"))


def test_an_encrypted_tls_key_asks_nobody(tmp_path: Path) -> None:
    """A server has no terminal at which its key's passphrase could be typed."""
    tls = write_tls(tmp_path)
    key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    tls.key.write_bytes(key.private_bytes(*form))
    with pytest.raises(ConfigurationError, match="cannot be asked for its passphrase"):
        module._tls_context(tls)


def test_a_renewed_tls_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    """The context is kept while the files are, and made anew when they change."""
    renewed = module._RenewedTls(write_tls(tmp_path))
    first = renewed(None, None)
    assert renewed(None, None) is first
    replace_later(tmp_path)
    assert renewed(None, None) is not first


def test_files_that_are_being_replaced_disturb_nobody(tmp_path: Path) -> None:
    """While certificate and key do not match, connections go on with the old ones."""
    renewed = module._RenewedTls(write_tls(tmp_path))
    first = renewed(None, None)
    (tmp_path / "tls.key").unlink()
    assert renewed(None, None) is first
    replace_later(tmp_path)
    assert renewed(None, None) is not first


def replace_later(folder: Path) -> None:
    """Replace the TLS files by others that are visibly younger."""
    write_tls(folder)
    for name in ("tls.pem", "tls.key"):
        os.utime(folder / name, ns=(time.time_ns(), time.time_ns() + 10**9))


def test_tls_is_modern(tmp_path: Path) -> None:
    """Nothing older than TLS 1.2 is spoken (RFC 8996)."""
    assert module._tls_context(write_tls(tmp_path)).minimum_version is ssl.TLSVersion.TLSv1_2


def test_settings_that_cannot_work_stop_the_start(tmp_path: Path) -> None:
    """A gateway without a type, TLS without files, and an authority without certificates are told at once."""
    working = msgspec.structs.replace(
        config_with(Server()), database=f"sqlite:///{tmp_path / 'ca.db'}", folder=tmp_path
    )
    no_type = msgspec.structs.replace(working, gateways=(Gateway("g", "pigeon", "o", "1"),))
    with pytest.raises(ConfigurationError, match="there is no type 'pigeon'"):
        module._check(no_type)
    no_tls = msgspec.structs.replace(working, server=Server(tls=Tls(tmp_path / "a", tmp_path / "b")))
    with pytest.raises(ConfigurationError, match="cannot be used"):
        module._check(no_tls)
    with pytest.raises(ServingError, match=r"authority\.certificate: .* cannot be read"):
        module._check(working)


def test_a_task_in_a_child_tells_its_error() -> None:
    """What was refused in the child is refused here, in the same words."""

    def refuse() -> NoReturn:
        msg = "the token is locked"
        raise ConfigurationError(msg)

    def crash() -> NoReturn:
        msg = "secret"
        raise ZeroDivisionError(msg)

    in_child(lambda: None)
    with pytest.raises(ServingError, match=r"^the token is locked$"):
        in_child(refuse)
    with pytest.raises(ServingError, match=r"^an outsider's part failed with ZeroDivisionError$"):
        in_child(crash)


def _crash() -> int:
    raise ZeroDivisionError


def _be_killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


@pytest.mark.parametrize(("run", "code"), [(lambda: 0, 0), (lambda: 7, 7), (_crash, 1), (_be_killed, -9)])
def test_a_child_returns_its_exit_code(run: Callable[[], int], code: int) -> None:
    """The function's result is the exit code; a crash is 1; a signal is its number, negative."""
    child = Child(run)
    child.start()
    while child.is_running:
        child.reap()
    assert child.exit_code == code


def test_nothing_is_served_where_the_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`serve` raises before it listens."""
    monkeypatch.setattr(module, "configure_log", lambda _level: None)
    monkeypatch.setattr(module, "listen", lambda _config: pytest.fail("it must not listen"))
    with pytest.raises(ServingError):
        serve(msgspec.structs.replace(config_with(Server()), folder=tmp_path, database="sqlite:///"), print)
