"""ECVRF-EDWARDS25519-SHA512-TAI against the examples of RFC 9381 Appendix B.3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from transparency import vrf
from transparency.errors import VrfError
from transparency.vrf import VrfPrivateKey, VrfPublicKey, output_of

PATH = Path(__file__).parents[1] / "vectors" / "transparency" / "rfc9381.json"
EXAMPLES = json.loads(PATH.read_text(encoding="utf-8"))["vectors"]
pytestmark = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"example {example['example']}")


def octets(example: dict[str, str], name: str) -> bytes:
    """Return one value of an example."""
    return bytes.fromhex(example[name])


def test_a_public_key_follows_from_the_private_key(example: dict[str, str]) -> None:
    """RFC 9381 §5.5: keys are those of RFC 8032 §5.1.5."""
    assert VrfPrivateKey.from_seed(octets(example, "private_key")).public_key.data == octets(example, "public_key")


def test_an_input_is_encoded_to_the_curve(example: dict[str, str]) -> None:
    """RFC 9381 §5.4.1.1: try and increment."""
    assert vrf._encode_to_curve(octets(example, "public_key"), octets(example, "alpha")) == octets(example, "point")


def test_a_proof_is_made(example: dict[str, str]) -> None:
    """RFC 9381 §5.1: ECVRF_prove."""
    key = VrfPrivateKey.from_seed(octets(example, "private_key"))
    assert key.prove(octets(example, "alpha")) == octets(example, "proof")


def test_a_proof_verifies_to_its_output(example: dict[str, str]) -> None:
    """RFC 9381 §5.3: ECVRF_verify."""
    key = VrfPublicKey(octets(example, "public_key"))
    assert key.verify(octets(example, "alpha"), octets(example, "proof")) == octets(example, "output")


def test_a_proof_hashes_to_its_output(example: dict[str, str]) -> None:
    """RFC 9381 §5.2: ECVRF_proof_to_hash."""
    assert output_of(octets(example, "proof")) == octets(example, "output")


def test_a_proof_of_another_example_is_invalid(example: dict[str, str]) -> None:
    """RFC 9381 §5.3: the verifier outputs INVALID."""
    others = [other for other in EXAMPLES if other != example]
    for other in others:
        with pytest.raises(VrfError):
            VrfPublicKey(octets(example, "public_key")).verify(octets(example, "alpha"), octets(other, "proof"))
