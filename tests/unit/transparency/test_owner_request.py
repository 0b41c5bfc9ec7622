from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.log_world import NOW, Authority, key
from transparency.owner_request import Action, OwnerRequest, OwnerRequestError, SignedOwnerRequest

AUTHORITY = Authority.make()
CERTIFICATE = AUTHORITY.certificate(AUTHORITY.fields(1))
TOKEN = AUTHORITY.owner_request(CERTIFICATE)


def rebuilt(header: object = None, claims: object = None) -> str:
    """Return the token with another header or other claims, its signature as it was."""
    first, second, third = TOKEN.split(".")
    replaced = [part if new is None else encode(new) for part, new in ((first, header), (second, claims))]
    return ".".join([*replaced, third])


def encode(value: object) -> str:
    """Return JSON, or text as it stands, in base64url."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def claims(**changes: object) -> dict[str, object]:
    """Return good claims, changed."""
    return {"act": "list", "aud": "https://log.example/a", "iat": 1, "jti": "x" * 16} | changes


def test_a_request_is_read_as_it_was_signed() -> None:
    """Reading what was signed gives audience, time, id, action and chain; and the key's signature is right."""
    request = OwnerRequest("https://log.example/a", int(NOW.timestamp()), "x" * 22, Action.ERASE)
    signed = SignedOwnerRequest.parse(request.sign(key(90), (CERTIFICATE, AUTHORITY.issuing)))
    assert signed.request == request
    assert signed.chain == tuple(AUTHORITY.chain(CERTIFICATE)[:2])
    signed.verify(key(90).public_key())


def test_another_key_did_not_sign() -> None:
    """A signature of another key is refused."""
    with pytest.raises(OwnerRequestError, match="not signed by the key"):
        SignedOwnerRequest.parse(TOKEN).verify(key(91).public_key())


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "tn-log+jwt", "x5c": ["AA=="]},
        {"alg": "ES256", "typ": "passport", "x5c": ["AA=="]},
        {"alg": "ES256", "typ": "tn-log+jwt"},
        {"alg": "ES256", "typ": "tn-log+jwt", "x5c": []},
        {"alg": "ES256", "typ": "tn-log+jwt", "x5c": ["AA=="] * 11},
        {"alg": "ES256", "typ": "tn-log+jwt", "x5c": [1]},
        {"alg": "ES256", "typ": "tn-log+jwt", "x5c": ["*"]},
        {"alg": "ES256", "typ": "tn-log+jwt", "x5c": ["AA=="], "crit": ["b64"]},
        [],
        '{"alg": "ES256", "alg": "ES256", "typ": "tn-log+jwt", "x5c": ["AA=="]}',
        "{",
        "[" * 100,
    ],
)
def test_another_header_is_refused(header: object) -> None:
    """There is one algorithm, one type, a chain, and nothing else in the header (RFC 7515 §4.1)."""
    with pytest.raises(OwnerRequestError):
        SignedOwnerRequest.parse(rebuilt(header=header))


@pytest.mark.parametrize(
    "changed",
    [
        claims(act="read"),
        claims(iat=True),
        claims(iat=1.5),
        claims(iat=-1),
        claims(iat=2**53),
        claims(jti="short"),
        claims(jti="x" * 65),
        claims(jti="!" * 16),
        claims(aud=1),
        claims(more=1),
        {"act": "list"},
        '{"act": "list", "aud": "a", "iat": NaN, "jti": "xxxxxxxxxxxxxxxx"}',
    ],
)
def test_other_claims_are_refused(changed: object) -> None:
    """Claims that are missing, unknown, or of another kind are refused."""
    with pytest.raises(OwnerRequestError):
        SignedOwnerRequest.parse(rebuilt(claims=changed))


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_changed_character_is_found(place: int, character: str) -> None:
    """A request with one other character is malformed, or its signature is wrong."""
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(OwnerRequestError):
        SignedOwnerRequest.parse(changed).verify(key(90).public_key())


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}", fullmatch=True))
def test_any_text_is_refused_in_order(text: str) -> None:
    """Whatever a stranger sends is refused by this room's error."""
    with pytest.raises(OwnerRequestError):
        SignedOwnerRequest.parse(text)
