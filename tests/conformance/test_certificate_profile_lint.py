from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate_building import authority_certificate, number_certificate
from stir.telephone_number import NumberPrefix
from tests.vectors.make_stir_vectors import (
    ISSUING,
    ISSUING_FIELDS,
    ISSUING_KEY,
    LEAF,
    NUMBER,
    NUMBER_FIELDS,
    ROOT,
    ROOT_FIELDS,
    ROOT_KEY,
    altered,
    signed,
    without,
)

FALSE_POSITIVE = ("pkix.invalid_uri_syntax", f'Invalid URI syntax: "{NUMBER.tel_uri}"')
"""pkilint 0.13 takes every URI for one with an authority part; RFC 3966 gives tel URIs none."""


def linted(certificate: x509.Certificate, folder: Path) -> list[tuple[str, str]]:
    """Return the code and the words of everything that pkilint finds of note or worse."""
    path = folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    command = [sys.executable, "-m", "pkilint.bin.lint_pkix_cert", "lint", "-s", "NOTICE", "-f", "JSON", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout, done.stderr
    results = json.loads(done.stdout)["results"]
    return [
        (finding["code"], finding.get("message", ""))
        for result in results
        for finding in result["finding_descriptions"]
    ]


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(ROOT, id="root"),
        pytest.param(ISSUING, id="authority of +1202"),
        pytest.param(
            signed(authority_certificate(replace(ISSUING_FIELDS, prefixes=()), ROOT), ROOT_KEY),
            id="authority of all numbers",
        ),
        pytest.param(
            signed(authority_certificate(replace(ROOT_FIELDS, prefixes=(NumberPrefix("44"),)), None), ROOT_KEY),
            id="root of +44",
        ),
    ],
)
def test_a_linter_finds_nothing_in_our_authorities(certificate: x509.Certificate, tmp_path: Path) -> None:
    """RFC 5280 §4: pkilint is content with what we issue to authorities."""
    assert linted(certificate, tmp_path) == []


@pytest.mark.parametrize(
    "certificate",
    [
        pytest.param(LEAF, id="signed by a key on P-256"),
        pytest.param(
            signed(
                number_certificate(
                    NUMBER_FIELDS,
                    signed(
                        authority_certificate(replace(ISSUING_FIELDS, public_key=ROOT_KEY.public_key()), ROOT), ROOT_KEY
                    ),
                ),
                ROOT_KEY,
            ),
            id="signed by a key on P-384",
        ),
    ],
)
def test_a_linter_finds_one_false_positive_in_our_numbers(certificate: x509.Certificate, tmp_path: Path) -> None:
    """RFC 5280 §4: pkilint is content with a number's certificate, but for the tel URI that it misreads."""
    assert linted(certificate, tmp_path) == [FALSE_POSITIVE]


def test_the_linter_would_find_a_fault(tmp_path: Path) -> None:
    """The linter really runs: a missing authorityKeyIdentifier does not escape it."""
    assert len(linted(altered(LEAF, ISSUING_KEY, without("2.5.29.35")), tmp_path)) > 1
