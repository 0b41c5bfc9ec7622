"""RFC 8555 §6: how requests are signed, sent and refused."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from ca_server.web.signed_request import MAX_BODY_BYTES
from tests.fakes.acme_requests import (
    JOSE,
    AcmeRequests,
    PrivateKey,
    Signer,
    base64url,
    flattened,
    rsa_key,
    write_payload,
)
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import NUMBER, PUBLIC_URL, WebAuthority, identifier

NEW_ACCOUNT = f"{PUBLIC_URL}/acme/new-account"
NEW_ORDER = f"{PUBLIC_URL}/acme/new-order"


def envelope(client: AcmeRequests, url: str = NEW_ORDER, /, payload: object = None, **header: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a good request's JWS, to be spoiled."""
    return flattened(client.signer, client.header(url, **header), write_payload(payload))


# §6.1 HTTPS requests


def test_any_web_page_may_use_the_authority(client: AcmeRequests) -> None:
    """§6.1: servers SHOULD set Access-Control-Allow-Origin to "*"; the headers clients need are exposed."""
    for result in (client.http.simulate_get("/acme/index"), client.post(client.account)):
        assert result.headers["access-control-allow-origin"] == "*"
        assert "Replay-Nonce" in result.headers["access-control-expose-headers"]


def test_a_browser_may_ask_before_it_posts(client: AcmeRequests) -> None:
    """§6.1: the preflight request of a browser is answered with what a POST may have."""
    result = client.http.simulate_options("/acme/new-order", headers={"Origin": "https://app.example"})
    assert result.status_code == 200
    assert "POST" in result.headers["access-control-allow-methods"]
    assert result.headers["access-control-allow-headers"] == "Content-Type"


def test_padded_base64url_is_rejected(client: AcmeRequests) -> None:
    """§6.1: encoded values with trailing "=" characters MUST be rejected."""
    for member in ("protected", "payload", "signature"):
        spoiled = envelope(client, payload={"identifiers": []})
        spoiled[member] += "="
        assert_problem(client.send(NEW_ORDER, spoiled), "malformed")


# §6.2 request authentication


