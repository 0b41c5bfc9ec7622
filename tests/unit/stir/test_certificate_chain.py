from __future__ import annotations

import pytest

from stir.certificate_chain import read_pem_chain, write_pem_chain
from stir.errors import CertificateProfileError
from tests.vectors.make_stir_vectors import (
    ISSUING,
    LEAF,
    ROOT,
)


def test_a_chain_survives_its_text() -> None:
    """RFC 8555 §9.1: PEM, leaf first."""
    assert read_pem_chain(write_pem_chain([LEAF, ISSUING, ROOT])) == (LEAF, ISSUING, ROOT)


def test_a_chain_may_have_crlf_and_blank_lines() -> None:
    """RFC 7468 §2: lines end as the platform ends them."""
    text = write_pem_chain([LEAF, ISSUING])
    assert read_pem_chain(text.replace(b"\n", b"\r\n")) == (LEAF, ISSUING)
    assert read_pem_chain(text.replace(b"-----BEGIN", b"\n-----BEGIN").lstrip()) == (LEAF, ISSUING)
    assert read_pem_chain(text.rstrip()) == (LEAF, ISSUING)


PEM = write_pem_chain([LEAF])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"subject=\n" + PEM,
        PEM + b"trailing",
        PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"),
        PEM + PEM.replace(b"CERTIFICATE", b"X509 CRL"),
        PEM.replace(b"-----END CERTIFICATE-----\n", b""),
        PEM.replace(b"\nMII", b"\nMIJ"),
        PEM.rstrip() + PEM,
        b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        b"-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_chain_is_certificates_only(text: bytes) -> None:
    """RFC 8555 §9.1: no key, no comment, nothing between and nothing after."""
    with pytest.raises(CertificateProfileError):
        read_pem_chain(text)


def test_a_chain_is_short() -> None:
    """A chain has at most 10 certificates."""
    assert len(read_pem_chain(PEM * 10)) == 10
    with pytest.raises(CertificateProfileError, match="at most 10"):
        read_pem_chain(PEM * 11)
    with pytest.raises(CertificateProfileError, match="too large"):
        read_pem_chain(PEM * 300)
