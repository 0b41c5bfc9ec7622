"""RFC 8555 §7.1.3 and §7.4: orders and certificates."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID

from ca_server.errors import KeyStoreError, LintError
from ca_server.signing.issuer import Issuer
from stir.certificate import NumberCertificate
from stir.certificate_chain import read_pem_chain
from stir.telephone_number import NumberPrefix, TelephoneNumber
from stir.tn_auth_list import TnAuthList
from tests.fakes.acme_requests import AcmeRequests, base64url, flattened
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import NUMBER, OTHER_NUMBER, PUBLIC_URL, WebAuthority, csr, identifier

NEW_ORDER = f"{PUBLIC_URL}/acme/new-order"


def of(numbers: TnAuthList) -> list[dict[str, str]]:
    """Return the identifiers of an order for a list."""
    return [{"type": "TNAuthList", "value": numbers.identifier}]


def rfc3339(moment: datetime) -> str:
    """Return the time as JSON has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# §7.4 applying for certificate issuance


def test_a_new_order_has_what_its_client_needs(client: AcmeRequests) -> None:
    """§7.4: 201, Location, and an order with status, expires, identifiers, authorizations and finalize."""
    result = client.post(NEW_ORDER, {"identifiers": [identifier(NUMBER)]})
    order_url = result.headers["location"]
    assert result.status_code == 201
    order = result.json
    assert order["status"] == "pending"
    assert datetime.fromisoformat(order["expires"])
    assert order["identifiers"] == [identifier(NUMBER)]
    assert len(order["authorizations"]) == 1
    assert order["finalize"] == f"{order_url}/finalize"
    assert set(order) == {"status", "expires", "identifiers", "authorizations", "finalize"}
    assert client.post(order_url).json == order


@pytest.mark.parametrize("type_", ["dns", "ip", "tnauthlist", ""])
def test_another_identifier_type_is_unsupported(client: AcmeRequests, type_: str) -> None:
    """§7.4: an identifier of a type that is not supported is unsupportedIdentifier."""
    payload = {"identifiers": [{"type": type_, "value": "example.org"}]}
    assert_problem(client.post(NEW_ORDER, payload), "unsupportedIdentifier", 403)


@pytest.mark.parametrize(
    "numbers",
    [
        TnAuthList.for_number(TelephoneNumber.parse("+493012345678")),
        TnAuthList.for_number(TelephoneNumber.parse("+8816123456789")),
        TnAuthList.for_prefixes([NumberPrefix.parse("+12025550")]),
        TnAuthList((*TnAuthList.for_number(NUMBER).entries, *TnAuthList.for_number(OTHER_NUMBER).entries)),
    ],
)
def test_a_number_against_policy_is_rejected(client: AcmeRequests, numbers: TnAuthList) -> None:
    """§7.4: identifiers that the CA will not certify are rejectedIdentifier, with the reason."""
    assert_problem(client.post(NEW_ORDER, {"identifiers": of(numbers)}), "rejectedIdentifier", 403)


def test_an_order_is_for_one_identifier(client: AcmeRequests) -> None:
    """§7.4: two identifiers are refused, though each alone would be good."""
    payload = {"identifiers": [identifier(NUMBER), identifier(OTHER_NUMBER)]}
    assert_problem(client.post(NEW_ORDER, payload), "rejectedIdentifier", 403)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"identifiers": []},
        {"identifiers": {}},
        {"identifiers": [5]},
        {"identifiers": [{"type": "TNAuthList"}]},
        {"identifiers": [{"type": "TNAuthList", "value": 5}]},
        {"identifiers": [{"type": "TNAuthList", "value": "MA-iDRYLMTIwMjU1NTAxMjM="}]},
        {"identifiers": [{"type": "TNAuthList", "value": "+12025550123"}]},
        {"identifiers": [{"type": "TNAuthList", "value": ""}]},
        {"identifiers": [identifier(NUMBER)], "notBefore": "tomorrow"},
        {"identifiers": [identifier(NUMBER)], "notAfter": 5},
    ],
)
def test_an_order_of_another_form_is_malformed(client: AcmeRequests, payload: dict[str, Any]) -> None:
    """§7.4: the members of newOrder have the types and forms of the RFCs."""
    assert_problem(client.post(NEW_ORDER, payload), "malformed")