@pytest.mark.parametrize(
    "key", [None, ec.derive_private_key(5, ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate(), rsa_key()]
)
def test_each_algorithm_signs_an_account_and_its_requests(authority: WebAuthority, key: PrivateKey | None) -> None:
    """§6.2: a server MUST implement ES256 and SHOULD implement EdDSA with Ed25519."""
    client = authority.stranger(key)
    assert client.register().status_code == 201
    assert client.post(client.account).status_code == 200


def test_the_content_type_is_jose_json(client: AcmeRequests) -> None:
    """§6.2: the Content-Type MUST be application/jose+json, otherwise 415."""
    for content_type in ("application/json", "application/jose", "text/plain", "application/jose+json2", ""):
        assert_problem(client.send(NEW_ORDER, envelope(client), content_type=content_type), "malformed", 415)


def test_a_parameter_of_the_content_type_does_not_matter(client: AcmeRequests) -> None:
    """§6.2: application/jose+json with a parameter is still application/jose+json."""
    result = client.send(client.account, envelope(client, client.account), content_type="Application/JOSE+json; x=y")
    assert result.status_code == 200


@pytest.mark.parametrize("signatures", [[], [{}], [{}, {}]])
def test_a_jws_has_one_signature(client: AcmeRequests, signatures: list[dict[str, Any]]) -> None:
    """§6.2: the JWS MUST NOT have multiple signatures; the general serialization, with none too, is refused."""
    good = envelope(client)
    for each in signatures:
        each.update({"protected": good["protected"], "signature": good["signature"]})
    assert_problem(client.send(NEW_ORDER, {"payload": good["payload"], "signatures": signatures}), "malformed")
    assert_problem(client.send(NEW_ORDER, good | {"signatures": signatures}), "malformed")


def test_a_jws_without_a_signature_is_refused(client: AcmeRequests) -> None:
    """§6.2: a JWS whose signature is missing or empty does not verify."""
    good = envelope(client)
    assert_problem(client.send(NEW_ORDER, {name: good[name] for name in ("protected", "payload")}), "malformed")
    assert_problem(client.send(NEW_ORDER, envelope(client) | {"signature": ""}), "malformed")


def test_the_unprotected_header_is_not_used(client: AcmeRequests) -> None:
    """§6.2: the JWS Unprotected Header MUST NOT be used, not even an empty one."""
    for header in ({}, {"kid": client.kid}):
        assert_problem(client.send(NEW_ORDER, envelope(client) | {"header": header}), "malformed")


def test_an_unprotected_alg_is_no_alg(client: AcmeRequests) -> None:
    """§6.2: the protected header MUST hold alg; one in the unprotected header does not stand for it."""
    bare = envelope(client, alg=None)
    assert_problem(client.send(NEW_ORDER, bare), "badSignatureAlgorithm")
    assert_problem(client.send(NEW_ORDER, bare | {"header": {"alg": "ES256"}}), "malformed")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS384", "PS256", "ES512"])
def test_another_algorithm_is_refused_with_the_list(client: AcmeRequests, algorithm: str) -> None:
    """§6.2: "none" and MACs MUST NOT be used; badSignatureAlgorithm MUST include `algorithms`."""
    problem = assert_problem(client.send(NEW_ORDER, envelope(client, alg=algorithm)), "badSignatureAlgorithm")
    assert problem["algorithms"] == ["ES256", "ES384", "EdDSA", "RS256"]


def test_the_algorithm_is_that_of_the_key(client: AcmeRequests) -> None:
    """§6.2: an algorithm of the list that is not the key's is refused alike."""
    assert_problem(client.send(NEW_ORDER, envelope(client, alg="RS256")), "badSignatureAlgorithm")


def test_a_jws_has_exactly_one_of_jwk_and_kid(client: AcmeRequests) -> None:
    """§6.2: jwk and kid are mutually exclusive, and servers MUST reject requests with both."""
    both = envelope(client, jwk=client.signer.jwk, kid=client.kid)
    assert_problem(client.send(NEW_ORDER, both), "malformed")
    assert_problem(client.send(NEW_ORDER, envelope(client, kid=None)), "malformed")


def test_new_account_takes_a_jwk(client: AcmeRequests) -> None:
    """§6.2: newAccount requests MUST have a jwk."""
    assert_problem(client.post(NEW_ACCOUNT, {}), "malformed")


@pytest.mark.parametrize(
    "path",
    [
        "/acme/index",
        "/acme/new-nonce",
        "/acme/new-order",
        "/acme/key-change",
        "/acme/account/x",
        "/acme/account/x/orders",
        "/acme/order/x",
        "/acme/order/x/finalize",
        "/acme/authorization/x",
        "/acme/challenge/x",
        "/acme/certificate/x",
    ],
)
def test_all_other_requests_take_a_kid(client: AcmeRequests, path: str) -> None:
    """§6.2: for all other requests the account's URL is in kid, not its key in jwk."""
    assert_problem(client.post(client.at(path), {}, by_key=True), "malformed")


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "oct", "k": base64url(bytes(32))},
        {"d": base64url(bytes(32))},
        {"crv": "P-521"},
        {"x": base64url(bytes(32))},
        {"n": "AQAB"},
    ],
)
def test_a_bad_key_is_refused(authority: WebAuthority, change: dict[str, str]) -> None:
    """§6.2: a key that the server does not support or that is unacceptable is badPublicKey."""
    client = authority.stranger()
    jwk = client.signer.jwk | change
    if "n" in change:
        jwk = {"kty": "RSA", "e": "AQAB"} | change
    assert_problem(client.post(NEW_ACCOUNT, {}, jwk=jwk), "badPublicKey")


