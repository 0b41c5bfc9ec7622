"""RFC 8555 §7.6 and RFC 5280 §5: revocation, and the lists that tell of it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from stir.certificate import NumberCertificate
from stir.certificate_chain import read_pem_chain
from tests.fakes.acme_requests import AcmeRequests, base64url, p256_key
from tests.fakes.authority import make_authority_certificate
from tests.fakes.problems import assert_problem
from tests.fakes.web_authority import NUMBER, PUBLIC_URL, WebAuthority

REVOKE = f"{PUBLIC_URL}/acme/revoke-cert"


def issued(
    authority: WebAuthority, client: AcmeRequests, key: ec.EllipticCurvePrivateKey | None = None
) -> x509.Certificate:
    """Return a certificate that the client was issued."""
    return read_pem_chain(client.post(authority.issued(client, NUMBER, key)["certificate"]).content)[0]


def of(certificate: x509.Certificate) -> dict[str, Any]:
    """Return the payload that revokes a certificate."""
    return {"certificate": base64url(certificate.public_bytes(Encoding.DER))}


def revocation(client: AcmeRequests, certificate: x509.Certificate) -> x509.RevokedCertificate | None:
    """Return the entry of the certificate in the CRL that it names."""
    (url,) = NumberCertificate.read(certificate).crl_urls
    crl = x509.load_der_x509_crl(client.http.simulate_get(client.path(url)).content)
    return crl.get_revoked_certificate_by_serial_number(certificate.serial_number)


def test_the_account_that_ordered_it_revokes(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.6: the account that was issued the certificate MAY revoke it; the CRL says so at once, with the reason."""
    certificate = issued(authority, client)
    assert revocation(client, certificate) is None
    result = client.post(REVOKE, of(certificate) | {"reason": 1})
    assert (result.status_code, result.content) == (200, b"")
    entry = revocation(client, certificate)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.key_compromise


