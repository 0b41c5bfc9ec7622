from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add

from transparency import vrf
from transparency.errors import VrfError
from transparency.vrf import OUTPUT_SIZE, PROOF_SIZE, VrfPrivateKey, VrfPublicKey, output_of

KEY = VrfPrivateKey.from_seed(bytes(range(32)))
PROOF = KEY.prove(b"alpha")
ORDER = 2**252 + 27742317777372353535851937790883648493
PRIME = 2**255 - 19
# The points whose order divides the cofactor, in every encoding that a lenient reader takes (RFC 7748 §7's list, as
# y coordinates with either sign, and those that are not below the prime).
SMALL_ORDER = [
    *(number.to_bytes(32, "little") for number in (0, 1, PRIME - 1, PRIME, PRIME + 1)),
    *((number | 1 << 255).to_bytes(32, "little") for number in (0, 1, PRIME - 1, PRIME, PRIME + 1)),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
]
TORSION = SMALL_ORDER[-2]  # of order 8
NOT_ON_THE_CURVE = (2).to_bytes(32, "little")


@given(st.binary(max_size=100))
@settings(max_examples=50)
def test_a_proof_proves_its_output(alpha: bytes) -> None:
    """Prover, verifier and evaluation come to the same output (RFC 9381 §5.1 to §5.3)."""
    proof = KEY.prove(alpha)
    assert len(proof) == PROOF_SIZE
    output = KEY.public_key.verify(alpha, proof)
    assert len(output) == OUTPUT_SIZE
    assert output == KEY.evaluate(alpha) == output_of(proof)


def test_a_proof_is_the_same_each_time() -> None:
    """Nothing in a proof is random: a log that gives two for one number betrays itself."""
    assert KEY.prove(b"alpha") == PROOF


@given(st.binary(max_size=20), st.binary(max_size=20))
@settings(max_examples=30)
def test_a_proof_is_for_its_input_only(alpha: bytes, other: bytes) -> None:
    """A number cannot be shown to have another number's label."""
    if alpha == other:
        return
    with pytest.raises(VrfError, match="false"):
        KEY.public_key.verify(other, KEY.prove(alpha))


def test_a_proof_is_by_its_key_only() -> None:
    """Another log's proof proves nothing."""
    with pytest.raises(VrfError, match="false"):
        VrfPrivateKey.generate().public_key.verify(b"alpha", PROOF)


@pytest.mark.parametrize("place", range(PROOF_SIZE))
def test_a_corrupt_byte_anywhere_breaks_a_proof(place: int) -> None:
    """No byte of a proof is free."""
    for change in (0x01, 0x80):
        broken = bytearray(PROOF)
        broken[place] ^= change
        with pytest.raises(VrfError):
            KEY.public_key.verify(b"alpha", bytes(broken))


def test_s_is_below_the_order() -> None:
    """A second proof with s + q would be as good to a careless verifier (RFC 9381 §5.4.4)."""
    scalar = int.from_bytes(PROOF[48:], "little") + ORDER
    with pytest.raises(VrfError, match="false"):
        KEY.public_key.verify(b"alpha", PROOF[:48] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize("gamma", [*SMALL_ORDER, NOT_ON_THE_CURVE, crypto_core_ed25519_add(PROOF[:32], TORSION)])
def test_gamma_is_a_canonical_point_of_the_large_subgroup(gamma: bytes) -> None:
    """A proof has one form, and none is forged with a point of small order."""
    for scalar in (PROOF[48:], bytes(32), (1).to_bytes(32, "little")):
        with pytest.raises(VrfError, match="false"):
            KEY.public_key.verify(b"alpha", gamma + PROOF[32:48] + scalar)
    with pytest.raises(VrfError, match="false"):
        output_of(gamma + PROOF[32:])


def test_a_proof_of_zeros_is_false() -> None:
    """Neither a challenge nor a scalar of zero proves anything."""
    with pytest.raises(VrfError, match="false"):
        KEY.public_key.verify(b"alpha", PROOF[:32] + bytes(48))


@pytest.mark.parametrize("size", [0, 79, 81, 96])
def test_a_proof_has_80_bytes(size: int) -> None:
    """Nothing is cut off or passed over."""
    with pytest.raises(VrfError, match="80 bytes"):
        KEY.public_key.verify(b"alpha", bytes(size))
    with pytest.raises(VrfError, match="80 bytes"):
        output_of(bytes(size))


@pytest.mark.parametrize(
    "data",
    [*SMALL_ORDER, NOT_ON_THE_CURVE, crypto_core_ed25519_add(KEY.public_key.data, TORSION), b"", bytes(31), bytes(33)],
)
def test_a_public_key_is_a_canonical_point_of_the_large_subgroup(data: bytes) -> None:
    """With any other key, one input could have several outputs (RFC 9381 §5.4.5)."""
    with pytest.raises(VrfError, match="public key"):
        VrfPublicKey(data)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_private_key_has_32_bytes(size: int) -> None:
    """A seed is what is kept, and all of it."""
    with pytest.raises(VrfError, match="32 bytes"):
        VrfPrivateKey.from_seed(bytes(size))


def test_a_private_key_does_not_print_itself() -> None:
    """Whoever has the seed can try all numbers against the log: it is in no log line."""
    assert repr(KEY) == f"VrfPrivateKey(public_key={KEY.public_key!r})"
    assert KEY.seed.hex() not in repr(KEY)


def test_new_keys_differ() -> None:
    """Each shard has its own key."""
    assert VrfPrivateKey.generate().public_key != VrfPrivateKey.generate().public_key


@given(st.binary(min_size=PROOF_SIZE, max_size=PROOF_SIZE))
def test_any_bytes_are_no_proof(data: bytes) -> None:
    """Random bytes raise this room's error and nothing else."""
    with pytest.raises(VrfError):
        KEY.public_key.verify(b"alpha", data)


@given(st.binary(min_size=32, max_size=32))
def test_any_bytes_give_a_key_or_this_rooms_error(data: bytes) -> None:
    """Reading a key raises this room's error and nothing else."""
    try:
        key = VrfPublicKey(data)
    except VrfError:
        return
    assert key.data == data


def test_a_point_that_is_not_canonical_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hash whose y is not below the prime is no point (RFC 8032 §5.1.3), though libsodium would reduce it."""
    first = (PRIME + 1).to_bytes(32, "little")  # libsodium takes this for y = 1
    answers = iter([first, bytes(31) + b"\x80", NOT_ON_THE_CURVE, SMALL_ORDER[1], PROOF[:32]])
    monkeypatch.setattr(vrf, "sha512", lambda _: _Digest(next(answers)))
    found = vrf._encode_to_curve(KEY.public_key.data, b"alpha")
    doubled = crypto_core_ed25519_add(PROOF[:32], PROOF[:32])
    doubled = crypto_core_ed25519_add(doubled, doubled)
    assert found == crypto_core_ed25519_add(doubled, doubled)


def test_an_input_without_a_point_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 256 tries there is none; nobody will see it happen."""
    monkeypatch.setattr(vrf, "sha512", lambda _: _Digest(NOT_ON_THE_CURVE))
    with pytest.raises(VrfError, match="no point was found"):
        KEY.public_key.verify(b"alpha", PROOF)


class _Digest:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def digest(self) -> bytes:
        """Return what was to be the hash."""
        return self._data + bytes(32)