def test_an_account_that_does_not_exist_is_refused(client: AcmeRequests) -> None:
    """§6.2: a kid that names no account is accountDoesNotExist."""
    for kid in (
        client.at("/acme/account/nobody"),
        client.at("/acme/account/"),
        "",
        "nobody",
        "https://other.example/a",
    ):
        assert_problem(client.post(NEW_ORDER, {}, kid=kid), "accountDoesNotExist")


def test_a_request_with_a_foreign_kid_does_not_verify(client: AcmeRequests, other: AcmeRequests) -> None:
    """§6.2: a request with another account's kid is not signed by that account's key, and is refused."""
    assert_problem(client.post(NEW_ORDER, {}, kid=other.kid), "malformed")


def test_a_signature_by_another_key_does_not_verify(client: AcmeRequests) -> None:
    """§6.2: the server MUST verify the JWS before it processes the request."""
    stranger = Signer()
    spoiled = flattened(stranger, client.header(NEW_ORDER), write_payload({"identifiers": []}))
    assert_problem(client.send(NEW_ORDER, spoiled), "malformed")


def test_a_changed_payload_does_not_verify(client: AcmeRequests) -> None:
    """§6.2: a payload that was changed on the way is refused."""
    spoiled = envelope(client, payload={"identifiers": []}) | {"payload": base64url(b"{}")}
    assert_problem(client.send(NEW_ORDER, spoiled), "malformed")


def test_critical_extensions_are_not_understood(client: AcmeRequests) -> None:
    """RFC 7515 §4.1.11: a crit that is not understood MUST be refused; so is an unencoded payload (RFC 7797)."""
    assert_problem(client.send(NEW_ORDER, envelope(client, crit=["b64"], b64=False)), "malformed")


# The body: sizes and JSON


def test_a_request_of_64_kib_is_read(client: AcmeRequests) -> None:
    """A request of exactly 64 KiB reaches the steps behind."""
    body = json.dumps(envelope(client, client.account)).encode()
    result = client.send(client.account, body + b" " * (MAX_BODY_BYTES - len(body)))
    assert result.status_code == 200


def test_a_larger_request_is_refused(client: AcmeRequests) -> None:
    """A request of one byte more is refused with 413, whatever is in it."""
    body = json.dumps(envelope(client, client.account)).encode()
    assert_problem(client.send(client.account, body + b" " * (MAX_BODY_BYTES + 1 - len(body))), "malformed", 413)


def test_a_larger_request_of_unknown_length_is_refused(client: AcmeRequests) -> None:
    """A chunked request without Content-Length is read up to the limit, and refused beyond it."""
    body = json.dumps(envelope(client, client.account)).encode()
    for size, status in ((MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)):
        result = client.http.simulate_post(
            client.path(client.account),
            body=body + b" " * (size - len(body)),
            headers={"Content-Type": "application/jose+json"},
            extras={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
        )
        assert result.status_code == status
        body = json.dumps(envelope(client, client.account)).encode()


def test_a_request_without_a_body_is_refused(client: AcmeRequests) -> None:
    """No body is no JSON object."""
    assert_problem(client.send(NEW_ORDER, b""), "malformed")


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30000,
        b'{"a":' * 10000,
        b'{"payload":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b"[]",
        b"null",
        b"{}",
        b"not json",
        b"\xff\xfe",
        b'{"protected":"","protected":"","payload":"","signature":""}',
    ],
)
def test_hostile_json_is_malformed(client: AcmeRequests, body: bytes) -> None:
    """JSON that is deeply nested, repeated, of another type or none is malformed."""
    assert_problem(client.send(NEW_ORDER, body), "malformed")


