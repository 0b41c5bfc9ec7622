from __future__ import annotations

import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from serving.errors import ConfigurationError
from serving.settings import Tls
from serving.tls import RenewedTls, tls_context


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


def test_tls_files_that_cannot_be_used_stop_the_start(tmp_path: Path) -> None:
    """A missing file and a key of another certificate are told before anything is served."""
    with pytest.raises(ConfigurationError, match=r"^server\.tls: .* cannot be used: No such file"):
        tls_context(Tls(tmp_path / "no.pem", tmp_path / "no.key"))
    (tmp_path / "other").mkdir()
    write_tls(tmp_path / "other")
    with pytest.raises(ConfigurationError, match=r"^server\.tls: .* cannot be used"):
        tls_context(Tls(write_tls(tmp_path).certificate, tmp_path / "other" / "tls.key"))


def test_an_encrypted_tls_key_asks_nobody(tmp_path: Path) -> None:
    """A server has no terminal at which its key's passphrase could be typed."""
    tls = write_tls(tmp_path)
    key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    tls.key.write_bytes(key.private_bytes(*form))
    with pytest.raises(ConfigurationError, match="cannot be asked for its passphrase"):
        tls_context(tls)


def test_a_renewed_tls_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    """The context is kept while the files are, and made anew when they change."""
    renewed = RenewedTls(write_tls(tmp_path))
    first = renewed(None, None)
    assert renewed(None, None) is first
    replace_later(tmp_path)
    assert renewed(None, None) is not first


def test_files_that_are_being_replaced_disturb_nobody(tmp_path: Path) -> None:
    """While certificate and key do not match, connections go on with the old ones."""
    renewed = RenewedTls(write_tls(tmp_path))
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
    assert tls_context(write_tls(tmp_path)).minimum_version is ssl.TLSVersion.TLSv1_2
