"""RFC 8555 §6.7: whatever comes, the answer is a problem of the sender's, never a failure of ours."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca_server.storage import Storage
from policies.issuance import IssuancePolicy
from tests.fakes.acme_requests import AcmeRequests, base64url
from tests.fakes.web_authority import NUMBER, WebAuthority, csr, identifier

PATHS = (
    "/",
    "/acme/index",
    "/acme/new-nonce",
    "/acme/new-account",
    "/acme/new-order",
    "/acme/key-change",
    "/acme/revoke-cert",
    "{account}",
    "{account}/orders",
    "{order}",
    "{order}/finalize",
    "{authorization}",
    "{challenge}",
    "/acme/certificate/AAAAAAAAAAAAAAAAAAAAAA",
    "/crl/0123456789abcdef/0.crl",
    "/issuer/0123456789abcdef.der",
    "/health",
)
NAMES = (
    "contact",
    "status",
    "termsOfServiceAgreed",
    "onlyReturnExisting",
    "identifiers",
    "notBefore",
    "notAfter",
    "csr",
    "digest",
    "certificate",
    "reason",
    "account",
    "oldKey",
    "protected",
    "payload",
    "signature",
    "type",
    "value",
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=40).map(base64url)
    | st.sampled_from(["deactivated", "TNAuthList", identifier(NUMBER)["value"], csr(), "2030-01-01T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=8,
)
payloads = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)
headers = st.dictionaries(
    st.sampled_from(["alg", "nonce", "url", "kid", "jwk", "crit", "b64", "typ"]),
    values | st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "k"]), values, max_size=5),
    max_size=4,
)
quiet = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def authority(storage: Storage) -> WebAuthority:
    """Build an authority that lets one address make any number of accounts: each example is a newcomer."""
    return WebAuthority(storage, policy=IssuancePolicy(countries=("US",), new_accounts=None))


def newcomer(authority: WebAuthority) -> tuple[AcmeRequests, dict[str, str]]:
    """Return a new client and the paths of its own objects: a challenge that was asked for, and what it stands in."""
    client = authority.registered()
    proof = authority.ordered(client, NUMBER)
    client.post(proof.challenge()["url"], {})
    urls = {
        "account": client.account,
        "order": proof.order_url,
        "authorization": proof.authorization_url,
        "challenge": proof.challenge()["url"],
    }
    return client, {name: client.path(url) for name, url in urls.items()}


def check(result: Any) -> None:  # noqa: ANN401 - the result of any method
    """Hold any answer to what every answer has."""
    assert result.status_code < 500, result.text
    if result.status_code >= 400:
        assert result.headers["content-type"] == "application/problem+json"
        assert result.headers["replay-nonce"]


@quiet
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=200) | payloads.map(json.dumps).map(str.encode))
def test_any_body_is_answered(authority: WebAuthority, path: str, body: bytes) -> None:
    """Any bytes and any JSON at any resource are answered below 500, with a problem and a nonce."""
    client, places = newcomer(authority)
    check(client.send(client.at(path.format_map(places)), body))


@quiet
@given(path=st.sampled_from(PATHS), header=headers, payload=payloads)
def test_any_header_is_answered(
    authority: WebAuthority, path: str, header: dict[str, Any], payload: dict[str, Any]
) -> None:
    """Any members of the protected header, signed, are answered below 500."""
    client, places = newcomer(authority)
    check(client.post(client.at(path.format_map(places)), payload, **header))


@quiet
@given(path=st.sampled_from(PATHS), payload=payloads | st.binary(max_size=60), by_key=st.booleans())
def test_any_payload_is_answered(authority: WebAuthority, path: str, payload: object, by_key: bool) -> None:
    """Any payload that an account or a key signs is answered below 500."""
    client, places = newcomer(authority)
    check(client.post(client.at(path.format_map(places)), payload, by_key=by_key))


@quiet
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
    path=st.sampled_from(PATHS) | st.text(st.characters(codec="utf-8"), max_size=20).map("/acme/order/{}".format),
    query=st.text(st.characters(codec="ascii", min_codepoint=33), max_size=20),
)
def test_any_request_line_is_answered(authority: WebAuthority, method: str, path: str, query: str) -> None:
    """Any method, path and query is answered below 500."""
    client, places = newcomer(authority)
    known = path.format_map(places) if path in PATHS else path
    check(client.http.simulate_request(method, known.replace("?", ""), query_string=query.lstrip("?")))
