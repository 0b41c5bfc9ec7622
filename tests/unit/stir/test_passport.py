from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from stir import passport
from stir.errors import IdentityHeaderError, PassportError
from stir.passport import Passport, SignedPassport, message_integrity, sign
from stir.telephone_number import TelephoneNumber
from tests.unit.stir.strategies import passports
from tests.vectors.make_stir_vectors import (
    CALL,
    CALLED,
    CHAIN_URL,
    CLAIMS,
    HEADER,
    ISSUED_AT,
    ISSUING,
    ISSUING_KEY,
    LEAF,
    NUMBER,
    NUMBER_KEY,
    ROOT_KEY,
    base64url,
    compact,
    dumps,
    key,
    token_with,
)

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""How many points P-256's generator makes (FIPS 186-5)."""
TOKEN = sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING))
PUBLIC_KEY = NUMBER_KEY.public_key()


@given(passports)
def test_a_passport_survives_its_token(stated: Passport) -> None:
    """What is signed is read back, and its key verifies it."""
    token = SignedPassport.parse(sign(stated, NUMBER_KEY, certificate_url=CHAIN_URL))
    token.verify(PUBLIC_KEY)
    assert token.passport == stated


def test_a_token_brings_its_chain_and_its_url() -> None:
    """RFC 7515 §4.1.5 and §4.1.6: x5u and x5c may stand side by side."""
    token = SignedPassport.parse(sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING), certificate_url=CHAIN_URL))
    assert token.chain == (LEAF, ISSUING)
    assert token.certificate_url == CHAIN_URL
    assert SignedPassport.parse(TOKEN).certificate_url is None
    assert SignedPassport.parse(token_with()).chain == ()


def test_the_json_is_sorted_and_without_white_space() -> None:
    """RFC 8225 §9: one serialization."""
    stated = Passport(NUMBER, (CALLED, "911"), ISSUED_AT, "msg", message_integrity(b""), ("sip:a@b.example",))
    header, payload, _ = sign(stated, NUMBER_KEY, certificate_url=CHAIN_URL).split(".")
    assert decoded(header) == (b'{"alg":"ES256","ppt":"msg","typ":"passport","x5u":"https://ca.example/chain.pem"}')
    assert decoded(payload) == (
        b'{"dest":{"tn":["12025550199","911"],"uri":["sip:a@b.example"]},"iat":%d,'
        b'"msgi":"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=","orig":{"tn":"12025550123"}}' % ISSUED_AT
    )


def decoded(text: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_same_statement_gives_the_same_token() -> None:
    """RFC 6979: signing draws no randomness."""
    assert sign(CALL, NUMBER_KEY, chain=(LEAF, ISSUING)) == TOKEN


def test_the_example_of_rfc_8225_is_refused_for_its_destination() -> None:
    """RFC 8225 §7.1: its header is read, but its one destination is a URI."""
    token = (
        "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9."
        "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6IjE0NDMyMDgzNDUiLCJvcmlnIjp7InRuIjoiMTIxNTU1NTEyMTIifX0."
        "rq3pjT1hoRwakEGjHCnWSwUnshd0-zJ6F1VOgFWSjHBr8Qjpjlk-cpFYpFYsojNCpTzO3QfPOlckGaS6hEck7w"
    )
    with pytest.raises(PassportError, match=r"dest\.tn"):
        SignedPassport.parse(token)


@pytest.mark.parametrize("other", [key("another").public_key(), ISSUING_KEY.public_key()])
def test_another_key_did_not_sign_it(other: ec.EllipticCurvePublicKey) -> None:
    """RFC 7515 §5.2: verification is by the signer's key only."""
    with pytest.raises(PassportError, match="not signed by the key"):
        SignedPassport.parse(TOKEN).verify(other)


def test_a_key_on_another_curve_neither_signs_nor_verifies() -> None:
    """RFC 7518 §3.4: ES256 is P-256."""
    with pytest.raises(PassportError, match="P-256"):
        sign(CALL, ROOT_KEY, certificate_url=CHAIN_URL)
    with pytest.raises(PassportError, match="P-256"):
        SignedPassport.parse(TOKEN).verify(ROOT_KEY.public_key())


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 0), (0, 1), (1, 0), (ORDER, 1), (1, ORDER), (2**256 - 1, 2**256 - 1), (1, 1)],
)
def test_a_signature_out_of_range_is_refused(r: int, s: int) -> None:
    """FIPS 186-5 §6.4.2: r and s are between 1 and the order of the curve."""
    signing_input = token_with().rpartition(".")[0]
    token = f"{signing_input}.{base64url(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
    with pytest.raises(PassportError, match="not signed by the key"):
        SignedPassport.parse(token).verify(PUBLIC_KEY)