def test_the_times_asked_for_are_the_certificates(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4: notBefore and notAfter that policy allows come back, and are in the certificate."""
    start = authority.clock() + timedelta(hours=1)
    times = {"notBefore": rfc3339(start), "notAfter": rfc3339(start + timedelta(days=2))}
    result = client.post(NEW_ORDER, {"identifiers": [identifier(NUMBER)]} | times)
    assert {name: result.json[name] for name in times} == times
    authority.made_ready(client)
    order = client.post(result.json["finalize"], {"csr": csr()}).json
    leaf = read_pem_chain(client.post(order["certificate"]).content)[0]
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (start, start + timedelta(days=2))


def test_times_against_policy_are_refused(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4: if the server cannot honour notBefore or notAfter, it MUST reject the order."""
    for times in (
        {"notAfter": rfc3339(authority.clock() + timedelta(days=400))},
        {"notAfter": rfc3339(authority.clock() - timedelta(days=1))},
        {"notBefore": rfc3339(authority.clock() - timedelta(days=1))},
        {"notBefore": "0001-01-01T00:00:00Z"},
        {"notAfter": "9999-12-31T23:59:59Z"},
    ):
        assert_problem(client.post(NEW_ORDER, {"identifiers": [identifier(NUMBER)]} | times), "malformed")


def test_a_proved_number_makes_the_next_order_ready(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4: an order whose authorizations are all valid is ready at once."""
    authority.made_ready(client)
    assert authority.ordered(client).order["status"] == "ready"


# Finalizing


def test_an_order_becomes_valid_with_its_certificate(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4: finalize answers with the order, which has the certificate's URL, and the order's URL in Location."""
    proof = authority.made_ready(client)
    assert client.post(proof.order_url).json["status"] == "ready"
    result = client.post(proof.order["finalize"], {"csr": csr()})
    assert (result.status_code, result.headers["location"]) == (200, proof.order_url)
    assert result.json["status"] == "valid"
    assert client.post(proof.order_url).json == result.json
    assert "retry-after" not in result.headers


def test_an_order_that_is_not_ready_cannot_be_finalized(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4: finalize of an order that is not ready MUST get 403 and orderNotReady."""
    proof = authority.ordered(client)
    assert_problem(client.post(proof.order["finalize"], {"csr": csr()}), "orderNotReady", 403)
    authority.proved(client, proof)
    assert client.post(proof.order["finalize"], {"csr": csr()}).status_code == 200
    assert_problem(client.post(proof.order["finalize"], {"csr": csr()}), "orderNotReady", 403)


def test_an_expired_order_is_invalid(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1.6: an order that is not finalized before it expires is invalid."""
    proof = authority.made_ready(client)
    authority.clock.advance(hours=authority.ca.config.policy.order_hours)
    assert client.post(proof.order_url).json["status"] == "invalid"
    assert_problem(client.post(proof.order["finalize"], {"csr": csr()}), "orderNotReady", 403)


def test_an_order_whose_signature_waits_is_processing(
    authority: WebAuthority, client: AcmeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§7.4: an order whose certificate is not issued yet is processing, with Retry-After, and valid when it is."""
    proof = authority.made_ready(client)

    def is_away(*_arguments: object) -> NoReturn:
        msg = "the key store is away"
        raise KeyStoreError(msg)

    with monkeypatch.context() as patch:
        patch.setattr(Issuer, "sign_certificate", is_away)
        result = client.post(proof.order["finalize"], {"csr": csr()})
    assert (result.status_code, result.json["status"], result.headers["retry-after"]) == (200, "processing", "1")
    assert "certificate" not in result.json
    assert_problem(client.post(proof.order["finalize"], {"csr": csr()}), "orderNotReady", 403)
    authority.clock.advance(seconds=30)
    order = client.post(proof.order_url).json
    assert order["status"] == "valid"
    assert client.post(order["certificate"]).status_code == 200


def test_an_order_whose_certificate_is_withheld_is_invalid(
    authority: WebAuthority, client: AcmeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§7.1.3: an order that failed has the error; what the lint holds back is our fault, not the client's."""
    proof = authority.made_ready(client)

    def is_wrong(*_arguments: object) -> NoReturn:
        msg = "not what was meant"
        raise LintError(msg)

    monkeypatch.setattr(Issuer, "sign_certificate", is_wrong)
    assert_problem(client.post(proof.order["finalize"], {"csr": csr()}), "serverInternal", 500)
    order = client.post(proof.order_url).json
    assert order["status"] == "invalid"
    assert order["error"]["type"] == "urn:ietf:params:acme:error:serverInternal"


def test_the_csr_is_for_the_orders_number(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4: a CSR that names something else than the order MUST be refused as badCSR, and the order stays ready."""
    proof = authority.made_ready(client)
    assert_problem(client.post(proof.order["finalize"], {"csr": csr(OTHER_NUMBER)}), "badCSR")
    assert client.post(proof.order_url).json["status"] == "ready"


def test_the_csr_has_another_key_than_the_account(authority: WebAuthority, client: AcmeRequests) -> None:
    """§11.1: the account key MUST NOT be the certificate's."""
    proof = authority.made_ready(client)
    assert isinstance(client.signer.key, ec.EllipticCurvePrivateKey)
    assert_problem(client.post(proof.order["finalize"], {"csr": csr(NUMBER, client.signer.key)}), "badCSR")


@pytest.mark.parametrize("value", ["", "AAAA", base64url(b"0" * 5000), base64url(b"\x30\x80" * 40)])
def test_a_csr_that_is_none_is_bad(authority: WebAuthority, client: AcmeRequests, value: str) -> None:
    """§7.4: what is no CSR is badCSR."""
    proof = authority.made_ready(client)
    assert_problem(client.post(proof.order["finalize"], {"csr": value}), "badCSR")


@pytest.mark.parametrize("payload", [{}, {"csr": 5}, {"csr": "AA=="}, {"csr": "not base64url"}, {"csr": None}])
def test_a_finalize_of_another_form_is_malformed(
    authority: WebAuthority, client: AcmeRequests, payload: dict[str, Any]
) -> None:
    """§7.4: the CSR is base64url, without padding."""
    proof = authority.made_ready(client)
    assert_problem(client.post(proof.order["finalize"], payload), "malformed")


# §7.4.2 downloading the certificate


def test_the_certificate_comes_with_its_chain(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4.2: the first certificate MUST be the leaf, and each one certifies the one before."""
    key = ec.generate_private_key(ec.SECP256R1())
    order = authority.issued(client, key=key)
    result = client.post(order["certificate"])
    assert result.headers["content-type"] == "application/pem-certificate-chain"
    chain = read_pem_chain(result.content)
    leaf = NumberCertificate.read(chain[0])
    assert leaf.number == NUMBER
    assert leaf.public_key == key.public_key()
    for below, above in itertools.pairwise(chain):
        below.verify_directly_issued_by(above)
    assert chain[0].extensions.get_extension_for_oid(ExtensionOID.CRL_DISTRIBUTION_POINTS)


@pytest.mark.parametrize(
    "accept", ["application/pem-certificate-chain", "*/*", "application/pkix-cert", "text/html", None]
)
def test_the_chain_is_sent_whatever_is_accepted(
    authority: WebAuthority, client: AcmeRequests, accept: str | None
) -> None:
    """§7.4.2: PEM is the default, and the one form that is served."""
    url = authority.issued(client)["certificate"]
    request = client.header(url)
    result = client.send(url, flattened(client.signer, request, b""), headers={"Accept": accept} if accept else None)
    assert result.headers["content-type"] == "application/pem-certificate-chain"


def test_a_certificate_is_always_the_same(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.4.2: a certificate resource is a single, immutable certificate."""
    url = authority.issued(client)["certificate"]
    first = client.post(url).content
    authority.clock.advance(days=1)
    assert client.post(url).content == first


def test_the_issuing_certificate_is_where_the_leaf_says(authority: WebAuthority, client: AcmeRequests) -> None:
    """RFC 5280 §4.2.2.1: caIssuers leads to the certificate that the leaf was signed with, in DER."""
    chain = read_pem_chain(client.post(authority.issued(client)["certificate"]).content)
    (url,) = NumberCertificate.read(chain[0]).ca_issuers_urls
    result = client.http.simulate_get(client.path(url))
    assert result.headers["content-type"] == "application/pkix-cert"
    assert result.content == authority.ca.issuer.certificate_der
    assert "immutable" in result.headers["cache-control"]
    assert_problem(client.http.simulate_get("/issuer/0123456789abcdef.der"), "malformed", 404)
    known = client.http.simulate_get(client.path(url), headers={"If-None-Match": result.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize("path", ["order", "authorization", "challenge", "certificate"])
def test_an_object_that_does_not_exist_is_not_found(client: AcmeRequests, path: str) -> None:
    """§6.7: what does not exist is 404, to whoever asks with an account."""
    assert_problem(client.post(client.at(f"/acme/{path}/AAAAAAAAAAAAAAAAAAAAAA")), "malformed", 404)
