from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import smpp34
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from ca_server.config import Gateway
from ca_server.errors import SmsUnavailable
from ca_server.sms.gateway import DeliveryReceipt
from ca_server.sms.smpp_gateway import SmppGateway
from tests.fakes.sms_queue import an_sms

BIND_RESPONSE = bytes.fromhex("00000011 80000009 00000000 00000001 00")
MANY = 40


@pytest.fixture(scope="module")
def server_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the certificate and key of an SMSC on the loopback address."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "smsc")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "smsc.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "smsc.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


class TlsSmsc(threading.Thread):
    """An SMSC that takes one connection over TLS, answers the bind, and sends many receipts in one write."""

    def __init__(self, files: Path) -> None:
        """Listen on a free port."""
        super().__init__()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files / "smsc.pem", files / "smsc.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        """Serve one connection."""
        with self._listener, self._listener.accept()[0] as plain:
            plain.settimeout(20)
            try:
                self._serve(self._context.wrap_socket(plain, server_side=True))
            except OSError:
                return

    @staticmethod
    def _serve(connection: ssl.SSLSocket) -> None:
        with connection:
            connection.recv(1000)
            connection.sendall(BIND_RESPONSE)
            receipts = [
                smpp34.DeliverSm("1", "2", f"id:{number} stat:DELIVRD".ljust(250).encode(), esm_class=4)
                for number in range(MANY)
            ]
            connection.sendall(b"".join(receipt.encode() for receipt in receipts))
            while connection.recv(1000):
                pass


def a_gateway(port: int, base: Path, monkeypatch: pytest.MonkeyPatch, **options: object) -> SmppGateway:
    """Return a gateway that speaks TLS."""
    monkeypatch.setenv("SMPP_PASSWORD", "secret")
    every = {"host": "127.0.0.1", "port": port, "system_id": "ca", "password_variable": "SMPP_PASSWORD", "tls": True}
    return SmppGateway(Gateway("main", "smpp", "One", "Example CA", every | options | {"response_seconds": 1}), base)


def test_receipts_that_tls_holds_back_are_all_read(server_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What TLS decrypted in one go is read to the end, though the socket looks empty."""
    smsc = TlsSmsc(server_files)
    gateway = a_gateway(smsc.port, server_files, monkeypatch, tls_ca_file="smsc.pem")
    receipts: list[DeliveryReceipt] = []
    all_came = threading.Event()

    def keep(receipt: DeliveryReceipt) -> None:
        receipts.append(receipt)
        if len(receipts) == MANY:
            all_came.set()

    gateway.start(keep)
    assert all_came.wait(20)
    gateway.close()
    smsc.join()
    assert [receipt.message_id for receipt in receipts] == [str(number) for number in range(MANY)]


def test_an_smsc_that_the_system_does_not_believe_gets_no_password(
    server_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without tls_ca_file an unknown certificate ends the connection before the bind."""
    smsc = TlsSmsc(server_files)
    gateway = a_gateway(smsc.port, server_files, monkeypatch)
    with capture_logs() as logs:
        gateway.start(lambda _: None)
        with pytest.raises(SmsUnavailable):
            gateway.send(an_sms())
        gateway.close()
    smsc.join()
    assert "no TLS" in logs[0]["reason"]
    assert "certificate verify failed" in logs[0]["reason"]