def test_the_certificates_key_revokes(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.6: a request signed by the certificate's key, in jwk, revokes it; no account is needed."""
    key = p256_key()
    certificate = issued(authority, client, key)
    assert authority.stranger(key).post(REVOKE, of(certificate), by_key=True).status_code == 200
    assert revocation(client, certificate) is not None


def test_an_account_that_proved_the_number_revokes(
    authority: WebAuthority, client: AcmeRequests, other: AcmeRequests
) -> None:
    """§7.6: an account that holds authorizations for all identifiers in the certificate MAY revoke it."""
    certificate = issued(authority, client)
    assert_problem(other.post(REVOKE, of(certificate)), "unauthorized", 403)
    authority.made_ready(other)
    assert other.post(REVOKE, of(certificate)).status_code == 200


def test_nobody_else_revokes(authority: WebAuthority, client: AcmeRequests, other: AcmeRequests) -> None:
    """§7.6: other accounts, and other keys, the account's own key in jwk among them, are unauthorized."""
    certificate = issued(authority, client)
    assert_problem(other.post(REVOKE, of(certificate)), "unauthorized", 403)
    assert_problem(authority.stranger().post(REVOKE, of(certificate), by_key=True), "unauthorized", 403)
    assert_problem(client.post(REVOKE, of(certificate), by_key=True), "unauthorized", 403)
    assert revocation(client, certificate) is None


def test_a_certificate_is_revoked_once(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.6: a certificate that is revoked already MUST get alreadyRevoked."""
    certificate = issued(authority, client)
    assert client.post(REVOKE, of(certificate)).status_code == 200
    assert_problem(client.post(REVOKE, of(certificate)), "alreadyRevoked")


@pytest.mark.parametrize("reason", [2, 6, 7, 8, 9, 10, 11, -1, 2**70])
def test_another_reason_is_a_bad_one(authority: WebAuthority, client: AcmeRequests, reason: int) -> None:
    """§7.6: a reason that the server does not allow MUST be badRevocationReason."""
    certificate = issued(authority, client)
    assert_problem(client.post(REVOKE, of(certificate) | {"reason": reason}), "badRevocationReason")
    assert revocation(client, certificate) is None


def test_a_certificate_of_somebody_else_cannot_be_revoked(authority: WebAuthority, client: AcmeRequests) -> None:
    """§7.6: a certificate that this authority did not issue is not found, its own issuing certificate too."""
    key = p256_key()
    foreign = make_authority_certificate("Stranger", key)
    assert_problem(client.post(REVOKE, of(foreign)), "malformed", 404)
    assert_problem(authority.stranger(key).post(REVOKE, of(foreign), by_key=True), "malformed", 404)
    assert_problem(client.post(REVOKE, of(authority.ca.issuer.certificate)), "malformed", 404)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"certificate": 5},
        {"certificate": ""},
        {"certificate": "AAAA"},
        {"certificate": "====", "reason": 1},
        {"certificate": base64url(b"\x30\x82\xff\xff" + bytes(100))},
        {"certificate": "-----BEGIN CERTIFICATE-----"},
    ],
)
def test_a_request_without_a_certificate_is_malformed(client: AcmeRequests, payload: dict[str, Any]) -> None:
    """§7.6: the certificate is base64url of its DER."""
    assert_problem(client.post(REVOKE, payload), "malformed")


@pytest.mark.parametrize("reason", ["1", 1.5, True, [1]])
def test_a_reason_is_a_number(authority: WebAuthority, client: AcmeRequests, reason: object) -> None:
    """§7.6: the reason is an integer."""
    assert_problem(client.post(REVOKE, of(issued(authority, client)) | {"reason": reason}), "malformed")


# RFC 5280 §5: the CRL


def test_every_shard_has_a_signed_list(authority: WebAuthority, client: AcmeRequests) -> None:
    """RFC 5280 §5: each shard's CRL is DER, signed by the issuer, and names its shard."""
    for shard in range(4):
        url = authority.ca.issuer.crl_url(shard)
        result = client.http.simulate_get(client.path(url))
        assert result.headers["content-type"] == "application/pkix-crl"
        crl = x509.load_der_x509_crl(result.content)
        assert crl.is_signature_valid(authority.ca.issuer.certificate.public_key())  # type: ignore[arg-type]
        point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        assert point.full_name == [x509.UniformResourceIdentifier(url)]


def test_a_list_that_is_known_is_not_sent_again(authority: WebAuthority, client: AcmeRequests) -> None:
    """RFC 9110 §13.1.2: If-None-Match with the list's ETag gets 304, until a list with another number is there."""
    certificate = issued(authority, client)
    (url,) = NumberCertificate.read(certificate).crl_urls
    first = client.http.simulate_get(client.path(url))
    known = {"If-None-Match": first.headers["etag"]}
    again = client.http.simulate_get(client.path(url), headers=known)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    client.post(REVOKE, of(certificate))
    assert client.http.simulate_get(client.path(url), headers=known).status_code == 200


def test_a_list_is_cached_for_minutes_only(authority: WebAuthority, client: AcmeRequests) -> None:
    """A revocation is hidden by caches for five minutes at most; HEAD says the same as GET."""
    path = client.path(authority.ca.issuer.crl_url(0))
    got = client.http.simulate_get(path)
    assert got.headers["cache-control"] == "public, max-age=300"
    assert "replay-nonce" not in got.headers
    head = client.http.simulate_head(path)
    assert (head.status_code, head.headers["etag"], head.content) == (200, got.headers["etag"], b"")


def test_a_list_is_signed_anew_hourly(authority: WebAuthority, client: AcmeRequests) -> None:
    """RFC 5280 §5.1.2.4: a list older than an hour is replaced by one with a higher number."""
    path = client.path(authority.ca.issuer.crl_url(0))
    numbers = []
    for _ in range(2):
        crl = x509.load_der_x509_crl(client.http.simulate_get(path).content)
        numbers.append(crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number)
        authority.clock.advance(hours=1)
    assert numbers[0] < numbers[1]


@pytest.mark.parametrize("tail", ["4.crl", "-1.crl", "00.crl", "x.crl", "0", "99999999999999999999.crl"])
def test_a_list_that_does_not_exist_is_not_found(authority: WebAuthority, client: AcmeRequests, tail: str) -> None:
    """A shard has one URL, and there are only so many."""
    path = f"/crl/{authority.ca.issuer.id}/{tail}"
    assert_problem(client.http.simulate_get(path), "malformed", 404)
    assert_problem(client.http.simulate_get("/crl/0123456789abcdef/0.crl"), "malformed", 404)


def test_health_tells_whether_the_database_answers(authority: WebAuthority, client: AcmeRequests) -> None:
    """A front end is healthy while its database is."""
    assert client.http.simulate_get("/health").json == {"status": "ok"}

    def fail() -> None:
        raise OSError

    object.__setattr__(authority.ca.storage, "ping", fail)
    assert_problem(client.http.simulate_get("/health"), "serverInternal", 500)