@pytest.mark.parametrize("payload", [b"[" * 40000, b'{"a":' * 7000, b'{"a":1,"a":2}', b"[]", b"nonsense", b'"\xff"'])
def test_hostile_json_in_the_payload_is_malformed(client: AcmeRequests, payload: bytes) -> None:
    """The payload is read as strictly as the envelope, though an account signed it."""
    assert_problem(client.post(NEW_ORDER, payload), "malformed")


def test_hostile_json_in_the_header_is_malformed(client: AcmeRequests) -> None:
    """The protected header is read as strictly as the envelope."""
    for header in (b'{"alg":' + b"[" * 30000, b'{"alg":"ES256","alg":"ES256"}', b"[]", b""):
        assert_problem(client.send(NEW_ORDER, flattened(client.signer, header, b"")), "malformed")


# §6.3 GET and POST-as-GET


@pytest.mark.parametrize(
    "path",
    [
        "/acme/new-account",
        "/acme/new-order",
        "/acme/key-change",
        "/acme/revoke-cert",
        "/acme/account/x",
        "/acme/account/x/orders",
        "/acme/order/x",
        "/acme/order/x/finalize",
        "/acme/authorization/x",
        "/acme/challenge/x",
        "/acme/certificate/x",
    ],
)
def test_get_is_not_allowed(client: AcmeRequests, path: str) -> None:
    """§6.3: a GET to another resource than directory and newNonce MUST get 405 and malformed."""
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        result = client.http.simulate_request(method, path)
        assert_problem(result, "malformed", 405)
        assert "POST" in result.headers["allow"]


def test_the_index_is_also_read_by_post_as_get(client: AcmeRequests) -> None:
    """§6.3: the server MUST allow POST-as-GET for the directory and newNonce, in addition to GET."""
    result = client.post(client.at("/acme/index"))
    assert (result.status_code, result.json) == (200, client.index())
    assert client.post(client.at("/acme/new-nonce")).status_code == 204


def test_a_resource_is_read_with_an_empty_payload_only(authority: WebAuthority, client: AcmeRequests) -> None:
    """§6.3: a POST-as-GET has a payload of zero length; `{}` is another request."""
    proof = authority.ordered(client)
    for url in (
        proof.order_url,
        f"{client.account}/orders",
        client.at("/acme/index"),
        client.at("/acme/certificate/x"),
    ):
        for payload in ({}, b"null", {"status": "valid"}):
            assert_problem(client.post(url, payload), "malformed")


@pytest.mark.parametrize("path", ["/acme/new-order", "/acme/order/x/finalize", "/acme/revoke-cert", "/acme/key-change"])
def test_a_request_that_needs_a_payload_has_one(client: AcmeRequests, path: str) -> None:
    """§6.3: a POST-as-GET to a resource that cannot be read is malformed."""
    assert_problem(client.post(client.at(path)), "malformed")


# §6.4 request URL integrity


@pytest.mark.parametrize(
    "url",
    [
        f"{PUBLIC_URL}/acme/new-account",
        f"{PUBLIC_URL}/acme/new-order/",
        f"{PUBLIC_URL}/acme/new-order?",
        f"{PUBLIC_URL}/acme/new-order?a=b",
        f"{PUBLIC_URL}:443/acme/new-order",
        "http://ca.example/acme/new-order",
        "https://other.example/acme/new-order",
        "/acme/new-order",
        "",
    ],
)
def test_another_url_is_unauthorized(client: AcmeRequests, url: str) -> None:
    """§6.4: if url is not the URL of the request, the server MUST reject the request as unauthorized."""
    spoiled = flattened(client.signer, client.header(NEW_ORDER, url=url), write_payload({}))
    assert_problem(client.send(NEW_ORDER, spoiled), "unauthorized", 403)


def test_a_query_is_part_of_the_url(client: AcmeRequests) -> None:
    """§6.4: a request with a query that its url does not have is unauthorized."""
    good = envelope(client, client.account)
    assert_problem(client.send(f"{client.account}?a=b", good), "unauthorized", 403)


