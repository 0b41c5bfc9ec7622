from __future__ import annotations

import base64
import contextlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from stir import jws
from stir.errors import JwsError
from stir.jws import (
    DEEPEST,
    LARGEST_HEADER,
    MOST_CHAINS,
    CompactJws,
    JwsKind,
    canonical_json,
    chain_members,
    decode_base64url,
    encode_base64url,
    require_key_of,
    sign,
)
from stir.passport import SignedPassport
from stir.passport import sign as sign_passport
from tests.vectors.make_stir_vectors import (
    CALL,
    ISSUING,
    ISSUING_KEY,
    LEAF,
    NUMBER_KEY,
    ROOT,
    ROOT_KEY,
    altered,
    base64url,
    compact,
    leaf_with,
)

KIND = JwsKind("a statement", "test+jwt", 32 * 1024, JwsError)
CHAIN = (LEAF, ISSUING)
OTHER_CHAIN = (leaf_with(subject=None), ROOT)
FOREIGN_CHAIN = (ISSUING, ROOT)
CLAIMS = b'{"a":1}'


def written(chain: tuple[x509.Certificate, ...]) -> list[str]:
    """Return an x5c."""
    return [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in chain]


def text_of(header: object, payload: bytes = CLAIMS) -> str:
    """Return a text whose signature is of nothing."""
    return compact(header if isinstance(header, bytes) else json.dumps(header).encode(), payload)


HEADER: dict[str, object] = {"alg": "ES256", "typ": "test+jwt"}


json_objects = st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())


@given(json_objects)
def test_what_is_signed_is_read_back(claims: dict[str, object]) -> None:
    """A payload survives, and its key verifies it."""
    read = CompactJws.parse(sign(KIND, {}, canonical_json(claims), NUMBER_KEY), KIND)
    read.verify(NUMBER_KEY.public_key())
    assert read.claims() == claims
    assert read.payload == canonical_json(claims)
    assert read.chains == ()


def test_a_text_brings_several_chains_for_one_key() -> None:
    """The chain of x5c comes first, then those of x5cs."""
    text = sign(KIND, chain_members(KIND, CHAIN, [OTHER_CHAIN]), CLAIMS, NUMBER_KEY)
    assert CompactJws.parse(text, KIND).chains == (CHAIN, OTHER_CHAIN)
    alone = sign(KIND, chain_members(KIND, CHAIN), CLAIMS, NUMBER_KEY)
    assert CompactJws.parse(alone, KIND).chains == (CHAIN,)
    assert "x5cs" not in CompactJws.parse(alone, KIND).header


def test_a_passport_brings_several_chains() -> None:
    """A reader that believes the second authority alone finds its chain."""
    token = SignedPassport.parse(sign_passport(CALL, NUMBER_KEY, chain=CHAIN, more_chains=[OTHER_CHAIN]))
    token.verify(NUMBER_KEY.public_key())
    assert token.chains == (CHAIN, OTHER_CHAIN)
    assert token.chain == CHAIN


@pytest.mark.parametrize("others", [[FOREIGN_CHAIN], [()], [CHAIN] * MOST_CHAINS, [(LEAF, *[ISSUING] * 10)]])
def test_chains_that_no_reader_takes_are_not_written(others: list[tuple[x509.Certificate, ...]]) -> None:
    """All chains are for the key that signs, none is empty, and there are not too many."""
    with pytest.raises(JwsError):
        chain_members(KIND, CHAIN, others)


@pytest.mark.parametrize(
    "members",
    [
        {"x5cs": [written(CHAIN)]},
        {"x5c": written(CHAIN), "x5cs": []},
        {"x5c": written(CHAIN), "x5cs": written(CHAIN)},
        {"x5c": written(CHAIN), "x5cs": {"a": written(CHAIN)}},
        {"x5c": written(CHAIN), "x5cs": [[]]},
        {"x5c": written(CHAIN), "x5cs": [[1]]},
        {"x5c": written(CHAIN), "x5cs": [["AAAA"]]},
        {"x5c": written(CHAIN), "x5cs": [written(FOREIGN_CHAIN)]},
        {"x5c": written(CHAIN[:1]), "x5cs": [written(CHAIN[:1])] * MOST_CHAINS},
        {"x5c": ["é"]},
    ],
)
def test_chains_that_are_malformed_are_refused(members: dict[str, object]) -> None:
    """Further chains are lists of certificates beside an x5c, each for the same key."""
    with pytest.raises(JwsError):
        CompactJws.parse(text_of(HEADER | members), KIND)


def test_a_chain_of_a_key_that_cannot_be_read_is_of_no_other_key() -> None:
    """A certificate whose key is of no known kind is refused beside another chain, not raised about."""
    odd = x509.load_der_x509_certificate(
        LEAF.public_bytes(Encoding.DER).replace(
            bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209")
        )
    )
    other = altered(LEAF, ISSUING_KEY, public_key=ed25519.Ed25519PrivateKey.generate().public_key())  # type: ignore[arg-type]
    for first in (odd, other):
        with pytest.raises(JwsError, match="for one key"):
            chain_members(KIND, CHAIN, [(first, ISSUING)])


