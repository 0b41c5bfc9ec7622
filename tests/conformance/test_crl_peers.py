from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca_server.orders import Revocation
from ca_server.signing.issuer import Issuer
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import NOW, make_issuance, make_issuer
from tests.peers import require

AT = str(int(NOW.timestamp()))
SHARD = 2
REVOKED, GOOD = 2**127 + 1, 2**127 + 2
REVOCATIONS = (Revocation(REVOKED, NOW - timedelta(minutes=5), 1), Revocation(77, NOW - timedelta(hours=5), 0))


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    """Return an authority for some numbers, as an operator would set it up."""
    return make_issuer(prefixes=("+1202",))


@pytest.fixture
def folder(tmp_path: Path, issuer: Issuer) -> Path:
    """Return a folder with the chain, a revoked and a good certificate, and the CRL of their shard."""
    write(tmp_path / "root.pem", issuer.chain[0])
    write(tmp_path / "issuing.pem", issuer.certificate)
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    for name, serial in (("revoked", REVOKED), ("good", GOOD)):
        number = TelephoneNumber("12025550123")
        write(tmp_path / f"{name}.pem", issuer.sign_certificate(number, key, make_issuance(serial, SHARD)))
    write_crl(tmp_path / "shard.crl", issuer, SHARD)
    return tmp_path


def write(path: Path, certificate: x509.Certificate) -> None:
    """Write a certificate in PEM."""
    path.write_bytes(certificate.public_bytes(Encoding.PEM))


def write_crl(path: Path, issuer: Issuer, shard: int, next_update: datetime = NOW + timedelta(hours=25)) -> None:
    """Write a CRL in PEM that was signed five minutes ago."""
    der = issuer.sign_crl(shard, 9, NOW - timedelta(minutes=5), next_update, REVOCATIONS)
    path.write_bytes(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM))


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run OpenSSL in the folder."""
    command = [require("openssl", "openssl"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def verified(folder: Path, leaf: str, crl: str = "shard.crl") -> subprocess.CompletedProcess[str]:
    """Have OpenSSL verify a certificate with its CRL, as strictly as it can."""
    chain = ("-CAfile", "root.pem", "-untrusted", "issuing.pem", "-CRLfile", crl)
    return openssl(folder, "verify", "-x509_strict", "-crl_check", "-attime", AT, *chain, leaf)


@pytest.mark.peer
def test_openssl_accepts_what_the_crl_does_not_list(folder: Path) -> None:
    """RFC 5280 §6.3.3: the shard's CRL is in the scope that the certificate's distribution point names."""
    done = verified(folder, "good.pem")
    assert done.returncode == 0, done.stderr


@pytest.mark.peer
def test_openssl_rejects_what_the_crl_lists(folder: Path) -> None:
    """RFC 5280 §6.3.3: a listed certificate is revoked."""
    assert "certificate revoked" in verified(folder, "revoked.pem").stderr


@pytest.mark.peer
def test_openssl_does_not_take_another_shards_crl(folder: Path, issuer: Issuer) -> None:
    """RFC 5280 §6.3.3 (b)(2): a CRL of another distribution point does not speak for the certificate."""
    write_crl(folder / "other.crl", issuer, SHARD + 1)
    assert "different CRL scope" in verified(folder, "revoked.pem", "other.crl").stderr


@pytest.mark.peer
def test_openssl_does_not_take_an_old_crl(folder: Path, issuer: Issuer) -> None:
    """RFC 5280 §5.1.2.5: past its next update a CRL says nothing any more."""
    write_crl(folder / "old.crl", issuer, SHARD, NOW - timedelta(minutes=1))
    assert "CRL has expired" in verified(folder, "good.pem", "old.crl").stderr


@pytest.mark.peer
def test_openssl_reads_every_field(folder: Path, issuer: Issuer) -> None:
    """RFC 5280 §5.1, §5.2: version, signature, number, key identifier, scope and entries are as they should be."""
    done = openssl(folder, "crl", "-in", "shard.crl", "-noout", "-text", "-CAfile", "issuing.pem")
    assert "verify OK" in done.stderr
    text = done.stdout
    assert "Version 2" in text
    assert "ecdsa-with-SHA256" in text
    assert re.search(r"CRL Number: *\n *9\n", text)
    assert re.search(
        r"Issuing Distribution Point: critical\s+Full Name:\s+URI:" + re.escape(issuer.crl_url(SHARD)), text
    )
    assert "Only User Certificates" in text
    assert re.search(rf"Serial Number: {REVOKED:X}\s+.*\n.*\n.*CRL Reason Code: *\n *Key Compromise", text)
    assert text.count("CRL Reason Code") == 1


@pytest.mark.peer
def test_gnutls_verifies_the_crl(tmp_path: Path) -> None:
    """RFC 5280 §6.3.3 (g): GnuTLS verifies our CRL's signature under the issuing certificate, and no other's."""
    century = timedelta(days=36500)  # this program cannot be told another time
    issuer = make_issuer(lifetime=century)
    write(tmp_path / "issuing.pem", issuer.certificate)
    write(tmp_path / "other.pem", make_issuer(lifetime=century).certificate)
    write_crl(tmp_path / "shard.crl", issuer, SHARD, NOW + century)
    assert "Verified" in gnutls(tmp_path, "--verify-crl", "--load-ca-certificate", "issuing.pem")
    assert "Not verified" in gnutls(tmp_path, "--verify-crl", "--load-ca-certificate", "other.pem")


@pytest.mark.peer
def test_gnutls_reads_the_crl(folder: Path) -> None:
    """RFC 5280 §5: GnuTLS counts the entries and shows the number."""
    shown = gnutls(folder, "--crl-info")
    assert "Revoked certificates (2):" in shown
    assert "CRL Number (not critical): 09" in shown
    assert f"{REVOKED:x}" in shown.lower()


def gnutls(folder: Path, *arguments: str) -> str:
    """Return what GnuTLS's program says of the CRL."""
    command = [require("certtool", "gnutls-bin"), *arguments, "--infile", "shard.crl"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("revocations", [REVOCATIONS, ()])
def test_a_linter_finds_nothing_in_our_crls(
    tmp_path: Path, issuer: Issuer, revocations: tuple[Revocation, ...]
) -> None:
    """RFC 5280 §5: pkilint is content with a CRL, with entries and without."""
    path = tmp_path / "shard.crl"
    path.write_bytes(issuer.sign_crl(SHARD, 9, NOW, NOW + timedelta(hours=25), revocations))
    command = [
        sys.executable,
        "-m",
        "pkilint.bin.lint_crl",
        "lint",
        "-t",
        "CRL",
        "-p",
        "PKIX",
        "-s",
        "NOTICE",
        "-f",
        "JSON",
        path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["results"] == [], done.stdout + done.stderr
