"""The ACME server from PyPI that ours is measured beside: acme2certifier, under gunicorn with the same settings.

It certifies host names. Its own validation is switched off by its documented option, so that it does no more for a
challenge than take the client's word; it keeps its data in SQLite, with SQLite's default full synchronisation.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bench.acme_flow import Json
from bench.processes import Server, free_port, running

NAME = "acme2certifier"

_CONFIG = """\
[DEFAULT]
debug: False
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: issuing.key
issuing_ca_cert: issuing.pem
issuing_ca_crl: issuing.crl
cert_save_path: certificates
cert_validity_days: 7
[DBhandler]
handler: wsgi
dbfile: peer.db
[Challenge]
challenge_validation_disable: True
"""


@dataclass(frozen=True)
class HostName:
    """A host name that the peer certifies without looking."""

    name: str
    challenge_type: str = "http-01"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def identifier(self) -> Mapping[str, str]:
        """The identifier of RFC 8555 §9.7.7."""
        return {"type": "dns", "value": self.name}

    def answers(self, challenge: Json, thumbprint: str) -> Iterator[Json]:  # noqa: ARG002  # nothing to compute
        """Say that the challenge may be looked at (RFC 8555 §7.5.1)."""
        yield {}

    def request(self) -> bytes:
        """Ask for the name alone."""
        names = x509.SubjectAlternativeName([x509.DNSName(self.name)])
        builder = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def subjects(folder: Path) -> Iterator[HostName]:  # noqa: ARG001  # nothing is read back
    """Give one new host name after the other."""
    return (HostName(f"host-{number}.example.com") for number in itertools.count())


@contextlib.contextmanager
def serving(folder: Path, environment: Path, workers: int, threads: int) -> Iterator[tuple[Server, str]]:
    """Run the peer from its own virtual environment; give the server and the URL of its index."""
    (folder / "certificates").mkdir()
    (folder / "acme_srv.cfg").write_text(_CONFIG)
    _write_issuer(folder)
    port = free_port()
    # Without --preload, two workers race to create the database, and the loser takes the server down.
    command = [
        *(str(environment / "bin" / "gunicorn"), "--preload", "--no-control-socket", "--log-level", "warning"),
        *("--worker-class", "gthread", "--workers", str(workers), "--threads", str(threads)),
        *("--bind", f"127.0.0.1:{port}", "acme2certifier.share.acme2certifier_wsgi:application"),
    ]
    settings = {
        "ACME2CERTIFIER_BASE_DIR": str(folder),
        "ACME_SRV_CONFIGFILE": str(folder / "acme_srv.cfg"),
        # Without it the server ignores challenge_validation_disable.
        "ACME2CERTIFIER_I_KNOW_THE_RISK": "1",
    }
    with running(command, port, folder, settings) as server:
        yield server, f"http://127.0.0.1:{port}/directory"


def _write_issuer(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "issuing.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "issuing.key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
