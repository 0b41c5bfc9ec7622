"""Our SCTs, held to Certificate Transparency by OpenSSL (RFC 6962 §3.2, §3.3)."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stir.certificate_building import number_certificate
from stir.certificate_chain import write_pem_chain
from tests.peers import require
from tests.vectors.make_stir_vectors import ISSUING, ISSUING_KEY, LEAF, NUMBER_FIELDS, NUMBER_KEY, ROOT, key, signed
from tests.vectors.make_transparency_vectors import CERTIFICATE, NOW_MS, SCT, SCT_KEY
from transparency.sct import SignedCertificateTimestamp, encode_sct_list

pytestmark = pytest.mark.peer
TIMEOUT = 30


def certificate_with(*scts: SignedCertificateTimestamp) -> x509.Certificate:
    """Return the number's certificate with these SCTs."""
    return signed(number_certificate(NUMBER_FIELDS, ISSUING, encode_sct_list(scts)), ISSUING_KEY)


@contextmanager
def server(certificate: x509.Certificate, folder: Path) -> Iterator[int]:
    """Serve TLS once with this certificate, on the port that is yielded."""
    (folder / "chain.pem").write_bytes(write_pem_chain([certificate, ISSUING]))
    secret = NUMBER_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)

        def serve() -> None:
            with suppress(OSError):
                accepted, _ = listener.accept()
                accepted.settimeout(TIMEOUT)
                with context.wrap_socket(accepted, server_side=True) as connection:
                    connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(TIMEOUT)


def statuses(certificate: x509.Certificate, folder: Path, log: ec.EllipticCurvePublicKey) -> list[str]:
    """Return what OpenSSL says of each SCT in a certificate, when it knows this one log."""
    openssl = require("openssl", "openssl")
    spki = base64.b64encode(log.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()
    (folder / "logs.cnf").write_text(f"enabled_logs = one\n[one]\ndescription = Example Log\nkey = {spki}\n")
    (folder / "root.pem").write_bytes(write_pem_chain([ROOT]))
    with server(certificate, folder) as port:
        done = subprocess.run(
            [openssl, "s_client", "-connect", f"127.0.0.1:{port}", "-ct", "-ctlogfile", str(folder / "logs.cnf"),
             "-CAfile", str(folder / "root.pem"), "-purpose", "any", "-attime", str(NOW_MS // 1000)],
            input="Q\n", capture_output=True, text=True, check=False, timeout=TIMEOUT,
        )  # fmt: skip
    prefix = "SCT validation status: "
    return [line.removeprefix(prefix) for line in done.stdout.splitlines() if line.startswith(prefix)]


def test_openssl_accepts_our_sct(tmp_path: Path) -> None:
    """RFC 6962 §3.2: any verifier of Certificate Transparency can check a sealed log's SCT."""
    assert statuses(CERTIFICATE, tmp_path, SCT_KEY.public_key()) == ["valid"]


def test_openssl_accepts_each_of_several(tmp_path: Path) -> None:
    """RFC 6962 §3.3: a certificate carries a list."""
    other = replace(SCT, log_id=bytes(32))
    assert sorted(statuses(certificate_with(SCT, other), tmp_path, SCT_KEY.public_key())) == ["unknown log", "valid"]


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp_ms": SCT.timestamp_ms + 60_000},
        {"extensions": SCT.extensions[:-1] + b"x"},
        {"signature": SCT_KEY.sign(b"another certificate", ec.ECDSA(hashes.SHA256()))},
    ],
    ids=["another time", "another opening", "another signature"],
)
def test_openssl_refuses_an_altered_sct(change: dict[str, object], tmp_path: Path) -> None:
    """RFC 6962 §3.2: the signature covers time, certificate and extensions, ours among them."""
    altered = replace(SCT, **change)  # type: ignore[arg-type]
    assert statuses(certificate_with(altered), tmp_path, SCT_KEY.public_key()) == ["invalid"]


def test_openssl_does_not_know_another_log(tmp_path: Path) -> None:
    """RFC 6962 §3.2: a log is known by the hash of its key."""
    assert statuses(CERTIFICATE, tmp_path, key("another log").public_key()) == ["unknown log"]


def test_openssl_finds_no_sct_where_there_is_none(tmp_path: Path) -> None:
    """A certificate that was not logged says so."""
    assert statuses(LEAF, tmp_path, SCT_KEY.public_key()) == []