def test_the_chain_is_of_the_key_that_signs() -> None:
    """RFC 7515 §4.1.6: the first certificate is the signer's."""
    require_key_of(CHAIN, NUMBER_KEY, KIND)
    for chain in ((), FOREIGN_CHAIN):
        with pytest.raises(JwsError, match="not one of the signing key"):
            require_key_of(chain, NUMBER_KEY, KIND)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "test+jwt"},
        {"alg": "HS256", "typ": "test+jwt"},
        {"typ": "test+jwt"},
        {"alg": "ES256"},
        {"alg": "ES256", "typ": "passport"},
        {"alg": "ES256", "typ": "TEST+JWT"},
        HEADER | {"crit": ["b64"]},
        b'{"alg":"ES256","typ":"test+jwt","typ":"test+jwt"}',
        b'{"alg":"ES256","typ":"test+jwt","a":NaN}',
        b'["alg"]',
    ],
)
def test_a_header_of_another_kind_is_refused(header: object) -> None:
    """RFC 7515 §4, §4.1.11 and RFC 8725 §3.1, §3.11: one algorithm, one type, no extension, no member twice."""
    with pytest.raises(JwsError):
        CompactJws.parse(text_of(header), KIND)


def test_a_header_has_a_size() -> None:
    """No header is remembered that is larger than a few chains."""
    with pytest.raises(JwsError, match=f"at most {LARGEST_HEADER}"):
        CompactJws.parse(text_of(HEADER | {"a": "x" * LARGEST_HEADER}), KIND)


def test_what_is_too_long_is_neither_read_nor_written() -> None:
    """A kind has its size."""
    small = JwsKind("a statement", "test+jwt", 100, JwsError)
    text = sign(KIND, {}, CLAIMS, NUMBER_KEY)
    for attempt in (lambda: CompactJws.parse(text, small), lambda: sign(small, {}, CLAIMS, NUMBER_KEY)):
        with pytest.raises(JwsError, match="at most 100 characters"):
            attempt()


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_nesting_has_a_bound(opening: bytes) -> None:
    """A payload may be nested so deep and no deeper; brackets in strings do not count."""
    closing = b"]" if opening == b"[" else b"}"
    for depth, is_read in ((DEEPEST, True), (DEEPEST + 1, False)):
        inner = opening * (depth - 1) + b"1" + closing * (depth - 1)
        read = CompactJws.parse(text_of(HEADER, b'{"b":"[[[[[[\\"[[[","c":' + inner + b"}"), KIND)
        if is_read:
            assert read.claims()["b"] == '[[[[[["[[['
        else:
            with pytest.raises(JwsError, match="nested"):
                read.claims()


def test_many_brackets_side_by_side_are_not_deep() -> None:
    """Depth is counted, not brackets."""
    payload = canonical_json({"a": [[1]] * 1000})
    assert CompactJws.parse(text_of(HEADER, payload), KIND).claims() == {"a": [[1]] * 1000}


def test_a_key_on_another_curve_neither_signs_nor_verifies() -> None:
    """RFC 7518 §3.4: ES256 is P-256."""
    text = sign(KIND, {}, CLAIMS, NUMBER_KEY)
    with pytest.raises(JwsError, match="P-256"):
        sign(KIND, {}, CLAIMS, ROOT_KEY)
    with pytest.raises(JwsError, match="P-256"):
        CompactJws.parse(text, KIND).verify(ROOT_KEY.public_key())
    with pytest.raises(JwsError, match="not signed by the key"):
        CompactJws.parse(text, KIND).verify(ISSUING_KEY.public_key())


@given(st.text() | st.from_regex(r"\A[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{1,9}\.[A-Za-z0-9_-]{86}\Z"))
def test_any_text_gives_the_error_of_its_kind(text: str) -> None:
    """No text makes the reader raise anything else."""
    with pytest.raises(JwsError):
        CompactJws.parse(text, KIND)


@given(st.binary(max_size=80))
@example(b"[" * 10_000)
@example(b'{"a":"')
@example(b"9" * 5000)
@example(b"\xff")
@example(b"[]")
def test_any_payload_gives_an_object_or_the_error_of_its_kind(payload: bytes) -> None:
    """Bytes that are no JSON object are refused, whatever they are."""
    if not payload:
        return
    read = CompactJws.parse(text_of(HEADER, payload), KIND)
    with contextlib.suppress(JwsError):
        assert isinstance(read.claims(), dict)


@given(st.binary())
def test_base64url_has_one_text(data: bytes) -> None:
    """RFC 4648 §3.5: what is written is read, and nothing else is read as the same bytes."""
    text = encode_base64url(data)
    assert decode_base64url(text) == data
    assert text == base64url(data)


@pytest.mark.parametrize("text", ["A", "AA==", "AB", "AAB", "A+", "A/", "é", "A A", "AAAA\n"])
def test_other_base64_is_refused(text: str) -> None:
    """RFC 7515 §2: no padding, no other alphabet, no line breaks, no unused bits."""
    with pytest.raises(JwsError):
        decode_base64url(text)


def test_a_header_that_comes_again_is_read_once() -> None:
    """Whoever signs again sends the same header, and nobody can change what is remembered of it."""
    first, second = (CompactJws.parse(sign(KIND, {}, claims, NUMBER_KEY), KIND) for claims in (b"{}", CLAIMS))
    assert first.header is second.header
    with pytest.raises(TypeError):
        first.header["alg"] = "none"  # type: ignore[index]


def test_a_text_is_hidden_in_its_repr() -> None:
    """No repr carries a statement into a log."""
    text = sign(KIND, {}, CLAIMS, NUMBER_KEY)
    assert text not in repr(CompactJws.parse(text, KIND))
    assert jws.ALGORITHM == "ES256"