def test_the_second_form_of_a_signature_states_the_same() -> None:
    """Whoever looks for a repetition compares statements: s and its negative both verify."""
    signing_input, _, signature = TOKEN.rpartition(".")
    r, s = decoded(signature)[:32], int.from_bytes(decoded(signature)[32:], "big")
    twin = SignedPassport.parse(f"{signing_input}.{base64url(r + (ORDER - s).to_bytes(32, 'big'))}")
    twin.verify(PUBLIC_KEY)
    assert twin.token != TOKEN
    assert twin.passport == SignedPassport.parse(TOKEN).passport


@given(st.data())
def test_a_changed_token_is_refused(data: st.DataObject) -> None:
    """No change of a character goes unseen."""
    at = data.draw(st.integers(0, len(TOKEN) - 1))
    changed = TOKEN[:at] + data.draw(st.characters(codec="utf-8")) + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(PassportError):
            SignedPassport.parse(changed).verify(PUBLIC_KEY)


@given(st.text() | st.from_regex(r"\A[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{86}\Z"))
def test_any_text_gives_this_rooms_error(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(PassportError):
        SignedPassport.parse(text)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.sampled_from([CALLED, "msg", CHAIN_URL]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tn", "uri", "x"]), inner, max_size=3),
    max_leaves=5,
)
header_members = st.dictionaries(
    st.sampled_from(["alg", "typ", "ppt", "x5c", "x5u", "crit", "y"]), json_values, max_size=3
)
claim_members = st.dictionaries(st.sampled_from(["dest", "iat", "orig", "msgi", "mky"]), json_values, max_size=3)


@given(header_members, claim_members)
def test_any_json_gives_a_passport_or_this_rooms_error(header: dict[str, object], claims: dict[str, object]) -> None:
    """Whatever stands in a member, it is read or refused; nothing else is raised."""
    token = compact(json.dumps(HEADER | header).encode(), json.dumps(CLAIMS | claims).encode())
    try:
        read = SignedPassport.parse(token)
    except PassportError as error:
        assert NUMBER.digits not in str(error)  # noqa: PT017 - some of it is a PASSporT
        return
    read.verify(PUBLIC_KEY)
    assert read.passport.orig


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_for_json_give_this_rooms_error(header: bytes, claims: bytes) -> None:
    """Bytes that are no JSON, or not UTF-8, are refused."""
    for given_ in ((header, dumps(CLAIMS)), (dumps(HEADER), claims)):
        with pytest.raises(PassportError):
            SignedPassport.parse(compact(*given_))


def test_utf_16_is_not_taken_for_json() -> None:
    """RFC 8259 §8.1: JSON between programs is UTF-8."""
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        with pytest.raises(PassportError, match="not JSON"):
            SignedPassport.parse(compact(dumps(HEADER).decode().encode(encoding), dumps(CLAIMS)))


@pytest.mark.parametrize(
    "change",
    [
        {"dest": ()},
        {"dest": ("",)},
        {"dest": ("+12025550199",)},
        {"dest": ("1" * 33,)},
        {"dest": (CALLED, "1 2")},
        {"dest_uris": ("alice",)},
        {"dest_uris": ("sip:a<b>",)},
        {"dest_uris": ("sip:é@example.com",)},
        {"issued_at": -1},
        {"issued_at": 2**53},
        {"ppt": "shaken"},
        {"ppt": "msg"},
        {"message_integrity": message_integrity(b"")},
        {"ppt": "msg", "message_integrity": "sha256-"},
        {"ppt": "msg", "message_integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        {"ppt": "msg", "message_integrity": "sha384-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
    ],
)
def test_a_statement_outside_the_format_cannot_exist(change: dict[str, object]) -> None:
    """RFC 8225 §5 and RFC 9475 §3: a value of Passport is one that can be signed."""
    with pytest.raises(PassportError):
        replace(CALL, **change)


def test_destinations_are_a_set() -> None:
    """RFC 8225 §5.2.1: in lexicographic order; each once."""
    stated = Passport(
        NUMBER, ("911", "*82", "911"), 0, dest_uris=("sip:b@x.example", "sip:a@x.example", "sip:b@x.example")
    )
    assert stated.dest == ("*82", "911")
    assert stated.dest_uris == ("sip:a@x.example", "sip:b@x.example")


def test_statements_hide_their_numbers() -> None:
    """No repr carries a number or a token into a log."""
    token = SignedPassport.parse(TOKEN)
    for text in (repr(token), repr(token.passport)):
        assert NUMBER.digits not in text
        assert CALLED not in text
        assert TOKEN not in text


def test_a_token_that_was_read_cannot_contradict_its_text() -> None:
    """Everything but the text follows from it."""
    token = SignedPassport(TOKEN)
    assert [field.name for field in dataclasses.fields(token) if field.init] == ["token"]
    assert token == SignedPassport.parse(TOKEN)
    with pytest.raises(PassportError):
        SignedPassport("")


# Signing


def test_a_token_without_a_certificate_is_not_signed() -> None:
    """RFC 8225 §4: the verifier must find the certificate."""
    with pytest.raises(PassportError, match="x5c"):
        sign(CALL, NUMBER_KEY)


def test_a_certificate_of_another_key_is_not_sent() -> None:
    """RFC 7515 §4.1.6: the first certificate is the signer's."""
    with pytest.raises(PassportError, match="not one of the signing key"):
        sign(CALL, NUMBER_KEY, chain=(ISSUING, LEAF))


def test_a_url_that_is_no_web_url_is_not_signed() -> None:
    """RFC 8225 §4.3: verifiers fetch it over HTTP."""
    with pytest.raises(PassportError, match="x5u"):
        sign(CALL, NUMBER_KEY, certificate_url="chain.pem")


def test_a_token_that_no_reader_takes_is_not_signed() -> None:
    """Chains and tokens have a size."""
    with pytest.raises(PassportError, match="at most 10 certificates"):
        sign(CALL, NUMBER_KEY, chain=(LEAF, *[ISSUING] * 10))
    many = replace(CALL, dest=tuple(str(number) for number in range(10**9, 10**9 + 2000)))
    with pytest.raises(PassportError, match="at most 16384 characters"):
        sign(many, NUMBER_KEY, certificate_url=CHAIN_URL)


# Messages


@given(st.binary(), st.binary())
def test_a_message_is_told_from_another(body: bytes, other: bytes) -> None:
    """RFC 9475 §3.2: a msgi is of one message."""
    stated = replace(CALL, ppt="msg", message_integrity=message_integrity(body))
    assert stated.is_about(body)
    assert stated.is_about(other) == (body == other)


@pytest.mark.parametrize(
    "msgi",
    [
        "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=",
        "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ",
        "sha384-WeF0h3dEjGneSsCRfEYJn2aU0kPzqU3+MP1L7cLCIH8kRgWAt9mZWYVk2G+fVJ0K",
    ],
)
def test_every_hash_of_the_format_is_understood(msgi: str) -> None:
    """RFC 9475 §3.2: sha256, sha384 and sha512, in base64 with or without padding."""
    name = msgi.partition("-")[0]
    stated = replace(CALL, ppt="msg", message_integrity=msgi)
    assert stated.is_about(b"hello") == (name == "sha256")
    assert not stated.is_about(b"goodbye")


def test_the_longest_hash_is_understood() -> None:
    """RFC 9475 §3.2: sha512."""
    msgi = "sha512-" + base64.b64encode(bytes(64)).decode()
    assert not replace(CALL, ppt="msg", message_integrity=msgi).is_about(b"")
    assert not replace(CALL, ppt="msg", message_integrity=msgi.rstrip("=")).is_about(b"")


def test_a_call_is_about_no_message() -> None:
    """A PASSporT of a call vouches for no text."""
    assert not CALL.is_about(b"")


def test_the_errors_of_a_header_are_those_of_a_passport() -> None:
    """One except clause catches both."""
    assert issubclass(IdentityHeaderError, PassportError)
    assert TelephoneNumber(NUMBER.digits) == CALL.orig
    assert passport.ALGORITHM == "ES256"