def test_a_request_without_a_url_is_malformed(client: AcmeRequests) -> None:
    """§6.4: the protected header MUST have a url, a string."""
    assert_problem(client.send(NEW_ORDER, envelope(client, url=None)), "malformed")
    spoiled = flattened(client.signer, client.header(NEW_ORDER) | {"url": 5}, b"")
    assert_problem(client.send(NEW_ORDER, spoiled), "malformed")


# §6.6 rate limits, §6.7 errors


def test_an_error_of_http_itself_is_a_problem_document(client: AcmeRequests) -> None:
    """§6.7: errors SHOULD be problem documents, those for a path that does not exist too."""
    for path in ("/", "/acme", "/acme/order/", "/acme/order/%00", "/acme/order/%ff", "/acme/order/" + "x" * 65):
        assert_problem(client.http.simulate_get(path), "malformed", 404)
        assert_problem(client.http.simulate_post(path), "malformed", 404)


@pytest.mark.parametrize(
    "spoil", [{"CONTENT_LENGTH": "many"}, {"CONTENT_LENGTH": "-1"}, {"REQUEST_METHOD": "WEBSOCKET"}]
)
def test_broken_http_is_a_problem_document(authority: WebAuthority, spoil: dict[str, str]) -> None:
    """§6.7: what no WSGI server should let through is malformed."""
    environment = {"CONTENT_TYPE": JOSE, "wsgi.input": io.BytesIO()}
    setup_testing_defaults(environment)
    environment |= {"REQUEST_METHOD": "POST", "PATH_INFO": "/acme/new-order", "REMOTE_ADDR": "127.0.0.1"} | spoil
    answers: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, head: list[tuple[str, str]], _error: object = None) -> Callable[[bytes], object]:
        answers.append((status, dict(head)))
        return bytes

    body = b"".join(authority.app(environment, start_response))
    ((status, head),) = answers
    assert (status, head["content-type"]) == ("400 Bad Request", "application/problem+json")
    assert json.loads(body)["type"] == "urn:ietf:params:acme:error:malformed"
    assert head["replay-nonce"]


def test_an_exception_is_told_without_its_text(
    authority: WebAuthority, client: AcmeRequests, caplog: pytest.LogCaptureFixture
) -> None:
    """§6.7: an unexpected error is serverInternal; the client and the log see an incident, and no secrets of it."""

    def fail(_size: int) -> bytes:
        msg = "secret 12345678 of +12025550123"
        raise RuntimeError(msg)

    proof = authority.ordered(client)
    request = envelope(client, proof.challenge()["url"], {})
    object.__setattr__(authority.ca, "random_bytes", fail)
    problem = assert_problem(client.send(proof.challenge()["url"], request), "serverInternal", 500)
    incident = problem["detail"].rpartition(" ")[2]
    assert incident in caplog.text
    assert "RuntimeError" in caplog.text
    assert "12345678" not in problem["detail"] + caplog.text
    assert "2025550123" not in caplog.text


def test_every_response_links_to_the_index(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.1: the "index" link relation is on all resources other than the directory."""
    index = f'<{PUBLIC_URL}/acme/index>;rel="index"'
    proof = authority.ordered(client)
    posts = [client.post(url) for url in (client.account, proof.order_url, proof.challenge()["url"])]
    refused = [client.post(NEW_ORDER), client.http.simulate_get("/nothing")]
    for result in [*posts, *refused, client.http.simulate_head("/acme/new-nonce")]:
        assert index in result.headers["link"]
    assert "link" not in client.http.simulate_get("/acme/index").headers


def test_members_of_a_payload_that_nobody_knows_are_ignored(client: AcmeRequests) -> None:
    """§7.1: unrecognized fields are ignored in payloads."""
    payload = {"identifiers": [identifier(NUMBER) | {"more": "yes"}], "profile": "x", "replaces": 5, "notBefore": None}
    assert client.post(NEW_ORDER, payload).status_code == 201
