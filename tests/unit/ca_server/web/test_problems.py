from __future__ import annotations

import re
from http import HTTPStatus
from pathlib import Path

import pytest

from ca_server.errors import RefusalKind
from ca_server.orders import Problem
from ca_server.web.problems import PROBLEM_TYPES, kept_problem, problem_document

REGISTERED = {
    "accountDoesNotExist",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
}
REFERENCE = Path(__file__).parents[4] / "docs" / "reference" / "problems.md"


@pytest.mark.parametrize("kind", RefusalKind)
def test_every_refusal_has_a_type_and_an_error_status(kind: RefusalKind) -> None:
    """Each kind of refusal is in the table, with a status that is an error."""
    assert PROBLEM_TYPES[kind].status >= HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("kind", RefusalKind)
def test_only_registered_types_stand_under_the_acme_urn(kind: RefusalKind) -> None:
    """RFC 8555 §6.7: types under urn:ietf:params:acme:error: are those that IANA lists; ours have another URI."""
    uri = PROBLEM_TYPES[kind].uri
    name = uri.removeprefix("urn:ietf:params:acme:error:")
    assert name in REGISTERED or name.startswith("urn:uuid:")


@pytest.mark.parametrize("kind", RefusalKind)
def test_the_reference_lists_every_type(kind: RefusalKind) -> None:
    """docs/reference/problems.md has a row for each kind, with its type and status."""
    known = PROBLEM_TYPES[kind]
    name = known.uri.removeprefix("urn:ietf:params:acme:error:")
    rows = [row for row in REFERENCE.read_text(encoding="utf-8").splitlines() if row.startswith("|")]
    assert any(f"`{name}`" in row and re.search(rf"\b{int(known.status)}\b", row) for row in rows)


def test_a_document_says_what_happened() -> None:
    """RFC 9457 §3.1: type, detail and status."""
    assert problem_document(RefusalKind.BAD_CSR, "the CSR has no key") == {
        "type": "urn:ietf:params:acme:error:badCSR",
        "detail": "the CSR has no key",
        "status": 400,
    }


def test_a_bad_algorithm_comes_with_the_good_ones() -> None:
    """RFC 8555 §6.2: badSignatureAlgorithm carries `algorithms`, the array of those that are supported."""
    document = problem_document(RefusalKind.BAD_SIGNATURE_ALGORITHM, "no")
    assert document["algorithms"] == ["ES256", "ES384", "EdDSA", "RS256"]


def test_our_own_type_has_a_title() -> None:
    """RFC 9457 §3.1.3: a type that nobody can look up says in its title what it is."""
    document = kept_problem(Problem(RefusalKind.SMS_NOT_DELIVERED, "no gateway took it"))
    assert (document["title"], document["detail"]) == ("The SMS was not delivered", "no gateway took it")
