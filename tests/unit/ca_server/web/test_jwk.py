from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from ca_server.errors import Refusal, RefusalKind
from ca_server.web.jwk import ALGORITHMS, JWKOKP, algorithm_of, read_jwk, read_jwk_text, verifies
from tests.fakes.acme_requests import Signer, base64url, rsa_key

SIGNERS = {
    "ES256": Signer(ec.derive_private_key(7, ec.SECP256R1())),
    "ES384": Signer(ec.derive_private_key(7, ec.SECP384R1())),
    "EdDSA": Signer(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))),
    "RS256": Signer(rsa_key()),
}


def refusal_of(jwk: dict[str, Any]) -> str:
    """Return why the key is refused as badPublicKey."""
    with pytest.raises(Refusal) as refused:
        read_jwk(jwk)
    assert refused.value.kind is RefusalKind.BAD_PUBLIC_KEY
    return refused.value.detail


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_algorithm_reads_and_verifies(algorithm: str) -> None:
    """A key of each algorithm reads, names the algorithm, and verifies what it signed and nothing else."""
    signer = SIGNERS[algorithm]
    key = read_jwk(signer.jwk)
    assert algorithm_of(key) == algorithm
    signature = signer.sign(b"data")
    assert verifies(key, b"data", signature)
    assert not verifies(key, b"datb", signature)
    assert not verifies(key, b"data", b"")
    assert not verifies(key, b"data", signature + b"\0")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_other_form_of_a_signature_verifies(algorithm: str) -> None:
    """None of another key's, in DER, cut short, drawn out, or of numbers that are 0 or all ones (RFC 7518 §3.4)."""
    key, good = read_jwk(SIGNERS[algorithm].jwk), SIGNERS[algorithm].sign(b"data")
    zeros, half = bytes(len(good)), len(good) // 2
    forged = [signer.sign(b"data") for name, signer in SIGNERS.items() if name != algorithm]
    forged += [encode_dss_signature(int.from_bytes(good[:half], "big"), int.from_bytes(good[half:], "big"))]
    forged += [good[:-1], good[1:], b"\0" + good, good + good, good[half:] + good[:half]]
    forged += [zeros, zeros[half:] + good[half:], good[:half] + zeros[half:], b"\xff" * len(good)]
    assert not [signature for signature in forged if verifies(key, b"data", signature)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_kept_as_json_and_read_back(algorithm: str) -> None:
    """The JSON that an account keeps reads back as the same key."""
    key = read_jwk(SIGNERS[algorithm].jwk)
    assert read_jwk_text(json.dumps(key.to_json())).thumbprint() == key.thumbprint()


def test_the_thumbprint_of_an_ed25519_key_is_that_of_rfc_8037() -> None:
    """RFC 8037 appendix A.3: the thumbprint of the example key."""
    key = read_jwk({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    assert base64url(key.thumbprint()) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert key.public_key() == key
    assert JWKOKP.fields_from_json(key.to_json()).thumbprint() == key.thumbprint()


def test_members_that_do_not_make_the_key_are_ignored() -> None:
    """RFC 7517 §4: unknown members are ignored, and do not come back."""
    jwk = SIGNERS["ES256"].jwk
    assert read_jwk(jwk | {"kid": "mine", "use": "sig", "x5c": [1]}).to_json() == jwk


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_member_is_a_bad_key(member: str) -> None:
    """A JWK with a private member is refused, whatever its value."""
    assert "private" in refusal_of(SIGNERS["RS256"].jwk | {member: "AQAB"})


@pytest.mark.parametrize("kty", ["oct", "ec", "", None, ["EC"], {}])
def test_another_key_type_is_a_bad_key(kty: object) -> None:
    """Key types other than EC, RSA and OKP are refused."""
    assert "kty" in refusal_of(SIGNERS["ES256"].jwk | {"kty": kty})


@pytest.mark.parametrize("crv", ["P-521", "secp256k1", "Ed25519", "X25519", None, 256, ["P-256"]])
def test_another_curve_is_a_bad_key(crv: object) -> None:
    """EC keys on other curves than P-256 and P-384 are refused."""
    refusal_of(SIGNERS["ES256"].jwk | {"crv": crv})


@pytest.mark.parametrize("crv", ["P-256", "Ed448", "X25519", None])
def test_another_edwards_curve_is_a_bad_key(crv: object) -> None:
    """OKP keys on other curves than Ed25519 are refused."""
    refusal_of(SIGNERS["EdDSA"].jwk | {"crv": crv})


@pytest.mark.parametrize(
    "change",
    [
        {"x": None},
        {"x": 5},
        {"x": ""},
        {"x": base64url(bytes(31))},
        {"x": base64url(bytes(33))},
        {"y": base64url(bytes(32))},
        {"y": "=" * 43},
        {"y": base64url(b"\xff" * 32)},
    ],
)
def test_a_point_off_the_curve_is_a_bad_key(change: dict[str, object]) -> None:
    """Coordinates that are missing, of the wrong length, or no point of the curve are refused."""
    refusal_of(SIGNERS["ES256"].jwk | change)


@pytest.mark.parametrize("bits", [1024, 4104])
def test_an_rsa_key_of_another_size_is_a_bad_key(bits: int) -> None:
    """RSA keys below 2048 and above 4096 bits are refused."""
    modulus = (1 << (bits - 1)) | 1
    jwk = {"kty": "RSA", "e": "AQAB", "n": base64url(modulus.to_bytes(bits // 8, "big"))}
    assert "bits" in refusal_of(jwk)


@pytest.mark.parametrize("exponent", [0, 1, 3, 65536, 2**32 + 1])
def test_an_rsa_key_with_an_unsafe_exponent_is_a_bad_key(exponent: int) -> None:
    """RSA exponents below 65537, above 32 bits, and even ones are refused."""
    e = base64url(exponent.to_bytes(max(1, (exponent.bit_length() + 7) // 8), "big"))
    refusal_of(SIGNERS["RS256"].jwk | {"e": e})


def test_an_even_rsa_modulus_is_a_bad_key() -> None:
    """A modulus that is even is no product of two large primes."""
    numbers = rsa_key().public_key().public_numbers()
    refusal_of(SIGNERS["RS256"].jwk | {"n": base64url((numbers.n - 1).to_bytes(256, "big"))})


def test_a_number_with_leading_zeros_is_a_bad_key() -> None:
    """RFC 7518 §2: a Base64urlUInt has the fewest bytes, so that a key has one spelling."""
    assert "zero" in refusal_of(SIGNERS["RS256"].jwk | {"e": "AAEAAQ"})


jwk_members = st.dictionaries(
    st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "alg"]),
    st.sampled_from(["EC", "RSA", "OKP", "P-256", "P-384", "Ed25519", "AQAB"])
    | st.text(max_size=5)
    | st.binary(min_size=31, max_size=49).map(base64url)
    | st.binary(min_size=256, max_size=257).map(base64url)
    | st.none()
    | st.integers()
    | st.lists(st.none(), max_size=1),
)


@given(jwk_members)
def test_any_object_is_a_key_or_a_bad_one(jwk: dict[str, Any]) -> None:
    """Whatever the members, the answer is a key with an algorithm, or the refusal `badPublicKey`."""
    try:
        key = read_jwk(jwk)
    except Refusal as refusal:
        assert refusal.kind is RefusalKind.BAD_PUBLIC_KEY  # noqa: PT017 - either outcome is right
    else:
        assert algorithm_of(key) in ALGORITHMS


@given(st.binary(max_size=130))
def test_no_random_signature_verifies(signature: bytes) -> None:
    """A signature that the key did not make is told to be none, whatever its bytes."""
    for algorithm in ALGORITHMS:
        assert not verifies(read_jwk(SIGNERS[algorithm].jwk), b"data", signature)
