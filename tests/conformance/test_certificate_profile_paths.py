from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate_building import authority_certificate, number_certificate
from stir.certificate_chain import write_pem_chain
from stir.certificate_request import number_request
from stir.tn_auth_list import TnAuthList
from stir.validation_method import ValidationMethod
from tests.peers import require
from tests.vectors.make_stir_vectors import (
    ISSUING_FIELDS,
    ISSUING_KEY,
    NUMBER,
    NUMBER_FIELDS,
    NUMBER_KEY,
    OTHER_NUMBER,
    ROOT_FIELDS,
    ROOT_KEY,
    URL,
    altered,
    names,
    numbers,
    signed,
)

pytestmark = pytest.mark.peer

LONG = {"not_after": NUMBER_FIELDS.not_before + timedelta(days=36500)}  # GnuTLS cannot be told another time
ROOT = signed(authority_certificate(replace(ROOT_FIELDS, **LONG), None), ROOT_KEY)
LIMITED = signed(authority_certificate(replace(ISSUING_FIELDS, **LONG), ROOT), ROOT_KEY)
LEAF = signed(number_certificate(replace(NUMBER_FIELDS, **LONG), LIMITED), ISSUING_KEY)

Verdict = tuple[bool, str]
Verifier = Callable[[x509.Certificate, x509.Certificate, x509.Certificate], Verdict]


def openssl(folder: Path, *options: str) -> Verifier:
    """Return OpenSSL's verifier, at its strictest."""
    program = require("openssl", "openssl")

    def verify(leaf: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate) -> Verdict:
        for name, certificate in (("leaf", leaf), ("issuing", issuing), ("root", root)):
            (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        command = [program, "verify", "-x509_strict", "-purpose", "sslclient", *options]
        return ran([*command, "-CAfile", "root.pem", "-untrusted", "issuing.pem", "leaf.pem"], folder)

    return verify


def gnutls(folder: Path) -> Verifier:
    """Return GnuTLS's verifier."""
    program = require("certtool", "gnutls-bin")

    def verify(leaf: x509.Certificate, issuing: x509.Certificate, root: x509.Certificate) -> Verdict:
        (folder / "chain.pem").write_bytes(write_pem_chain([leaf, issuing]))
        (folder / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
        command = [program, "--verify", "--verify-profile", "medium", "--load-ca-certificate", "root.pem"]
        return ran([*command, "--infile", "chain.pem"], folder)

    return verify


def ran(command: list[str], folder: Path) -> Verdict:
    """Return whether a program was content, and what it said."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=[openssl, gnutls])
def verifier(request: pytest.FixtureRequest, tmp_path: Path) -> Verifier:
    """Return a verifier that we did not write."""
    return request.param(tmp_path)


def test_other_libraries_accept_our_chain(verifier: Verifier) -> None:
    """RFC 5280 §6.1: root, authority of +1202, number of +1202."""
    accepted, said = verifier(LEAF, LIMITED, ROOT)
    assert accepted, said


def test_other_libraries_accept_a_chain_of_all_numbers(verifier: Verifier) -> None:
    """RFC 5280 §6.1: an authority without limits certifies any number."""
    issuing = signed(authority_certificate(replace(ISSUING_FIELDS, prefixes=(), **LONG), ROOT), ROOT_KEY)
    leaf = signed(number_certificate(replace(NUMBER_FIELDS, number=OTHER_NUMBER, **LONG), issuing), ISSUING_KEY)
    accepted, said = verifier(leaf, issuing, ROOT)
    assert accepted, said


def test_other_libraries_hold_an_authority_to_its_numbers(verifier: Verifier) -> None:
    """RFC 5280 §4.2.1.10: the authority of +1202 signed for +1303; its nameConstraints forbid that."""
    another = altered(LEAF, ISSUING_KEY, names(URL(OTHER_NUMBER.tel_uri), x509.DNSName(OTHER_NUMBER.enum_domain)))
    another = altered(another, ISSUING_KEY, numbers(TnAuthList.for_number(OTHER_NUMBER).to_der()))
    accepted, said = verifier(another, LIMITED, ROOT)
    assert not accepted
    assert re.search(r"permitted subtree violation|violates the signer's constraints", said)


def test_other_libraries_refuse_a_number_as_an_authority(verifier: Verifier) -> None:
    """RFC 5280 §4.2.1.9: a number's certificate issues nothing."""
    forged = signed(number_certificate(replace(NUMBER_FIELDS, **LONG), LIMITED), NUMBER_KEY)
    forged = altered(forged, NUMBER_KEY)
    accepted, _ = verifier(forged, LEAF, ROOT)
    assert not accepted


def test_other_libraries_refuse_another_root(verifier: Verifier) -> None:
    """RFC 5280 §6.1: a root of the same name with another key is another root."""
    impostor = replace(ROOT_FIELDS, public_key=NUMBER_KEY.public_key(), **LONG)
    accepted, _ = verifier(LEAF, LIMITED, signed(authority_certificate(impostor, None), NUMBER_KEY))
    assert not accepted


@pytest.mark.parametrize("method", list(ValidationMethod))
def test_the_validation_method_survives_path_validation(method: ValidationMethod, tmp_path: Path) -> None:
    """RFC 5280 §6.1.3: a verifier that demands one method's policy gets it, and no other."""
    leaf = signed(number_certificate(replace(NUMBER_FIELDS, validation=method, **LONG), LIMITED), ISSUING_KEY)
    for wanted in ValidationMethod:
        policy = ("-policy_check", "-explicit_policy", "-policy", wanted.oid.dotted_string)
        accepted, said = openssl(tmp_path, *policy)(leaf, LIMITED, ROOT)
        assert accepted == (wanted is method), said


def test_openssl_verifies_our_request(tmp_path: Path) -> None:
    """RFC 2986 §4.2: the request is signed by its own key, and says what it asks for."""
    (tmp_path / "request.pem").write_bytes(number_request(NUMBER, NUMBER_KEY).public_bytes(Encoding.PEM))
    command = [require("openssl", "openssl"), "req", "-in", "request.pem", "-verify", "-noout", "-text"]
    accepted, said = ran(command, tmp_path)
    assert accepted, said
    assert "verify OK" in said
    assert f"URI:{NUMBER.tel_uri}, DNS:{NUMBER.enum_domain}" in said
    assert "TNAuthList" in said or "1.3.6.1.5.5.7.1.26" in said


def test_gnutls_reads_every_extension(tmp_path: Path) -> None:
    """RFC 5280 Appendix B: no identifier is too large for a library of 32-bit numbers."""
    (tmp_path / "leaf.pem").write_bytes(LEAF.public_bytes(Encoding.PEM))
    accepted, said = ran([require("certtool", "gnutls-bin"), "--certificate-info", "--infile", "leaf.pem"], tmp_path)
    assert accepted, said
    assert "error" not in said.lower()
    assert ValidationMethod.SMS_CODE.oid.dotted_string in said
