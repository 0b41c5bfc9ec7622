"""The client over real sockets and TLS, to an authority whose TLS certificate comes from a private root."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from acme_client.errors import Unreachable
from acme_client.network import Connection
from acme_client.renew import renewal
from tests.fakes.enrolment_world import EnrolmentWorld, now
from tests.fakes.patient_clock import PatientClock


class QuietHandler(WSGIRequestHandler):
    """Writes no log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def write_tls_pair(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed TLS certificate for the loopback address, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / "tls.pem", folder / "tls-key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, key_pem


@dataclass(frozen=True, slots=True)
class Served:
    """An authority on a socket."""

    world: EnrolmentWorld
    address: str
    root: Path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve an authority over TLS on a free port."""
    root, key = write_tls_pair(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root, key)
    with make_server("127.0.0.1", 0, lambda *_: [], handler_class=QuietHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        address = f"https://127.0.0.1:{server.server_port}"
        world = EnrolmentWorld(tmp_path, "127.0.0.1", hand=PatientClock(now()), public_url=address)

        def application(*arguments: object) -> object:
            answer = world.application(*arguments)
            world.deliver()
            return answer

        server.set_app(application)  # type: ignore[arg-type]  # an application it is
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is no news
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Served(world, address, root)
        server.shutdown()
        thread.join(timeout=10)
        world.close()


def test_a_private_root_must_be_named(served: Served) -> None:
    """An authority below a private TLS root is reached with a bundle only, and a renewal remembers it."""
    world = served.world
    with pytest.raises(Unreachable, match="--ca-bundle"):
        world.enrolled(ca=served.address, connection=Connection(timeout=10))
    held = world.enrolled(ca=served.address, connection=Connection(ca_bundle=served.root, timeout=10))
    renewed = renewal(held, world.store, None, Connection(timeout=10), clock=world.clock).run()
    assert renewed.serial != held.serial


def test_plain_http_gets_no_answer_from_tls(served: Served) -> None:
    """Whoever forgets the s is told that the authority cannot be reached."""
    with pytest.raises(Unreachable):
        served.world.enrolled(ca=served.address.replace("https", "http"), connection=Connection(timeout=10))
