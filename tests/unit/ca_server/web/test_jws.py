from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_server.errors import Refusal, RefusalKind
from ca_server.web.jwk import read_jwk
from ca_server.web.jws import FlattenedJws
from tests.fakes.acme_requests import Signer, base64url, flattened, rsa_key

SIGNER = Signer()
HEADER = {"alg": "ES256", "jwk": SIGNER.jwk, "nonce": "n", "url": "https://ca.example/acme/new-account"}


def kind_of(envelope: dict[str, Any]) -> RefusalKind:
    """Return the kind of refusal that the envelope meets."""
    with pytest.raises(Refusal) as refused:
        FlattenedJws.parse(envelope)
    return refused.value.kind


def test_a_flattened_jws_opens_and_verifies() -> None:
    """A good JWS gives its header, payload and key, and verifies with that key."""
    jws = FlattenedJws.parse(flattened(SIGNER, HEADER, b"{}"))
    assert (jws.payload, jws.url, jws.key_member) == (b"{}", HEADER["url"], "jwk")
    jws.verify(jws.jwk)


def test_the_account_url_is_the_kid() -> None:
    """A JWS with `kid` gives it."""
    jws = FlattenedJws.parse(flattened(SIGNER, {"alg": "ES256", "kid": "https://ca.example/a"}, b""))
    assert (jws.key_member, jws.kid) == ("kid", "https://ca.example/a")


@pytest.mark.parametrize("member", ["protected", "payload", "signature"])
@pytest.mark.parametrize("value", [None, 5, ["x"], {}])
def test_a_member_that_is_missing_or_no_string_is_malformed(member: str, value: object) -> None:
    """Each of the three members must be a string."""
    assert kind_of(flattened(SIGNER, HEADER, b"") | {member: value}) == RefusalKind.MALFORMED


@pytest.mark.parametrize("extra", ["header", "signatures", "anything"])
def test_a_further_member_is_malformed(extra: str) -> None:
    """RFC 8555 §6.2: no unprotected header and no other serialization."""
    assert kind_of(flattened(SIGNER, HEADER, b"") | {extra: {}}) == RefusalKind.MALFORMED


@pytest.mark.parametrize("algorithm", [None, "none", "HS256", "RS384", "PS256", "ES512", "es256", "", 5, ["ES256"], {}])
def test_another_algorithm_is_a_bad_one(algorithm: object) -> None:
    """Algorithms outside the list, MACs and `none` among them, are badSignatureAlgorithm."""
    header = {name: value for name, value in (HEADER | {"alg": algorithm}).items() if value is not None}
    assert kind_of(flattened(SIGNER, header, b"")) == RefusalKind.BAD_SIGNATURE_ALGORITHM


@pytest.mark.parametrize("name", ["crit", "b64"])
def test_headers_that_change_the_rules_are_malformed(name: str) -> None:
    """Extensions that must be understood are not (RFC 7515 §4.1.11, RFC 7797)."""
    assert kind_of(flattened(SIGNER, HEADER | {name: True}, b"")) == RefusalKind.MALFORMED


@pytest.mark.parametrize(
    "header",
    [
        HEADER | {"kid": "https://ca.example/a"},
        {name: value for name, value in HEADER.items() if name != "jwk"},
        b"[]",
        b'{"alg":"ES256","alg":"ES256"}',
        b"not json",
        b"\xff",
    ],
)
def test_a_header_of_another_form_is_malformed(header: dict[str, Any] | bytes) -> None:
    """The header is an object without repeated names, with exactly one of jwk and kid."""
    assert kind_of(flattened(SIGNER, header, b"")) == RefusalKind.MALFORMED


@pytest.mark.parametrize(("name", "value"), [("jwk", "text"), ("url", 5), ("kid", 5)])
def test_a_header_member_of_another_type_is_malformed(name: str, value: object) -> None:
    """Jwk is an object, url and kid are strings."""
    header = {"alg": "ES256", "url": "u"} | ({"jwk": SIGNER.jwk} if name == "url" else {}) | {name: value}
    jws = FlattenedJws.parse(flattened(SIGNER, header, b""))
    with pytest.raises(Refusal) as refused:
        getattr(jws, name)
    assert refused.value.kind == RefusalKind.MALFORMED


def test_a_key_of_another_algorithm_is_a_bad_algorithm() -> None:
    """A key signs with its one algorithm, whatever the header says."""
    jws = FlattenedJws.parse(flattened(SIGNER, HEADER | {"alg": "RS256"}, b""))
    with pytest.raises(Refusal) as refused:
        jws.verify(jws.jwk)
    assert refused.value.kind == RefusalKind.BAD_SIGNATURE_ALGORITHM
    with pytest.raises(Refusal) as refused:
        FlattenedJws.parse(flattened(SIGNER, HEADER, b"")).verify(read_jwk(Signer(rsa_key()).jwk))
    assert refused.value.kind == RefusalKind.BAD_SIGNATURE_ALGORITHM


@pytest.mark.parametrize("member", ["protected", "payload", "signature"])
def test_a_change_anywhere_breaks_the_signature(member: str) -> None:
    """One changed byte in any part is a JWS that does not verify."""
    envelope = flattened(SIGNER, HEADER, b'{"a":1}')
    changed = {
        "protected": flattened(SIGNER, HEADER | {"nonce": "m"}, b"")["protected"],
        "payload": base64url(b'{"a":2}'),
        "signature": flattened(SIGNER, HEADER, b"other")["signature"],
    }
    jws = FlattenedJws.parse(envelope | {member: changed[member]})
    with pytest.raises(Refusal) as refused:
        jws.verify(jws.jwk)
    assert refused.value.kind == RefusalKind.MALFORMED


json_values = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=3), max_size=2)
)


@given(
    st.dictionaries(
        st.sampled_from(["protected", "payload", "signature", "header", "signatures"]),
        json_values | st.binary(max_size=40).map(base64url),
    )
)
def test_any_object_is_a_jws_or_refused(envelope: dict[str, Any]) -> None:
    """Whatever the members, nothing but a refusal comes out."""
    assert kind_of(envelope) in {RefusalKind.MALFORMED, RefusalKind.BAD_SIGNATURE_ALGORITHM}
